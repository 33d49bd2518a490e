"""Every SQL statement about groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.networks.rules import SEEN_FOR, Address, gone_at
from services.billing.readers.models import Reader
from services.billing.seats.models import Seat, SeatDomain, SeatInvitation
from services.billing.seats.rules import domain_of
from services.billing.subscriptions.models import EntitlementRow
from shared.database import ReadSession, Session

#: The price of the period that runs, of those that are for so many readers: the one that began last, or else the first that will; what
#: was given back counts only where nothing else does. (A subscription's own price is that of the period that was paid for last.)
_PRICE = """(SELECT o.price_id FROM payment p JOIN sales_order o ON o.id = p.order_id
    WHERE p.subscription_id = {of} AND p.seats >= {seats} AND coalesce(p.cut_at, p.period_end) > p.period_start
    ORDER BY p.refunded_vnd >= greatest(p.amount_vnd, 1), p.period_start > CAST(:now AS timestamptz),
             abs(extract(epoch FROM p.period_start - CAST(:now AS timestamptz))), p.id DESC LIMIT 1)"""


@dataclass(frozen=True, slots=True)
class Member:
    """A seat with the address of who has it. ``seen_at``: when they were last seen on a network of the group, where it was had so."""

    seat_id: UUID
    reader_id: UUID
    email: str
    number: int
    joined_at: datetime
    seen_at: datetime | None = None

    @property
    def gone_at(self) -> datetime | None:
        """When the seat ends unless they are seen there again."""
        return gone_at(self.seen_at) if self.seen_at else None


@dataclass(frozen=True, slots=True)
class Place:
    """A seat as who has it sees it: whose group, which plan, and until when it is read (None: not now)."""

    seat_id: UUID
    owner_email: str
    name_vi: str
    name_en: str
    reads_until: datetime | None
    seen_at: datetime | None = None

    @property
    def gone_at(self) -> datetime | None:
        """When the seat ends unless they are seen on a network of the group again."""
        return gone_at(self.seen_at) if self.seen_at else None

    def name(self, language: str) -> str:
        return self.name_vi if language == "vi" else self.name_en


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """A group that a reader may join: by the ``domain`` of their mail address, or (empty) by the network that they come from."""

    subscription_id: UUID
    domain: str
    name_vi: str
    name_en: str
    free: int

    @property
    def days(self) -> int:
        """How long a seat by a network is kept without being seen there."""
        return SEEN_FOR.days

    def name(self, language: str) -> str:
        return self.name_vi if language == "vi" else self.name_en


async def active(session: Session, subscription_id: UUID) -> Sequence[Seat]:
    """The seats of a group that are taken, locked, in their order."""
    return (
        await session.scalars(
            select(Seat)
            .where(col(Seat.subscription_id) == subscription_id, col(Seat.ended_at).is_(None))
            .order_by(col(Seat.number))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def price_at(
    session: Session | ReadSession, subscription_id: UUID, seats: int, now: datetime
) -> UUID | None:
    """The price of the period that runs, of those that are for so many readers."""
    found: UUID | None = await session.scalar(
        text(f"SELECT {_PRICE.format(of=':id', seats=':seats')}"),
        {"id": subscription_id, "seats": seats, "now": now},
    )
    return found


async def taken(session: Session | ReadSession, subscription_id: UUID) -> int:
    """How many seats are taken beside the owner's."""
    found = await session.scalar(
        text("SELECT count(*) FROM seat WHERE subscription_id = :id AND ended_at IS NULL"),
        {"id": subscription_id},
    )
    return int(found or 0)


async def ordered_seats(session: Session, subscription_id: UUID) -> int | None:
    """The fewest readers that an open order of a subscription is for."""
    found: int | None = await session.scalar(
        text("SELECT min(seats) FROM sales_order WHERE subscription_id = :id AND state = 'open'"),
        {"id": subscription_id},
    )
    return found


async def by_id(session: Session | ReadSession, agency: str, id_: UUID) -> Seat | None:
    found: Seat | None = await session.scalar(
        select(Seat)
        .where(col(Seat.id) == id_, col(Seat.agency) == agency)
        .execution_options(populate_existing=True)
    )
    return found


