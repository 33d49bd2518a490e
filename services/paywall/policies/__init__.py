"""What an agency lets people read for nothing: one versioned policy each."""
