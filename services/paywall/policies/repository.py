"""Every SQL statement of policies."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlmodel import col, select

from services.paywall.policies.models import PolicyVersionRow
from shared.database import ReadSession, Session

CHANNEL = "paywall_policy"

# The primary key decides between two editors: version n + 1 is added once.
_ADD = text(
    """INSERT INTO policy_version (agency, version, document, created_at, created_by)
       SELECT :agency, CAST(:version AS integer), CAST(:document AS jsonb), :at, :by
       WHERE CAST(:version AS integer) = 1 + coalesce(
           (SELECT max(version) FROM policy_version WHERE agency = :agency), 0)
       ON CONFLICT DO NOTHING RETURNING version"""
)
_IN_FORCE = """SELECT DISTINCT ON (agency) agency, version, document::text
    FROM policy_version ORDER BY agency, version DESC"""


async def add(
    session: Session, *, agency: str, version: int, document: dict[str, Any], at: datetime, by: str
) -> bool:
    """Add ``version`` if it is the next one. False when somebody else was faster."""
    row = await session.execute(
        _ADD,
        {
            "agency": agency,
            "version": version,
            "document": json.dumps(document),
            "at": at,
            "by": by,
        },
    )
    return row.one_or_none() is not None


async def newest(session: Session | ReadSession, agency: str) -> PolicyVersionRow | None:
    rows = await session.execute(
        select(PolicyVersionRow)
        .where(PolicyVersionRow.agency == agency)
        .order_by(col(PolicyVersionRow.version).desc())
        .limit(1)
    )
    return rows.scalar_one_or_none()


async def load_in_force(connection: asyncpg.Connection) -> list[tuple[str, int, dict[str, Any]]]:
    """(agency, version, document) of every agency's newest version."""
    return [
        (row["agency"], row["version"], json.loads(row["document"]))
        for row in await connection.fetch(_IN_FORCE)
    ]


async def history(session: ReadSession, agency: str, *, limit: int) -> list[PolicyVersionRow]:
    """The newest versions, newest first."""
    rows = await session.execute(
        select(PolicyVersionRow)
        .where(PolicyVersionRow.agency == agency)
        .order_by(col(PolicyVersionRow.version).desc())
        .limit(limit)
    )
    return list(rows.scalars())
