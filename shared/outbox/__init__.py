"""The transactional outbox: an event is stored with the fact it tells, published afterwards, at least once, and kept."""

from shared.outbox.publisher import Publisher
from shared.outbox.relay import OutboxRelay
from shared.outbox.store import SCHEMA_V1, define_tables, record, record_raw
from shared.outbox.sweep import OutboxSweep

__all__ = [
    "SCHEMA_V1",
    "OutboxRelay",
    "OutboxSweep",
    "Publisher",
    "define_tables",
    "record",
    "record_raw",
]
