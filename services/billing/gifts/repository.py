"""Every SQL statement about whom gifts go to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.gifts.models import GiftRecipient
from shared.database import ReadSession, Session

#: Neither redeemed, nor was all of its money given back: its code still opens something.
_STANDS = """SELECT g.code FROM gift g JOIN payment p ON p.order_id = g.order_id
    WHERE g.id = :id AND g.agency = :agency AND g.redeemed_at IS NULL AND (p.refunded_vnd < p.amount_vnd)"""


@dataclass(frozen=True, slots=True)
class Going:
    """Whom a gift goes to, and what became of its last letter: ``state`` is empty while it is not paid for, then the letter's
    (waiting, sent, given_up, dropped), and ``at`` when it goes, or went."""

    email: str
    message: str
    send_on: date
    times: int
    state: str
    at: datetime | None


def key_of(order_id: UUID, times: int) -> str:
    """The business key of a gift's letter."""
    return f"gift:{order_id}:{times}"


async def named(session: Session | ReadSession, order_id: UUID) -> GiftRecipient | None:
    found: GiftRecipient | None = await session.scalar(
        select(GiftRecipient)
        .where(col(GiftRecipient.order_id) == order_id)
        .execution_options(populate_existing=True)
    )
    return found


async def going(session: Session | ReadSession, order_id: UUID) -> Going | None:
    """None where the giver passes the code on."""
    row = (
        await session.execute(
            text(
                """SELECT r.email, r.message, r.send_on, r.times, coalesce(l.state, ''),
                          coalesce(l.sent_at, l.due_at)
                   FROM gift_recipient r LEFT JOIN letter l
                     ON l.agency = r.agency AND r.times > 0 AND l.business_key = 'gift:' || r.order_id || ':' || r.times
                   WHERE r.order_id = :order AND r.email IS NOT NULL"""
            ),
            {"order": order_id},
        )
    ).one_or_none()
    return Going(*row) if row else None


async def told_of(session: Session, order_id: UUID) -> tuple[str, date] | None:
    """Whom the gift of an order goes to, and on which day at the earliest; for its receipt."""
    found = await going(session, order_id)
    return (found.email, found.send_on) if found else None


async def sent(session: Session, agency: str, order_id: UUID, times: int) -> int:
    """How many letters with a gift went out, or were tried for days, of those that were written."""
    keys = [key_of(order_id, number) for number in range(1, times + 1)]
    found = await session.scalar(
        text(
            """SELECT count(*) FROM letter WHERE agency = :agency AND business_key = ANY (CAST(:keys AS text[]))
               AND (state = 'sent' OR attempts > 0)"""
        ),
        {"agency": agency, "keys": keys},
    )
    return int(found or 0)


async def code_that_stands(session: Session, agency: str, gift_id: UUID) -> str:
    """The code of a gift that may still be redeemed; empty where it may not."""
    found: str | None = await session.scalar(text(_STANDS), {"id": gift_id, "agency": agency})
    return found or ""
