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
from sqlalchemy.exc import DBAPIError

from shared.bus import Bus, BusUnavailableError, InboundMessage, Subscription
from shared.contracts import Event, MalformedEventError, Payload, UnknownEventTypeError, decode
from shared.database import Database, Session
from shared.faults import fault_point
from shared.inbox import store
from shared.inbox.dead_letters import store_dead_letter
from shared.loops import Heartbeat
from shared.telemetry import metrics
from shared.telemetry.tracing import consume_span

log = structlog.get_logger(__name__)

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
    """One durable consumer of one service."""

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
    ) -> None:
        self._database = database
        self._bus = bus
        self._stream = stream
        self.consumer = consumer
        self._handlers = {payload.TYPE: handler for payload, handler in handlers.items()}
        self._retry = retry or RetryPolicy()
        self._batch = batch
        self._fetch_timeout = fetch_timeout_seconds

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Handle messages until told to stop; what was fetched is finished and acknowledged first."""
        subscription = await self._bus.bind(self._stream, self.consumer)
        try:
            while not stop.is_set():
                heartbeat.beat()
                try:
                    await self.run_once(subscription)
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
        if good and not await self._handled(good):
            for pair in good:
                await self._handle_alone(pair)
        return len(messages)

    async def _handled(self, pairs: list[tuple[InboundMessage, Event[Any]]]) -> bool:
        """One transaction for all. False when it failed and each is to be tried alone."""
        try:
            await self._take_effect([event for _, event in pairs], pairs[0][0].headers)
        except Exception as error:
            if len(pairs) == 1:
                raise
            log.info("batch_split", consumer=self.consumer, size=len(pairs), error=repr(error))
            return False
        for message, _ in pairs:
            await message.ack()
        await fault_point("consumer.after_ack")
        metrics.CONSUMED.labels(self.consumer, "ok").inc(len(pairs))
        return True

    async def _handle_alone(self, pair: tuple[InboundMessage, Event[Any]]) -> None:
        message, event = pair
        try:
            await self._handled([pair])
        except BusUnavailableError:
            raise
        except PermanentError as error:
            await self._give_up(message, event, "permanent", error)
        except Exception as error:
            # Any failure of a handler means "not done": delivered again, and at last kept as a dead letter.
            if message.deliveries >= self._retry.max_tries and not _database_is_away(error):
                await self._give_up(message, event, "tries_exhausted", error)
                return
            delay = self._retry.delay_seconds(min(message.deliveries, 32))
            log.warning(
                "event_retry",
                consumer=self.consumer,
                event_id=str(event.id),
                type=event.type,
                deliveries=message.deliveries,
                delay_seconds=delay,
                error=repr(error),
            )
            metrics.CONSUMED.labels(self.consumer, "retried").inc()
            await message.nak(delay)

    async def _take_effect(self, events: Sequence[Event[Any]], headers: dict[str, str]) -> None:
        with consume_span(self.consumer, headers):
            async with self._database.transaction() as session:
                new = await store.claim(session, self.consumer, [event.id for event in events])
                fresh, seen = [], set()
                for event in events:
                    if event.id in new and event.id not in seen:
                        seen.add(event.id)
                        fresh.append(event)
                for type_, run in groupby(fresh, key=lambda event: event.type):
                    await self._handlers[type_](session, list(run))
                await fault_point("consumer.before_commit")
            await fault_point("consumer.after_commit")
        duplicates = len(events) - len(fresh)
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
        except (DBAPIError, OSError, TimeoutError) as failure:
            log.warning("dead_letter_not_stored", consumer=self.consumer, error=repr(failure))
            await message.nak(self._retry.ceiling_seconds)
            return
        log.error("dead_letter", consumer=self.consumer, reason=reason, error=repr(error))
        metrics.CONSUMED.labels(self.consumer, "dead_letter").inc()
        await message.ack()


def _database_is_away(error: Exception) -> bool:
    return isinstance(error, OSError | TimeoutError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
