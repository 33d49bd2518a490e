"""Every SQL statement about payouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.payments.adapters.port import PayoutLine, PayoutMoved
from services.billing.settlements.models import Payout, PayoutPart, PayoutShare
from shared.database import ReadSession, Session
from shared.ids import new_id

_KEEP = text(
    """INSERT INTO payout (id, provider, provider_payout, amount_vnd, currency, arrives_on, state, told_at)
       VALUES (:id, :provider, :payout, :amount, :currency, :arrives, 'moving', :now)
       ON CONFLICT (provider, provider_payout) DO UPDATE SET arrives_on = excluded.arrives_on"""
)
_KEEP_LINES = text(
    """INSERT INTO payout_line (id, payout_id, provider_line, kind, reference, amount_vnd, fee_vnd, net_vnd)
       SELECT gen_random_uuid(), :payout, l.* FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]),
           CAST(:references AS text[]), CAST(:amounts AS bigint[]), CAST(:fees AS bigint[]), CAST(:nets AS bigint[])) AS l
       ON CONFLICT ON CONSTRAINT uq_payout_line_payout_id DO NOTHING"""
)
#: The fee of a dispute was booked with the dispute. What came back of an earlier payout is that of its shares.
_UNBOOKED = text(
    """SELECT agency, line_id, net, fees FROM (
         SELECT p.agency, l.id AS line_id, l.net_vnd AS net,
                CASE l.kind WHEN 'dispute' THEN 0 ELSE l.fee_vnd END AS fees
         FROM payout_line l JOIN payment p ON p.provider = :provider AND p.reference = l.reference
         WHERE l.payout_id = :id AND l.kind <> 'payout'
               AND NOT EXISTS (SELECT FROM payout_part t WHERE t.line_id = l.id)
         UNION ALL
         SELECT s.agency, l.id, (sum(s.net_vnd) - coalesce((
                    SELECT sum(t.net_vnd) FROM payout_part t JOIN payout_share had ON had.id = t.share_id
                    WHERE t.line_id = l.id AND had.agency = s.agency), 0))::bigint, 0
         FROM payout_line l JOIN payout before ON before.provider = :provider AND before.provider_payout = l.reference
         JOIN payout_share s ON s.payout_id = before.id AND s.failed_at IS NOT NULL
         WHERE l.payout_id = :id AND l.kind = 'payout' GROUP BY s.agency, l.id) AS wanted
       WHERE net <> 0 OR fees <> 0 ORDER BY agency, line_id"""
)
_UNFINISHED = text(
    """SELECT DISTINCT o.id FROM payout o JOIN payout_line l ON l.payout_id = o.id
       LEFT JOIN LATERAL (SELECT sum(net_vnd) AS net FROM payout_part t WHERE t.line_id = l.id) AS parts ON true
       WHERE o.provider = :provider AND o.state <> 'moving' AND o.told_at >= :since
             AND parts.net IS DISTINCT FROM l.net_vnd
       ORDER BY 1"""
)


@dataclass(frozen=True, slots=True)
class Unbooked:
    """What of a line is an agency's and in no share yet."""

    agency: str
    line_id: UUID
    net_vnd: int
    fees_vnd: int


async def keep(session: Session, provider: str, fact: PayoutMoved, now: datetime) -> Payout:
    """A payout and its lines, once each; locked."""
    values = {
        "id": new_id(),
        "provider": provider,
        "payout": fact.id,
        "amount": fact.amount,
        "currency": fact.currency,
        "arrives": fact.arrives_on,
        "now": now,
    }
    await session.execute(_KEEP, values)
    row: Payout = (
        await session.scalars(
            select(Payout)
            .where(col(Payout.provider) == provider, col(Payout.provider_payout) == fact.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    await _keep_lines(session, row.id, fact.lines)
    return row


async def _keep_lines(session: Session, payout_id: UUID, lines: Sequence[PayoutLine]) -> None:
    if lines:
        await session.execute(
            _KEEP_LINES,
            {
                "payout": payout_id,
                "ids": [one.id for one in lines],
                "kinds": [one.kind for one in lines],
                "references": [one.reference for one in lines],
                "amounts": [one.amount for one in lines],
                "fees": [one.fee for one in lines],
                "nets": [one.net for one in lines],
            },
        )


async def lock(session: Session, id_: UUID) -> Payout:
    found: Payout = (
        await session.scalars(
            select(Payout)
            .where(col(Payout.id) == id_)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    return found


async def unbooked(session: Session, row: Payout) -> list[Unbooked]:
    """What is known to be an agency's and not booked, by agency."""
    rows = await session.execute(_UNBOOKED, {"provider": row.provider, "id": row.id})
    return [Unbooked(*one) for one in rows]


async def shares(session: Session, payout_id: UUID) -> Sequence[PayoutShare]:
    """Of a payout (locked), by agency and number."""
    return (
        await session.scalars(
            select(PayoutShare)
            .where(col(PayoutShare.payout_id) == payout_id)
            .order_by(col(PayoutShare.agency), col(PayoutShare.number))
            .execution_options(populate_existing=True)
        )
    ).all()


def add_share(session: Session, share: PayoutShare) -> None:
    session.add(share)


def add_parts(session: Session, share: PayoutShare, of: Sequence[Unbooked]) -> None:
    session.add_all(
        PayoutPart(
            line_id=one.line_id, share_id=share.id, net_vnd=one.net_vnd, fees_vnd=one.fees_vnd
        )
        for one in of
    )


async def unfinished(session: ReadSession, provider: str, since: datetime) -> list[UUID]:
    """Payouts that were told since, with lines that are nobody's, or not wholly."""
    rows = await session.execute(_UNFINISHED, {"provider": provider, "since": since})
    return [row[0] for row in rows]


async def seen_until(session: ReadSession, provider: str) -> datetime | None:
    found: datetime | None = await session.scalar(
        text("SELECT seen_until FROM payout_cursor WHERE provider = :provider"),
        {"provider": provider},
    )
    return found


async def save_seen_until(session: Session, provider: str, at: datetime) -> None:
    """Only forward."""
    await session.execute(
        text(
            """INSERT INTO payout_cursor (provider, seen_until) VALUES (:provider, :at)
               ON CONFLICT (provider) DO UPDATE
               SET seen_until = greatest(payout_cursor.seen_until, excluded.seen_until)"""
        ),
        {"provider": provider, "at": at},
    )
