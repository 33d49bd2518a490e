"""Runs a durable consumer: decode, claim and take effect in one transaction, acknowledge after the commit.

Messages are handled in batches: one transaction for the batch, and when that fails, each message by itself, so that
one poisonous message delays nobody. A message that keeps failing is stored as a dead letter and acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.bus import Bus, BusUnavailableError, InboundMessage, Subscription
from shared.contracts import Event, MalformedEventError, Payload, UnknownEventTypeError, decode
from shared.database import Database, Session, database_is_away
from shared.faults import fault_point
from shared.inbox import store
from shared.inbox.dead_letters import count_dead_letters, store_dead_letter
from shared.loops import Heartbeat
from shared.telemetry import metrics
from shared.telemetry.tracing import consume_span

log = structlog.get_logger(__name__)

#: While the database is away messages come back at this pace, however long it takes: nobody's fault, no try spent.
AWAY_DELAY_SECONDS = 1.0
MEASURE_EVERY_SECONDS = 5.0

#: Handles events of one type, oldest first, in the given transaction. Raises to have them delivered again.
Handler = Callable[[Session, Sequence[Event[Any]]], Awaitable[None]]


class PermanentError(Exception):
    """Trying again will not help: keep the message as a dead letter now."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delay before delivery ``n + 1``: ``first · 2^(n-1)``, at most ``ceiling``; ``max_tries`` tries in all."""

    max_tries: int = 8
    first_delay_seconds: float = 0.5
    ceiling_seconds: float = 60.0

    def delay_seconds(self, deliveries: int) -> float:
        return float(min(self.first_delay_seconds * 2 ** (deliveries - 1), self.ceiling_seconds))


