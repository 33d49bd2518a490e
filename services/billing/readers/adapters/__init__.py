"""How mail leaves: SMTP, or the local outbox page."""
