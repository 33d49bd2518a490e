"""The inbox of notifications: kept before they are acknowledged, applied afterwards, fetched when they never came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import structlog

from services.billing import metrics
from services.billing.charges.currency import ForeignCurrencyError
from services.billing.payments.adapters.port import (
    Fact,
    Look,
    MalformedNotificationError,
    PaymentProvider,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.webhooks import repository, rules
from services.billing.webhooks.models import WebhookEvent
from services.billing.webhooks.named import agency_named
from services.billing.webhooks.repository import Claimed, InboxState, Incoming
from shared import audit
from shared.clock import Clock
from shared.database import Database, GroupCommit, Session
from shared.faults import fault_point
from shared.loops import Heartbeat

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
#: How long a group of notifications is being kept at most; one that came meanwhile may wait for as long before. Then they are answered
#: as not kept: the provider sends them again, and a second one is none.
STORE_SECONDS = 4.0
#: One is decided while the other is written; a third would only wait for the same books.
BATCHES_AT_ONCE = 2
#: Notifications in a batch after which it is likely that more wait.
MANY = 100
SWEEP_CHUNK = 200
FORGOTTEN_A_ROUND = 5_000


class Inbox:
    """Takes notifications in: many a commit, each answered after its own is safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._group: GroupCommit[Incoming, bool] = GroupCommit(
            self._store, max_batch=500, max_queue=20_000, writers=2
        )

    async def take(self, event: Incoming) -> bool:
        """Whether it is new. Returns after the commit. Raises ``OverloadedError``, and ``TimeoutError`` where the database does not
        answer: it may be kept all the same."""
        await fault_point("webhook.before_store")
        new = await self._group.submit(event)
        await fault_point("webhook.after_store")
        return new

    async def _store(self, events: Sequence[Incoming]) -> list[bool]:
        async with asyncio.timeout(STORE_SECONDS):  # others wait for this writer
            pool = await self._database.pool()
            async with pool.acquire(timeout=STORE_SECONDS) as connection:
                fresh = await repository.store(connection, "webhook", self._clock.now(), events)
        results = []
        for event in events:
            results.append(event.key in fresh)
            fresh.discard(event.key)
        return results

    async def close(self) -> None:
        await self._group.drain()


Looked = Mapping[Look, Fact]


class LookFirstError(Exception):
    """A notification does not say enough: its provider is asked for ``wanted`` outside the transaction, and it is applied then."""

    def __init__(self, wanted: Look, ask: Callable[[Look], Awaitable[Fact]]) -> None:
        super().__init__(f"{wanted.kind} {wanted.id}")
        self.wanted = wanted
        self.ask = ask


#: Applies many: how many were, and which are left to be applied one by one.
Batch = Callable[[], Awaitable[tuple[int, Sequence[Claimed]]]]
#: Applies a notification of one source in the caller's transaction; False when billing has no part in it. Raises
#: :class:`LookFirstError` for what is needed and not among what was looked at.
Handler = Callable[[Session, Claimed, Looked], Awaitable[bool]]


