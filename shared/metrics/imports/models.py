"""Tables of uploaded files and of their rows. CHECKs and the guard of the rows are in the migrations."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, UniqueConstraint, Uuid, text
from sqlmodel import Field

from shared.metrics.models import (
    Row,
    agency_column,
    date_column,
    integer_column,
    moment_column,
    text_column,
    vnd_column,
)


class ImportFile(Row, table=True):
    """A file somebody uploaded, whole; of a revenue file also how far its rows are recorded."""

    __tablename__ = "import_file"
    __table_args__ = (
        UniqueConstraint("agency", "kind", "sha256", name="uq_import_file_agency"),
        Index(
            "uq_import_file_recording",
            "agency",
            unique=True,
            postgresql_where=text("confirmed_at IS NOT NULL AND applied_at IS NULL"),
        ),
    )
    id: UUID = Field(sa_column=Column(Uuid, primary_key=True))
    agency: str = Field(sa_column=agency_column())
    kind: str = Field(sa_column=text_column())
    file_name: str = Field(sa_column=text_column())
    sha256: str = Field(sa_column=text_column())
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    uploaded_by: str = Field(sa_column=text_column())
    uploaded_at: datetime = Field(sa_column=moment_column())
    rows: int = Field(sa_column=integer_column())
    known_rows: int = Field(sa_column=integer_column())
    recorded_rows: int = Field(sa_column=integer_column())
    total_vnd: int = Field(sa_column=vnd_column())
    confirmed_at: datetime | None = Field(sa_column=moment_column(nullable=True))
    confirmed_by: str | None = Field(sa_column=text_column(nullable=True))
    applied_at: datetime | None = Field(sa_column=moment_column(nullable=True))


class ImportRow(Row, table=True):
    """One row of a revenue file, as it was read. ``position`` counts from 1 without gaps; ``number`` is the file's own."""

    __tablename__ = "import_row"
    import_id: UUID = Field(sa_column=Column(Uuid, ForeignKey("import_file.id"), primary_key=True))
    position: int = Field(sa_column=integer_column(primary_key=True))
    number: int = Field(sa_column=integer_column())
    key: str = Field(sa_column=text_column())
    first_on: date = Field(sa_column=date_column())
    last_on: date = Field(sa_column=date_column())
    segment: str = Field(sa_column=text_column())
    stream: str = Field(sa_column=text_column())
    payer: str = Field(sa_column=text_column())
    law_source: str = Field(sa_column=text_column())
    account: str = Field(sa_column=text_column())
    amount: int = Field(sa_column=vnd_column())
    document: str = Field(sa_column=text_column())
