"""Decisions about changes of address: values in, values out."""

from __future__ import annotations

from datetime import timedelta

#: How long the old mailbox may take a change back. Nobody else has its address until then.
UNDO_WITHIN = timedelta(days=7)


def masked(email: str) -> str:
    """``l…@example.vn``: enough for who knows the address, and too little for who does not."""
    name, _, host = email.rpartition("@")
    return f"{name[:1]}…@{host}"
