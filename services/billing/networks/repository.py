"""Every SQL statement about groups' networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.networks.models import SeatNetwork, SeatNetworkTold
from services.billing.networks.rules import AddressRange
from shared.database import ReadSession, Session


@dataclass(frozen=True, slots=True)
class Asked:
    """A range as staff see it: of whose group, and how many seats it has."""

    row: SeatNetwork
    owner_id: UUID
    owner_email: str
    seats: int
    name_vi: str
    name_en: str


async def lock_agency(session: Session, agency: str) -> None:
    """One at a time approves a range of an agency: whether it may depends on the others. Taken after the locks of readers."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 17))"), {"key": agency}
    )


async def by_id(session: Session | ReadSession, agency: str, id_: UUID) -> SeatNetwork | None:
    found: SeatNetwork | None = await session.scalar(
        select(SeatNetwork)
        .where(col(SeatNetwork.id) == id_, col(SeatNetwork.agency) == agency)
        .execution_options(populate_existing=True)
    )
    return found


async def open_of(session: Session | ReadSession, subscription_id: UUID) -> Sequence[SeatNetwork]:
    """A group's ranges that wait or are approved, as they were asked for. To change one, one holds the group's lock."""
    return (
        await session.scalars(
            select(SeatNetwork)
            .where(
                col(SeatNetwork.subscription_id) == subscription_id,
                col(SeatNetwork.ended_at).is_(None),
            )
            .order_by(col(SeatNetwork.asked_at), col(SeatNetwork.id))
            .execution_options(populate_existing=True)
        )
    ).all()


async def shown_of(
    session: ReadSession, subscription_id: UUID, limit: int
) -> Sequence[SeatNetwork]:
    """A group's ranges as its owner sees them: those that wait or are approved, and the newest that ended."""
    return (
        await session.scalars(
            select(SeatNetwork)
            .where(
                col(SeatNetwork.subscription_id) == subscription_id,
                col(SeatNetwork.first_ip).is_not(None),
            )
            .order_by(
                col(SeatNetwork.ended_at).desc().nulls_first(),
                col(SeatNetwork.asked_at).desc(),
                col(SeatNetwork.id),
            )
            .limit(limit)
        )
    ).all()


async def listing(session: ReadSession, agency: str, state: str, limit: int) -> list[Asked]:
    """An agency's ranges that wait (the oldest first), are approved, or have ended (the newest first)."""
    ids = {
        "waiting": "n.approved_at IS NULL AND n.ended_at IS NULL ORDER BY n.asked_at, n.id",
        "approved": "n.approved_at IS NOT NULL AND n.ended_at IS NULL ORDER BY n.approved_at DESC, n.id",
        "ended": "n.ended_at IS NOT NULL AND n.first_ip IS NOT NULL ORDER BY n.ended_at DESC, n.id",
    }[state]
    rows = await session.execute(
        text(
            f"""SELECT n.id, r.id AS owner_id, r.email, s.seats, p.name_vi, p.name_en FROM seat_network n
                JOIN subscription s ON s.id = n.subscription_id JOIN reader r ON r.id = s.reader_id
                JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id
                WHERE n.agency = :agency AND {ids} LIMIT :limit"""  # noqa: S608 - a constant of ours
        ),
        {"agency": agency, "limit": limit},
    )
    facts = rows.all()
    found = await session.scalars(
        select(SeatNetwork).where(col(SeatNetwork.id).in_([one[0] for one in facts]))
    )
    by = {one.id: one for one in found}
    return [Asked(by[one[0]], *one[1:]) for one in facts]


async def waiting(session: ReadSession) -> list[tuple[str, int]]:
    """(agency, ranges that wait for staff)."""
    rows = await session.execute(
        text(
            """SELECT a.id, count(n.id) FROM agency a
               LEFT JOIN seat_network n ON n.agency = a.id AND n.approved_at IS NULL AND n.ended_at IS NULL GROUP BY a.id"""
        )
    )
    return [(row[0], int(row[1])) for row in rows]


