"""What all services stand on. Knows none of them."""
