"""The layer's own set of tables: what every noun's ``models`` adds to, and the tables shared by all."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Identity, Integer, Text
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

from shared import agencies, audit, inbox
from shared.database import UTCDateTime, new_metadata, vnd_column

METADATA = new_metadata()
REGISTRY = registry(metadata=METADATA)


class Row(SQLModel, registry=REGISTRY):
    """Base of the layer's tables."""

    metadata = METADATA


AGENCY = agencies.define_table(METADATA)
AUDIT = audit.define_tables(METADATA)
INBOX, DEAD_LETTER = inbox.define_tables(METADATA)


def text_column(name: str | None = None, **options: Any) -> Column[str]:
    """Text that must be there."""
    return Column(name, Text, nullable=options.pop("nullable", False), **options)


def agency_column(**options: Any) -> Column[str]:
    """The agency a row belongs to."""
    return Column(Text, ForeignKey("agency.id"), nullable=False, **options)


def date_column(**options: Any) -> Column[Any]:
    return Column(Date, nullable=options.pop("nullable", False), **options)


def moment_column(**options: Any) -> Column[Any]:
    return Column(UTCDateTime, nullable=options.pop("nullable", False), **options)


def count_column(**options: Any) -> Column[int]:
    return Column(BigInteger, nullable=False, **options)


def integer_column(**options: Any) -> Column[int]:
    return Column(Integer, nullable=False, **options)


def identity_column() -> Column[int]:
    return Column(BigInteger, Identity(always=True), primary_key=True)


__all__ = [
    "AGENCY",
    "DEAD_LETTER",
    "INBOX",
    "METADATA",
    "REGISTRY",
    "Row",
    "agency_column",
    "count_column",
    "date_column",
    "identity_column",
    "integer_column",
    "moment_column",
    "text_column",
    "vnd_column",
]