async def asked_since(session: Session, subscription_id: UUID, since: datetime) -> int:
    found = await session.scalar(
        text("SELECT count(*) FROM seat_network WHERE subscription_id = :id AND asked_at > :since"),
        {"id": subscription_id, "since": since},
    )
    return int(found or 0)


async def taken_by(
    session: Session, agency: str, wanted: AddressRange, besides: UUID | None = None
) -> UUID | None:
    """The group that an approved range of the agency is of which has an address of this one, if there is one."""
    found: UUID | None = await session.scalar(
        text(
            """SELECT subscription_id FROM seat_network
               WHERE agency = :agency AND approved_at IS NOT NULL AND ended_at IS NULL AND id IS DISTINCT FROM CAST(:besides AS uuid)
                 AND inet_range(first_ip, last_ip, '[]')
                     && inet_range(CAST(CAST(:first AS text) AS inet), CAST(CAST(:last AS text) AS inet), '[]') LIMIT 1"""
        ),
        {
            "agency": agency,
            "besides": besides,
            "first": str(wanted.first),
            "last": str(wanted.last),
        },
    )
    return found


_HAS = """n.approved_at IS NOT NULL AND n.ended_at IS NULL
    AND CAST(CAST(:address AS text) AS inet) BETWEEN n.first_ip AND n.last_ip"""


async def covering(session: Session, subscription_id: UUID, address: str) -> UUID | None:
    """The approved range of a group that has an address."""
    found: UUID | None = await session.scalar(
        text(f"SELECT n.id FROM seat_network n WHERE n.subscription_id = :id AND {_HAS} LIMIT 1"),  # noqa: S608
        {"id": subscription_id, "address": address},
    )
    return found


async def seats_seen(
    session: ReadSession, reader_id: UUID, address: str, before: datetime
) -> list[tuple[UUID, UUID]]:
    """(seat, group) that a reader has by a network of the group that has this address, and was last seen there before."""
    rows = await session.execute(
        text(
            f"""SELECT t.id, t.subscription_id FROM seat t
                WHERE t.reader_id = :reader AND t.ended_at IS NULL AND t.network_id IS NOT NULL AND t.seen_at < :before
                  AND EXISTS (SELECT FROM seat_network n WHERE n.subscription_id = t.subscription_id AND {_HAS}) ORDER BY t.id"""  # noqa: S608
        ),
        {"reader": reader_id, "address": address, "before": before},
    )
    return [(row[0], row[1]) for row in rows]


async def seats_gone(
    session: ReadSession, seen_before: datetime, limit: int
) -> list[tuple[UUID, str]]:
    """(seat, agency) of those by a network whose reader was last seen there at that moment or before."""
    rows = await session.execute(
        text(
            """SELECT id, agency FROM seat WHERE network_id IS NOT NULL AND ended_at IS NULL AND seen_at <= :seen
               ORDER BY seen_at, id LIMIT :limit"""
        ),
        {"seen": seen_before, "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


async def periods(session: Session, subscription_id: UUID) -> list[tuple[datetime, bool]]:
    """(beginning, whether its plan is paid for by the seat) of a subscription's periods that are paid for and kept."""
    rows = await session.execute(
        text(
            """SELECT p.period_start, l.per_seat FROM payment p JOIN sales_order o ON o.id = p.order_id
               JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id
               WHERE p.subscription_id = :id AND p.refunded_vnd < greatest(p.amount_vnd, 1)
                 AND coalesce(p.cut_at, p.period_end) > p.period_start ORDER BY p.period_start"""
        ),
        {"id": subscription_id},
    )
    return [(row[0], row[1]) for row in rows]


async def told(session: Session, subscription_id: UUID) -> SeatNetworkTold | None:
    """What was last told of a group's networks (the caller holds the group's lock)."""
    return await session.get(SeatNetworkTold, subscription_id, populate_existing=True)
