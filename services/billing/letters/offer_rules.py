"""Letters about offers: values in, letters out."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from services.billing.letters.rules import Draft, Kind, Sold


def price_rises(
    subscription_id: UUID,
    sold: Sold,
    amounts: tuple[int, int],
    at: datetime,
    *,
    card: str | None,
    student: bool,
) -> Draft:
    """A price that rises with the next period: ``amounts`` of a period now and then, and when. ``card`` None: no card is saved;
    ``student``: because an address is to be verified again."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "now_vnd": amounts[0],
        "amount_vnd": amounts[1],
        "ends_at": at.isoformat(),
        "card": card,
        "student": student,
    }
    key = f"price-rises:{subscription_id}:{_second(at)}:{amounts[1]}"
    return Draft(Kind.PRICE_RISES, key, facts)


def win_back(
    reader_id: UUID,
    offer_id: UUID,
    sold: Sold,
    terms: tuple[int, int, int],
    lapsed_at: datetime,
    until: datetime | None,
) -> Draft:
    """An offer for who left: ``terms`` are its amount, for how many periods, and the price itself; ``until``: when it is over."""
    facts = {
        **sold.facts,
        "offer_id": str(offer_id),
        "offer": {
            "kind": "winback",
            "amount_vnd": terms[0],
            "left": terms[1],
            "full_vnd": terms[2],
        },
        "until": until.isoformat() if until else None,
    }
    return Draft(Kind.WIN_BACK, f"win-back:{reader_id}:{_second(lapsed_at)}", facts)


def _second(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
