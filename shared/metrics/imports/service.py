"""Use cases of files: keep one, and import the revenue that other systems book."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from shared import audit
from shared.agencies import get_agency
from shared.audit import Action
from shared.clock import local_date
from shared.database import Database, ReadSession, Session
from shared.errors import FieldError, InvalidInputError, NotFoundError
from shared.ids import new_id
from shared.metrics.entries import rules
from shared.metrics.entries import service as entries
from shared.metrics.entries.rules import Entry, ParsedRevenue
from shared.metrics.imports import repository
from shared.metrics.imports.repository import ImportedFile
from shared.metrics.sheets import MAX_PROBLEMS, Problem


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file would do. Nothing is recorded while there are problems."""

    file: ImportedFile | None
    parsed: ParsedRevenue
    new_rows: int
    known_rows: int


def field_errors(problems: Sequence[Problem]) -> tuple[FieldError, ...]:
    """Problems of a file as the fields of an error answer."""
    return tuple(
        FieldError(f"row {p.row}.{p.column}" if p.column else f"row {p.row}", p.found, p.expected)
        for p in problems
    )


async def keep_file(
    session: Session,
    *,
    agency: str,
    kind: str,
    file_name: str,
    content: bytes,
    by: str,
    now: datetime,
) -> tuple[ImportedFile, bool]:
    """Keep a file once; the same content again is the same file. Returns it and whether it is new."""
    sha256 = hashlib.sha256(content).hexdigest()
    name = "".join(sign for sign in file_name if sign.isprintable())[:200] or "file.csv"
    file = ImportedFile(new_id(), agency, kind, name, sha256, by, now, None, None)
    if await repository.insert(session, file, content):
        return file, True
    return await repository.by_hash(session, agency, kind, sha256), False


async def preview_revenue(
    database: Database, *, agency: str, file_name: str, content: bytes, by: str, now: datetime
) -> Preview:
    """Read a revenue file and compare it with what is recorded. A file without problems is kept, to be confirmed."""
    async with database.read() as session:
        today = local_date(now, (await get_agency(session, agency)).zone)
        checked = await _check(session, agency, content, today)
    if checked.parsed.problems:
        return checked
    async with database.transaction() as session:
        file, new = await keep_file(
            session,
            agency=agency,
            kind="revenue",
            file_name=file_name,
            content=content,
            by=by,
            now=now,
        )
        if new:
            await _on_record(session, Action.IMPORT_UPLOADED, file, checked.parsed, now)
    return replace(checked, file=file)


async def preview_again(
    database: Database, *, agency: str, file_id: UUID, now: datetime
) -> Preview:
    """The preview of a kept file. Raises :class:`NotFoundError`."""
    async with database.read() as session:
        today = local_date(now, (await get_agency(session, agency)).zone)
        found = await repository.get(session, agency, file_id)
        if found is None or found[0].kind != "revenue":
            raise NotFoundError("There is no such file", slug="import-unknown")
        return replace(await _check(session, agency, found[1], today), file=found[0])


async def confirm_revenue(
    database: Database, *, agency: str, file_id: UUID, by: str, now: datetime
) -> int:
    """Record a previewed file. Safe to repeat. Returns how many entries are new."""
    async with database.transaction() as session:
        today = local_date(now, (await get_agency(session, agency)).zone)
        found = await repository.get(session, agency, file_id)
        if found is None or found[0].kind != "revenue":
            raise NotFoundError("There is no such file", slug="import-unknown")
        file, content = found
        checked = await _check(session, agency, content, today)
        if checked.parsed.problems:
            raise InvalidInputError(
                "The file does not fit what has been recorded since",
                errors=field_errors(checked.parsed.problems),
            )
        added = await record_rows(session, agency, checked.parsed, today, file.id)
        await repository.mark_applied(session, file.id, by, now)
        await _on_record(
            session, Action.IMPORT_CONFIRMED, file, checked.parsed, now, new_entries=added
        )
        return added


async def _on_record(
    session: Session,
    action: Action,
    file: ImportedFile,
    parsed: ParsedRevenue,
    now: datetime,
    **more: int,
) -> None:
    await audit.record(
        session,
        action,
        agency=file.agency,
        at=now,
        subject=f"import/{file.id}",
        label=file.file_name,
        after={
            "sha256": file.sha256,
            "rows": len(parsed.rows),
            "total_vnd": sum(row.amount for row in parsed.rows),
        }
        | more,
    )


async def record_rows(
    session: Session, agency: str, parsed: ParsedRevenue, through: date, import_id: UUID
) -> int:
    """The rows' entries up to a day. Safe to repeat, also with a later day."""
    found = [
        replace(entry, import_id=import_id)
        for row in parsed.rows
        for _, entry in rules.entries_of_row(agency, row, through)
    ]
    return await entries.record_entries(session, found) if found else 0


async def _check(
    session: Session | ReadSession, agency: str, content: bytes, today: date
) -> Preview:
    parsed = rules.parse(content, today)
    if parsed.problems:
        return Preview(None, parsed, 0, 0)
    pairs: list[tuple[int, Entry]] = [
        pair for row in parsed.rows for pair in rules.entries_of_row(agency, row, today)
    ]
    numbers = {entry.source_reference: number for number, entry in pairs}
    found = await entries.contradicting(session, [entry for _, entry in pairs])
    known = await entries.known_references(session, agency, list(numbers))
    known_rows = {numbers[reference] for reference in known}
    problems = {
        numbers[item.source_reference]: Problem(
            numbers[item.source_reference],
            "amount_vnd",
            str(item.told),
            f"what is recorded under this key ({item.stored}); a correction needs a key of its own",
        )
        for item in found
    }
    listed = tuple(problems[number] for number in sorted(problems))[:MAX_PROBLEMS]
    return Preview(
        None,
        replace(parsed, problems=listed),
        len(parsed.rows) - len(known_rows),
        len(known_rows),
    )


async def list_files(database: Database, agency: str, kind: str) -> list[ImportedFile]:
    """The files of a kind, newest first."""
    async with database.read() as session:
        await get_agency(session, agency)
        return await repository.list_of(session, agency, kind)


mark_applied = repository.mark_applied
