"""What is free: exact, per product and day, with overlapping products sharing their placements."""
