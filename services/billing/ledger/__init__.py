"""The books: double entry, append-only, deferred revenue day by day."""
