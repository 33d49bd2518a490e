"""Prices for some time: for who is new, for who left, for students."""
