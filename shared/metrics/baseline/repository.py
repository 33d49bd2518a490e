"""Every statement about baselines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from shared.database import ReadSession, Session
from shared.metrics.baseline.rules import MonthAmount


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an agency's baseline; ``frozen_at`` is None while it is a draft."""

    agency: str
    version: int
    baseline_year: int
    origin: str
    import_id: UUID | None
    composed_of: list[dict[str, Any]]
    created_by: str
    created_at: datetime
    approver: str | None
    frozen_at: datetime | None
    sha256: str | None


_COLUMNS = """agency, version, baseline_year, origin, import_id, composed_of, created_by, created_at, approver,
    frozen_at, sha256"""


async def next_version(session: Session, agency: str) -> int:
    """The number of the agency's next version; whoever else wants one waits for this transaction."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended('baseline:' || :agency, 0))"),
        {"agency": agency},
    )
    found = await session.execute(
        text("SELECT coalesce(max(version), 0) + 1 FROM baseline_version WHERE agency = :agency"),
        {"agency": agency},
    )
    return int(found.scalar_one())


async def insert(session: Session, version: Version, rows: Sequence[MonthAmount]) -> None:
    await session.execute(
        text(
            """INSERT INTO baseline_version
                   (agency, version, baseline_year, origin, import_id, composed_of, created_by, created_at)
               VALUES (:agency, :version, :baseline_year, :origin, :import_id, CAST(:composed_of AS jsonb),
                   :created_by, :created_at)"""
        ),
        {
            "agency": version.agency,
            "version": version.version,
            "baseline_year": version.baseline_year,
            "origin": version.origin,
            "import_id": version.import_id,
            "composed_of": json.dumps(version.composed_of),
            "created_by": version.created_by,
            "created_at": version.created_at,
        },
    )
    await session.execute(
        text(
            """INSERT INTO baseline_row (agency, version, segment, stream, currency, month, amount)
               SELECT :agency, :version, * FROM unnest(CAST(:segments AS text[]), CAST(:streams AS text[]),
                   CAST(:currencies AS text[]), CAST(:months AS smallint[]), CAST(:amounts AS bigint[]))"""
        ),
        {
            "agency": version.agency,
            "version": version.version,
            "segments": [row.segment for row in rows],
            "streams": [row.stream for row in rows],
            "currencies": [row.currency for row in rows],
            "months": [row.month for row in rows],
            "amounts": [row.amount for row in rows],
        },
    )


async def freeze(
    session: Session, agency: str, version: int, approver: str, now: datetime, sha256: str
) -> None:
    await session.execute(
        text(
            """UPDATE baseline_version SET approver = :approver, frozen_at = :now, sha256 = :sha256
               WHERE agency = :agency AND version = :version"""
        ),
        {
            "agency": agency,
            "version": version,
            "approver": approver,
            "now": now,
            "sha256": sha256,
        },
    )


async def discard(session: Session, agency: str, version: int) -> None:
    key = {"agency": agency, "version": version}
    for table in ("baseline_row", "baseline_version"):
        await session.execute(
            text(f"DELETE FROM {table} WHERE agency = :agency AND version = :version"),  # noqa: S608
            key,
        )


async def get(
    session: Session | ReadSession, agency: str, version: int, *, lock: bool = False
) -> Version | None:
    found = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM baseline_version "  # noqa: S608
            f"WHERE agency = :agency AND version = :version{' FOR UPDATE' if lock else ''}"
        ),
        {"agency": agency, "version": version},
    )
    row = found.mappings().one_or_none()
    return Version(**row) if row else None


async def by_import(session: Session, agency: str, import_id: UUID) -> Version | None:
    found = await session.execute(
        text(
            f"""SELECT {_COLUMNS} FROM baseline_version
                WHERE agency = :agency AND import_id = :import_id ORDER BY version DESC LIMIT 1"""  # noqa: S608
        ),
        {"agency": agency, "import_id": import_id},
    )
    row = found.mappings().one_or_none()
    return Version(**row) if row else None


async def versions(session: Session | ReadSession, agency: str) -> list[Version]:
    """Newest first."""
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM baseline_version "  # noqa: S608
            "WHERE agency = :agency ORDER BY version DESC"
        ),
        {"agency": agency},
    )
    return [Version(**row) for row in rows.mappings()]


async def all_frozen(session: ReadSession) -> list[Version]:
    rows = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM baseline_version "  # noqa: S608
            "WHERE frozen_at IS NOT NULL ORDER BY agency, version"
        )
    )
    return [Version(**row) for row in rows.mappings()]


async def rows_of(session: Session | ReadSession, agency: str, version: int) -> list[MonthAmount]:
    rows = await session.execute(
        text(
            """SELECT segment, stream, month, amount, currency FROM baseline_row
               WHERE agency = :agency AND version = :version ORDER BY segment, stream, month"""
        ),
        {"agency": agency, "version": version},
    )
    return [MonthAmount(*row) for row in rows]
