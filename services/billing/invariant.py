"""What an invariant is: a statement, and a query that finds what contradicts it. They are gathered in ``invariants``."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import text

from shared.database import ReadSession


def of_agency(column: str) -> str:
    """Of the agency that is asked for, or of all."""
    return f"(CAST(:agency AS text) IS NULL OR {column} = :agency)"


class Invariant:
    """A statement about the database, and a query that counts (or sums) what contradicts it: 0 is right."""

    name: ClassVar[str]
    statement: ClassVar[str]
    sql: ClassVar[str]

    async def violations(
        self, session: ReadSession, now: datetime, agency: str | None, since: date
    ) -> int:
        given = {"agency": agency, "now": now, "since": since}
        parameters = {name: value for name, value in given.items() if f":{name}" in self.sql}
        return int(await session.scalar(text(self.sql), parameters) or 0)
