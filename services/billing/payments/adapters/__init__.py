"""Payment providers, one file each, behind the port."""
