"""Decisions, leases, counting, revenue as delivered."""
