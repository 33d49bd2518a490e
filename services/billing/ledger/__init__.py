"""The books: double entry, append-only, running balances, months that are closed."""
