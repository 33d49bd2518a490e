"""Tables of groups' networks; their guards stand in ``migrations/versions/0001_networks.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlmodel import Field

from services.billing.networks.rules import AddressRange, address_of
from services.billing.tables import Row
from shared.database import UTCDateTime

_OF_SUBSCRIPTION = (["subscription_id", "agency"], ["subscription.id", "subscription.agency"])


class SeatNetwork(Row, table=True):
    """A range of addresses that a group asked for: it waits, is approved, or has ended.

    ``asked_from``: the address that its owner asked from, while it waits; ``ended_by``: owner, staff, or plan (it ended).
    """

    __tablename__ = "seat_network"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_SUBSCRIPTION),
        UniqueConstraint("id", "agency", name="uq_seat_network_id_agency"),
        Index("ix_seat_network_subscription_id", "subscription_id", "asked_at"),
        Index("ix_seat_network_agency", "agency", "asked_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    subscription_id: UUID
    first_ip: Any = Field(sa_type=INET, default=None, nullable=True)
    last_ip: Any = Field(sa_type=INET, default=None, nullable=True)
    asked_at: datetime = Field(sa_type=UTCDateTime)
    asked_from: str | None = Field(sa_type=Text, default=None)
    asked_within: bool
    approved_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    approved_by: str | None = Field(sa_type=Text, default=None)
    evidence: str | None = Field(sa_type=Text, default=None)
    ended_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    ended_by: str | None = Field(sa_type=Text, default=None)
    ended_why: str | None = Field(sa_type=Text, default=None)

    @property
    def range(self) -> AddressRange | None:
        """None where its owner's data was deleted."""
        first, last = address_of(str(self.first_ip)), address_of(str(self.last_ip))
        return AddressRange(first, last) if first is not None and last is not None else None

    @property
    def state(self) -> str:
        """waiting, approved, refused, or ended."""
        if self.ended_at is not None:
            refused = self.ended_by == "staff" and self.approved_at is None
            return "refused" if refused else "ended"
        return "waiting" if self.approved_at is None else "approved"


class SeatNetworkTold(Row, table=True):
    """What was last told of a group's networks, as ``NetworksChanged`` has it; its version only grows."""

    __tablename__ = "seat_network_told"
    __table_args__: Any = (ForeignKeyConstraint(*_OF_SUBSCRIPTION),)
    subscription_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    version: int
    told: dict[str, Any] = Field(sa_type=JSONB)
    told_at: datetime = Field(sa_type=UTCDateTime)
