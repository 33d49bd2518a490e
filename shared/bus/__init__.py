"""Publish and consume. NATS JetStream in every deployment; an in-memory twin for fast tests."""

from shared.bus.base import (
    Bus,
    BusUnavailableError,
    InboundMessage,
    MessageRefusedError,
    OutboundMessage,
    Subscription,
)
from shared.bus.jetstream import JetStreamBus, connect
from shared.bus.memory import MemoryBus

__all__ = [
    "Bus",
    "BusUnavailableError",
    "InboundMessage",
    "JetStreamBus",
    "MemoryBus",
    "MessageRefusedError",
    "OutboundMessage",
    "Subscription",
    "connect",
]
