"""The letter about a reader's password. It never has the password, or its hash, in it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.letters.rules import Draft, Kind


def told(password_id: UUID, act: str, mailbox: str, at: datetime, device: str) -> Draft:
    """It was set, changed, removed, or thrown out with a change of address (``act``), in which browser; to the mailbox as it was then."""
    key = f"password-{act}:{password_id}"
    return Draft(Kind.PASSWORD, key, {"act": act, "at": at.isoformat(), "device": device}, mailbox)
