"""Identifiers: UUIDv7 (RFC 9562), which sort by the time they were made and so stay kind to indexes."""

from __future__ import annotations

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return uuid_utils.compat.uuid7()
