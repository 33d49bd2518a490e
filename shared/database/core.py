"""One service's database: an SQLAlchemy engine for use cases, a raw asyncpg pool for what is hot.

A use case takes a :class:`Session` (may write, inside one transaction) or a :class:`ReadSession` (a
READ ONLY transaction, enforced by PostgreSQL): the two are different types on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NewType

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

Session = AsyncSession
ReadSession = NewType("ReadSession", AsyncSession)

STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_SECONDS = 5.0
# A connection that nobody has used for so long is closed: each is 2 MiB of the server.
IDLE_SECONDS = 30.0

# By the server, for SQLAlchemy's pool closes none itself; pre-ping opens it again. Not for LISTEN, which is idle all its life.
IDLE_ENDS = {"idle_session_timeout": str(int(IDLE_SECONDS * 1000))}


class DatabaseAddressError(ValueError):
    """What should say where the database is is no address of PostgreSQL."""


def open_engine(
    url: str, *, server_settings: dict[str, str] | None = None, **options: Any
) -> AsyncEngine:
    """An SQLAlchemy engine whose connections asyncpg opens from the whole URL.

    SQLAlchemy's own reading of a URL knows nothing of libpq's options (``sslmode``, ``sslrootcert``).
    Raises :class:`DatabaseAddressError`.
    """
    if not url.startswith(("postgresql://", "postgres://")):
        raise DatabaseAddressError("DATABASE_URL is to be postgresql://role:password@host/database")

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_SECONDS, server_settings=server_settings
        )

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, **options)


class Database:
    """Connections of one process to its own database. Lazy: nothing connects before the first use."""

    def __init__(self, url: str, *, application_name: str, pool_size: int = 5) -> None:
        self.url = url
        self._application_name = application_name
        self._pool_size = pool_size
        self.engine = open_engine(
            url,
            server_settings=self._server_settings() | IDLE_ENDS,
            pool_use_lifo=True,  # so that those beyond what is needed are idle
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,  # an error's text goes to logs and dead letters: no personal data in it
        )
        self._sessions = async_sessionmaker(
            self.engine, class_=AsyncSession, expire_on_commit=False
        )
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    def _server_settings(self) -> dict[str, str]:
        return {
            "application_name": self._application_name,
            "timezone": "UTC",
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": "60000",
        }

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """The unit of work: commits at the end, rolls back on any exception."""
        async with self._sessions() as session, session.begin():
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A consistent, read-only snapshot (REPEATABLE READ, READ ONLY)."""
        async with self._sessions() as session:
            await session.connection(
                execution_options={
                    "isolation_level": "REPEATABLE READ",
                    "postgresql_readonly": True,
                }
            )
            yield ReadSession(session)

    async def pool(self) -> asyncpg.Pool:
        """The raw pool for hot paths (lazy; one, whoever else asks for it meanwhile)."""
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url,
                    min_size=1,
                    max_size=self._pool_size,
                    max_inactive_connection_lifetime=IDLE_SECONDS,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    server_settings=self._server_settings(),
                )
        return self._pool

    async def connect_raw(self) -> asyncpg.Connection:
        """A connection outside the pool, e.g. for LISTEN. The caller closes it."""
        return await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings=self._server_settings(),
        )

    async def ping(self) -> None:
        """A query. Raises when the database cannot answer."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
        await self.engine.dispose()
