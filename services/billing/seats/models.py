"""Tables of groups; their guards stand in ``migrations/versions/0001_seats.sql``."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, Text, UniqueConstraint, text
from sqlmodel import Field

from services.billing.tables import Row
from shared.database import UTCDateTime

_OF_SUBSCRIPTION = (["subscription_id", "agency"], ["subscription.id", "subscription.agency"])


class SeatInvitation(Row, table=True):
    """A seat that is offered to whoever reads a mailbox. It holds no seat: the first to accept has it."""

    __tablename__ = "seat_invitation"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_SUBSCRIPTION),
        UniqueConstraint("id", "agency", name="uq_seat_invitation_id_agency"),
        Index(
            "uq_seat_invitation_open",
            "subscription_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND withdrawn_at IS NULL"),
        ),
        Index("ix_seat_invitation_email", "agency", "email"),
        Index("ix_seat_invitation_subscription_id", "subscription_id", "created_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    subscription_id: UUID
    email: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UTCDateTime)
    sent_at: datetime = Field(sa_type=UTCDateTime)
    times_sent: int = 1
    expires_at: datetime = Field(sa_type=UTCDateTime)
    accepted_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    withdrawn_at: datetime | None = Field(sa_type=UTCDateTime, default=None)


class Seat(Row, table=True):
    """A reader's place in a group. ``number``: the owner's is the first one. ``network_id``: the network it was taken from, and
    ``seen_at`` when its reader was last there. ``ended_by``: owner, member, plan (it has fewer), or network (not seen for long)."""

    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_SUBSCRIPTION),
        ForeignKeyConstraint(["reader_id", "agency"], ["reader.id", "reader.agency"]),
        ForeignKeyConstraint(
            ["invitation_id", "agency"], ["seat_invitation.id", "seat_invitation.agency"]
        ),
        ForeignKeyConstraint(["network_id", "agency"], ["seat_network.id", "seat_network.agency"]),
        UniqueConstraint("id", "agency", "reader_id", name="uq_seat_id_agency_reader_id"),
        Index("ix_seat_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index(
            "uq_seat_reader",
            "subscription_id",
            "reader_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "uq_seat_number",
            "subscription_id",
            "number",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_seat_reader_id", "reader_id", "joined_at"),
        Index("ix_seat_subscription_id", "subscription_id", "joined_at"),
        Index(
            "ix_seat_seen_at",
            "seen_at",
            postgresql_where=text("network_id IS NOT NULL AND ended_at IS NULL"),
        ),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    subscription_id: UUID
    reader_id: UUID
    number: int
    joined_at: datetime = Field(sa_type=UTCDateTime)
    invitation_id: UUID | None = Field(default=None, unique=True)
    network_id: UUID | None = None
    seen_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    ended_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    ended_by: str | None = Field(sa_type=Text, default=None)


class SeatDomain(Row, table=True):
    """A mail domain of a company or a school: waiting for its code, verified, or ended."""

    __tablename__ = "seat_domain"
    __table_args__: Any = (
        ForeignKeyConstraint(*_OF_SUBSCRIPTION),
        Index(
            "uq_seat_domain_verified",
            "subscription_id",
            "domain",
            unique=True,
            postgresql_where=text("verified_at IS NOT NULL AND ended_at IS NULL"),
        ),
        Index(
            "ix_seat_domain_domain",
            "agency",
            "domain",
            postgresql_where=text("verified_at IS NOT NULL AND ended_at IS NULL"),
        ),
        Index("ix_seat_domain_subscription_id", "subscription_id", "created_at"),
    )
    id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    subscription_id: UUID
    domain: str = Field(sa_type=Text)
    code_hash: bytes = Field(sa_type=LargeBinary)
    tries: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)
    verified_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
    ended_at: datetime | None = Field(sa_type=UTCDateTime, default=None)
