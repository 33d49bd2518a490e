"""Runs a durable consumer: decode, claim and take effect in one transaction, acknowledge after the commit.

Messages are handled in batches: one transaction for the batch, and when that fails, each message by itself, so that
one poisonous message delays nobody. A message that keeps failing is stored as a dead letter and acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared.audit.caller import Caller
from shared.bus import (
    Bus,
    BusUnavailableError,
    InboundMessage,
    StreamMissingError,
    Subscription,
)
from shared.contracts import (
    Event,
    ForgedEventError,
    MalformedEventError,
    UnknownEventTypeError,
)
from shared.database import Database, database_is_away
from shared.faults import fault_point
from shared.inbox.consumer import Consumer, PermanentError
from shared.inbox.dead_letters import count_dead_letters, store_dead_letter
from shared.loops import Heartbeat, Loop, every
from shared.security.events import SecurityEvent
from shared.security.report import tell
from shared.telemetry import metrics
from shared.telemetry.tracing import consume_span

log = structlog.get_logger(__name__)

#: While the database is away messages come back at this pace, however long it takes: nobody's fault, no try spent.
AWAY_DELAY_SECONDS = 1.0
MEASURE_EVERY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delay before delivery ``n + 1``: ``first · 2^(n-1)``, at most ``ceiling``; ``max_tries`` tries in all."""

    max_tries: int = 8
    first_delay_seconds: float = 0.5
    ceiling_seconds: float = 60.0

    def delay_seconds(self, deliveries: int) -> float:
        return float(min(self.first_delay_seconds * 2 ** (deliveries - 1), self.ceiling_seconds))


class ConsumerRunner:
    """Runs one durable consumer of one service."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        consumer: Consumer,
        *,
        retry: RetryPolicy | None = None,
        batch: int = 100,
        fetch_timeout_seconds: float = 1.0,
    ) -> None:
        self._database = database
        self._bus = bus
        self._consumer = consumer
        self._stream = consumer.stream
        self.consumer = consumer.name
        self._retry = retry or RetryPolicy()
        self._batch = batch
        self._fetch_timeout = fetch_timeout_seconds
        #: Deliveries that were no tries, by stream sequence (at most as many as are unacknowledged).
        self._postponed: dict[int, int] = {}
        self._away = False  # the database, in the round at hand
        #: Up to where everything is acknowledged, and since when that has been so.
        self._floor, self._floor_since = -1, time.monotonic()

    @property
    def loops(self) -> list[Loop]:
        """The consumer and its gauges, each in a loop of its own: give them to the worker."""
        return [
            Loop(self.consumer, self.run),
            Loop(
                f"{self.consumer}-gauges",
                every(MEASURE_EVERY_SECONDS, self.measure),
                gauges=(
                    metrics.CONSUMER_PRESENT,
                    metrics.CONSUMER_LAG,
                    metrics.CONSUMER_STALLED,
                ),
            ),
            Loop(
                f"{self.consumer}-dead-letters",
                every(MEASURE_EVERY_SECONDS, self.count_dead_letters),
                gauges=(metrics.DEAD_LETTERS,),
            ),
        ]

    async def check(self) -> None:
        """For ``/readyz``. Raises unless the stream and the consumer exist."""
        await (await self._bus.bind(self._stream, self.consumer)).state()

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Handle messages until told to stop; what was fetched is finished and acknowledged first."""
        subscription = await self._bus.bind(self._stream, self.consumer)
        try:
            while not stop.is_set():
                heartbeat.beat()
                try:
                    self._away = False
                    await self.run_once(subscription)
                except BusUnavailableError as error:
                    heartbeat.failed()
                    log.warning("consumer_waits_for_bus", consumer=self.consumer, error=repr(error))
                    try:
                        await asyncio.wait_for(stop.wait(), 0.5)
                    except TimeoutError:
                        continue
                else:
                    if self._away:
                        heartbeat.failed()
                    else:
                        heartbeat.succeeded()
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
                event = self._consumer.read(message.payload, message.subject)
            except (MalformedEventError, UnknownEventTypeError) as error:
                if isinstance(error, ForgedEventError):
                    self._report_forgery(message, error)
                await self._give_up(message, None, type(error).__name__, error)
                continue
            good.append((message, event))
        if good:
            await self._handle(good)
        return len(messages)

    def _report_forgery(self, message: InboundMessage, error: ForgedEventError) -> None:
        """Somebody with a credential of the bus says what is not so."""
        tell(
            SecurityEvent.EVENT_FORGED,
            by=Caller(service=self._consumer.service),
            consumer=self.consumer,
            subject=message.subject,
            reason=str(error),
        )

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
        self._away = True
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

    async def measure(self) -> None:
        """Set the gauges of the consumer's progress. Raises when the bus is away."""
        try:
            state = await (await self._bus.bind(self._stream, self.consumer)).state()
        except StreamMissingError as error:
            log.error("consumer_missing", consumer=self.consumer, error=str(error))
            metrics.CONSUMER_PRESENT.labels(self.consumer).set(0)
            metrics.CONSUMER_LAG.unknown()
            metrics.CONSUMER_STALLED.unknown()
            return
        if state.pending == 0 or state.floor != self._floor:
            self._floor, self._floor_since = state.floor, time.monotonic()
        metrics.CONSUMER_PRESENT.labels(self.consumer).set(1)
        metrics.CONSUMER_LAG.labels(self.consumer).set(state.pending)
        metrics.CONSUMER_STALLED.labels(self.consumer).set(time.monotonic() - self._floor_since)

    async def count_dead_letters(self) -> None:
        """Set the gauge of dead letters. Raises when the database is away."""
        letters = await count_dead_letters(self._database, self.consumer)
        metrics.DEAD_LETTERS.labels(self.consumer).set(letters)

    async def _take_effect(self, events: Sequence[Event[Any]], headers: dict[str, str]) -> None:
        with consume_span(self.consumer, headers):
            async with self._database.transaction() as session:
                duplicates = await self._consumer.take_effect(session, events)
                await fault_point("consumer.before_commit")
            await fault_point("consumer.after_commit")
        if duplicates:
            metrics.CONSUMED.labels(self.consumer, "duplicate").inc(duplicates)

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
