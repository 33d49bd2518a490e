"""What readers give the newspaper: an amount of their own, for nothing to read."""
