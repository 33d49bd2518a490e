"""Identity: staff accounts, their sessions and roles per agency, and service keys."""