async def newest(session: Session, subscription_id: UUID, reader_id: UUID) -> Seat | None:
    """The last seat that a reader had in a group."""
    found: Seat | None = await session.scalar(
        select(Seat)
        .where(col(Seat.subscription_id) == subscription_id, col(Seat.reader_id) == reader_id)
        .order_by(col(Seat.ended_at).is_(None).desc(), col(Seat.joined_at).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found


async def entitlements(session: Session, seat_id: UUID) -> Sequence[EntitlementRow]:
    """The stretches of a seat's right, locked, in their order."""
    return (
        await session.scalars(
            select(EntitlementRow)
            .where(col(EntitlementRow.seat_id) == seat_id)
            .order_by(col(EntitlementRow.stretch))
            .with_for_update()
        )
    ).all()


async def members(session: ReadSession, subscription_id: UUID) -> list[Member]:
    rows = await session.execute(
        text(
            """SELECT s.id, s.reader_id, r.email, s.number, s.joined_at, s.seen_at FROM seat s JOIN reader r ON r.id = s.reader_id
               WHERE s.subscription_id = :id AND s.ended_at IS NULL ORDER BY s.number"""
        ),
        {"id": subscription_id},
    )
    return [Member(*row) for row in rows]


async def places(session: ReadSession, reader_id: UUID, now: datetime) -> list[Place]:
    """The seats that a reader has."""
    rows = await session.execute(
        text(
            f"""SELECT s.id, o.email, p.name_vi, p.name_en,
                      (SELECT max(e.valid_until) FROM entitlement e WHERE e.seat_id = s.id AND NOT e.revoked
                       AND e.valid_from <= :now AND e.valid_until > :now), s.seen_at
               FROM seat s JOIN subscription b ON b.id = s.subscription_id JOIN reader o ON o.id = b.reader_id
               JOIN plan_price pp ON pp.id = coalesce({_PRICE.format(of="b.id", seats="s.number")}, b.price_id)
               JOIN plan p ON p.id = pp.plan_id
               WHERE s.reader_id = :reader AND s.ended_at IS NULL ORDER BY s.joined_at, s.id"""  # noqa: S608
        ),
        {"reader": reader_id, "now": now},
    )
    return [Place(*row) for row in rows]


async def open_groups(
    session: ReadSession,
    reader: Reader,
    address: Address | None,
    live: Sequence[str],
    now: datetime,
) -> list[OpenGroup]:
    """Groups with a free seat that verified the domain of this reader's mail address, or have a network with the address that they come
    from, which the reader is not in and was not put out of."""
    rows = await session.execute(
        text(
            f"""SELECT b.id, way.domain, p.name_vi, p.name_en, b.seats - 1 - taken.n
               FROM (SELECT subscription_id, max(domain) AS domain FROM (
                        SELECT d.subscription_id, d.domain FROM seat_domain d
                        WHERE d.agency = :agency AND d.domain = :domain AND d.verified_at IS NOT NULL AND d.ended_at IS NULL
                        UNION ALL
                        SELECT n.subscription_id, '' FROM seat_network n
                        WHERE n.agency = :agency AND n.approved_at IS NOT NULL AND n.ended_at IS NULL
                          AND inet_range(n.first_ip, n.last_ip, '[]') @> CAST(CAST(:address AS text) AS inet)) AS ways
                     GROUP BY subscription_id) AS way
               JOIN subscription b ON b.id = way.subscription_id
               JOIN plan_price pp ON pp.id = coalesce({_PRICE.format(of="b.id", seats="1")}, b.price_id)
               JOIN plan p ON p.id = pp.plan_id
               CROSS JOIN LATERAL (SELECT count(*)::integer AS n FROM seat s
                                   WHERE s.subscription_id = b.id AND s.ended_at IS NULL) AS taken
               WHERE p.per_seat AND b.state = ANY (CAST(:live AS text[])) AND b.reader_id <> :reader AND taken.n < b.seats - 1
                 AND NOT EXISTS (SELECT FROM seat s WHERE s.subscription_id = b.id AND s.reader_id = :reader
                                 AND (s.ended_at IS NULL OR s.ended_by = 'owner'))
               ORDER BY b.created_at, b.id"""  # noqa: S608
        ),
        {
            "agency": reader.agency,
            "domain": domain_of(reader.email),
            "address": None if address is None else str(address),
            "reader": reader.id,
            "live": list(live),
            "now": now,
        },
    )
    return [OpenGroup(*row) for row in rows]


async def invitation(
    session: Session | ReadSession, agency: str, id_: UUID
) -> SeatInvitation | None:
    found: SeatInvitation | None = await session.scalar(
        select(SeatInvitation)
        .where(col(SeatInvitation.id) == id_, col(SeatInvitation.agency) == agency)
        .execution_options(populate_existing=True)
    )
    return found


async def open_invitations(
    session: Session | ReadSession, subscription_id: UUID
) -> Sequence[SeatInvitation]:
    """Neither accepted nor withdrawn, the newest first; their time may be over."""
    return (
        await session.scalars(
            select(SeatInvitation)
            .where(
                col(SeatInvitation.subscription_id) == subscription_id,
                col(SeatInvitation.accepted_at).is_(None),
                col(SeatInvitation.withdrawn_at).is_(None),
            )
            .order_by(col(SeatInvitation.created_at).desc(), col(SeatInvitation.id))
            .execution_options(populate_existing=True)
        )
    ).all()


async def sent_since(session: Session, subscription_id: UUID, since: datetime) -> int:
    """Letters with invitations of a group whose last one is so young: no fewer than were sent since."""
    found = await session.scalar(
        text(
            """SELECT coalesce(sum(times_sent), 0) FROM seat_invitation
               WHERE subscription_id = :id AND sent_at > :since"""
        ),
        {"id": subscription_id, "since": since},
    )
    return int(found or 0)


async def sent_to(session: Session, subscription_id: UUID, email: str, since: datetime) -> int:
    """Letters that a group has sent to a mailbox with invitations which it was not seated by: no fewer than were sent since."""
    found = await session.scalar(
        text(
            """SELECT coalesce(sum(times_sent), 0) FROM seat_invitation
               WHERE subscription_id = :id AND email = :email AND sent_at > :since AND accepted_at IS NULL"""
        ),
        {"id": subscription_id, "email": email, "since": since},
    )
    return int(found or 0)


async def domains(session: Session | ReadSession, subscription_id: UUID) -> Sequence[SeatDomain]:
    """Verified domains of a group."""
    return (
        await session.scalars(
            select(SeatDomain)
            .where(
                col(SeatDomain.subscription_id) == subscription_id,
                col(SeatDomain.verified_at).is_not(None),
                col(SeatDomain.ended_at).is_(None),
            )
            .order_by(col(SeatDomain.domain))
            .execution_options(populate_existing=True)
        )
    ).all()


async def waiting_domains(
    session: Session | ReadSession, subscription_id: UUID, now: datetime
) -> Sequence[SeatDomain]:
    """Domains of a group that wait for a code that is in time, the newest first. To try a code one holds the group's lock."""
    return (
        await session.scalars(
            select(SeatDomain)
            .where(
                col(SeatDomain.subscription_id) == subscription_id,
                col(SeatDomain.verified_at).is_(None),
                col(SeatDomain.ended_at).is_(None),
                col(SeatDomain.expires_at) > now,
            )
            .order_by(col(SeatDomain.created_at).desc(), col(SeatDomain.id).desc())
            .execution_options(populate_existing=True)
        )
    ).all()


async def forget_waiting(session: Session, verified: SeatDomain) -> None:
    """Other codes for a domain that is verified now."""
    await session.execute(
        text(
            """DELETE FROM seat_domain WHERE subscription_id = :subscription AND domain = :domain AND id <> :id
               AND verified_at IS NULL"""
        ),
        {
            "subscription": verified.subscription_id,
            "domain": verified.domain,
            "id": verified.id,
        },
    )


async def forget_domain(session: Session, id_: UUID) -> None:
    """A code that could not be sent."""
    values: dict[str, Any] = {"id": id_}
    await session.execute(
        text("DELETE FROM seat_domain WHERE id = :id AND verified_at IS NULL"), values
    )


async def seats_by_domain(
    session: Session | ReadSession, reader_id: UUID
) -> list[tuple[UUID, UUID]]:
    """(seat, owner) of the seats that a reader took by a mail domain."""
    rows = await session.execute(
        text(
            """SELECT s.id, b.reader_id FROM seat s JOIN subscription b ON b.id = s.subscription_id
               WHERE s.reader_id = :reader AND s.ended_at IS NULL AND s.invitation_id IS NULL AND s.network_id IS NULL
               ORDER BY s.id"""
        ),
        {"reader": reader_id},
    )
    return [(row[0], row[1]) for row in rows]
