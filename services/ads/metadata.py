"""The tables of this service: one metadata, filled by the nouns' models."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Text, Uuid, text
from sqlmodel import Field, SQLModel

from shared import agencies, audit, outbox
from shared.database import UTCDateTime, new_metadata

metadata = new_metadata()
agencies.define_table(metadata)
outbox.define_tables(metadata)
audit.define_tables(metadata)


class AdsTable(SQLModel):
    """Base of every table here."""

    metadata = metadata


def id_field() -> Any:
    return Field(sa_column=Column("id", Uuid, primary_key=True))


def moment_field(name: str, *, nullable: bool = False) -> Any:
    """A ``timestamptz``; filled by the database's clock when it may not be empty."""
    default = None if nullable else text("now()")
    return Field(
        default=None, sa_column=Column(name, UTCDateTime, nullable=nullable, server_default=default)
    )


def text_field(name: str, default: str | None = None) -> Any:
    if default is None:
        return Field(sa_column=Column(name, Text, nullable=False))
    return Field(default=default, sa_column=Column(name, Text, nullable=False))


__all__ = ["UUID", "AdsTable", "datetime", "id_field", "metadata", "moment_field", "text_field"]
