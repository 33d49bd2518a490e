"""Subscriptions, their states, and the right to read that follows."""
