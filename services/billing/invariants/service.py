"""Reading invariants: of what has changed every half a minute, of everything at night and when somebody asks; one process at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from services.billing import metrics
from services.billing.invariants import repository, rules
from services.billing.invariants.catalogue import ALL
from services.billing.invariants.invariant import Invariant
from services.billing.invariants.journal import LedgerBalances
from services.billing.invariants.repository import Findings, Outcome, Subjects
from services.billing.invariants.rules import Reading, Wrong
from shared import audit
from shared.clock import VIETNAM, Clock
from shared.database import Database, ReadSession
from shared.database.away import database_is_away
from shared.loops import Heartbeat
from shared.telemetry.metrics import INVARIANT_VIOLATIONS

log = structlog.get_logger(__name__)

_LOCK = "SELECT pg_try_advisory_lock(hashtext('billing_invariants'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('billing_invariants'))"
#: SQLSTATE of a statement that ran out of time (PostgreSQL, appendix A: query_canceled).
_TIMEOUT = "57014"
#: Invariants are read on one snapshot until it is so old: what is read at night holds up no vacuum.
SNAPSHOT_SECONDS = 10.0
#: Readers that are named to staff.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant as it stands; ``violations`` 0 is right. ``readers``: some of those it is about."""

    name: str
    statement: str
    violations: int
    reading: Reading
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Round:
    """One round of readings: when it began, by both clocks, and what was known then."""

    now: datetime
    mark: datetime
    known: dict[str, Findings]
    readings: dict[str, Reading]
    #: What has changed since two moments, by both clocks.
    touched: dict[tuple[datetime, datetime], Subjects] = field(default_factory=dict)


