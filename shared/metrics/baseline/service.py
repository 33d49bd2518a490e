"""Use cases of the baseline: import a draft, compose one from predecessors, freeze, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from shared import audit
from shared.agencies import get_agency
from shared.audit import Action
from shared.clock import local_date
from shared.database import Database, ReadSession, Session
from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.metrics.baseline import repository, rules
from shared.metrics.baseline.repository import Version
from shared.metrics.baseline.rules import MonthAmount, ParsedBaseline
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.imports.service import keep_file
from shared.metrics.lineage.rules import members
from shared.metrics.lineage.service import owners_on

ZERO = "This baseline is zero: there would be nothing to compare with"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A version with its rows."""

    version: Version
    rows: tuple[MonthAmount, ...]

    @property
    def total(self) -> int:
        return sum(row.amount for row in self.rows)


async def import_draft(
    database: Database,
    reader: FileReader,
    *,
    agency: str,
    file_name: str,
    content: bytes,
    by: str,
    now: datetime,
) -> tuple[ParsedBaseline, Version | None]:
    """A file as a draft version. With problems nothing is stored; the same file again is the same version."""
    async with database.read() as reading:
        await get_agency(reading, agency)
    parsed = await reader.baseline(content, agency=agency)
    if parsed.problems:
        return parsed, None
    async with database.transaction() as session:
        version = await save_draft(
            session,
            agency=agency,
            file_name=file_name,
            content=content,
            parsed=parsed,
            by=by,
            now=now,
        )
    return parsed, version


async def save_draft(
    session: Session,
    *,
    agency: str,
    file_name: str,
    content: bytes,
    parsed: ParsedBaseline,
    by: str,
    now: datetime,
) -> Version:
    """The draft of a file without problems."""
    number = await repository.next_version(session, agency)  # also the lock
    file, new = await keep_file(
        session,
        agency=agency,
        kind="baseline",
        file_name=file_name,
        content=content,
        by=by,
        now=now,
    )
    if not new:
        known = await repository.by_import(session, agency, file.id)
        if known is not None:
            return known
    version = _draft(agency, number, parsed.year, by, now, import_id=file.id)
    await repository.insert(session, version, parsed.rows)
    await _on_record(
        session,
        Action.BASELINE_UPLOADED,
        version,
        now,
        after=_told(version, parsed.rows) | {"file": file.file_name, "file_sha256": file.sha256},
    )
    return version


async def compose_draft(session: Session, *, agency: str, by: str, now: datetime) -> Version:
    """A draft that is the sum of what the agency carries on: the newest frozen import of each, by segment.

    The same parts again are the same version. Raises :class:`ConflictError` when a part has no frozen baseline.
    """
    zone = (await get_agency(session, agency)).zone
    pairs = members(await owners_on(session, local_date(now, zone)), agency)
    parts: list[dict[str, Any]] = []
    rows: list[list[MonthAmount]] = []
    years: set[int] = set()
    for member in sorted({member for member, _ in pairs}):
        frozen = [
            version
            for version in await repository.versions(session, member)
            if version.origin == "import" and version.frozen_at is not None
        ]
        if not frozen:
            if member == agency:
                continue  # it need not have had anything of its own before
            raise ConflictError(
                f"{member} has no frozen baseline yet: freeze it first",
                slug="baseline-part-missing",
            )
        segments = sorted(segment for name, segment in pairs if name == member)
        parts.append(
            {
                "agency": member,
                "version": frozen[0].version,
                "sha256": frozen[0].sha256,
                "segments": segments,
            }
        )
        years.add(frozen[0].baseline_year)
        found = await repository.rows_of(session, member, frozen[0].version)
        rows.append([row for row in found if row.segment in segments])
    if not [part for part in parts if part["agency"] != agency]:
        raise ConflictError("This agency carries on no other", slug="no-predecessors")
    if len(years) > 1:
        raise ConflictError(
            f"The parts are of different years ({', '.join(map(str, sorted(years)))})",
            slug="baseline-years-differ",
        )
    number = await repository.next_version(session, agency)
    for known in await repository.versions(session, agency):
        if known.origin == "lineage" and known.composed_of == parts:
            return known
    version = _draft(agency, number, years.pop(), by, now, composed_of=parts)
    composed = rules.compose(rows)
    await repository.insert(session, version, composed)
    await _on_record(
        session,
        Action.BASELINE_COMPOSED,
        version,
        now,
        after=_told(version, composed) | {"parts": parts},
    )
    return version


async def _on_record(
    session: Session,
    action: Action,
    version: Version,
    now: datetime,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any],
) -> None:
    await audit.record(
        session,
        action,
        agency=version.agency,
        at=now,
        subject=f"baseline/{version.version}",
        label=str(version.baseline_year),
        before=before,
        after=after,
    )


