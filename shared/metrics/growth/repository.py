"""Every statement about growth: sums of what an agency owns, on a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from shared.database import ReadSession

Members = tuple[tuple[str, str], ...]
_OWNED = """JOIN unnest(CAST(:members AS text[]), CAST(:segments AS text[])) AS m (member, segment)
    ON m.member = d.agency AND m.segment = d.segment"""


@dataclass(frozen=True, slots=True)
class MonthOfSeries:
    """Revenue of a segment and stream in a month, up to the day asked for."""

    segment: str
    stream: str
    currency: str
    month: int
    amount: int


def _parameters(members: Members) -> dict[str, object]:
    return {
        "members": [member for member, _ in members],
        "segments": [segment for _, segment in members],
    }


async def revenue_by_month(
    session: ReadSession, members: Members, first: date, last: date
) -> list[MonthOfSeries]:
    rows = await session.execute(
        text(
            f"""SELECT d.segment, d.stream, d.currency, extract(month FROM d.day)::int, sum(d.amount)::bigint
                FROM revenue_daily d {_OWNED}
                WHERE d.day BETWEEN :first AND :last GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""  # noqa: S608
        ),
        _parameters(members) | {"first": first, "last": last},
    )
    return [MonthOfSeries(*row) for row in rows]


async def revenue_between(
    session: ReadSession, members: Members, first: date, last: date
) -> dict[tuple[str, str], int]:
    """Đồng by (segment, stream)."""
    rows = await session.execute(
        text(
            f"""SELECT d.segment, d.stream, sum(d.amount)::bigint FROM revenue_daily d {_OWNED}
                WHERE d.currency = 'VND' AND d.day BETWEEN :first AND :last GROUP BY 1, 2"""  # noqa: S608
        ),
        _parameters(members) | {"first": first, "last": last},
    )
    return {(segment, stream): amount for segment, stream, amount in rows}


async def deferred(session: ReadSession, members: Members) -> int:
    """Deferred revenue in đồng, as it stands."""
    found = await session.execute(
        text(
            f"""SELECT coalesce(sum(d.amount), 0)::bigint FROM deferred_total d {_OWNED}
                WHERE d.currency = 'VND'"""  # noqa: S608
        ),
        _parameters(members),
    )
    return int(found.scalar_one())


async def mrr_movements(
    session: ReadSession, members: Members, first: date, last: date
) -> tuple[int, dict[str, int]]:
    """Monthly recurring revenue on ``last``, and its movements by kind since ``first``, in đồng."""
    rows = await session.execute(
        text(
            f"""SELECT d.movement, sum(d.amount)::bigint,
                    coalesce(sum(d.amount) FILTER (WHERE d.day >= :first), 0)::bigint
                FROM mrr_daily d {_OWNED}
                WHERE d.currency = 'VND' AND d.day <= :last GROUP BY 1"""  # noqa: S608
        ),
        _parameters(members) | {"first": first, "last": last},
    )
    found = list(rows)
    return sum(row[1] for row in found), {row[0]: row[2] for row in found}
