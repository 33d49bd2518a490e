"""Outside libraries behind a Protocol."""