class Applier:
    """Applies what waits, several at the same time, each in one transaction with its effect."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        handlers: Mapping[str, Handler],
        *,
        max_attempts: int,
        batch: Batch | None = None,
    ) -> None:
        """``handlers``: by the source of the notification; ``batch``: what can be applied many at a time is."""
        self._database = database
        self._clock = clock
        self._handlers = handlers
        self._max_attempts = max_attempts
        self._batch = batch
        self._left: deque[Claimed] = deque()
        self._turn = asyncio.Semaphore(BATCHES_AT_ONCE)
        self._wake = asyncio.Event()
        #: Whether the last batch was a large one: as many may wait behind it.
        self.is_behind = False

    async def apply_next(self) -> bool:
        """Apply what is due next, many at once where that can be. False when nothing is due.

        What a batch leaves is everybody's to apply, before another batch is taken up.
        """
        if not self._left and self._batch is not None:
            async with self._turn:
                if not self._left:
                    applied, left = await self._batch()
                    self.is_behind = applied + len(left) >= MANY
                    self._left.extend(left)
                    if applied and not left:
                        return True
        if self._left:
            return await self._apply(self._left.popleft())
        return await self.apply_one()

    async def apply_one(self) -> bool:
        """Apply the next due one. False when nothing is due."""
        return await self._apply(None)

    async def _apply(self, event: Claimed | None) -> bool:
        """Apply one that was claimed before, or else the next due one. False when nothing is due."""
        looked: dict[Look, Fact] = {}
        while True:
            known = event
            try:
                async with self._database.transaction() as session:
                    event = await self._claimed(session, known)
                    if event is None:
                        return known is not None
                    await fault_point("inbox.claimed")
                    applied = await self._handlers[event.source](session, event, looked)
                    await repository.mark_handled(session, event, self._clock.now())
                    await fault_point("payment.before_commit")
                await fault_point("payment.after_commit")
            except LookFirstError as first:
                assert event is not None  # it was being applied
                if await self._looked(event, first, looked):
                    continue
                return True
            except Exception as error:
                # Whatever went wrong, the effect was rolled back: the event waits, or is parked for a person to see.
                if event is None:
                    raise
                await self._failed(event, error)
                return True
            metrics.WEBHOOKS.labels(event.type, "handled" if applied else "ignored").inc()
            return True

    async def _claimed(self, session: Session, known: Claimed | None) -> Claimed | None:
        if known is None:
            return await repository.claim(session, self._clock.now())
        return await repository.claim_again(session, known)

    async def _looked(
        self, event: Claimed, first: LookFirstError, looked: dict[Look, Fact]
    ) -> bool:
        """Ask the provider for what the event needs. False when it could not be: the event waits."""
        try:
            if first.wanted in looked:
                raise RuntimeError(f"{first.wanted} was looked at and is wanted again")
            looked[first.wanted] = await first.ask(first.wanted)
        except Exception as error:
            # Whatever the provider says or does not say: the event waits, or is parked.
            await self._failed(event, error)
            return False
        return True

    async def _failed(self, event: Claimed, error: Exception) -> None:
        away = isinstance(error, ProviderUnavailableError | OSError | TimeoutError)
        hopeless = isinstance(error, MalformedNotificationError | ForeignCurrencyError)
        parked = hopeless or (not away and event.attempts + 1 >= self._max_attempts)
        delay = timedelta(seconds=rules.delay_seconds(event.attempts + 1))
        async with self._database.transaction() as session:
            await repository.mark_failed(
                session,
                event,
                self._clock.now() + delay,
                f"{type(error).__name__}: {error}",
                parked=parked,
            )
        outcome = "parked" if parked else "retried"
        metrics.WEBHOOKS.labels(event.type, outcome).inc()
        level = log.error if parked else log.warning
        level(
            f"webhook_{outcome}",
            event_id=event.event_id,
            type=event.type,
            attempts=event.attempts + 1,
            error=repr(error),
        )

    async def apply_due(self) -> int:
        """Everything that is due now. Returns in how many steps."""
        done = 0
        while await self.apply_next():
            done += 1
        return done

    async def run_slot(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """One of the appliers that run side by side."""
        while not stop.is_set():
            heartbeat.beat()
            self._wake.clear()  # before looking: what comes in from now on wakes us again
            found = await self.apply_next()
            heartbeat.succeeded()
            if found:
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue

    async def listen(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Wakes the appliers when something is stored; their polling is only the fallback."""
        connection: asyncpg.Connection = await self._database.connect_raw()
        try:
            await connection.add_listener(repository.CHANNEL, lambda *_: self._wake.set())
            while not stop.is_set() and not connection.is_closed():
                heartbeat.succeeded()
                try:
                    await asyncio.wait_for(stop.wait(), 1.0)
                except TimeoutError:
                    continue
        finally:
            if not connection.is_closed():
                await connection.close(timeout=2)


