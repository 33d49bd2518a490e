"""PostgreSQL: connections, the unit of work, group commit, migrations. One database a service."""

from shared.database.away import database_is_away
from shared.database.core import Database, ReadSession, Session
from shared.database.group_commit import GroupCommit, OverloadedError
from shared.database.types import UTCDateTime, new_metadata, vnd_column

__all__ = [
    "Database",
    "GroupCommit",
    "OverloadedError",
    "ReadSession",
    "Session",
    "UTCDateTime",
    "database_is_away",
    "new_metadata",
    "vnd_column",
]
