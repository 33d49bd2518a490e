"""The audit trail: append-only, enforced by the database."""
