"""The copy of what is kept about a reader."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any

from services.billing.mailboxes import repository as limits
from services.billing.mailboxes.rules import whole_seconds
from services.billing.mydata import repository, rules
from services.billing.readers.models import Reader
from shared.agencies import Agency
from shared.clock import Clock
from shared.database import Database
from shared.errors import TooManyRequestsError

IN_MEMORY_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that was written: its name, how long it is, and what it says, once."""

    name: str
    length: int
    _file: SpooledTemporaryFile[bytes]

    async def chunks(self) -> AsyncIterator[bytes]:
        with self._file as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


class MyData:
    """Use cases of a signed-in reader."""

    def __init__(
        self, database: Database, clock: Clock, subject: Callable[[Agency, Mapping[str, Any]], str]
    ) -> None:
        self._database = database
        self._clock = clock
        self._subject = subject

    async def copy(self, reader: Reader, agency: Agency) -> Copy:
        """Everything that is about this reader, as one JSON file, of one moment. It is whole before its first byte is sent: whoever
        reads slowly holds no connection to the database, and beyond :data:`IN_MEMORY_BYTES` no memory.

        Raises :class:`TooManyRequestsError` where it was taken too often.
        """
        now = self._clock.now()
        async with self._database.transaction() as writing:
            wait = await limits.take(writing, rules.COPIES, str(reader.id), now)
        if wait is not None:
            seconds = whole_seconds(wait)
            raise TooManyRequestsError(
                f"This was downloaded often: wait {seconds} seconds",
                slug="my-data-often",
                headers={"Retry-After": str(seconds)},
            )
        head = {"format": rules.FORMAT, "agency": agency.name, "made_at": rules.plain(now)}
        file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - its reader closes it
        with ExitStack() as undone:
            undone.callback(file.close)
            file.write(json.dumps(head, ensure_ascii=False, indent=2)[:-2].encode())
            async with self._database.read() as session:
                for section in repository.SECTIONS:
                    file.write(f',\n  "{section}": ['.encode())
                    first = True
                    async for row in repository.rows(session, section, reader):
                        shown = self._shown(agency, section, row)
                        file.write(f"{'' if first else ','}\n{rules.as_json(shown, 4)}".encode())
                        first = False
                    file.write(b"]" if first else b"\n  ]")
            file.write(b"\n}\n")
            undone.pop_all()
        length = file.tell()
        file.seek(0)
        return Copy(rules.file_name(agency.id, now), length, file)

    def _shown(self, agency: Agency, section: str, row: dict[str, Any]) -> Mapping[str, Any]:
        """A row as the copy has it: of a letter its subject in the place of what it was made from."""
        if section != "letters":
            return row
        facts = {"kind": row["kind"], "language": row["language"], "facts": row.pop("facts")}
        return {"kind": row["kind"], "subject": self._subject(agency, facts), **row}
