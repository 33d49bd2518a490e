"""Checkouts, payments, refunds."""
