"""The one provider (OpenID Connect) of a deployment: staff who have an account there may sign in with it.

Never is an account of ours made, found or linked because the provider named an address. A link needs two proofs at once: the
provider's, with the address it has verified, and ours (an invitation's mailed link, or a session that has just proved who it
is). From then on the pair of issuer and subject decides, and no address.
"""