def _told(version: Version, rows: Sequence[MonthAmount]) -> dict[str, Any]:
    """What of a version the trail keeps: its year and its sums."""
    return {
        "year": version.baseline_year,
        "rows": len(rows),
        "total_vnd": sum(row.amount for row in rows),
    }


def _draft(
    agency: str,
    number: int,
    year: int,
    by: str,
    now: datetime,
    *,
    import_id: UUID | None = None,
    composed_of: list[dict[str, Any]] | None = None,
) -> Version:
    return Version(
        agency=agency,
        version=number,
        baseline_year=year,
        origin="import" if import_id else "lineage",
        import_id=import_id,
        composed_of=composed_of or [],
        created_by=by,
        created_at=now,
        approver=None,
        frozen_at=None,
        sha256=None,
    )


async def freeze(
    session: Session,
    *,
    agency: str,
    version: int,
    approver: str,
    now: datetime,
    looked_at: str | None = None,
) -> str:
    """Sign a draft: from now on it never changes. Returns its hash; a frozen version keeps its own.

    ``looked_at`` is the hash of the figures that the approver has seen (``signature``): the number of a discarded draft is
    given again. Raises :class:`ConflictError` when the draft has others.
    """
    found = await repository.get(session, agency, version, lock=True)
    if found is None:
        raise NotFoundError("There is no such baseline version", slug="baseline-unknown")
    if found.sha256 is not None:
        return found.sha256
    rows = await repository.rows_of(session, agency, version)
    if sum(row.amount for row in rows) <= 0:
        raise InvalidInputError(ZERO, slug="baseline-empty")
    signed = rules.signature(agency, version, found.baseline_year, rows)
    if looked_at not in (None, signed):
        raise ConflictError(
            "This is not the draft that you looked at: look through it again",
            slug="baseline-changed",
        )
    former = await frozen_baseline(session, agency)
    await repository.freeze(session, agency, version, approver, now, signed)
    await _on_record(
        session,
        Action.BASELINE_FROZEN,
        found,
        now,
        before=None
        if former is None
        else _told(former.version, former.rows) | {"version": former.version.version},
        after=_told(found, rows) | {"sha256": signed, "uploaded_by": found.created_by},
    )
    return signed


def signature(baseline: Baseline) -> str:
    """What freezing would sign."""
    version = baseline.version
    return rules.signature(version.agency, version.version, version.baseline_year, baseline.rows)


async def discard(session: Session, *, agency: str, version: int, now: datetime) -> None:
    """Throw a draft away; its file stays, and may be uploaded again. Raises 404, :class:`ConflictError` for a frozen one."""
    found = await repository.get(session, agency, version, lock=True)
    if found is None:
        raise NotFoundError("There is no such baseline version", slug="baseline-unknown")
    if found.sha256 is not None:
        raise ConflictError("A frozen version stays", slug="baseline-frozen")
    rows = await repository.rows_of(session, agency, version)
    await repository.discard(session, agency, version)
    await audit.record(
        session,
        Action.BASELINE_DISCARDED,
        agency=agency,
        at=now,
        subject=f"baseline/{version}",
        label=str(found.baseline_year),
        before=_told(found, rows) | {"uploaded_by": found.created_by},
    )


async def get_baseline(session: Session | ReadSession, agency: str, version: int) -> Baseline:
    """Raises :class:`NotFoundError`."""
    found = await repository.get(session, agency, version)
    if found is None:
        raise NotFoundError("There is no such baseline version", slug="baseline-unknown")
    return Baseline(found, tuple(await repository.rows_of(session, agency, version)))


async def frozen_baseline(
    session: Session | ReadSession, agency: str, version: int | None = None
) -> Baseline | None:
    """The newest frozen version, or a given one (404 unless it is frozen). None: "no baseline"."""
    if version is not None:
        found = await get_baseline(session, agency, version)
        if found.version.frozen_at is None:
            raise NotFoundError("This baseline version is not frozen", slug="baseline-unknown")
        return found
    for candidate in await repository.versions(session, agency):
        if candidate.frozen_at is not None:
            rows = await repository.rows_of(session, agency, candidate.version)
            return Baseline(candidate, tuple(rows))
    return None


async def altered(database: Database) -> list[str]:
    """The invariant: every frozen version still has the rows that were signed."""
    found = []
    async with database.read() as session:
        for version in await repository.all_frozen(session):
            rows = await repository.rows_of(session, version.agency, version.version)
            signed = rules.signature(version.agency, version.version, version.baseline_year, rows)
            if signed != version.sha256:
                found.append(f"{version.agency}@{version.version}")
    return found


versions = repository.versions
__all__ = [
    "Baseline",
    "Version",
    "altered",
    "compose_draft",
    "discard",
    "freeze",
    "frozen_baseline",
    "get_baseline",
]
__all__ += ["import_draft", "save_draft", "signature", "versions"]
