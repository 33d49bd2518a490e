"""What reads the files."""
