"""The transactional outbox: an event is stored with the fact it tells, and published afterwards, at least once."""

from shared.outbox.relay import OutboxRelay
from shared.outbox.store import SCHEMA_V1, define_table, record, record_raw

__all__ = ["SCHEMA_V1", "OutboxRelay", "define_table", "record", "record_raw"]
