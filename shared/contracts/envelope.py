"""The envelope: CloudEvents 1.0, structured JSON (https://github.com/cloudevents/spec, v1.0.2).

``type``     ``vn.press.<service>.<noun>.<past verb>.v1``
subject on the bus: ``<service>.<noun>.<past_verb>.v1.<agency>``

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
#: Versions count changes of one aggregate; the highest that a table's integer holds. One beyond it would freeze the
#: aggregate for ever, for no newer one could come.
MAX_VERSION = 2**31 - 1
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")

#: A moment: refused without a zone.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event's data. ``TYPE`` is its published name."""

    TYPE: ClassVar[str] = ""


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
    def bus_subject(self) -> str:
        return bus_subject(self.type, self.agency)


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


def bus_subject(type_: str, agency: str) -> str:
    """``vn.press.billing.entitlement.granted.v1`` + ``thai-binh`` → ``billing.entitlement.granted.v1.thai-binh``."""
    return f"{type_.removeprefix(TYPE_PREFIX)}.{agency}"


def source_of(type_: str) -> str:
    """``vn.press.billing.entitlement.granted.v1`` → ``/press-revenue/billing``."""
    return f"/press-revenue/{type_.removeprefix(TYPE_PREFIX).split('.', 1)[0]}"


def new_event(
    data: D,
    *,
    agency: str,
    subject: str,
    version: int = 1,
    now: datetime,
    event_id: UUID | None = None,
) -> Event[D]:
    """An event about the aggregate ``subject`` at its ``version``."""
    return Event(
        id=event_id or new_id(),
        source=source_of(data.TYPE),
        type=data.TYPE,
        time=now.astimezone(UTC),
        agency=agency,
        subject=subject,
        version=version,
        data=data,
    )


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
            f"published on {subject[:200]}, but it says it is {event.type} of {event.agency}"
        )
    if event.source != source_of(event.type):
        raise ForgedEventError(
            f"{event.type} comes from {source_of(event.type)}, not from {event.source[:60]!r}"
        )
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
