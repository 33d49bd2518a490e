"""The published language: one module of events per publisher, versioned.

Importing this package registers every published event.
"""

from shared.contracts import ads, billing, metrics, paywall
from shared.contracts.envelope import (
    CONTENT_TYPE,
    Event,
    ForgedEventError,
    MalformedEventError,
    Payload,
    UnknownEventTypeError,
    bus_subject,
    decode,
    decode_from_bus,
    encode,
    new_event,
    published_types,
)

__all__ = [
    "CONTENT_TYPE",
    "Event",
    "ForgedEventError",
    "MalformedEventError",
    "Payload",
    "UnknownEventTypeError",
    "ads",
    "billing",
    "bus_subject",
    "decode",
    "decode_from_bus",
    "encode",
    "metrics",
    "new_event",
    "paywall",
    "published_types",
]
