"""The paywall."""
