"""Tells "the database is away" from "the database said no": the first is nobody's fault and passes."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

#: SQLSTATE (PostgreSQL, appendix A): connection exceptions, out of resources, shutting down or starting up, a lock not had in time.
_AWAY = ("08", "53", "57P", "55P03")
#: Invalid authorization, no such database; no such table or column.
_REFUSED = ("28", "3D")
_UNKNOWN = ("42P01", "42703")

#: What a raw connection raises when the server is away, says no, or goes while it is at work: then the driver finds its own
#: connection closed or between two states.
RAW_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


def database_is_away(error: BaseException) -> bool:
    """Whether this failure says that the server cannot be reached or takes no work now."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError):
        known = error.orig is not None and database_is_away(error.orig)
        return known or error.connection_invalidated
    if isinstance(error, asyncpg.InternalClientError):
        return True  # it went in the middle of an operation
    if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
        return True  # "connection is closed", "pool is closing": found out by the client
    return _state(error).startswith(_AWAY)


def database_problem(error: BaseException) -> str | None:
    """In one line, that the server is away, refuses us or has another schema than ours; ``None`` for every other failure."""
    if isinstance(error, OSError) and (error.filename or isinstance(error, BrokenPipeError)):
        return None  # of a file, or of who reads what we write
    if database_is_away(error):
        what = "its database does not answer"
    elif isinstance(error, asyncpg.PostgresError | DBAPIError):
        driver_error = error.orig if isinstance(error, DBAPIError) else error
        if _state(driver_error).startswith(_REFUSED):
            what = "its database refuses"
        elif _state(driver_error) in _UNKNOWN:
            what = "its database has not the newest schema (`migrate` brings it)"
        else:
            return None
    else:
        return None
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"{what}: {reason}; DATABASE_URL says where it is"


def _state(error: BaseException | None) -> str:
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
