"""The envelope: CloudEvents 1.0, structured JSON (https://github.com/cloudevents/spec, v1.0.2).

``type``     ``vn.press.<service>.<noun>.<past verb>.v1``
subject on the bus: ``<service>.<noun>.<past_verb>.v1.<agency>``; where several services publish one type (those of the
metrics layer), ``<service>.<noun>.<past_verb>.v1.<publisher>.<agency>``

Payloads are frozen msgspec structs: decoding checks types; unknown fields are ignored (additive changes
are compatible), missing ones are an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

from shared.ids import new_id

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "vn.press."
SOURCE_PREFIX = "/press-revenue/"
#: Versions count changes of one aggregate; the highest that a table's integer holds. One beyond it would freeze the
#: aggregate for ever, for no newer one could come.
MAX_VERSION = 2**31 - 1
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

#: A moment: refused without a zone.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event's data. ``TYPE`` is its published name."""

    TYPE: ClassVar[str] = ""
    #: The services that publish it, where its name does not say which: each on subjects of its own.
    PUBLISHERS: ClassVar[tuple[str, ...]] = ()

    def foreign_to(self, publisher: str) -> str:
        """Why ``publisher`` cannot say this; empty when it can."""
        return ""


D = TypeVar("D", bound=Payload)


class Event(msgspec.Struct, Generic[D], frozen=True, kw_only=True, omit_defaults=False):
    """One event. ``subject`` is the aggregate's id, ``version`` its version (older never overwrites newer)."""

    id: UUID
    source: str
    type: str
    time: Instant
    agency: str
    subject: str
    version: int
    data: D
    specversion: str = "1.0"
    datacontenttype: str = "application/json"

    @property
    def publisher(self) -> str:
        return self.source.removeprefix(SOURCE_PREFIX)

    @property
    def bus_subject(self) -> str:
        return bus_subject(self.type, self.agency, self.publisher)


class UnknownEventTypeError(ValueError):
    """An event of a type nobody published here."""


class MalformedEventError(ValueError):
    """Bytes that are not one of our events; retrying will not help."""


class ForgedEventError(MalformedEventError):
    """An event whose parts do not agree: nobody of ours has published it, and it is never applied."""


_PAYLOADS: dict[str, type[Payload]] = {}
_DECODERS: dict[str, msgspec.json.Decoder[Event[Any]]] = {}
_ENCODER = msgspec.json.Encoder()


class _Head(msgspec.Struct):
    type: str


_HEAD = msgspec.json.Decoder(_Head)


def event_type(name: str) -> Any:
    """Class decorator: publishes a payload under ``vn.press.<name>``, e.g. ``billing.entitlement.granted.v1``."""

    def register(cls: type[D]) -> type[D]:
        full = TYPE_PREFIX + name
        if full in _PAYLOADS:
            raise ValueError(f"{full} is already published")
        cls.TYPE = full
        _PAYLOADS[full] = cls
        _DECODERS[full] = msgspec.json.Decoder(Event[cls])  # type: ignore[valid-type]
        return cls

    return register


def published_types() -> dict[str, type[Payload]]:
    """Every published event type and its payload."""
    return dict(_PAYLOADS)


def bus_subject(type_: str, agency: str, publisher: str) -> str:
    """``vn.press.billing.entitlement.granted.v1`` of ``thai-binh`` → ``billing.entitlement.granted.v1.thai-binh``.

    With the publisher before the agency where the type has several.
    """
    name = type_.removeprefix(TYPE_PREFIX)
    return f"{name}.{publisher}.{agency}" if _PAYLOADS[type_].PUBLISHERS else f"{name}.{agency}"


def publishers_of(type_: str) -> tuple[str, ...]:
    """Who publishes it: ``vn.press.billing.entitlement.granted.v1`` → ``("billing",)``."""
    own = type_.removeprefix(TYPE_PREFIX).split(".", 1)[0]
    return _PAYLOADS[type_].PUBLISHERS or (own,)


def new_event(
    data: D,
    *,
    agency: str,
    subject: str,
    version: int = 1,
    now: datetime,
    event_id: UUID | None = None,
    publisher: str = "",
) -> Event[D]:
    """An event about the aggregate ``subject`` at its ``version``; ``publisher`` where its type has several."""
    event = Event(
        id=event_id or new_id(),
        source=SOURCE_PREFIX + (publisher or publishers_of(data.TYPE)[0]),
        type=data.TYPE,
        time=now.astimezone(UTC),
        agency=agency,
        subject=subject,
        version=version,
        data=data,
    )
    _check_publisher(event)
    return event


def _check_publisher(event: Event[Any]) -> None:
    """Raises :class:`ForgedEventError` when its source is none of its type's publishers, or says what is another's."""
    sources = [SOURCE_PREFIX + publisher for publisher in publishers_of(event.type)]
    if event.source not in sources:
        raise ForgedEventError(
            f"{event.type} comes from {' or '.join(sources)}, not from {event.source[:60]!r}"
        )
    if foreign := event.data.foreign_to(event.publisher):
        raise ForgedEventError(f"{event.publisher} may not say it: {foreign}")


def encode(event: Event[Any]) -> bytes:
    """The event as CloudEvents JSON bytes."""
    return _ENCODER.encode(event)


def decode_from_bus(raw: bytes, subject: str) -> Event[Any]:
    """The event behind a message of the bus, once everything it says of itself agrees with where it was published.

    Who may publish to a subject is the server's to know (infra/nats/users.toml), so the subject decides: type, agency
    and source must be its own. Raises what :func:`decode` raises, and :class:`ForgedEventError`.
    """
    event = decode(raw)
    if not _SLUG.fullmatch(event.agency):
        raise ForgedEventError(f"{event.agency[:60]!r} is not the name of an agency")
    if subject != event.bus_subject:
        raise ForgedEventError(
            f"published on {subject[:200]}, but it says it is {event.type} of {event.agency}, by {event.source[:60]!r}"
        )
    _check_publisher(event)
    if not 1 <= event.version <= MAX_VERSION:
        raise ForgedEventError(f"version {event.version} is not between 1 and {MAX_VERSION}")
    return event


def decode(raw: bytes) -> Event[Any]:
    """The event behind bytes. Raises :class:`UnknownEventTypeError` or :class:`MalformedEventError`."""
    try:
        head = _HEAD.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEventError(str(error)) from error
    decoder = _DECODERS.get(head.type)
    if decoder is None:
        raise UnknownEventTypeError(head.type)
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEventError(f"{head.type}: {error}") from error
