"""Publish and consume. NATS JetStream in every deployment; an in-memory twin for fast tests."""

from shared.bus.base import (
    Bus,
    BusUnavailableError,
    ConsumerState,
    InboundMessage,
    MessageRefusedError,
    NotPermittedError,
    OutboundMessage,
    Refused,
    Stored,
    StreamMissingError,
    StreamState,
    Subscription,
    Verdict,
)
from shared.bus.jetstream import JetStreamBus, connect
from shared.bus.memory import MemoryBus

__all__ = [
    "Bus",
    "BusUnavailableError",
    "ConsumerState",
    "InboundMessage",
    "JetStreamBus",
    "MemoryBus",
    "MessageRefusedError",
    "NotPermittedError",
    "OutboundMessage",
    "Refused",
    "Stored",
    "StreamMissingError",
    "StreamState",
    "Subscription",
    "Verdict",
    "connect",
]
