"""Passwords, whosever they are: hashed with argon2id off the event loop, and judged by how guessable they are."""

#: OWASP's smallest argon2id parameters (Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane): production refuses to run below them.
MIN_MEMORY_KIB = 19_456
MIN_TIME_COST = 2