class ConsumerRunner:
    """One durable consumer of one service.

    ``commutative``: the handlers know every fact by a unique key of their own, and order does not matter to them. No
    inbox row is written, and they get all events of a type at once, also those seen before (so that a fact told twice
    with different words is noticed instead of being dropped as a duplicate).
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        stream: str,
        consumer: str,
        handlers: Mapping[type[Payload], Handler],
        retry: RetryPolicy | None = None,
        batch: int = 100,
        fetch_timeout_seconds: float = 1.0,
        commutative: bool = False,
    ) -> None:
        self._database = database
        self._bus = bus
        self._stream = stream
        self.consumer = consumer
        self._handlers = {payload.TYPE: handler for payload, handler in handlers.items()}
        self._retry = retry or RetryPolicy()
        self._batch = batch
        self._fetch_timeout = fetch_timeout_seconds
        #: Deliveries that were no tries, by stream sequence (at most as many as are unacknowledged).
        self._postponed: dict[int, int] = {}
        self._measured_at = -1e9
        self._commutative = commutative

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Handle messages until told to stop; what was fetched is finished and acknowledged first."""
        subscription = await self._bus.bind(self._stream, self.consumer)
        try:
            while not stop.is_set():
                heartbeat.beat()
                try:
                    await self.run_once(subscription)
                    await self._measure(subscription)
                except BusUnavailableError as error:
                    log.warning("consumer_waits_for_bus", consumer=self.consumer, error=repr(error))
                    try:
                        await asyncio.wait_for(stop.wait(), 0.5)
                    except TimeoutError:
                        continue
        finally:
            await subscription.close()

    async def run_once(self, subscription: Subscription) -> int:
        """Fetch and handle one batch; returns its size."""
        messages = await subscription.fetch(self._batch, self._fetch_timeout)
        if not messages:
            return 0
        await fault_point("consumer.after_fetch")
        good: list[tuple[InboundMessage, Event[Any]]] = []
        for message in messages:
            try:
                event = decode(message.payload)
                if event.type not in self._handlers:
                    raise UnknownEventTypeError(event.type)
            except (MalformedEventError, UnknownEventTypeError) as error:
                await self._give_up(message, None, type(error).__name__, error)
                continue
            good.append((message, event))
        if good:
            await self._handle(good)
        return len(messages)

    async def _handle(self, pairs: list[tuple[InboundMessage, Event[Any]]]) -> None:
        """One transaction for all; when that fails, one for each."""
        try:
            await self._take_effect([event for _, event in pairs], pairs[0][0].headers)
        except BusUnavailableError:
            raise
        except Exception as error:
            # Any failure of a handler means "not done": delivered again, and at last kept as a dead letter.
            if database_is_away(error):
                await self._postpone(pairs, error)
            elif len(pairs) == 1:
                await self._retry_or_give_up(*pairs[0], error)
            else:
                log.info("batch_split", consumer=self.consumer, size=len(pairs), error=repr(error))
                for pair in pairs:
                    await self._handle([pair])
            return
        for message, _ in pairs:
            await message.ack()
            self._postponed.pop(message.stream_sequence, None)
        await fault_point("consumer.after_ack")
        metrics.CONSUMED.labels(self.consumer, "ok").inc(len(pairs))

    async def _postpone(
        self, pairs: list[tuple[InboundMessage, Event[Any]]], error: Exception
    ) -> None:
        log.warning("consumer_waits_for_database", consumer=self.consumer, error=repr(error))
        for message, _ in pairs:
            sequence = message.stream_sequence
            self._postponed[sequence] = self._postponed.get(sequence, 0) + 1
            await message.nak(AWAY_DELAY_SECONDS)

    async def _retry_or_give_up(
        self, message: InboundMessage, event: Event[Any], error: Exception
    ) -> None:
        tries = message.deliveries - self._postponed.get(message.stream_sequence, 0)
        if isinstance(error, PermanentError):
            await self._give_up(message, event, "permanent", error)
            return
        if tries >= self._retry.max_tries:
            await self._give_up(message, event, "tries_exhausted", error)
            return
        delay = self._retry.delay_seconds(min(max(tries, 1), 32))
        log.warning(
            "event_retry",
            consumer=self.consumer,
            event_id=str(event.id),
            type=event.type,
            tries=tries,
            delay_seconds=delay,
            error=repr(error),
        )
        metrics.CONSUMED.labels(self.consumer, "retried").inc()
        await message.nak(delay)

    async def _measure(self, subscription: Subscription) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._measured_at < MEASURE_EVERY_SECONDS:
            return
        self._measured_at = now
        metrics.CONSUMER_LAG.labels(self.consumer).set(await subscription.pending())
        try:
            letters = await count_dead_letters(self._database, self.consumer)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.warning("dead_letters_not_counted", consumer=self.consumer, error=repr(error))
            return
        metrics.DEAD_LETTERS.labels(self.consumer).set(letters)

    async def _take_effect(self, events: Sequence[Event[Any]], headers: dict[str, str]) -> None:
        with consume_span(self.consumer, headers):
            async with self._database.transaction() as session:
                fresh = (
                    sorted(events, key=lambda event: event.type)
                    if self._commutative
                    else await self._claimed(session, events)
                )
                for type_, run in groupby(fresh, key=lambda event: event.type):
                    await self._handlers[type_](session, list(run))
                await fault_point("consumer.before_commit")
            await fault_point("consumer.after_commit")
        duplicates = len(events) - len(fresh)
        if duplicates:
            metrics.CONSUMED.labels(self.consumer, "duplicate").inc(duplicates)

    async def _claimed(self, session: Session, events: Sequence[Event[Any]]) -> list[Event[Any]]:
        """Those not handled before, each once, in their order."""
        new = await store.claim(session, self.consumer, [event.id for event in events])
        fresh: list[Event[Any]] = []
        for event in events:
            if event.id in new:
                new.discard(event.id)
                fresh.append(event)
        return fresh

    async def _give_up(
        self, message: InboundMessage, event: Event[Any] | None, reason: str, error: Exception
    ) -> None:
        """Keep a full copy with the reason, then acknowledge. If it cannot be kept, it is delivered again."""
        try:
            async with self._database.transaction() as session:
                await store_dead_letter(
                    session, self.consumer, message, event.id if event else None, reason, error
                )
        except (SQLAlchemyError, OSError, TimeoutError) as failure:
            log.warning("dead_letter_not_stored", consumer=self.consumer, error=repr(failure))
            await message.nak(self._retry.ceiling_seconds)
            return
        log.error("dead_letter", consumer=self.consumer, reason=reason, error=repr(error))
        metrics.CONSUMED.labels(self.consumer, "dead_letter").inc()
        await message.ack()
        self._postponed.pop(message.stream_sequence, None)
