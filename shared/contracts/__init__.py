"""The published language: one module of events per publisher, versioned.

Importing this package registers every published event.
"""

from shared.contracts import ads, billing, metrics, paywall
from shared.contracts.envelope import (
    CONTENT_TYPE,
    Event,
    MalformedEventError,
    Payload,
    UnknownEventTypeError,
    bus_subject,
    decode,
    encode,
    new_event,
    published_types,
)

__all__ = [
    "CONTENT_TYPE",
    "Event",
    "MalformedEventError",
    "Payload",
    "UnknownEventTypeError",
    "ads",
    "billing",
    "bus_subject",
    "decode",
    "encode",
    "metrics",
    "new_event",
    "paywall",
    "published_types",
]
