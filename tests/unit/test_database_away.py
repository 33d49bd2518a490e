"""Which failures say that the database is away, and that raw connections raise no others then."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from shared.database import RAW_FAILURES, database_is_away

AWAY = [
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.TooManyConnectionsError("too many clients already"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    ConnectionRefusedError(111, "Connection refused"),
    TimeoutError(),
]
NOT_AWAY = [
    asyncpg.UniqueViolationError("duplicate key value"),
    asyncpg.InsufficientPrivilegeError("permission denied"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
]


def id_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:60]


@pytest.mark.parametrize("error", AWAY, ids=id_of)
def test_away(error):
    assert database_is_away(error)
    assert isinstance(error, RAW_FAILURES)
    assert database_is_away(DBAPIError("SELECT 1", {}, error))


@pytest.mark.parametrize("error", NOT_AWAY, ids=id_of)
def test_not_away(error):
    assert not database_is_away(error)
    assert not database_is_away(DBAPIError("SELECT 1", {}, error))


def test_a_connection_that_sqlalchemy_gave_up_is_away():
    assert database_is_away(DBAPIError("SELECT 1", {}, ValueError(), connection_invalidated=True))
