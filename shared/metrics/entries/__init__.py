"""What was earned, billed ahead, and moved in monthly recurring revenue: append-only, summed by day."""
