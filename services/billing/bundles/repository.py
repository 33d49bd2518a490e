"""Every SQL statement about bundles. Who writes holds the reader's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import ReadSession, Session

#: Of a bundle ``b``: how many articles it has opened, and whether its money was given back whole.
_USED = "(SELECT count(*) FROM bundle_use u WHERE u.bundle_id = b.id)::integer"
_RETURNED = """EXISTS (SELECT FROM payment p WHERE p.order_id = b.order_id
    AND p.refunded_vnd >= greatest(p.amount_vnd, 1))"""
_OWN = f"""SELECT b.id, b.agency, b.reader_id, o.code AS order_code, l.code AS plan_code, l.name_vi, l.name_en, b.uses,
        {_USED} AS used, b.valid_from, b.valid_until, {_RETURNED} AS returned
    FROM bundle b JOIN sales_order o ON o.id = b.order_id JOIN plan_price pp ON pp.id = o.price_id JOIN plan l ON l.id = pp.plan_id"""  # noqa: S608
_FIRST = text(
    f"""SELECT * FROM ({_OWN} WHERE b.reader_id = :reader AND b.valid_from <= :now AND b.valid_until > :now) AS own
        WHERE used < uses AND NOT returned ORDER BY valid_until, id LIMIT 1"""  # noqa: S608
)
_OF_READER = text(f"{_OWN} WHERE b.reader_id = :reader ORDER BY b.valid_until DESC, b.id LIMIT 50")
_ONE = text(f"{_OWN} WHERE b.id = :id AND b.agency = :agency")
_OF_ORDER = text(f"{_OWN} WHERE b.order_id = :order")
#: A quarter of its days before it ends, and no more than so many; not to whom everything is open beyond it.
_ENDING = text(
    f"""SELECT * FROM ({_OWN} WHERE b.valid_until > :now AND b.valid_until <= :now + CAST(:before AS interval)
          AND b.valid_until - least(CAST(:before AS interval), (b.valid_until - b.valid_from) / 4) <= :now
          AND NOT EXISTS (SELECT FROM reader r WHERE r.id = b.reader_id AND r.erased_at IS NOT NULL)
          AND NOT EXISTS (SELECT FROM letter t WHERE t.agency = b.agency AND t.business_key = 'bundle-ending:' || b.id)
          AND NOT EXISTS (SELECT FROM entitlement e WHERE e.reader_id = b.reader_id AND e.scope = 'site'
                          AND NOT e.revoked AND e.valid_until >= b.valid_until)) AS own
        WHERE used < uses AND NOT returned ORDER BY valid_until, id LIMIT :limit"""  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Held:
    """A bundle and how it stands. ``valid_until`` is exclusive; ``returned``: its money was given back whole."""

    id: UUID
    agency: str
    reader_id: UUID
    order_code: str
    plan_code: str
    name_vi: str
    name_en: str
    uses: int
    used: int
    valid_from: datetime
    valid_until: datetime
    returned: bool

    def name(self, language: str) -> str:
        return self.name_vi if language == "vi" else self.name_en

    def left(self, now: datetime) -> int:
        """How many articles it still opens."""
        runs = not self.returned and self.valid_from <= now < self.valid_until
        return self.uses - self.used if runs else 0


async def first_to_end(
    session: Session | ReadSession, reader_id: UUID, now: datetime
) -> Held | None:
    """Of the reader's bundles that still open articles, the one that ends first."""
    row = (
        (await session.execute(_FIRST, {"reader": reader_id, "now": now})).mappings().one_or_none()
    )
    return Held(**row) if row else None


async def of_reader(session: ReadSession, reader_id: UUID) -> list[Held]:
    """The one that ends last first."""
    rows = await session.execute(_OF_READER, {"reader": reader_id})
    return [Held(**row) for row in rows.mappings()]


async def one(session: Session, agency: str, id_: UUID) -> Held | None:
    row = (await session.execute(_ONE, {"id": id_, "agency": agency})).mappings().one_or_none()
    return Held(**row) if row else None


async def of_order(session: ReadSession, order_id: UUID) -> Held | None:
    row = (await session.execute(_OF_ORDER, {"order": order_id})).mappings().one_or_none()
    return Held(**row) if row else None


async def ending(session: Session, now: datetime, before: Any, limit: int) -> list[Held]:
    """Bundles that end soon with articles left, whose readers have not been reminded."""
    rows = await session.execute(_ENDING, {"now": now, "before": before, "limit": limit})
    return [Held(**row) for row in rows.mappings()]


async def articles(session: ReadSession, bundles: Sequence[UUID]) -> list[dict[str, Any]]:
    """What these bundles opened, in that order: article, when, readable until; ``open``: it still is."""
    rows = await session.execute(
        text(
            """SELECT u.bundle_id, u.article, u.used_at, u.readable_until, e.valid_until, e.revoked
               FROM bundle_use u JOIN entitlement e ON e.use_id = u.id
               WHERE u.bundle_id = ANY (CAST(:ids AS uuid[])) ORDER BY u.bundle_id, u.number"""
        ),
        {"ids": list(bundles)},
    )
    return [dict(row) for row in rows.mappings()]


async def article_days(session: Session, agency: str) -> int | None:
    """For how many days an article that is bought alone may be read; None where the agency sells none."""
    found: int | None = await session.scalar(
        text(
            """SELECT max(l.days) FROM plan l JOIN plan_price pp ON pp.plan_id = l.id
               WHERE l.agency = :agency AND l.kind = 'article' AND l.active AND pp.superseded_at IS NULL"""
        ),
        {"agency": agency},
    )
    return found
