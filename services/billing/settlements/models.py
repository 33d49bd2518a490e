"""Tables of payouts; their guards stand in ``migrations/versions/0001_settlements.sql``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Date, Index, Text, UniqueConstraint
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime


class Payout(Row, table=True):
    """Money that a provider sent to the bank: ``state`` is moving, paid, or failed (it came back)."""

    __table_args__: Any = (
        UniqueConstraint("provider", "provider_payout", name="uq_payout_provider_payout"),
    )
    id: UUID = Field(primary_key=True)
    provider: str = Field(sa_type=Text)
    provider_payout: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    arrives_on: date = Field(sa_type=Date)
    state: str = Field(sa_type=Text)
    told_at: datetime = Field(sa_type=UTCDateTime)
    paid_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    failed_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class PayoutShare(Row, table=True):
    """An agency's part of a payout, one entry in its books; ``number`` grows where lines became known afterwards."""

    __tablename__ = "payout_share"
    __table_args__: Any = (
        UniqueConstraint("payout_id", "agency", "number", name="uq_payout_share_payout_id"),
        Index("ix_payout_share_agency", "agency"),
    )
    id: UUID = Field(primary_key=True)
    payout_id: UUID = Field(foreign_key="payout.id")
    agency: str = Field(sa_type=Text, foreign_key="agency.id")
    number: int
    net_vnd: int = Field(sa_type=BigInteger)
    fees_vnd: int = Field(sa_type=BigInteger)
    booked_at: datetime = Field(sa_type=UTCDateTime)
    failed_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class PayoutLineRow(Row, table=True):
    """What a payout consists of. Without a part it is of no payment that is known."""

    __tablename__ = "payout_line"
    __table_args__: Any = (
        UniqueConstraint("payout_id", "provider_line", name="uq_payout_line_payout_id"),
    )
    id: UUID = Field(primary_key=True)
    payout_id: UUID = Field(foreign_key="payout.id")
    provider_line: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    reference: str = Field(sa_type=Text)
    amount_vnd: int = Field(sa_type=BigInteger)
    fee_vnd: int = Field(sa_type=BigInteger)
    net_vnd: int = Field(sa_type=BigInteger)


class PayoutPart(Row, table=True):
    """What of a line is in a share: all of it, or of an earlier payout that came back what was the agency's."""

    __tablename__ = "payout_part"
    __table_args__: Any = (Index("ix_payout_part_share_id", "share_id"),)
    line_id: UUID = Field(primary_key=True, foreign_key="payout_line.id")
    share_id: UUID = Field(primary_key=True, foreign_key="payout_share.id")
    net_vnd: int = Field(sa_type=BigInteger)
    fees_vnd: int = Field(sa_type=BigInteger)


class PayoutCursor(Row, table=True):
    """How far a provider's own list of payouts has been read."""

    __tablename__ = "payout_cursor"
    provider: str = Field(sa_type=Text, primary_key=True)
    seen_until: datetime = Field(sa_type=UTCDateTime)


class ExceptionDone(Row, table=True):
    """What finance has looked into and put aside, with the reason."""

    __tablename__ = "exception_done"
    agency: str = Field(sa_type=Text, primary_key=True, foreign_key="agency.id")
    kind: str = Field(sa_type=Text, primary_key=True)
    subject: UUID = Field(primary_key=True)
    why: str = Field(sa_type=Text)
    done_at: datetime = Field(sa_type=UTCDateTime)
