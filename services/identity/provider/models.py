"""Accounts at the provider that open ours, and browsers that are on their way there."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, LargeBinary, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from services.identity.tables import Base
from shared.database import UTCDateTime


class ExternalSubject(Base, table=True):
    """An account at another identity provider (OpenID Connect Core 1.0: ``iss`` and ``sub``) that opens ours."""

    __tablename__ = "external_subject"
    __table_args__ = (UniqueConstraint("account_id", "issuer"),)

    issuer: str = Field(sa_column=Column(Text, primary_key=True))
    subject: str = Field(sa_column=Column(Text, primary_key=True))
    account_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("account.id"), nullable=False))
    linked_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))


class ProviderVisit(Base, table=True):
    """A browser that was sent to the provider and is expected back, once.

    ``state_hash`` is of what comes back in the address, ``browser_hash`` of what stayed in the browser's cookie: an answer
    is taken from where it was asked for and from nowhere else. ``form``: what is sent again after a step-up.
    """

    __tablename__ = "provider_visit"

    state_hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    browser_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    purpose: str = Field(sa_column=Column(Text, nullable=False))
    nonce: str = Field(sa_column=Column(Text, nullable=False))
    code_verifier: str = Field(sa_column=Column(Text, nullable=False))
    next: str = Field(sa_column=Column(Text, nullable=False))
    session_id: UUID | None = Field(default=None, sa_column=Column(Uuid))
    invitation_hash: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    form: list[list[str]] = Field(sa_column=Column(JSONB, nullable=False))
    started_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    expires_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False, index=True))
