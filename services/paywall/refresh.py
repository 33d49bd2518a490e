"""Keeps a web process's memory equal to the database: listen, load everything, then take in what changes.

Listening begins before the loading, so no change falls in between; a lost connection loads everything again.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError

from services.paywall import metrics
from services.paywall.articles import repository as articles
from services.paywall.articles.service import ArticleMemory
from services.paywall.entitlements import repository as entitlements
from services.paywall.entitlements.service import EntitlementMemory
from services.paywall.policies import repository as policies
from services.paywall.policies.service import PolicyBook
from shared.agencies import list_agencies
from shared.database import RAW_FAILURES, Database
from shared.loops import Heartbeat

log = structlog.get_logger(__name__)

PING_SECONDS = 5.0
RECONNECT_SECONDS = 0.3
QUERY_TIMEOUT_SECONDS = 30.0


class Refresher:
    """One LISTEN connection per process."""

    def __init__(
        self,
        database: Database,
        article_memory: ArticleMemory,
        book: PolicyBook,
        entitlement_memory: EntitlementMemory,
    ) -> None:
        self._database = database
        self._articles = article_memory
        self._book = book
        self._entitlements = entitlement_memory
        self._connection: asyncpg.Connection | None = None
        self._changed_articles: set[tuple[str, str]] = set()
        self._policies_changed = False
        self._woken = asyncio.Event()

    async def start(self) -> None:
        """Connect and load, so that the first request finds everything. Raises when the database is away."""
        connection = await self._database.connect_raw()
        try:
            await connection.add_listener(articles.CHANNEL, self._on_article)
            await connection.add_listener(policies.CHANNEL, self._on_policy)
            await connection.add_listener(entitlements.CHANNEL, self._on_entitlement)
            self._articles.replace(await articles.load_all(connection))
            await self._load_policies(connection)
        except BaseException:
            connection.terminate()
            raise
        self._entitlements.clear()
        self._connection = connection
        metrics.MEMORY.labels("articles").set(len(self._articles))

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """Take changes in until told to stop."""
        stopped: asyncio.Task[Any] = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                heartbeat.beat()
                try:
                    if self._connection is None:
                        await self.start()
                    await self._take_changes()
                    heartbeat.succeeded()
                except (*RAW_FAILURES, DBAPIError) as error:
                    log.warning("refresh_waits_for_database", error=repr(error))
                    heartbeat.failed()
                    self.disconnect()
                    await asyncio.wait({stopped}, timeout=RECONNECT_SECONDS)
                    continue
                await self._wait(stopped)
        finally:
            stopped.cancel()
            self.disconnect()

    async def _wait(self, stopped: asyncio.Task[Any]) -> None:
        woken: asyncio.Task[Any] = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait(
                {stopped, woken}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            woken.cancel()

    async def _take_changes(self) -> None:
        """Also the connection's ping: a query that fails means a new connection and a full load."""
        connection = self._connection
        assert connection is not None
        self._woken.clear()
        changed, self._changed_articles = self._changed_articles, set()
        if changed:
            self._articles.update(await articles.load_some(connection, sorted(changed)))
            metrics.MEMORY.labels("articles").set(len(self._articles))
        if self._policies_changed:
            self._policies_changed = False
            await self._load_policies(connection)
        if not changed:
            await connection.execute("SELECT 1", timeout=QUERY_TIMEOUT_SECONDS)

    async def _load_policies(self, connection: asyncpg.Connection) -> None:
        async with self._database.read() as session:
            agencies = await list_agencies(session)
        self._book.replace(agencies, await policies.load_in_force(connection))

    def _on_article(self, _c: object, _pid: int, _channel: str, payload: object) -> None:
        agency, _, id_ = str(payload).partition("/")
        self._changed_articles.add((agency, id_))
        self._woken.set()

    def _on_policy(self, _c: object, _pid: int, _channel: str, _payload: object) -> None:
        self._policies_changed = True
        self._woken.set()

    def _on_entitlement(self, _c: object, _pid: int, _channel: str, payload: object) -> None:
        agency, _, reader = str(payload).partition("/")
        self._entitlements.drop(agency, UUID(reader))

    def disconnect(self) -> None:
        """Until :meth:`start` or the loop's next round. Nothing when there is no connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
