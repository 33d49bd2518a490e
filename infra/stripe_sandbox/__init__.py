"""A local stand-in for the parts of Stripe that billing uses; see README.md."""
