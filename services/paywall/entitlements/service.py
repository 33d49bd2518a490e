"""Use cases of entitlements, and each web process's memory of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.paywall.decisions.rules import Right
from services.paywall.entitlements import repository
from shared.contracts import Event
from shared.database import Database, GroupCommit, Session

MEMORY_READERS = 200_000
QUERY_TIMEOUT_SECONDS = 3.0

ReaderAt = tuple[str, UUID]  # (agency, reader)


async def apply_events(session: Session, events: Sequence[Event[Any]]) -> None:
    """Take entitlement events in. A trigger tells the web processes at the commit."""
    await repository.apply(session, events)


class EntitlementMemory:
    """Rights by reader, read once and dropped when an event has changed them."""

    def __init__(self, database: Database, *, size: int = MEMORY_READERS) -> None:
        self._database = database
        self._size = size
        self._rights: OrderedDict[ReaderAt, tuple[Right, ...]] = OrderedDict()
        self._loading: dict[ReaderAt, bool] = {}  # True: changed while it was being read
        self._reading: GroupCommit[ReaderAt, tuple[Right, ...]] = GroupCommit(self._load, writers=1)

    def known(self, agency: str, reader_id: UUID) -> tuple[Right, ...] | None:
        """Without a query; None when they have to be read."""
        return self._rights.get((agency, reader_id))

    async def get(self, agency: str, reader_id: UUID) -> tuple[Right, ...]:
        """Raises what the database raises, and ``OverloadedError``."""
        known = self.known(agency, reader_id)
        if known is not None:
            return known
        return await self._reading.submit((agency, reader_id))

    def drop(self, agency: str, reader_id: UUID) -> None:
        """An event has changed them."""
        key = (agency, reader_id)
        self._rights.pop(key, None)
        if key in self._loading:
            self._loading[key] = True

    def clear(self) -> None:
        """Notices may have been missed: read everything anew."""
        self._rights.clear()
        for key in self._loading:
            self._loading[key] = True

    async def _load(self, readers: Sequence[ReaderAt]) -> list[tuple[Right, ...]]:
        self._loading = dict.fromkeys(readers, False)
        try:
            pool = await self._database.pool()
            async with pool.acquire(timeout=QUERY_TIMEOUT_SECONDS) as connection:
                rows = await repository.rights(connection, readers, QUERY_TIMEOUT_SECONDS)
            found = [tuple(Right(*row) for row in rights) for rights in rows]
            for reader, rights in zip(readers, found, strict=True):
                if not self._loading[reader]:
                    self._rights[reader] = rights
            while len(self._rights) > self._size:
                self._rights.popitem(last=False)
            return found
        finally:
            self._loading = {}
