"""Collecting: payment pages, cards that are charged again, and what providers tell of them."""
