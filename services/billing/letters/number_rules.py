"""Letters about the mobile number that somebody signs in with: to the mailbox (``mailbox``) that the account has at that moment."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.letters.rules import Draft, Kind


def added(act_id: UUID, mailbox: str, masked: str, former: str, at: datetime) -> Draft:
    """The account has a number (``masked``), in the place of ``former`` where that is not empty."""
    facts = {"masked": masked, "former": former, "at": at.isoformat()}
    return Draft(Kind.NUMBER_ADDED, f"number-added:{act_id}", facts, mailbox)


def removed(act_id: UUID, mailbox: str, masked: str, at: datetime, *, by_number: bool) -> Draft:
    """The account has its number no more. ``by_number``: whoever has the number gave it up, and the mailbox was not asked."""
    facts = {"masked": masked, "at": at.isoformat(), "by_number": by_number}
    return Draft(Kind.NUMBER_REMOVED, f"number-removed:{act_id}", facts, mailbox)
