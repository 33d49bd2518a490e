"""Table of uploaded statements; its guards stand in ``migrations/versions/0001_transfers.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class StatementUpload(Row, table=True):
    """A statement that was read without a problem. Its credits are kept until it is taken in, or for a day."""

    __tablename__ = "statement_upload"
    __table_args__: Any = (
        ForeignKeyConstraint(["agency", "account"], ["bank_account.agency", "bank_account.number"]),
        Index(
            "ix_statement_upload_untaken",
            "uploaded_at",
            postgresql_where=text("taken_at IS NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    account: str = Field(sa_type=Text)
    file_name: str = Field(sa_type=Text)
    uploaded_by: str = Field(sa_type=Text)
    uploaded_at: datetime = Field(sa_type=UTCDateTime)
    credit_count: int
    total_vnd: int = Field(sa_type=BigInteger)
    first_at: datetime = Field(sa_type=UTCDateTime)
    last_at: datetime = Field(sa_type=UTCDateTime)
    #: The notices as compressed JSON; none once they wait in the inbox.
    credits: bytes | None = Field(sa_type=LargeBinary, default=None)
    taken_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    #: How many nobody had told of before.
    new_count: int | None = None
