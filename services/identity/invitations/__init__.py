"""Invitations: a role takes effect when the person has proved the address by the agency's mail."""
