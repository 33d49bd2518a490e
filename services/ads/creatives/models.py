"""Creatives and their images."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint, Uuid
from sqlmodel import Field

from services.ads.metadata import AdsTable, id_field, moment_field, text_field


class Creative(AdsTable, table=True):
    """What a line shows: a native text in a colour theme, or an image."""

    __tablename__ = "creative"
    __table_args__ = (
        UniqueConstraint("agency_id", "id"),
        ForeignKeyConstraint(["agency_id", "line_id"], ["line.agency_id", "line.id"]),
        Index("ix_creative_line_id", "line_id"),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    line_id: UUID
    kind: str = text_field("kind", "native")
    headline: str = text_field("headline")
    body: str = text_field("body", "")
    call_to_action: str = text_field("call_to_action", "")
    click_url: str = text_field("click_url")
    theme: str = text_field("theme", "red")
    active: bool = True
    version: int = 1
    created_at: datetime = moment_field("created_at")


class CreativeImage(AdsTable, table=True):
    """The bytes of an image creative; type and size are what the bytes say."""

    __tablename__ = "creative_image"
    __table_args__ = (
        ForeignKeyConstraint(["agency_id", "creative_id"], ["creative.agency_id", "creative.id"]),
    )
    creative_id: UUID = Field(sa_column=Column("creative_id", Uuid, primary_key=True))
    agency_id: str = text_field("agency_id")
    content: bytes = Field(sa_column=Column("content", LargeBinary, nullable=False))
    content_type: str = text_field("content_type")
    width: int
    height: int
    digest: str = text_field("digest")
