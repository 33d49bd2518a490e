"""PostgreSQL: connections, the unit of work, group commit, migrations. One database a service."""

from shared.database.away import RAW_FAILURES, database_is_away, database_problem
from shared.database.core import Database, DatabaseAddressError, ReadSession, Session
from shared.database.group_commit import GroupCommit, OverloadedError
from shared.database.types import UTCDateTime, new_metadata, vnd_column

__all__ = [
    "RAW_FAILURES",
    "Database",
    "DatabaseAddressError",
    "GroupCommit",
    "OverloadedError",
    "ReadSession",
    "Session",
    "UTCDateTime",
    "database_is_away",
    "database_problem",
    "new_metadata",
    "vnd_column",
]
