"""Identity's own set of tables."""

from __future__ import annotations

from sqlmodel import SQLModel

from shared.agencies import define_table
from shared.database import new_metadata

METADATA = new_metadata()
AGENCY = define_table(METADATA)


class Base(SQLModel):
    """Base of identity's tables."""

    metadata = METADATA
