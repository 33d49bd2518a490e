"""Every SQL statement about what is free."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text

from services.ads.availability.rules import Claim
from shared.database import ReadSession, Session

AnySession = Session | ReadSession


@dataclass(frozen=True, slots=True)
class ClaimLabel:
    """How a contending line is named to people."""

    line_id: UUID
    name: str
    advertiser: str
    status: str
    quantity: int

    def as_dict(self) -> dict[str, object]:
        """As a refusal names it."""
        return {
            "line_id": str(self.line_id),
            "name": self.name,
            "advertiser": self.advertiser,
            "line_status": self.status,
            "quantity": self.quantity,
        }


async def lock_inventory(session: Session, agency: str) -> None:
    """One booking of an agency at a time; ends with the transaction. NO KEY: foreign keys may still point here."""
    await session.execute(
        text("SELECT id FROM agency WHERE id = :agency FOR NO KEY UPDATE"), {"agency": agency}
    )


async def database_time(session: AnySession) -> datetime:
    """The database's clock at this moment, not at the start of the transaction: it may have waited for the lock."""
    found: datetime = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return found


async def capacities(session: AnySession, agency: str) -> dict[Hashable, int]:
    rows = await session.execute(
        text("SELECT id, daily_capacity FROM placement WHERE agency_id = :agency"),
        {"agency": agency},
    )
    return {row.id: row.daily_capacity for row in rows}


_CLAIMS = text(
    """SELECT l.id, l.name, a.name AS advertiser, l.status, l.starts_on, l.ends_on, l.quantity,
           places.ids AS places,
           (SELECT coalesce(sum(d.impressions), 0)::bigint FROM line_day d
             WHERE d.line_id = l.id AND d.counted_on < :today) AS delivered
       FROM line l
       JOIN ad_order o ON o.id = l.order_id JOIN advertiser a ON a.id = o.advertiser_id
       JOIN (SELECT product_id, array_agg(placement_id) AS ids FROM product_placement
              WHERE agency_id = :agency GROUP BY product_id) places ON places.product_id = l.product_id
       WHERE l.agency_id = :agency AND l.priority = 'guaranteed'
         AND l.starts_on <= :last AND l.ends_on >= :first AND l.ends_on >= :today
         AND (l.status IN ('Booked', 'InFlight', 'Paused')
              OR (l.status IN ('Reserved', 'PendingBooking') AND l.hold_expires_at > clock_timestamp()))
       ORDER BY l.id"""
)


async def claims(
    session: AnySession, agency: str, first: date, last: date, today: date
) -> tuple[list[Claim], dict[str, ClaimLabel]]:
    """Everyone with a claim on these days. A hold that has run out is not among them, timer or not."""
    rows = await session.execute(
        _CLAIMS, {"agency": agency, "first": first, "last": last, "today": today}
    )
    found: list[Claim] = []
    labels: dict[str, ClaimLabel] = {}
    for row in rows:
        key = str(row.id)
        found.append(
            Claim(
                key, frozenset(row.places), row.starts_on, row.ends_on, row.quantity, row.delivered
            )
        )
        labels[key] = ClaimLabel(row.id, row.name, row.advertiser, row.status, row.quantity)
    return found, labels
