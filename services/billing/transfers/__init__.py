"""Bank transfers: what a reader is asked to transfer (VietQR), and the credits that come into an agency's accounts."""
