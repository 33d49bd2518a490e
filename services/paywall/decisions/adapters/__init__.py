"""What decisions ask outside of the paywall."""
