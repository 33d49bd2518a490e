"""Identity's own set of tables."""

from __future__ import annotations

from sqlmodel import SQLModel

from shared import audit
from shared.agencies import define_table
from shared.database import new_metadata
from shared.mail.outbox import define_table as define_mail

METADATA = new_metadata()
AGENCY = define_table(METADATA)
AUDIT = audit.define_tables(METADATA)
MAIL = define_mail(METADATA)


class Base(SQLModel):
    """Base of identity's tables."""

    metadata = METADATA
