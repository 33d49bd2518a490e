"""What readers ask for, whichever way they pay."""
