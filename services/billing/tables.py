"""All tables of the billing database: one metadata, the shared tables, and every noun's models."""

from __future__ import annotations

from sqlmodel import SQLModel

from shared import agencies, audit
from shared.database import new_metadata
from shared.inbox import define_tables as define_inbox
from shared.mail.outbox import define_table as define_mail
from shared.outbox import define_tables as define_outbox

METADATA = new_metadata()

AGENCY = agencies.define_table(METADATA)
AUDIT = audit.define_tables(METADATA)
OUTBOX = define_outbox(METADATA)
INBOX, DEAD_LETTER = define_inbox(METADATA)
MAIL = define_mail(METADATA)


class Row(SQLModel):
    """Base of every table of billing."""

    metadata = METADATA
