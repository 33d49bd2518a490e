"""Every statement about uploaded files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from shared.database import ReadSession, Session


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file somebody uploaded. ``applied_at`` is None while it is only previewed."""

    id: UUID
    agency: str
    kind: str
    file_name: str
    sha256: str
    uploaded_by: str
    uploaded_at: datetime
    applied_at: datetime | None
    applied_by: str | None


_COLUMNS = "id, agency, kind, file_name, sha256, uploaded_by, uploaded_at, applied_at, applied_by"


async def insert(session: Session, file: ImportedFile, content: bytes) -> bool:
    """Keep a file; False when the agency has the very same one already."""
    result = await session.execute(
        text(
            """INSERT INTO import_file (id, agency, kind, file_name, sha256, content, uploaded_by, uploaded_at)
               VALUES (:id, :agency, :kind, :file_name, :sha256, :content, :uploaded_by, :uploaded_at)
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
        },
    )
    return result.one_or_none() is not None


async def by_hash(session: Session, agency: str, kind: str, sha256: str) -> ImportedFile:
    row = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM import_file "  # noqa: S608
            "WHERE agency = :agency AND kind = :kind AND sha256 = :sha256"
        ),
        {"agency": agency, "kind": kind, "sha256": sha256},
    )
    return ImportedFile(**row.mappings().one())


async def get(
    session: Session | ReadSession, agency: str, file_id: UUID
) -> tuple[ImportedFile, bytes] | None:
    found = await session.execute(
        text(f"SELECT {_COLUMNS}, content FROM import_file WHERE id = :id AND agency = :agency"),  # noqa: S608
        {"id": file_id, "agency": agency},
    )
    row = found.mappings().one_or_none()
    if row is None:
        return None
    values = dict(row)
    content = bytes(values.pop("content"))
    return ImportedFile(**values), content


async def mark_applied(session: Session, file_id: UUID, by: str, now: datetime) -> None:
    await session.execute(
        text(
            """UPDATE import_file SET applied_at = :now, applied_by = :by
               WHERE id = :id AND applied_at IS NULL"""
        ),
        {"id": file_id, "by": by, "now": now},
    )


async def list_of(session: ReadSession, agency: str, kind: str) -> list[ImportedFile]:
    rows = await session.execute(
        text(
            f"""SELECT {_COLUMNS} FROM import_file WHERE agency = :agency AND kind = :kind
                ORDER BY uploaded_at DESC LIMIT 100"""  # noqa: S608
        ),
        {"agency": agency, "kind": kind},
    )
    return [ImportedFile(**row) for row in rows.mappings()]
