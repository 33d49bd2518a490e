"""What must always be true: read of what has changed all the time, of everything at night, and kept as findings (ADR 0022)."""