class Webhooks:
    """Looking after the inbox: the sweep, the list, the replay."""

    def __init__(self, database: Database, clock: Clock, provider: PaymentProvider) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._swept_at: datetime | None = None

    async def sweep(self) -> int:
        """Read the provider's own list of events and take in what never arrived. Returns how many that were.

        The cursor moves only after everything on the list is kept.
        """
        source, now = self._provider.name, self._clock.now()
        async with self._database.read() as session:
            seen = await repository.seen_until(session, source)
        since = rules.sweep_from(seen, now)
        missed, newest, chunk = 0, since, list[Incoming]()
        types = sorted(rules.ALLOWED_TYPES)
        async for event in self._provider.notifications_since(since, types):
            newest = max(newest, event.created_at)
            agency = agency_named(event.payload)
            chunk.append(
                Incoming(source, event.id, event.type, event.created_at, event.payload, agency)
            )
            if len(chunk) >= SWEEP_CHUNK:
                missed += await self._take_in(chunk)
                chunk = []
        missed += await self._take_in(chunk)
        async with self._database.transaction() as session:
            await repository.save_seen_until(session, source, newest)
        self._swept_at = now
        return missed

    async def check_endpoints(self) -> None:
        """Whether the provider speaks to an address in another version: it works, and each event costs a call."""
        try:
            foreign = await self._provider.foreign_endpoints()
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            log.warning("webhook_endpoints_not_asked", error=repr(error))
            return
        metrics.FOREIGN_ENDPOINTS.set(len(foreign))
        if foreign:
            log.error("webhook_endpoint_of_another_version", addresses=sorted(foreign))

    async def _take_in(self, chunk: Sequence[Incoming]) -> int:
        if not chunk:
            return 0
        pool = await self._database.pool()
        async with pool.acquire() as connection:
            fresh = await repository.store(connection, "sweep", self._clock.now(), chunk)
        for event in chunk:
            if event.key in fresh:
                metrics.WEBHOOKS.labels(event.type, "swept").inc()
        return len(fresh)

    async def listing(self, state: str | None, limit: int = 100) -> Sequence[WebhookEvent]:
        async with self._database.read() as session:
            return await repository.listing(session, state, limit)

    async def parked_of(self, agency: str) -> Sequence[WebhookEvent]:
        """Parked events that are this agency's, or that name no agency. Never another's."""
        async with self._database.read() as session:
            return await repository.parked_of(session, agency, limit=500)

    async def replay_of(self, agency: str, event_ids: Sequence[str]) -> list[str]:
        """Replay some of :meth:`parked_of`; with none named, all of them."""
        own = [event.event_id for event in await self.parked_of(agency)]
        chosen = [id_ for id_ in own if not event_ids or id_ in event_ids]
        return await self.replay(chosen, agency)

    async def replay(self, event_ids: Sequence[str] | None, agency: str | None = None) -> list[str]:
        """Give parked events (all of them with None) another round of tries. Returns their ids."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            replayed = await repository.replay(session, now, event_ids)
            if replayed:
                await audit.record(
                    session,
                    audit.Action.WEBHOOKS_REPLAYED,
                    agency=agency,
                    at=now,
                    subject="webhooks",
                    after={"count": len(replayed), "events": sorted(replayed)},
                )
            return replayed

    async def state(self, agency: str | None = None) -> InboxState:
        """Of one agency, or of all."""
        async with self._database.read() as session:
            return await repository.inbox_state(session, agency)

    async def forget_old(self, days: int) -> int:
        """Delete what was handled and came more than so many days ago; how many those were. What waits or is parked stays."""
        before, total = self._clock.now() - timedelta(days=days), 0
        while True:
            async with self._database.transaction() as session:
                gone = await repository.forget(session, before, FORGOTTEN_A_ROUND)
            total += gone
            if gone < FORGOTTEN_A_ROUND:
                return total

    async def measure(self) -> None:
        """The inbox's gauges."""
        state, now = await self.state(), self._clock.now()
        metrics.INBOX_WAITING.set(state.waiting)
        metrics.INBOX_PARKED.set(state.parked)
        age = (now - state.oldest_at).total_seconds() if state.oldest_at else 0.0
        metrics.INBOX_AGE.set(max(age, 0.0))
        if self._swept_at is None:
            metrics.SWEEP_AGE.unknown()
        else:
            metrics.SWEEP_AGE.set(max((now - self._swept_at).total_seconds(), 0.0))
