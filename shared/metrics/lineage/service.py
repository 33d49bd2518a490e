"""Use cases of lineage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from shared.agencies import list_agencies
from shared.database import ReadSession, Session
from shared.metrics.lineage import repository, rules
from shared.metrics.lineage.rules import Edge, Owners


async def owners_on(session: Session | ReadSession, on: date) -> Owners:
    """Who owns which figures on a date."""
    ids = [agency.id for agency in await list_agencies(session)]
    return rules.owners(ids, await repository.edges(session), on)


async def save_lineage(session: Session, new: Sequence[Edge]) -> None:
    """Store edges, unless an agency would carry on itself. Safe to repeat."""
    await repository.save_edges(session, new)
    # Of all dates the last one has every edge: without a cycle there, there is none before.
    await owners_on(session, date.max)


save_target = repository.save_target
targets = repository.targets
