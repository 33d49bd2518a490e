"""Accounts of staff: who they are, their password, their roles per agency."""
