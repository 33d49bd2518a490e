"""The bus as the services see it. Two implementations, one conformance suite (``tests/contract/test_bus.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class BusUnavailableError(Exception):
    """The bus did not confirm in time. The message may or may not have arrived: publish it again."""


class MessageRefusedError(BusUnavailableError):
    """The bus is there and said no (no stream takes the subject, too large, …): the others may still go out."""


class NotPermittedError(BusUnavailableError):
    """This process's credential may not do that (infra/nats/users.toml says who may do what)."""


class StreamMissingError(BusUnavailableError):
    """The bus is there and does not know the stream, or the consumer."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The bus keeps the message: in this stream, at this sequence."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The bus said no to the message, and why."""

    reason: str


Verdict = Stored | Refused


@dataclass(frozen=True, slots=True)
class StreamState:
    """What a stream holds now.

    ``identity`` changes when the stream is deleted and made again. ``max_age_seconds`` is how long it keeps a message
    (0: for ever). ``lost`` are the sequences between ``first`` and
    ``last`` that it no longer holds (streams refuse deletion, so these were damaged).
    """

    identity: str
    first: int
    last: int
    max_age_seconds: float = 0.0
    leader: str = ""
    lost: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """``pending``: messages not yet delivered or not yet acknowledged. ``floor``: everything up to this stream
    sequence is acknowledged."""

    pending: int
    floor: int


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

    async def state(self) -> ConsumerState:
        """How far the consumer is. Raises :class:`StreamMissingError` when it, or its stream, does not exist."""
        ...

    async def pending(self) -> int:
        """Messages not yet delivered or not yet acknowledged: the consumer's lag."""
        ...

    async def close(self) -> None: ...


class Bus(Protocol):
    """Publish with confirmation; bind to durable consumers."""

    async def offer(self, messages: Sequence[OutboundMessage]) -> list[Verdict]:
        """The bus's answer to each message, in order: a refused one keeps none of the others back.
        Raises :class:`BusUnavailableError` when an answer did not come (some messages may be stored)."""
        ...

    async def publish(self, messages: Sequence[OutboundMessage]) -> None:
        """:meth:`offer`, for callers who need all of them stored: raises :class:`MessageRefusedError` when one was
        refused (the others are stored)."""
        ...

    async def bind(self, stream: str, consumer: str) -> Subscription: ...

    async def replay(self, stream: str, filter_subjects: Sequence[str]) -> Subscription:
        """The stream from its beginning, for rebuilding a reader's copy. Leaves no consumer behind."""
        ...

    async def stream_state(self, stream: str) -> StreamState:
        """Raises :class:`StreamMissingError` when there is no such stream."""
        ...

    async def stored_ids(self, stream: str, sequences: Sequence[int]) -> list[str | None]:
        """The message id at each sequence; None where the stream holds nothing."""
        ...

    @property
    def generation(self) -> int:
        """Grows whenever the connection was lost and found again: only then can a server have forgotten."""
        ...

    async def ping(self) -> None:
        """A round trip. Raises :class:`BusUnavailableError`."""
        ...

    async def close(self) -> None:
        """Drain and disconnect."""
        ...


def require_stored(verdicts: Sequence[Verdict]) -> None:
    """Raises :class:`MessageRefusedError` for the first refused message."""
    for verdict in verdicts:
        if isinstance(verdict, Refused):
            raise MessageRefusedError(verdict.reason)
