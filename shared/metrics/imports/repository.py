"""Every statement about uploaded files, their rows, and the entries made of those.

A row's amount is spread over its days in SQL, by the rule of ``shared.money``: a day's part is the difference of two
cumulative floors, so the parts sum to the whole exactly.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import ReadSession, Session
from shared.metrics.imports.rules import COLUMNS


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file somebody uploaded: previewed, then confirmed (``recorded_rows`` grows), then applied."""

    id: UUID
    agency: str
    kind: str
    file_name: str
    sha256: str
    uploaded_by: str
    uploaded_at: datetime
    rows: int = 0
    known_rows: int = 0
    recorded_rows: int = 0
    total_vnd: int = 0
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None
    applied_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """A row of a revenue file, as it is shown."""

    number: int
    key: str
    first_on: date
    last_on: date
    segment: str
    stream: str
    payer: str
    amount: int
    document: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A row whose key is recorded already with other words."""

    number: int
    stored: int
    told: int


_FILE = """id, agency, kind, file_name, sha256, uploaded_by, uploaded_at, rows, known_rows, recorded_rows, total_vnd,
    confirmed_at, confirmed_by, applied_at"""

#: The entries of a file's rows, by position. PostgreSQL's integer division of what is not negative is the floor.
_ENTRIES = """SELECT r.number, r.segment, r.stream, r.payer, r.law_source, r.account, r.document,
        'import:' || r.key || CASE WHEN r.last_on > r.first_on THEN ':' || to_char(r.first_on + n, 'YYYY-MM-DD') ELSE '' END
            AS source_reference,
        r.first_on + n AS recognised_on,
        CASE WHEN r.amount < 0 THEN -1 ELSE 1 END
            * (abs(r.amount) * (n + 1) / (r.last_on - r.first_on + 1) - abs(r.amount) * n / (r.last_on - r.first_on + 1))
            AS amount
    FROM import_row r CROSS JOIN LATERAL generate_series(0, least(r.last_on, :through) - r.first_on) AS n
    WHERE r.import_id = :id AND r.position > :after AND r.position <= :upto"""

_CONTRADICTS = """(t.segment, t.stream, 'VND', t.payer, t.law_source, t.account, t.amount, t.recognised_on)
    <> (e.segment, e.stream, e.currency, e.payer, e.law_source, e.account, e.amount, e.recognised_on)"""


async def insert(session: Session, file: ImportedFile, content: bytes) -> bool:
    """Keep a file; False when the agency has the very same one already."""
    result = await session.execute(
        text(
            """INSERT INTO import_file
                   (id, agency, kind, file_name, sha256, content, uploaded_by, uploaded_at, rows, total_vnd)
               VALUES (:id, :agency, :kind, :file_name, :sha256, :content, :uploaded_by, :uploaded_at, :rows,
                   :total_vnd)
               ON CONFLICT ON CONSTRAINT uq_import_file_agency DO NOTHING RETURNING id"""
        ),
        {
            "id": file.id,
            "agency": file.agency,
            "kind": file.kind,
            "file_name": file.file_name,
            "sha256": file.sha256,
            "content": content,
            "uploaded_by": file.uploaded_by,
            "uploaded_at": file.uploaded_at,
            "rows": file.rows,
            "total_vnd": file.total_vnd,
        },
    )
    return result.one_or_none() is not None


async def copy_rows(session: Session, lines: bytes) -> None:
    """Rows as ``imports.rules`` writes them, straight into their table, in this transaction."""
    raw = await (await session.connection()).get_raw_connection()
    assert raw.driver_connection is not None
    await raw.driver_connection.copy_to_table(
        "import_row", source=io.BytesIO(lines), columns=COLUMNS, format="csv"
    )


async def compare(
    session: Session, file: ImportedFile, *, through: date, limit: int
) -> tuple[int, list[Contradiction]]:
    """How many rows have an entry already, and the first of those that contradict it."""
    found = await session.execute(
        text(
            f"""WITH known AS (
                    SELECT t.number, min(e.amount) FILTER (WHERE {_CONTRADICTS}) AS stored,
                        min(t.amount) FILTER (WHERE {_CONTRADICTS}) AS told
                    FROM ({_ENTRIES}) t JOIN revenue_entry e
                        ON e.agency = :agency AND e.source_reference = t.source_reference
                    GROUP BY t.number)
                SELECT number, stored, told, count(*) OVER () AS known FROM known
                ORDER BY stored IS NULL, number LIMIT :limit"""  # noqa: S608 - from this file only
        ),
        _part(file, 0, file.rows, through) | {"limit": limit},
    )
    rows = found.all()
    different = [Contradiction(r.number, r.stored, r.told) for r in rows if r.stored is not None]
    return (rows[0].known if rows else 0), different


async def record(
    session: Session, file: ImportedFile, *, after: int, upto: int, through: date = date.max
) -> int:
    """The entries of the rows at these positions; what is recorded stays. Returns how many are new."""
    result = await session.execute(
        text(
            f"""INSERT INTO revenue_entry (agency, segment, stream, currency, source_reference, payer, law_source,
                    account, amount, recognised_on, document, import_id)
                SELECT :agency, segment, stream, 'VND', source_reference, payer, law_source, account, amount,
                    recognised_on, document, :id
                FROM ({_ENTRIES}) t ON CONFLICT (agency, source_reference) DO NOTHING"""  # noqa: S608
        ),
        _part(file, after, upto, through),
    )
    return int(getattr(result, "rowcount", 0))


def _part(file: ImportedFile, after: int, upto: int, through: date) -> dict[str, Any]:
    return {
        "agency": file.agency,
        "id": file.id,
        "after": after,
        "upto": upto,
        "through": through,
    }


async def by_hash(session: Session, agency: str, kind: str, sha256: str) -> ImportedFile:
    row = await session.execute(
        text(
            f"SELECT {_FILE} FROM import_file "  # noqa: S608
            "WHERE agency = :agency AND kind = :kind AND sha256 = :sha256"
        ),
        {"agency": agency, "kind": kind, "sha256": sha256},
    )
    return ImportedFile(**row.mappings().one())


async def get(
    session: Session | ReadSession, agency: str, file_id: UUID, *, lock: bool = False
) -> ImportedFile | None:
    """A revenue file. ``lock``: whoever else confirms or records it waits."""
    found = await session.execute(
        text(
            f"""SELECT {_FILE} FROM import_file WHERE id = :id AND agency = :agency AND kind = 'revenue'
                {"FOR NO KEY UPDATE" if lock else ""}"""  # noqa: S608
        ),
        {"id": file_id, "agency": agency},
    )
    row = found.mappings().one_or_none()
    return None if row is None else ImportedFile(**row)


async def rows_of(
    session: ReadSession, file_id: UUID, *, after: int, limit: int
) -> list[ImportedRow]:
    """A page of a file's rows, in the order of the file."""
    rows = await session.execute(
        text(
            """SELECT number, key, first_on, last_on, segment, stream, payer, amount, document FROM import_row
               WHERE import_id = :id AND position > :after ORDER BY position LIMIT :limit"""
        ),
        {"id": file_id, "after": after, "limit": limit},
    )
    return [ImportedRow(**row) for row in rows.mappings()]


