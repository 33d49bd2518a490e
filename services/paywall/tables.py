"""The paywall's own set of tables; those of the nouns are in their ``models.py``."""

from __future__ import annotations

from sqlmodel import SQLModel

from shared import agencies, audit, inbox, outbox
from shared.database import new_metadata

METADATA = new_metadata()
AGENCY = agencies.define_table(METADATA)
AUDIT = audit.define_tables(METADATA)
OUTBOX = outbox.define_tables(METADATA)
INBOX, DEAD_LETTER = inbox.define_tables(METADATA)


class Base(SQLModel):
    """Base of the paywall's tables."""

    metadata = METADATA
