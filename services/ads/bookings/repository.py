"""Every SQL statement of orders and lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlmodel import col

from services.ads.bookings.models import Line, LineChange, Order
from services.ads.bookings.rules import Action, Status
from services.ads.catalogue.rules import without_diacritics
from shared.database import ReadSession, Session

AnySession = Session | ReadSession

_SELECT = """SELECT l.id, l.agency_id, l.order_id, l.name, l.priority, l.pacing, l.status, l.starts_on, l.ends_on,
       l.quantity, l.cpm_vnd, l.amount_vnd, l.vat_vnd, l.hold_expires_at, l.version, l.created_at,
       p.code AS product_code, p.name AS product_name, o.number AS order_number, a.name AS advertiser,
       coalesce(t.impressions, 0)::bigint AS delivered, coalesce(t.viewables, 0)::bigint AS viewables,
       coalesce(t.clicks, 0)::bigint AS clicks, coalesce(t.recognised_vnd, 0)::bigint AS recognised_vnd,
       (l.status IN ('Reserved', 'PendingBooking') AND l.hold_expires_at <= clock_timestamp()) AS hold_over
    FROM line l JOIN product p ON p.id = l.product_id JOIN ad_order o ON o.id = l.order_id
    JOIN advertiser a ON a.id = o.advertiser_id
    LEFT JOIN LATERAL (SELECT sum(impressions) AS impressions, sum(viewables) AS viewables,
        sum(clicks) AS clicks, sum(recognised_vnd) AS recognised_vnd
        FROM line_day d WHERE d.line_id = l.id) t ON true
    WHERE l.agency_id = :agency"""


@dataclass(frozen=True, slots=True)
class LineView:
    """A line with its names and its delivery, as people read it."""

    id: UUID
    agency_id: str
    order_id: UUID
    name: str
    priority: str
    pacing: str
    status: str
    starts_on: date
    ends_on: date
    quantity: int
    cpm_vnd: int
    amount_vnd: int
    vat_vnd: int
    hold_expires_at: datetime | None
    version: int
    created_at: datetime
    product_code: str
    product_name: str
    order_number: int
    advertiser: str
    delivered: int
    viewables: int
    clicks: int
    recognised_vnd: int
    hold_over: bool


def _view(row: Row[Any]) -> LineView:
    return LineView(**row._mapping)


async def line_view(session: AnySession, agency: str, line_id: UUID) -> LineView | None:
    rows = await session.execute(
        text(_SELECT + " AND l.id = :line"), {"agency": agency, "line": line_id}
    )
    row = rows.one_or_none()
    return None if row is None else _view(row)


async def line_views(
    session: AnySession,
    agency: str,
    *,
    statuses: Sequence[str] = (),
    search: str = "",
    order_id: UUID | None = None,
    limit: int = 200,
) -> list[LineView]:
    """Newest first; ``search`` looks into line and advertiser names, without diacritics."""
    pattern = (
        without_diacritics(search).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    )
    rows = await session.execute(
        text(
            _SELECT
            + """ AND (:any_status OR l.status = ANY(:statuses))
              AND (:pattern = '' OR l.search_name LIKE '%' || :pattern || '%'
                   OR a.search_name LIKE '%' || :pattern || '%')
              AND (CAST(:order_id AS uuid) IS NULL OR l.order_id = :order_id)
              ORDER BY l.created_at DESC, l.id DESC LIMIT :limit"""
        ),
        {
            "agency": agency,
            "any_status": not statuses,
            "statuses": list(statuses),
            "pattern": pattern,
            "order_id": order_id,
            "limit": limit,
        },
    )
    return [_view(row) for row in rows]


async def lock_line(session: Session, agency: str, line_id: UUID) -> Line | None:
    found = await session.execute(
        select(Line)
        .where(col(Line.agency_id) == agency, col(Line.id) == line_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.scalar_one_or_none()


async def order(session: AnySession, agency: str, order_id: UUID) -> Order | None:
    found = await session.execute(
        select(Order).where(col(Order.agency_id) == agency, col(Order.id) == order_id)
    )
    return found.scalar_one_or_none()


async def orders(session: AnySession, agency: str) -> Sequence[Order]:
    found = await session.execute(
        select(Order)
        .where(col(Order.agency_id) == agency)
        .order_by(col(Order.number).desc())
        .limit(200)
    )
    return found.scalars().all()


async def changes(session: AnySession, agency: str, line_id: UUID) -> Sequence[LineChange]:
    found = await session.execute(
        select(LineChange)
        .where(col(LineChange.agency_id) == agency, col(LineChange.line_id) == line_id)
        .order_by(col(LineChange.version))
    )
    return found.scalars().all()


async def insert(session: Session, row: Order | Line | LineChange) -> None:
    session.add(row)
    await session.flush()


async def next_order_number(session: Session, agency: str) -> int:
    """The agency's own count. Orders of one agency wait for each other here until the transaction ends."""
    found = await session.execute(
        text(
            """INSERT INTO order_counter AS c (agency_id, last_number) VALUES (:agency, 1)
               ON CONFLICT (agency_id) DO UPDATE SET last_number = c.last_number + 1
               RETURNING last_number"""
        ),
        {"agency": agency},
    )
    return int(found.scalar_one())


async def product_code(session: AnySession, product_id: UUID) -> str:
    found = await session.execute(
        text("SELECT code FROM product WHERE id = :id"), {"id": product_id}
    )
    return str(found.scalar_one())


async def due(session: Session, action: Action, limit: int = 200) -> list[tuple[str, UUID]]:
    """Lines whose time has come for a step of the timer: (agency, line)."""
    condition = {
        Action.EXPIRE: "l.status IN ('Reserved', 'PendingBooking') AND l.hold_expires_at <= clock_timestamp()",
        Action.START: f"l.status = '{Status.BOOKED}' AND l.starts_on <= {_TODAY} AND l.ends_on >= {_TODAY}",
        Action.FINISH: f"l.status IN ('Booked', 'InFlight', 'Paused') AND l.ends_on < {_TODAY}",
    }[action]
    rows = await session.execute(
        text(
            f"""SELECT l.agency_id, l.id FROM line l JOIN agency g ON g.id = l.agency_id
                WHERE {condition} ORDER BY l.id LIMIT :limit FOR UPDATE OF l SKIP LOCKED"""  # noqa: S608
        ),
        {"limit": limit},
    )
    return [(row.agency_id, row.id) for row in rows]


_TODAY = "(clock_timestamp() AT TIME ZONE g.time_zone)::date"
