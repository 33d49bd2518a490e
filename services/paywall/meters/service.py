"""Counts views: group commit towards PostgreSQL, and a memory of what is unlocked, so that re-reading costs no query."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from services.paywall import metrics
from services.paywall.meters import repository
from services.paywall.meters.repository import Counted, Look, MeterStore, View
from shared.clock import Clock
from shared.database import RAW_FAILURES, Database, GroupCommit

log = structlog.get_logger(__name__)

WRITERS = 1  # larger groups cost the database less than two at a time
PAUSE_SECONDS = 0.25  # after a failure the database is left alone for so long
LATE_BATCH = 500
NO_LIMIT = 2**31 - 1
KEEP_ENDED = timedelta(days=7)

T = TypeVar("T")
R = TypeVar("R")


class MeterAwayError(Exception):
    """The meter cannot be asked right now: the policy's failure mode decides."""


@dataclass(slots=True)
class _Reader:
    """What this process knows of one reader in one window."""

    window_start: datetime
    used: int = 0
    articles: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)


class Meter:
    """The meter of one process. Any number of processes may count the same readers."""

    def __init__(
        self,
        store: MeterStore,
        clock: Clock,
        *,
        queue_size: int = 4_000,
        memory_readers: int = 200_000,
        late_size: int = 50_000,
    ) -> None:
        self._store = store
        self._clock = clock
        self._counting = GroupCommit(self._flush, max_queue=queue_size, writers=WRITERS)
        self._looking = GroupCommit(store.look, max_queue=queue_size, writers=1)
        self._memory: OrderedDict[tuple[str, str], _Reader] = OrderedDict()
        self._memory_readers = memory_readers
        self._late: deque[View] = deque()
        self._late_size = late_size
        self._away_until = 0.0

    async def start(self) -> None:
        """Connect before the first request. Raises when the database is away."""
        await self._store.warm_up(WRITERS, self._clock.now())

    def remembered(self, view: View) -> Counted | None:
        """A view known to be unlocked, without a query. None: PostgreSQL has to be asked."""
        known = self._memory.get((view.agency, view.key))
        if (
            known is None
            or view.article_id not in known.articles
            or known.window_start != view.window.start
            or (view.device is not None and view.device not in known.devices)
        ):
            return None
        return Counted(True, False, known.used)

    async def count(self, view: View, timeout_seconds: float) -> Counted:
        """Count a view; durable when this returns.

        Raises :class:`MeterAwayError` when the database is away or takes longer than ``timeout_seconds``, and
        ``OverloadedError`` when too many wait.
        """
        known = self.remembered(view)
        if known is not None:
            return known
        return await self._in_time(self._counting, view, timeout_seconds)

    async def look(self, look: Look, timeout_seconds: float) -> frozenset[str]:
        """The articles of the window, counting nothing. Raises as :meth:`count` does."""
        return await self._in_time(self._looking, look, timeout_seconds)

    async def _in_time(self, group: GroupCommit[T, R], item: T, timeout_seconds: float) -> R:
        if time.monotonic() < self._away_until:
            raise MeterAwayError
        try:
            async with asyncio.timeout(timeout_seconds):
                return await group.submit(item)
        except RAW_FAILURES as error:
            # Everyone else would wait for the whole time-out too: answer them at once for a moment.
            self._away_until = time.monotonic() + PAUSE_SECONDS
            raise MeterAwayError from error

    def count_later(self, view: View) -> None:
        """Keep a view that was granted without the meter. It counts even beyond the allowance."""
        if len(self._late) >= self._late_size:
            metrics.LATE_DROPPED.inc()
            return
        self._late.append(replace(view, limit=NO_LIMIT))
        metrics.LATE_WAITING.set(len(self._late))

    async def count_late_views(self) -> int:
        """Count what has been kept, if the database is there again. Returns how many were counted."""
        done = 0
        while self._late:
            batch = [self._late.popleft() for _ in range(min(LATE_BATCH, len(self._late)))]
            try:
                await self._flush(batch)
            except RAW_FAILURES as error:
                self._late.extendleft(reversed(batch))
                log.info("late_views_wait", waiting=len(self._late), error=repr(error))
                break
            done += len(batch)
        metrics.LATE_WAITING.set(len(self._late))
        metrics.MEMORY.labels("readers").set(len(self._memory))
        return done

    async def _flush(self, views: Sequence[View]) -> Sequence[Counted]:
        results = await self._store.count(views, self._clock.now())
        metrics.METER_BATCH.observe(len(views))
        for view, counted in zip(views, results, strict=True):
            self._remember(view, counted)
        return results

    def _remember(self, view: View, counted: Counted) -> None:
        key = (view.agency, view.key)
        known = self._memory.get(key)
        if known is None or known.window_start < view.window.start:
            known = self._memory[key] = _Reader(view.window.start)
            if len(self._memory) > self._memory_readers:
                self._memory.popitem(last=False)
        elif known.window_start > view.window.start:
            return
        known.used = max(known.used, counted.used)
        if counted.granted:
            known.articles.add(view.article_id)
        if view.device is not None:
            known.devices.add(view.device)

    async def close(self) -> None:
        """Answer what waits, count what is late, disconnect."""
        await self._counting.drain()
        await self._looking.drain()
        await self.count_late_views()
        await self._store.close()


async def delete_ended_windows(database: Database, clock: Clock) -> int:
    """Retention: reading behaviour is sensitive, so views go a week after their window."""
    return await repository.delete_ended(database, clock.now() - KEEP_ENDED)
