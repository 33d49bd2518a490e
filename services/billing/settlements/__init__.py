"""Settlements: what providers pay out to the bank, and what it consists of."""
