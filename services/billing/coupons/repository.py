"""Every SQL statement about coupons."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from services.billing.coupons.models import Coupon
from shared.database import ReadSession, Session

#: An order uses a coupon while it may be paid, and when it was.
_USES = "SELECT count(*) FROM sales_order o WHERE o.coupon_id = {coupon} AND o.state <> 'closed'"


async def lock(session: Session, agency: str, code: str) -> Coupon | None:
    """A coupon; its uses are counted by one at a time."""
    found: Coupon | None = await session.scalar(
        select(Coupon)
        .where(Coupon.agency == agency, Coupon.code == code)  # type: ignore[arg-type]
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def uses(session: Session, coupon_id: UUID, reader_id: UUID) -> tuple[int, int]:
    """How many orders use it, and how many of them are this reader's."""
    row = await session.execute(
        text(
            """SELECT count(*), count(*) FILTER (WHERE reader_id = :reader) FROM sales_order
               WHERE coupon_id = :id AND state <> 'closed'"""
        ),
        {"id": coupon_id, "reader": reader_id},
    )
    total, own = row.one()
    return int(total), int(own)


async def listing(session: ReadSession, agency: str) -> list[dict[str, Any]]:
    """The agency's coupons with their uses, those that still run first, then the newest."""
    rows = await session.execute(
        text(
            f"""SELECT c.*, p.name_vi, p.name_en, ({_USES.format(coupon="c.id")}) AS uses,
                       (SELECT count(*) FROM sales_order o
                        WHERE o.coupon_id = c.id AND o.state = 'paid') AS paid
                FROM coupon c LEFT JOIN plan p ON p.id = c.plan_id WHERE c.agency = :agency
                ORDER BY c.ended_at IS NOT NULL, c.created_at DESC, c.id"""  # noqa: S608
        ),
        {"agency": agency},
    )
    return [dict(row) for row in rows.mappings()]
