"""Every statement about lineage and targets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import text

from shared.database import ReadSession, Session
from shared.metrics.lineage.rules import Edge


async def lock(session: Session) -> None:
    """One at a time saves: what was there before is what the trail tells."""
    await session.execute(text("LOCK TABLE lineage, growth_target IN SHARE ROW EXCLUSIVE MODE"))


async def edges(session: Session | ReadSession) -> list[Edge]:
    rows = await session.execute(
        text("SELECT predecessor, segment, successor, effective_on, note FROM lineage")
    )
    return [Edge(*row) for row in rows]


async def save_edges(session: Session, new: Sequence[Edge]) -> None:
    for edge in new:
        await session.execute(
            text(
                """INSERT INTO lineage (predecessor, segment, successor, effective_on, note)
                   VALUES (:predecessor, :segment, :successor, :effective_on, :note)
                   ON CONFLICT ON CONSTRAINT pk_lineage DO UPDATE SET successor = excluded.successor,
                       effective_on = excluded.effective_on, note = excluded.note"""
            ),
            {
                "predecessor": edge.predecessor,
                "segment": edge.segment,
                "successor": edge.successor,
                "effective_on": edge.effective_on,
                "note": edge.note,
            },
        )


async def save_target(session: Session, agency: str, deadline: date, ratio: Decimal) -> None:
    await session.execute(
        text(
            """INSERT INTO growth_target (agency, deadline, ratio) VALUES (:agency, :deadline, :ratio)
               ON CONFLICT ON CONSTRAINT pk_growth_target DO UPDATE SET ratio = excluded.ratio
               WHERE growth_target.ratio <> excluded.ratio"""
        ),
        {"agency": agency, "deadline": deadline, "ratio": ratio},
    )


async def targets(
    session: Session | ReadSession, agencies: Sequence[str]
) -> dict[str, list[tuple[date, Decimal]]]:
    """Every target of the agencies, earliest deadline first."""
    rows = await session.execute(
        text(
            """SELECT agency, deadline, ratio FROM growth_target WHERE agency = ANY(:agencies)
               ORDER BY agency, deadline"""
        ),
        {"agencies": list(agencies)},
    )
    found: dict[str, list[tuple[date, Decimal]]] = {}
    for agency, deadline, ratio in rows:
        found.setdefault(agency, []).append((deadline, ratio))
    return found
