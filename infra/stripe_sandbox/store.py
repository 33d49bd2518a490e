"""The document store: every object as JSON in one SQLite file, apart per account."""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Doc = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  body TEXT NOT NULL CHECK (json_valid(body)),
  hidden TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(hidden)),
  created INTEGER AS (json_extract(body, '$.created')) VIRTUAL
);
CREATE INDEX IF NOT EXISTS documents_by_kind ON documents (account, kind, seq);
CREATE INDEX IF NOT EXISTS documents_by_time ON documents (account, kind, created);
CREATE INDEX IF NOT EXISTS documents_by_subscription ON documents
  (account, kind, json_extract(body, '$.parent.subscription_details.subscription'));
CREATE INDEX IF NOT EXISTS documents_by_customer ON documents
  (account, kind, json_extract(body, '$.customer'));
CREATE TABLE IF NOT EXISTS accounts (
  id TEXT PRIMARY KEY, label TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency (
  account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
  status INTEGER NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (account, key)
);
CREATE TABLE IF NOT EXISTS deliveries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL DEFAULT 'stripe',
  account TEXT NOT NULL,
  event TEXT NOT NULL REFERENCES documents (id),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'dropped')),
  due_at REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0)
);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (state, due_at);
CREATE TABLE IF NOT EXISTS attempts (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery INTEGER NOT NULL REFERENCES deliveries (seq),
  at REAL NOT NULL, url TEXT NOT NULL, status INTEGER, error TEXT
);
"""

# JSON path below the document (below what is hidden beside it after a ~), comparison, value.
Filter = tuple[str, str, Any]
COMPARISONS = {"=", ">", ">=", "<", "<=", "!=", "in", "is"}
PATH = re.compile(r"[a-z_]+(\[[0-9]+\])?(\.[a-z_]+(\[[0-9]+\])?)*")


class Store:
    """One connection, used from one event loop; every use case is one transaction."""

    def __init__(self, path: str) -> None:
        # The in-process transport may be driven from another thread than the one that made it.
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("PRAGMA foreign_keys = ON")
        self.db.executescript(SCHEMA)
        self._catch_up()

    def _catch_up(self) -> None:
        """A file of a time when all deliveries were Stripe's gets the column that says whose."""
        columns = {row[1] for row in self.db.execute("PRAGMA table_info(deliveries)")}
        if "channel" not in columns:
            self.db.execute(
                "ALTER TABLE deliveries ADD COLUMN channel TEXT NOT NULL DEFAULT 'stripe'"
            )

    def close(self) -> None:
        """Close the file; the sandbox is over."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or none of it. Inside another transaction it joins that one."""
        if self.db.in_transaction:
            yield
            return
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def save(self, account: str, body: Doc, hidden: Doc | None = None) -> None:
        """Insert or replace; ``hidden`` is kept as it is where not given."""
        self.db.execute(
            "INSERT INTO documents (account, kind, id, body, hidden) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body, "
            "hidden = CASE WHEN ? THEN excluded.hidden ELSE hidden END",
            (
                account,
                body["object"],
                body["id"],
                json.dumps(body),
                json.dumps(hidden or {}),
                hidden is not None,
            ),
        )

    def remove(self, account: str, identifier: str) -> None:
        """Forget a document that nothing refers to."""
        self.db.execute("DELETE FROM documents WHERE account = ? AND id = ?", (account, identifier))

    def get(self, account: str, identifier: str) -> Doc | None:
        """One document by its id."""
        row = self.db.execute(
            "SELECT body FROM documents WHERE account = ? AND id = ?", (account, identifier)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def hidden(self, account: str, identifier: str) -> Doc:
        """What the sandbox knows about an object and Stripe would not show."""
        row = self.db.execute(
            "SELECT hidden FROM documents WHERE account = ? AND id = ?", (account, identifier)
        ).fetchone()
        found: Doc = json.loads(row[0]) if row else {}
        return found

    def owner(self, identifier: str) -> str | None:
        """The account that an id belongs to, for pages that carry no key."""
        row = self.db.execute(
            "SELECT account FROM documents WHERE id = ?", (identifier,)
        ).fetchone()
        return str(row[0]) if row else None

    def position(self, account: str, kind: str, identifier: str) -> int | None:
        """Where in the order of creation a document stands."""
        row = self.db.execute(
            "SELECT seq FROM documents WHERE account = ? AND kind = ? AND id = ?",
            (account, kind, identifier),
        ).fetchone()
        return int(row[0]) if row else None

    def select(
        self,
        account: str,
        kind: str,
        filters: Sequence[Filter] = (),
        *,
        before: int | None = None,
        after: int | None = None,
        oldest_first: bool = False,
        limit: int = -1,
    ) -> list[Doc]:
        """Documents of one kind, newest first unless told otherwise."""
        where, values = ["account = ?", "kind = ?"], [account, kind]
        arguments: list[Any] = list(values)
        for named, comparison, value in filters:
            path, hidden = named.removeprefix("~"), named.startswith("~")
            # A path is the sandbox's own word, never a caller's. It stands in the statement itself
            # so that SQLite can use the indexes on what is often asked for.
            assert comparison in COMPARISONS
            assert PATH.fullmatch(path)
            column = "hidden" if hidden else "body"
            field = "created" if path == "created" else f"json_extract({column}, '$.{path}')"
            if comparison == "in":
                where.append(f"{field} IN ({', '.join('?' for _ in value)})")
                arguments += value
            else:
                where.append(f"{field} {comparison} ?")
                arguments.append(value)
        if before is not None:
            where.append("seq < ?")
            arguments.append(before)
        if after is not None:
            where.append("seq > ?")
            arguments.append(after)
        order = "ASC" if oldest_first else "DESC"
        # Only fixed words and placeholders enter the statement.
        statement = (
            f"SELECT body FROM documents WHERE {' AND '.join(where)} "  # noqa: S608
            f"ORDER BY seq {order} LIMIT ?"
        )
        rows = self.db.execute(statement, [*arguments, limit]).fetchall()
        return [json.loads(row[0]) for row in rows]

    def know_account(self, account: str, label: str) -> None:
        """Remember an account by the tail of its key; the key itself is never kept."""
        self.db.execute(
            "INSERT INTO accounts (id, label) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (account, label),
        )

    def accounts(self) -> list[tuple[str, str]]:
        """Every account seen: id and label."""
        rows = self.db.execute("SELECT id, label FROM accounts ORDER BY rowid").fetchall()
        return [(str(row[0]), str(row[1])) for row in rows]

    def remembered(self, account: str, key: str, since: int) -> tuple[str, int, str] | None:
        """The fingerprint, status and body first answered under an idempotency key."""
        row = self.db.execute(
            "SELECT fingerprint, status, body FROM idempotency "
            "WHERE account = ? AND key = ? AND at > ?",
            (account, key, since),
        ).fetchone()
        return None if row is None else (str(row[0]), int(row[1]), str(row[2]))

    def remember(
        self, account: str, key: str, fingerprint: str, status: int, body: str, at: int
    ) -> None:
        """Keep an answer for as long as its idempotency key is good."""
        self.db.execute(
            "INSERT OR REPLACE INTO idempotency (account, key, fingerprint, status, body, at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (account, key, fingerprint, status, body, at),
        )
