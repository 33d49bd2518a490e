"""Use cases of files: keep one, and import the revenue that other systems book.

A revenue file is read **once**, at its upload: its rows are kept, and every later page, comparison and recording is a
statement over those. Recording goes in batches, each a transaction that ends with how far it has come, so that the agency's
other entries are recorded in between, and whoever is killed leaves nothing half done: the next one (the worker's loop)
goes on at the same row. One file of an agency is recorded at a time; what was compared with it when it was confirmed
therefore still holds at its last row. Until then its page, and the agency's, say how far it is.
"""

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
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.metrics.imports import repository
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.imports.repository import ImportedFile, ImportedRow
from shared.metrics.imports.rules import RevenueFile
from shared.metrics.sheets import MAX_PROBLEMS, Problem
from shared.metrics.sheets import text as _

#: A monthly row is up to 31 entries: some 6,000 at once, which hold the agency's sums for a fraction of a second.
BATCH_ROWS = 200
PAGE_ROWS = 100


class FileProblemsError(Exception):
    """What is wrong with a file: nothing of it is taken."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Shown:
    """A file with a page of its rows, and the first and last day of all of them.

    ``busy``: the agency's other file that is being recorded now.
    """

    file: ImportedFile
    rows: tuple[ImportedRow, ...]
    page: int
    first_on: date
    last_on: date
    busy: ImportedFile | None

    @property
    def pages(self) -> int:
        return max(1, -(-self.file.rows // PAGE_ROWS))


async def keep_file(
    session: Session,
    *,
    agency: str,
    kind: str,
    file_name: str,
    content: bytes,
    by: str,
    now: datetime,
    read: RevenueFile | None = None,
    file_id: UUID | None = None,
) -> tuple[ImportedFile, bool]:
    """Keep a file once; the same content again is the same file. Returns it and whether it is new."""
    file = ImportedFile(
        id=file_id or new_id(),
        agency=agency,
        kind=kind,
        file_name="".join(sign for sign in file_name if sign.isprintable())[:200] or "file.csv",
        sha256=hashlib.sha256(content).hexdigest(),
        uploaded_by=by,
        uploaded_at=now,
        rows=read.rows if read else 0,
        total_vnd=read.total if read else 0,
    )
    if not await repository.insert(session, file, content):
        return await repository.by_hash(session, agency, kind, file.sha256), False
    if read:
        await repository.copy_rows(session, read.lines)
    return file, True


async def upload_revenue(
    database: Database,
    reader: FileReader,
    *,
    agency: str,
    file_name: str,
    content: bytes,
    by: str,
    now: datetime,
) -> ImportedFile:
    """Read a revenue file and compare it with what is recorded; it is kept, to be confirmed.

    Raises :class:`FileProblemsError`: then nothing is kept.
    """
    async with database.read() as reading:
        today = local_date(now, (await get_agency(reading, agency)).zone)
    file_id = new_id()
    read = await reader.revenue(content, today, file_id, agency=agency)
    if read.problems:
        raise FileProblemsError(read.problems)
    async with database.transaction() as session:
        file, new = await keep_file(
            session,
            agency=agency,
            kind="revenue",
            file_name=file_name,
            content=content,
            by=by,
            now=now,
            read=read,
            file_id=file_id,
        )
        if new:
            known = await _compare(session, file, today)
            await repository.set_known(session, file.id, known)
            await _on_record(session, Action.IMPORT_UPLOADED, file, now)
    return file


async def _compare(session: Session, file: ImportedFile, today: date) -> int:
    """How many rows are recorded already. Raises :class:`FileProblemsError` where one is with other words."""
    known, different = await repository.compare(session, file, through=today, limit=MAX_PROBLEMS)
    if different:
        raise FileProblemsError(
            [
                Problem(
                    row.number,
                    "amount_vnd",
                    str(row.told),
                    _(
                        "what is recorded under this key ({stored}); a correction needs a key of its own",
                        stored=row.stored,
                    ),
                )
                for row in different
            ]
        )
    return known


async def show(database: Database, *, agency: str, file_id: UUID, page: int = 1) -> Shown:
    """A kept file and a page of its rows. Raises :class:`NotFoundError`."""
    async with database.read() as session:
        file = await repository.get(session, agency, file_id)
        if file is None:
            raise NotFoundError("There is no such file", slug="import-unknown")
        rows = await repository.rows_of(
            session, file_id, after=(page - 1) * PAGE_ROWS, limit=PAGE_ROWS
        )
        first_on, last_on = await repository.days_of(session, file_id)
        busy = None if file.confirmed_at else await repository.being_recorded(session, agency)
    return Shown(file, tuple(rows), page, first_on, last_on, busy)


async def confirm_revenue(
    database: Database, *, agency: str, file_id: UUID, by: str, now: datetime
) -> None:
    """Let a previewed file be recorded, and record its first batch. Safe to repeat; the first one to confirm it is named.

    Raises :class:`FileProblemsError` when it contradicts what has been recorded since, :class:`NotFoundError`, and
    :class:`ConflictError` while another file of the agency is being recorded.
    """
    async with database.transaction() as session:
        today = local_date(now, (await get_agency(session, agency)).zone)
        await repository.lock_agency(session, agency)
        file = await repository.get(session, agency, file_id, lock=True)
        if file is None:
            raise NotFoundError("There is no such file", slug="import-unknown")
        if file.confirmed_at is None:
            if await repository.being_recorded(session, agency):
                raise ConflictError("Another file is being recorded", slug="import-busy")
            await _compare(session, file, today)
            await repository.mark_confirmed(session, file.id, by, now)
            await _on_record(session, Action.IMPORT_CONFIRMED, file, now)
    await record_batch(database, now=now, file_id=file_id)


async def record_batch(
    database: Database, *, now: datetime, file_id: UUID | None = None
) -> ImportedFile | None:
    """The next rows of a confirmed file (or of a given one), and how far that is; None when nothing is left to do here.

    Rows and progress are one transaction: a batch is there once, whole, whoever is killed and however many record at once.
    """
    async with database.transaction() as session:
        file = await repository.take_next(session, file_id)
        if file is None:
            return None
        upto = min(file.recorded_rows + BATCH_ROWS, file.rows)
        await repository.record(session, file, after=file.recorded_rows, upto=upto)
        await repository.mark_recorded(session, file.id, upto, now)
    return replace(file, recorded_rows=upto)


async def _on_record(session: Session, action: Action, file: ImportedFile, now: datetime) -> None:
    await audit.record(
        session,
        action,
        agency=file.agency,
        at=now,
        subject=f"import/{file.id}",
        label=file.file_name,
        after={"sha256": file.sha256, "rows": file.rows, "total_vnd": file.total_vnd},
    )


async def list_files(database: Database, agency: str, kind: str) -> list[ImportedFile]:
    """The files of a kind, newest first."""
    async with database.read() as session:
        await get_agency(session, agency)
        return await repository.list_of(session, agency, kind)


being_recorded = repository.being_recorded
mark_confirmed = repository.mark_confirmed
mark_recorded = repository.mark_recorded
record = repository.record
