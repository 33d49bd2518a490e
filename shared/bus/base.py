"""The bus as the services see it. Two implementations, one conformance suite (``tests/contract/test_bus.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class BusUnavailableError(Exception):
    """The bus did not confirm in time. The message may or may not have arrived: publish it again."""


class MessageRefusedError(BusUnavailableError):
    """The bus is there and said no (no stream takes the subject, too large, …): the others may still go out."""


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """``message_id`` is the event's id: the bus drops a second copy inside its window (an optimisation only)."""

    subject: str
    payload: bytes
    message_id: str
    headers: dict[str, str] = field(default_factory=dict)


class InboundMessage(Protocol):
    """A message that was delivered and waits for its verdict."""

    @property
    def subject(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def deliveries(self) -> int:
        """How often this message has been delivered, this time included (from 1)."""
        ...

    @property
    def stream_sequence(self) -> int: ...
    async def ack(self) -> None:
        """Done for good."""
        ...

    async def nak(self, delay_seconds: float) -> None:
        """Deliver again after the delay."""
        ...


class Subscription(Protocol):
    """A binding to a durable consumer that exists already (``infra/nats``)."""

    async def fetch(self, max_messages: int, timeout_seconds: float) -> Sequence[InboundMessage]:
        """Up to ``max_messages``, or an empty list after the time-out. Never blocks longer."""
        ...

    async def pending(self) -> int:
        """Messages not yet delivered or not yet acknowledged: the consumer's lag."""
        ...

    async def close(self) -> None: ...


class Bus(Protocol):
    """Publish with confirmation; bind to durable consumers."""

    async def publish(self, messages: Sequence[OutboundMessage]) -> None:
        """Returns when every message is stored. Raises :class:`BusUnavailableError` when that is unknown,
        and its :class:`MessageRefusedError` when one was refused (others of the same call may be stored)."""
        ...

    async def bind(self, stream: str, consumer: str) -> Subscription: ...

    async def replay(self, stream: str, filter_subjects: Sequence[str]) -> Subscription:
        """The stream from its beginning, for rebuilding a reader's copy. Leaves no consumer behind."""
        ...

    async def ping(self) -> None:
        """A round trip. Raises :class:`BusUnavailableError`."""
        ...

    async def close(self) -> None:
        """Drain and disconnect."""
        ...
