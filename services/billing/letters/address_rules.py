"""Letters about a change of address: to a mailbox that its reader has no more."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.billing.letters.rules import Draft, Kind


def changed(
    change_id: UUID, old_email: str, masked: str, changed_at: datetime, undo_until: datetime
) -> Draft:
    """To the old address: the account has another one (``masked``), and until when that may be taken back."""
    facts = {
        "change": str(change_id),
        "masked": masked,
        "changed_at": changed_at.isoformat(),
        "undo_until": undo_until.isoformat(),
    }
    return Draft(Kind.ADDRESS_CHANGED, f"address-changed:{change_id}", facts, old_email)


def undone(change_id: UUID, lost_email: str, undone_at: datetime) -> Draft:
    """To the address that the account had for a while: it was taken back by the mailbox before it."""
    facts = {"undone_at": undone_at.isoformat()}
    return Draft(Kind.ADDRESS_UNDONE, f"address-undone:{change_id}", facts, lost_email)
