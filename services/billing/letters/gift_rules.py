"""The letter with a gift, to whom it is for."""

from __future__ import annotations

from uuid import UUID

from services.billing.letters.rules import Draft, Kind, Sold


def given(key: str, gift_id: UUID, sold: Sold, giver: str, recipient: str, message: str) -> Draft:
    """A gift for ``recipient``, in the giver's words. Its code is no fact of the letter's: it is looked up when the letter goes."""
    facts = {**sold.facts, "gift": str(gift_id), "giver": giver, "message": message}
    return Draft(Kind.GIFT, key, facts, recipient)
