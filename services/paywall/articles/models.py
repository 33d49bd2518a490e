"""The article registry's table."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ARRAY, Column, ForeignKey, Text, text
from sqlmodel import Field

from services.paywall.tables import Base
from shared.database import UTCDateTime


class Access(StrEnum):
    """What the newsroom says about an article; the policy says what that means."""

    FREE = "free"
    METERED = "metered"
    PREMIUM = "premium"


class ArticleRow(Base, table=True):
    """One article of one agency. The paid text is not here and never passes through the paywall."""

    __tablename__ = "article"

    agency: str = Field(sa_column=Column(Text, ForeignKey("agency.id"), primary_key=True))
    id: str = Field(sa_column=Column(Text, primary_key=True))
    title: str = Field(sa_column=Column(Text, nullable=False))
    url: str = Field(sa_column=Column(Text, nullable=False))
    section: str = Field(sa_column=Column(Text, nullable=False))
    tags: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    access: str = Field(sa_column=Column(Text, nullable=False))
    published_at: datetime = Field(sa_column=Column(UTCDateTime, nullable=False))
    updated_at: datetime = Field(
        sa_column=Column(UTCDateTime, nullable=False, server_default=text("now()"))
    )
