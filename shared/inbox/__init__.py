"""The inbox: an event takes effect once, in the transaction that remembers it; what cannot be handled is kept."""

from shared.inbox.consumer import Consumer, Handler, PermanentError
from shared.inbox.dead_letters import (
    DeadLetter,
    list_dead_letters,
    open_letters,
    replay_dead_letter,
)
from shared.inbox.runner import ConsumerRunner, RetryPolicy
from shared.inbox.store import SCHEMA_V1, define_tables

__all__ = [
    "SCHEMA_V1",
    "Consumer",
    "ConsumerRunner",
    "DeadLetter",
    "Handler",
    "PermanentError",
    "RetryPolicy",
    "define_tables",
    "list_dead_letters",
    "open_letters",
    "replay_dead_letter",
]
