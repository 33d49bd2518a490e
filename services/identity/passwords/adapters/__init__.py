"""argon2id, and how guessable a password is."""
