"""Tables of the catalogue. Every row carries its agency, and no row points into another agency."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Column, ForeignKeyConstraint, UniqueConstraint, Uuid
from sqlmodel import Field

from services.ads.metadata import AdsTable, id_field, moment_field, text_field
from shared.database import vnd_column


class Medium(StrEnum):
    """Where a product runs. Only the web is sold so far."""

    WEB = "web"
    TV = "tv"
    RADIO = "radio"
    PRINT = "print"


class Advertiser(AdsTable, table=True):
    """A brand that buys. ``search_name`` has no diacritics."""

    __tablename__ = "advertiser"
    __table_args__ = (
        UniqueConstraint("agency_id", "name"),
        UniqueConstraint("agency_id", "id"),
        ForeignKeyConstraint(["agency_id"], ["agency.id"]),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    name: str = text_field("name")
    search_name: str = text_field("search_name")
    website: str = text_field("website", "")
    created_at: datetime = moment_field("created_at")


class Placement(AdsTable, table=True):
    """A slot on the website. ``daily_capacity``: impressions a day, a manual figure until there is history."""

    __tablename__ = "placement"
    __table_args__ = (
        UniqueConstraint("agency_id", "code"),
        UniqueConstraint("agency_id", "id"),
        ForeignKeyConstraint(["agency_id"], ["agency.id"]),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    code: str = text_field("code")
    name: str = text_field("name")
    section: str = text_field("section", "")
    width: int
    height: int
    daily_capacity: int
    created_at: datetime = moment_field("created_at")


class Product(AdsTable, table=True):
    """What is on the rate card: a set of placements sold under one name."""

    __tablename__ = "product"
    __table_args__ = (
        UniqueConstraint("agency_id", "code"),
        UniqueConstraint("agency_id", "id"),
        ForeignKeyConstraint(["agency_id"], ["agency.id"]),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    code: str = text_field("code")
    name: str = text_field("name")
    medium: str = text_field("medium", Medium.WEB)
    created_at: datetime = moment_field("created_at")


class ProductPlacement(AdsTable, table=True):
    """A product contains a placement."""

    __tablename__ = "product_placement"
    __table_args__ = (
        ForeignKeyConstraint(["agency_id", "product_id"], ["product.agency_id", "product.id"]),
        ForeignKeyConstraint(
            ["agency_id", "placement_id"], ["placement.agency_id", "placement.id"]
        ),
    )
    product_id: UUID = Field(sa_column=Column("product_id", Uuid, primary_key=True))
    placement_id: UUID = Field(sa_column=Column("placement_id", Uuid, primary_key=True))
    agency_id: str = text_field("agency_id")


class Rate(AdsTable, table=True):
    """Price per thousand impressions from a day on, before VAT."""

    __tablename__ = "rate"
    __table_args__ = (
        UniqueConstraint("product_id", "valid_from"),
        ForeignKeyConstraint(["agency_id", "product_id"], ["product.agency_id", "product.id"]),
    )
    id: UUID = id_field()
    agency_id: str = text_field("agency_id")
    product_id: UUID
    valid_from: date
    cpm_vnd: int = Field(sa_column=vnd_column(name="cpm_vnd"))
    vat_percent: int
    created_at: datetime = moment_field("created_at")
