"""What may be bought, and for how much."""
