"""The bus in memory, for fast tests: the same promises (durable consumers, redelivery, de-duplication)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.bus.base import (
    BusUnavailableError,
    ConsumerState,
    InboundMessage,
    OutboundMessage,
    Refused,
    Stored,
    StreamMissingError,
    StreamState,
    Verdict,
    require_stored,
)
from shared.ids import new_id


def subject_pattern(subject: str) -> re.Pattern[str]:
    """A NATS subject filter (``*`` one token, ``>`` the rest) as a regular expression."""
    tokens = [
        "[^.]+" if word == "*" else ".+" if word == ">" else re.escape(word)
        for word in subject.split(".")
    ]
    return re.compile(r"\.".join(tokens))


@dataclass
class _Stored:
    sequence: int
    message: OutboundMessage


@dataclass
class _Consumer:
    """What has been acknowledged, and what is out until when (event-loop time)."""

    filters: tuple[re.Pattern[str], ...]
    ack_wait_seconds: float
    acknowledged: set[int] = field(default_factory=set)
    invisible_until: dict[int, float] = field(default_factory=dict)
    deliveries: dict[int, int] = field(default_factory=dict)


@dataclass
class _Stream:
    filters: tuple[re.Pattern[str], ...]
    stored: list[_Stored] = field(default_factory=list)
    identity: str = field(default_factory=lambda: str(new_id()))
    sequences: dict[str, int] = field(default_factory=dict)  # by message id
    consumers: dict[str, _Consumer] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryMessage:
    """One delivery."""

    subject: str
    payload: bytes
    headers: dict[str, str]
    deliveries: int
    stream_sequence: int
    _consumer: _Consumer
    _bus: MemoryBus

    async def ack(self) -> None:
        self._consumer.acknowledged.add(self.stream_sequence)
        self._consumer.invisible_until.pop(self.stream_sequence, None)

    async def nak(self, delay_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._consumer.invisible_until[self.stream_sequence] = now + delay_seconds
        self._bus.wake()


class MemorySubscription:
    """A binding to a consumer of the in-memory bus."""

    def __init__(self, bus: MemoryBus, stream: _Stream, consumer: _Consumer) -> None:
        self._bus = bus
        self._stream = stream
        self._consumer = consumer

    def _take(self, max_messages: int) -> tuple[list[MemoryMessage], float | None]:
        """Visible messages, and when the next invisible one becomes visible."""
        now = asyncio.get_running_loop().time()
        consumer, taken = self._consumer, []
        next_at: float | None = None
        for stored in self._stream.stored:
            sequence, message = stored.sequence, stored.message
            if sequence in consumer.acknowledged or not any(
                pattern.fullmatch(message.subject) for pattern in consumer.filters
            ):
                continue
            visible_at = consumer.invisible_until.get(sequence, 0.0)
            if visible_at > now:
                next_at = visible_at if next_at is None else min(next_at, visible_at)
                continue
            consumer.invisible_until[sequence] = now + consumer.ack_wait_seconds
            consumer.deliveries[sequence] = consumer.deliveries.get(sequence, 0) + 1
            taken.append(
                MemoryMessage(
                    message.subject,
                    message.payload,
                    dict(message.headers) | {"Nats-Msg-Id": message.message_id},
                    consumer.deliveries[sequence],
                    sequence,
                    consumer,
                    self._bus,
                )
            )
            if len(taken) == max_messages:
                break
        return taken, next_at

    async def fetch(self, max_messages: int, timeout_seconds: float) -> Sequence[InboundMessage]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            taken, next_at = self._take(max_messages)
            if taken:
                return taken
            wait_until = deadline if next_at is None else min(deadline, next_at)
            if loop.time() >= deadline:
                return []
            await self._bus.wait(max(wait_until - loop.time(), 0.0))

    async def state(self) -> ConsumerState:
        waiting = [
            stored.sequence
            for stored in self._stream.stored
            if stored.sequence not in self._consumer.acknowledged
            and any(p.fullmatch(stored.message.subject) for p in self._consumer.filters)
        ]
        floor = waiting[0] - 1 if waiting else len(self._stream.stored)
        return ConsumerState(len(waiting), floor)

    async def pending(self) -> int:
        return (await self.state()).pending

    async def close(self) -> None:
        return None


class MemoryBus:
    """Streams and consumers in this process. ``add_stream`` and ``add_consumer`` stand for the topology."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def add_stream(self, name: str, subjects: Sequence[str]) -> None:
        self._streams[name] = _Stream(tuple(subject_pattern(subject) for subject in subjects))

    def add_consumer(
        self,
        stream: str,
        name: str,
        filter_subjects: Sequence[str],
        *,
        ack_wait_seconds: float = 30.0,
    ) -> None:
        self._streams[stream].consumers[name] = _Consumer(
            tuple(subject_pattern(subject) for subject in filter_subjects), ack_wait_seconds
        )

    def wake(self) -> None:
        self._changed.set()

    async def wait(self, timeout_seconds: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_seconds)
        except TimeoutError:
            return

    async def offer(self, messages: Sequence[OutboundMessage]) -> list[Verdict]:
        if self._closed:
            raise BusUnavailableError("the bus is closed")
        verdicts = [self._store(message) for message in messages]
        self.wake()
        return verdicts

    def _store(self, message: OutboundMessage) -> Verdict:
        for name, stream in self._streams.items():
            if any(pattern.fullmatch(message.subject) for pattern in stream.filters):
                known = stream.sequences.get(message.message_id)
                if known is None:
                    known = len(stream.stored) + 1
                    stream.sequences[message.message_id] = known
                    stream.stored.append(_Stored(known, message))
                return Stored(name, known)
        return Refused(f"no stream takes {message.subject}")

    async def publish(self, messages: Sequence[OutboundMessage]) -> None:
        require_stored(await self.offer(messages))

    async def bind(self, stream: str, consumer: str) -> MemorySubscription:
        found = self._streams[stream]
        return MemorySubscription(self, found, found.consumers[consumer])

    async def replay(self, stream: str, filter_subjects: Sequence[str]) -> MemorySubscription:
        patterns = tuple(subject_pattern(subject) for subject in filter_subjects)
        return MemorySubscription(self, self._streams[stream], _Consumer(patterns, 30.0))

    async def stream_state(self, stream: str) -> StreamState:
        found = self._streams.get(stream)
        if found is None:
            raise StreamMissingError(stream)
        return StreamState(found.identity, 1, len(found.stored))

    async def stored_ids(self, stream: str, sequences: Sequence[int]) -> list[str | None]:
        stored = self._streams[stream].stored
        return [
            stored[number - 1].message.message_id if 0 < number <= len(stored) else None
            for number in sequences
        ]

    @property
    def generation(self) -> int:
        return 0

    async def ping(self) -> None:
        if self._closed:
            raise BusUnavailableError("the bus is closed")

    async def close(self) -> None:
        self._closed = True
