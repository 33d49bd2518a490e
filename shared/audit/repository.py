"""Every statement about the trail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text

from shared.audit.actions import Action
from shared.audit.rules import ENTRY_COLUMNS, Entry, Link
from shared.database import ReadSession, Session

ENTRY_LIST = ", ".join(f"entry.{name}" for name in ENTRY_COLUMNS)
_INSERT = text(
    f"""INSERT INTO audit_entry ({", ".join(ENTRY_COLUMNS)}, digest) VALUES (
        {", ".join(f"CAST(:{n} AS jsonb)" if n in ("before", "after") else f":{n}" for n in ENTRY_COLUMNS)},
        :digest)"""  # noqa: S608 - names of our own
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries somebody wants to see. Empty fields do not filter; ``until`` is exclusive."""

    person: str = ""
    action: Action | None = None
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


async def insert(session: Session, entry: Entry, digest: bytes) -> None:
    values = asdict(entry) | {
        name: None if (value := getattr(entry, name)) is None else json.dumps(value)
        for name in ("before", "after")
    }
    await session.execute(_INSERT, values | {"digest": digest})


def _entry(row: RowMapping) -> Entry:
    return Entry(**{name: row[name] for name in ENTRY_COLUMNS})


def _like(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


async def search(
    session: ReadSession, agency: str | None, wanted: Filter, *, before: UUID | None, limit: int
) -> list[Entry]:
    """One agency's entries, newest first; ``before`` is the last one of the page before."""
    conditions = ["agency IS NOT DISTINCT FROM :agency"]
    values: dict[str, Any] = {"agency": agency, "limit": limit}
    if wanted.person:
        conditions.append("(actor ILIKE :person OR actor_id = :actor_id)")
        values |= {"person": _like(wanted.person), "actor_id": wanted.person}
    if wanted.action is not None:
        conditions.append("action = :action")
        values["action"] = str(wanted.action)
    if wanted.subject:
        conditions.append("(subject ILIKE :subject OR label ILIKE :subject)")
        values["subject"] = _like(wanted.subject)
    if wanted.since is not None:
        conditions.append("at >= :since")
        values["since"] = wanted.since
    if wanted.until is not None:
        conditions.append("at < :until")
        values["until"] = wanted.until
    if before is not None:
        conditions.append("(at, id) < (SELECT at, id FROM audit_entry WHERE id = :before)")
        values["before"] = before
    rows = await session.execute(
        text(
            f"SELECT {ENTRY_LIST} FROM audit_entry AS entry WHERE {' AND '.join(conditions)} "  # noqa: S608
            "ORDER BY at DESC, id DESC LIMIT :limit"
        ),
        values,
    )
    return [_entry(row) for row in rows.mappings()]


async def of_subjects(
    session: ReadSession, agency: str, subjects: Sequence[str], limit: int
) -> list[Entry]:
    """The newest entries of one agency about exactly these."""
    rows = await session.execute(
        text(
            f"SELECT {ENTRY_LIST} FROM audit_entry AS entry "  # noqa: S608
            "WHERE agency = :agency AND subject = ANY (CAST(:subjects AS text[])) "
            "ORDER BY at DESC, id DESC LIMIT :limit"
        ),
        {"agency": agency, "subjects": list(subjects), "limit": limit},
    )
    return [_entry(row) for row in rows.mappings()]


async def chains(session: ReadSession) -> list[str]:
    """Every chain there is, or was when it was last verified."""
    rows = await session.execute(
        text(
            """SELECT chain FROM audit_seal WHERE position = 1
               UNION SELECT coalesce(agency, '') FROM audit_entry
               UNION SELECT chain FROM audit_checkpoint ORDER BY 1"""
        )
    )
    return list(rows.scalars())


async def links(session: ReadSession, chain: str, after: int, limit: int) -> list[Link]:
    """The next seals of a chain with their entries, in order."""
    rows = await session.execute(
        text(
            f"""SELECT seal.position, seal.entry_id, seal.hash, entry.id AS there, {ENTRY_LIST}
                FROM audit_seal AS seal LEFT JOIN audit_entry AS entry ON entry.id = seal.entry_id
                WHERE seal.chain = :chain AND seal.position > :after
                ORDER BY seal.position LIMIT :limit"""  # noqa: S608
        ),
        {"chain": chain, "after": after, "limit": limit},
    )
    return [
        Link(
            row["position"],
            row["entry_id"],
            bytes(row["hash"]),
            None if row["there"] is None else _entry(row),
        )
        for row in rows.mappings()
    ]


async def hash_at(session: ReadSession, chain: str, position: int) -> bytes | None:
    found = await session.execute(
        text("SELECT hash FROM audit_seal WHERE chain = :chain AND position = :position"),
        {"chain": chain, "position": position},
    )
    value = found.scalar_one_or_none()
    return None if value is None else bytes(value)


async def unsealed(session: ReadSession, chain: str, since: datetime | None) -> UUID | None:
    """An entry that stands in no chain (made while the trigger was off), or None."""
    found = await session.execute(
        text(
            """SELECT id FROM audit_entry AS entry
               WHERE agency IS NOT DISTINCT FROM nullif(:chain, '')
                 AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
                 AND NOT EXISTS (SELECT FROM audit_seal AS seal WHERE seal.entry_id = entry.id)
               ORDER BY id LIMIT 1"""
        ),
        {"chain": chain, "since": since},
    )
    return found.scalar_one_or_none()


async def checkpoint(session: ReadSession, chain: str) -> tuple[int, bytes] | None:
    found = await session.execute(
        text("SELECT position, hash FROM audit_checkpoint WHERE chain = :chain"), {"chain": chain}
    )
    row = found.one_or_none()
    return None if row is None else (row.position, bytes(row.hash))


async def save_checkpoint(session: Session, chain: str, position: int, hash: bytes) -> None:
    """Forward only: a check that began earlier does not take a later one back."""
    await session.execute(
        text(
            """INSERT INTO audit_checkpoint (chain, position, hash) VALUES (:chain, :position, :hash)
               ON CONFLICT (chain) DO UPDATE SET position = excluded.position, hash = excluded.hash
               WHERE audit_checkpoint.position < excluded.position"""
        ),
        {"chain": chain, "position": position, "hash": hash},
    )