class Invariants:
    """``whole_hour``: the hour of Việt Nam at which everything is read; whoever was not there then does it later."""

    def __init__(self, database: Database, clock: Clock, *, whole_hour: int = 3) -> None:
        self._database = database
        self._clock = clock
        self._whole_hour = whole_hour

    # For staff

    async def findings(self, agency: str) -> list[Finding]:
        """What was found last, of every invariant."""
        async with self._database.read() as session:
            readings = await repository.readings(session)
            found = await repository.findings(session, agency)
            subjects = {subject for of in found.values() for _, subject in of}
            readers = await repository.readers_among(session, agency, subjects) if subjects else []
        return [
            Finding(
                one.name,
                one.statement,
                rules.by_agency(found.get(one.name, {})).get(agency, 0),
                readings.get(one.name, Reading()),
                tuple(id_ for id_ in readers if (agency, id_) in found.get(one.name, {}))[:SHOWN],
            )
            for one in ALL
        ]

    async def asked_at(self, agency: str) -> datetime | None:
        """When its staff asked for everything to be read, until it was."""
        async with self._database.read() as session:
            return (await repository.wished(session)).get(agency)

    async def ask(self, agency: str) -> bool:
        """Staff want everything to be read: the worker will. False when it was asked for already."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            new = await repository.wish(session, agency, now)
            if new:
                await audit.record(
                    session,
                    audit.Action.CHECK_ASKED,
                    agency=agency,
                    at=now,
                    subject="invariants",
                    label="",
                )
        return new

    # For the worker

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat, every_seconds: float) -> None:
        """The worker's loop."""
        while not stop.is_set():
            heartbeat.beat()
            await self.run_due(heartbeat.beat)
            heartbeat.succeeded()
            try:
                await asyncio.wait_for(stop.wait(), every_seconds)
            except TimeoutError:
                continue

    async def run_due(self, beat: Callable[[], None] = lambda: None) -> bool:
        """Read what is due, and set the gauges by what is found, whoever read it. False while another process reads.

        An invariant that cannot be read keeps no other waiting. Raises when the database is away.
        """
        now = self._clock.now()
        async with self._alone() as alone:
            if alone:
                async with self._database.read() as session:
                    readings = await repository.readings(session)
                    asked = bool(await repository.wished(session))
                night = rules.last_night(now, self._whole_hour, VIETNAM)
                await self._read(
                    {
                        one.name
                        for one in ALL
                        if rules.whole_due(
                            readings.get(one.name, Reading()), now, night, asked=asked
                        )
                    },
                    beat,
                )
        await self._export()
        return alone

    async def read(self, *, whole: bool) -> None:
        """Read everything now, or what has changed since the last reading (everything, where there was none)."""
        async with self._alone() as alone:
            if alone:
                await self._read({one.name for one in ALL} if whole else set())

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        """Whether this process may read."""
        pool = await self._database.pool()
        async with pool.acquire() as connection:
            if not await connection.fetchval(_LOCK):
                yield False
                return
            try:
                yield True
            finally:
                await connection.execute(_UNLOCK)

    async def _read(self, whole: Collection[str], beat: Callable[[], None] = lambda: None) -> None:
        async with self._database.read() as session:
            mark = await repository.mark(session)  # before any snapshot that is read
            known = await repository.findings(session)
            readings = await repository.readings(session)
        this = _Round(self._clock.now(), mark, known, readings)
        left = list(ALL)
        while left:
            left = await self._some(this, left, whole, beat)
        async with self._database.transaction() as session:
            done = await repository.readings(session)
            tried = [done.get(one.name, Reading()).whole_tried_at for one in ALL]
            if all(tried):
                await repository.answered(session, min(at for at in tried if at))

    async def _some(
        self,
        this: _Round,
        left: list[Invariant],
        whole: Collection[str],
        beat: Callable[[], None],
    ) -> list[Invariant]:
        """Read invariants on one snapshot until it is old or one fails, and keep what was found. Returns those that are left."""
        read = list[Outcome]()
        began = time.monotonic()
        async with self._database.read() as session:
            for one in left:
                beat()
                never = this.readings.get(one.name, Reading()).checked_at is None
                all_of_it = one.name in whole or one.always_whole or never
                read.append(await self._one(session, this, one, whole=all_of_it))
                if read[-1].error or time.monotonic() - began > SNAPSHOT_SECONDS:
                    break
        async with self._database.transaction() as session:
            await repository.keep(session, read, mark=this.mark, now=this.now)
        return left[len(read) :]

    async def _one(
        self, session: ReadSession, this: _Round, one: Invariant, *, whole: bool
    ) -> Outcome:
        """Read one invariant, of what has changed and what was found before, or of everything. Raises when the database is away."""
        known = this.known.get(one.name, {})
        began = time.monotonic()
        try:
            subjects = None if whole else _with(await self._touched(session, this, one.name), known)
            found = list[Wrong]()
            for part in _parts(subjects):
                found += await repository.violations(session, one, this.now, part)
        except DBAPIError as error:
            if database_is_away(error):
                raise
            reason = "timeout" if _sqlstate(error) == _TIMEOUT else "error"
            metrics.INVARIANT_FAILURES.labels(one.name, reason).inc()
            log.exception("invariant_not_read", invariant=one.name, whole=whole, reason=reason)
            return Outcome(one.name, whole=whole, error=reason)
        found_now = rules.counted(found)
        read = None if subjects is None else subjects.covers()
        gone = [key for key in known if key not in found_now and (read is None or key[1] in read)]
        if read is not None:  # what a sum was off by is not mended by what was read of it
            found_now = {
                key: n if key[1] else max(n, known.get(key, 0)) for key, n in found_now.items()
            }
        new = {key: n for key, n in found_now.items() if key not in known}
        if new:
            log.error("invariant_violated", invariant=one.name, violations=rules.by_agency(new))
        took_ms = int((time.monotonic() - began) * 1000)
        return Outcome(one.name, whole=whole, found=found_now, gone=gone, took_ms=took_ms)

    async def _touched(self, session: ReadSession, this: _Round, name: str) -> Subjects:
        """What has changed since an invariant was read."""
        begin, since = this.readings[name].read_from, this.readings[name].checked_at
        assert begin is not None and since is not None
        if (begin, since) not in this.touched:
            at = begin - rules.MARGIN
            this.touched[begin, since] = await repository.touched(
                session, rules.lowest_id(at), at, since - rules.BACK, this.now
            )
        return this.touched[begin, since]

    async def _export(self) -> None:
        """Set the gauges by what is kept."""
        now = self._clock.now()
        async with self._database.read() as session:
            readings = await repository.readings(session)
            found = await repository.findings(session)
            agencies = await repository.agencies(session)
        for one in ALL:
            violations = rules.by_agency(found.get(one.name, {}))
            INVARIANT_VIOLATIONS.labels("billing", one.name).set(sum(violations.values()))
            reading = readings.get(one.name, Reading())
            failed = bool(reading.error or reading.whole_error)
            metrics.INVARIANT_FAILED.labels(one.name).set(failed)
            for kind, at in (("changes", reading.checked_at), ("whole", reading.whole_at)):
                if at is not None:
                    age = (now - at).total_seconds()
                    metrics.INVARIANT_AGE.labels(one.name, kind).set(age)
        off = rules.by_agency(found.get(LedgerBalances.name, {}))
        for agency in agencies:
            metrics.LEDGER_IMBALANCE.labels(agency).set(off.get(agency, 0))


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", ""))


def _with(touched: Subjects, known: Findings) -> Subjects:
    """What was touched, and what was found before: an id may be that of anything, of what it is not nothing is read."""
    named = {subject for _, subject in known if subject}
    ids, days = set[UUID](), set[str]()
    for subject in named:
        try:
            ids.add(UUID(subject))
        except ValueError:
            if subject.count(" ") == 2:
                days.add(subject)
    return replace(
        touched,
        readers=[*{*touched.readers, *ids}],
        entries=[*{*touched.entries, *ids}],
        shares=[*{*touched.shares, *ids}],
        credits=[*{*touched.credits, *ids}],
        recognised=[*{*touched.recognised, *ids}],
        days=[*{*touched.days, *days}],
        named=[*named],
    )


def _parts(subjects: Subjects | None) -> list[Subjects | None]:
    """So many readers at a time; everything else with the first of them."""
    if subjects is None:
        return [None]
    readers, size = list(subjects.readers), rules.READERS_AT_ONCE
    parts: list[Subjects | None] = [replace(subjects, readers=readers[:size])]
    for first in range(size, len(readers), size):
        parts.append(Subjects(readers=readers[first : first + size], floor=subjects.floor))
    return parts
