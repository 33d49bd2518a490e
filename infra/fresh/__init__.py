"""Proves `make run` and `make test` on fresh machines: bare Debian releases in chroots, as root and as an ordinary user."""
