"""Tells "the database is away" from "the database said no": the first is nobody's fault and passes."""

from __future__ import annotations

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

#: SQLSTATE (PostgreSQL, appendix A): connection exceptions, out of resources, shutting down or starting up.
_AWAY = ("08", "53", "57P")


def database_is_away(error: BaseException) -> bool:
    """Whether this failure says that the server cannot be reached or takes no work now."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig if error.orig is not None else error
    if isinstance(error, asyncpg.InterfaceError) and "clos" in str(error):
        return True  # "connection is closed", "pool is closing": found out by the client
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    return str(state).startswith(_AWAY)
