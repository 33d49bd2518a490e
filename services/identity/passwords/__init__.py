"""Passwords of local accounts: what a good one is, choosing one, never one of the last ten."""
