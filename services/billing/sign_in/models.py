"""The table of codes for signing in."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, LargeBinary, Text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class SignInCode(Row, table=True):
    """One code that was sent. The mailbox or the phone has the code, the browser its cookie; only hashes are here."""

    __tablename__ = "sign_in_code"
    __table_args__: Any = (
        Index("ix_sign_in_code_expires_at", "expires_at"),
        Index("ix_sign_in_code_sent_to", "agency", "sent_to", "created_at"),
        Index("ix_sign_in_code_browser_hash", "browser_hash"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text, foreign_key="agency.id")
    sent_to: str = Field(sa_type=Text)  # an e-mail address, or a mobile number
    browser_hash: bytes = Field(sa_type=LargeBinary)
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0  # wrong codes of the browser that asked
    other_tries: int = 0  # of other browsers that asked for the same mailbox
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    used_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
