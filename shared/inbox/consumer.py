"""A consumer as data, and how its events take effect: the same for what the bus brings and for a dead letter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from shared.contracts import Event, Payload, UnknownEventTypeError, decode_from_bus
from shared.database import Session
from shared.inbox import store

#: Handles events of one type, oldest first, in the given transaction. Raises to have them delivered again.
Handler = Callable[[Session, Sequence[Event[Any]]], Awaitable[None]]


class PermanentError(Exception):
    """Trying again will not help: keep the message as a dead letter now."""


@dataclass(frozen=True)
class Consumer:
    """One durable consumer of one service.

    ``commutative``: the handlers know every fact by a unique key of their own, and order does not matter to them. No
    inbox row is written, and they get all events of a type at once, also those seen before (so that a fact told twice
    with different words is noticed instead of being dropped as a duplicate).
    """

    service: str
    stream: str
    name: str
    handlers: Mapping[type[Payload], Handler]
    commutative: bool = False

    def read(self, payload: bytes, subject: str) -> Event[Any]:
        """Raises for what is malformed, forged, or nothing for this consumer."""
        event = decode_from_bus(payload, subject)
        if event.type not in self._by_type:
            raise UnknownEventTypeError(event.type)
        return event

    async def take_effect(self, session: Session, events: Sequence[Event[Any]]) -> int:
        """In the caller's transaction, with the memory of it. Gives how many had taken effect before."""
        fresh = (
            sorted(events, key=lambda event: event.type)
            if self.commutative
            else await self._claimed(session, events)
        )
        for type_, run in groupby(fresh, key=lambda event: event.type):
            await self._by_type[type_](session, list(run))
        return len(events) - len(fresh)

    @cached_property
    def _by_type(self) -> dict[str, Handler]:
        return {payload.TYPE: handler for payload, handler in self.handlers.items()}

    async def _claimed(self, session: Session, events: Sequence[Event[Any]]) -> list[Event[Any]]:
        """Those not handled before, each once, in their order."""
        new = await store.claim(session, self.name, [event.id for event in events])
        fresh: list[Event[Any]] = []
        for event in events:
            if event.id in new:
                new.discard(event.id)
                fresh.append(event)
        return fresh
