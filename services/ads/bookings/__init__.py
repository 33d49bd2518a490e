"""Orders and lines: quote, hold, book; one table of transitions."""