async def days_of(session: ReadSession, file_id: UUID) -> tuple[date, date]:
    """The first and the last day of a file's rows."""
    found = await session.execute(
        text("SELECT min(first_on), max(last_on) FROM import_row WHERE import_id = :id"),
        {"id": file_id},
    )
    first, last = found.one()
    return first, last


async def lock_agency(session: Session, agency: str) -> None:
    """Confirmations of an agency go one after the other."""
    await session.execute(
        text("SELECT 1 FROM agency WHERE id = :agency FOR NO KEY UPDATE"), {"agency": agency}
    )


async def being_recorded(session: Session | ReadSession, agency: str) -> ImportedFile | None:
    """The agency's file that is confirmed and not yet recorded to its end."""
    found = await session.execute(
        text(
            f"""SELECT {_FILE} FROM import_file
                WHERE agency = :agency AND confirmed_at IS NOT NULL AND applied_at IS NULL"""  # noqa: S608
        ),
        {"agency": agency},
    )
    row = found.mappings().one_or_none()
    return None if row is None else ImportedFile(**row)


async def take_next(session: Session, file_id: UUID | None) -> ImportedFile | None:
    """A file (or a given one) with rows left to record, which nobody else is recording at this moment."""
    found = await session.execute(
        text(
            f"""SELECT {_FILE} FROM import_file WHERE confirmed_at IS NOT NULL AND applied_at IS NULL
                    AND (CAST(:id AS uuid) IS NULL OR id = :id)
                ORDER BY confirmed_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"""  # noqa: S608
        ),
        {"id": file_id},
    )
    row = found.mappings().one_or_none()
    return None if row is None else ImportedFile(**row)


async def set_known(session: Session, file_id: UUID, known_rows: int) -> None:
    await session.execute(
        text("UPDATE import_file SET known_rows = :known WHERE id = :id"),
        {"id": file_id, "known": known_rows},
    )


async def mark_confirmed(session: Session, file_id: UUID, by: str, now: datetime) -> None:
    await session.execute(
        text(
            """UPDATE import_file SET confirmed_at = :now, confirmed_by = :by
               WHERE id = :id AND confirmed_at IS NULL"""
        ),
        {"id": file_id, "by": by, "now": now},
    )


async def mark_recorded(session: Session, file_id: UUID, upto: int, now: datetime) -> None:
    """So many rows are recorded; with the last one the file is applied."""
    await session.execute(
        text(
            """UPDATE import_file SET recorded_rows = :upto,
                   applied_at = CASE WHEN :upto = rows THEN coalesce(applied_at, :now) END
               WHERE id = :id"""
        ),
        {"id": file_id, "upto": upto, "now": now},
    )


async def list_of(session: ReadSession, agency: str, kind: str) -> list[ImportedFile]:
    rows = await session.execute(
        text(
            f"""SELECT {_FILE} FROM import_file WHERE agency = :agency AND kind = :kind
                ORDER BY uploaded_at DESC LIMIT 100"""  # noqa: S608
        ),
        {"agency": agency, "kind": kind},
    )
    return [ImportedFile(**row) for row in rows.mappings()]
