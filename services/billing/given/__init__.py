"""Days of reading that staff give a reader."""
