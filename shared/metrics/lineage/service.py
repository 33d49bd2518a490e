"""Use cases of lineage and targets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from shared import audit
from shared.agencies import list_agencies
from shared.audit import Action
from shared.database import ReadSession, Session
from shared.metrics.lineage import repository, rules
from shared.metrics.lineage.rules import Edge, Owners, Target

#: Agency, act, subject, what was, what is now.
Told = tuple[str, Action, str, dict[str, Any] | None, dict[str, Any]]


async def owners_on(session: Session | ReadSession, on: date) -> Owners:
    """Who owns which figures on a date."""
    ids = [agency.id for agency in await list_agencies(session)]
    return rules.owners(ids, await repository.edges(session), on)


async def save(
    session: Session,
    *,
    lineage: Sequence[Edge] = (),
    targets: Sequence[Target] = (),
    now: datetime,
) -> None:
    """Store who carries on whom and what growth is asked, unless an agency would carry on itself. Safe to repeat.

    What changes is on the trail of every agency whose figures it moves.
    """
    await repository.lock(session)
    told = [
        *await _save_lineage(session, lineage),
        *await _save_targets(session, targets),
    ]
    for agency, action, subject, before, after in sorted(told, key=lambda one: one[0]):
        await audit.record(
            session, action, agency=agency, at=now, subject=subject, before=before, after=after
        )


async def _save_lineage(session: Session, new: Sequence[Edge]) -> list[Told]:
    former = {(edge.predecessor, edge.segment): edge for edge in await repository.edges(session)}
    told: list[Told] = []
    for edge in new:
        was = former.get((edge.predecessor, edge.segment))
        if edge == was:
            continue
        touched = {edge.predecessor, edge.successor} | ({was.successor} if was else set())
        subject = f"lineage/{edge.predecessor}/{edge.segment}"
        before = None if was is None else _shown(was)
        told += [
            (agency, Action.LINEAGE_SAVED, subject, before, _shown(edge)) for agency in touched
        ]
    await repository.save_edges(session, new)
    # Of all dates the last one has every edge: without a cycle there, there is none before.
    await owners_on(session, date.max)
    return told


def _shown(edge: Edge) -> dict[str, Any]:
    return {
        "successor": edge.successor,
        "effective_on": edge.effective_on,
        "note": edge.note,
    }


async def _save_targets(session: Session, new: Sequence[Target]) -> list[Told]:
    former = await repository.targets(session, [target.agency for target in new])
    told: list[Told] = []
    for target in new:
        ratio = dict(former.get(target.agency, ())).get(target.deadline)
        if ratio == target.ratio:
            continue
        before = None if ratio is None else {"ratio": f"{ratio.normalize():f}"}
        after = {"ratio": f"{target.ratio.normalize():f}"}
        subject = f"target/{target.deadline}"
        told.append((target.agency, Action.TARGET_SAVED, subject, before, after))
        await repository.save_target(session, target.agency, target.deadline, target.ratio)
    return told


targets = repository.targets
