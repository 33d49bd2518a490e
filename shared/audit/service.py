"""Use cases of the trail: write an entry, read entries, verify the chains."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from shared.audit import repository, rules
from shared.audit.actions import Action
from shared.audit.caller import Actor, caller
from shared.audit.repository import Filter
from shared.audit.rules import Broken, Entry
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.ids import new_id
from shared.telemetry.logging import redacted
from shared.telemetry.metrics import INVARIANT_VIOLATIONS

log = structlog.get_logger(__name__)

LINKS_AT_ONCE = 1_000
WHOLE_EVERY = timedelta(hours=24)
#: How far back an incremental check looks for entries without a seal.
RECENT = timedelta(days=2)


async def record(
    session: Session,
    action: Action,
    *,
    agency: str | None,
    at: datetime,
    subject: str,
    label: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
) -> None:
    """One entry, in the transaction of what it tells of.

    Who asks, the request's id and the network come from the present :class:`Caller`; ``actor`` says it where there is
    none (a timer, a seed) or where it is only now known (a sign-in). Raises ``LookupError`` when nobody is known to
    ask. Values under names that speak of secrets are replaced; give ``before`` and ``after`` only what changed.
    """
    present = caller()
    who = actor or (present.actor if present else None)
    if who is None:
        raise LookupError(f"nobody is known to ask for {action}: name the actor")
    entry = Entry(
        id=new_id(),
        at=at,
        agency=agency,
        action=str(action),
        actor_kind=str(who.kind),
        actor_id=rules.plain(who.id),
        actor=rules.plain(who.name),
        subject=rules.plain(subject),
        label=rules.plain(label),
        before=None if before is None else rules.plain(redacted(before)),
        after=None if after is None else rules.plain(redacted(after)),
        request_id=present.request_id if present else "",
        network=present.network if present else "",
    )
    await repository.insert(session, entry, rules.digest(entry))


async def recent(session: ReadSession, agency: str, limit: int = 30) -> Sequence[Entry]:
    """The newest entries of one agency."""
    return await repository.search(session, agency, Filter(), before=None, limit=limit)


async def page(
    database: Database, agency: str, wanted: Filter, *, before: UUID | None, limit: int
) -> list[Entry]:
    """A page of entries, newest first. Asks for one more than ``limit``: whether there is a next page."""
    async with database.read() as session:
        return await repository.search(session, agency, wanted, before=before, limit=limit + 1)


async def all_entries(
    database: Database, agency: str | None, wanted: Filter, at_once: int = 500
) -> AsyncIterator[Entry]:
    """Every entry that is wanted, newest first, read a batch at a time."""
    last: UUID | None = None
    while True:
        async with database.read() as session:
            found = await repository.search(session, agency, wanted, before=last, limit=at_once)
        for entry in found:
            yield entry
        if len(found) < at_once:
            return
        last = found[-1].id


HEADING = (
    "id", "at", "action", "action_code", "actor_kind", "actor", "actor_id", "subject", "label",
    "before", "after", "network", "request_id",
)  # fmt: skip


def as_row(entry: Entry, at: str, action: str) -> tuple[object, ...]:
    """An entry as a line of a file, in the order of ``HEADING``; ``at`` and ``action`` as their reader knows them."""
    before, after = (
        "" if value is None else json.dumps(value, ensure_ascii=False)
        for value in (entry.before, entry.after)
    )
    return (
        entry.id, at, action, entry.action, entry.actor_kind, entry.actor, entry.actor_id,
        entry.subject, entry.label, before, after, entry.network, entry.request_id,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends. Kept outside of the database (every check logs it) it also shows a cut at the end."""

    chain: str
    position: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.chain}:{self.position}:{self.hash.hex()}"


async def verify_chain(
    database: Database,
    chain: str,
    *,
    whole: bool,
    now: datetime,
    anchor: tuple[int, bytes] | None = None,
) -> Head | Broken:
    """Walk a chain: from its checkpoint, or from its first entry (``whole``). The first wrong link, or its head.

    ``anchor`` is a (position, hash) known from elsewhere that the chain must contain.
    """
    async with database.read() as session:
        known = await repository.checkpoint(session, chain)
        for expected in (known, anchor):
            if (
                expected is not None
                and await repository.hash_at(session, chain, expected[0]) != expected[1]
            ):
                if (found := await _walk(session, chain, 0, rules.GENESIS)) and isinstance(
                    found, Broken
                ):
                    return found
                return Broken(chain, expected[0], None, "the chain was cut or written anew")
        position, previous = known if known is not None and not whole else (0, rules.GENESIS)
        walked = await _walk(session, chain, position, previous)
        if isinstance(walked, Broken):
            return walked
        loose = await repository.unsealed(session, chain, None if whole else now - RECENT)
        if loose is not None:
            return Broken(chain, walked[0] + 1, loose, "the entry stands outside of the chain")
    return Head(chain, *walked)


async def _walk(
    session: ReadSession, chain: str, position: int, previous: bytes
) -> Broken | tuple[int, bytes]:
    while links := await repository.links(session, chain, position, LINKS_AT_ONCE):
        walked = rules.first_broken(chain, links, position, previous)
        if isinstance(walked, Broken):
            return walked
        position, previous = walked
    return position, previous


async def verify(
    database: Database,
    *,
    whole: bool,
    now: datetime,
    anchors: Mapping[str, tuple[int, bytes]] | None = None,
) -> list[Head | Broken]:
    """Every chain of a database; the checkpoints of those that hold move on."""
    anchors = anchors or {}
    async with database.read() as session:
        names = sorted({*await repository.chains(session), *anchors})
    found = [
        await verify_chain(database, name, whole=whole, now=now, anchor=anchors.get(name))
        for name in names
    ]
    heads = [head for head in found if isinstance(head, Head) and head.position]
    if heads:
        async with database.transaction() as writing:
            for head in heads:
                await repository.save_checkpoint(writing, head.chain, head.position, head.hash)
    return found


class Watch:
    """The invariant that runs all the time: what is new at every call, everything once a day and at the start."""

    def __init__(self, database: Database, clock: Clock, service: str) -> None:
        self._database = database
        self._clock = clock
        self._service = service
        self._whole_at: datetime | None = None
        self._told: dict[str, int] = {}

    async def check(self) -> list[Broken]:
        """Sets ``press_invariant_violations{invariant="audit_chain"}``; logs what is broken, and every new head."""
        now = self._clock.now()
        whole = self._whole_at is None or now - self._whole_at >= WHOLE_EVERY
        found = await verify(self._database, whole=whole, now=now)
        broken = [item for item in found if isinstance(item, Broken)]
        for item in broken:
            log.error(
                "audit_chain_broken",
                chain=item.chain,
                position=item.position,
                entry=str(item.entry_id or ""),
                reason=item.reason,
            )
        for head in found:
            if isinstance(head, Head) and self._told.get(head.chain) != head.position:
                self._told[head.chain] = head.position
                log.info("audit_chain_head", anchor=str(head))
        INVARIANT_VIOLATIONS.labels(self._service, "audit_chain").set(len(broken))
        if whole and not broken:
            self._whole_at = now
        return broken
