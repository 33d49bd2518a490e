"""Sessions of staff: begin, idle lock, absolute end, introspection."""
