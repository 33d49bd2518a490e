"""What decodes images."""
