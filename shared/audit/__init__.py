"""The audit trail: who did what to money, prices, policies, bookings, creatives, accounts and data, and when.

Meaning: an entry stands for an act that took effect. It is written in the act's own transaction, so that there is no
act without its entry and no entry without its act. Invariants: an entry is never changed, deleted or reordered; every
entry holds the hash of the one before it in its agency's chain; ``service.verify`` finds the first place where that is
not so. One trail in every service's own database, one shape everywhere.
"""

from shared.audit.actions import WORDS, Action
from shared.audit.caller import STRANGER, Actor, Caller, acting, caller, calling, known_as
from shared.audit.models import SCHEMA_V1, define_tables
from shared.audit.repository import of_subjects
from shared.audit.service import record

__all__ = [
    "SCHEMA_V1",
    "STRANGER",
    "WORDS",
    "Action",
    "Actor",
    "Caller",
    "acting",
    "caller",
    "calling",
    "define_tables",
    "known_as",
    "of_subjects",
    "record",
]
