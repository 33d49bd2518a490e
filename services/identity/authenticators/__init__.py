"""Ways to prove who one is. The local password is one; others implement the same ``Authenticator``."""
