"""Deferred revenue: what each paid period earns day by day."""
