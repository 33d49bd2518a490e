"""Deliveries waiting to be made and the attempts made so far: every SQL statement about them."""

import random
from dataclasses import dataclass
from typing import Any, Protocol

from .store import Store


class DeliverySettings(Protocol):
    """How deliveries are made; the control page changes some of it while the sandbox runs."""

    webhook_delay_seconds: float
    webhook_duplicates: int
    webhook_reorder: bool
    webhook_drop: float
    webhook_concurrency: int
    webhook_timeout_seconds: float
    webhook_retry_seconds: float
    webhook_max_attempts: int


@dataclass(frozen=True)
class Delivery:
    """One copy of one event on its way."""

    seq: int
    account: str
    event: str
    attempts: int


class Outbox:
    """Where what one channel sends waits for its deliverer."""

    def __init__(
        self,
        store: Store,
        settings: DeliverySettings,
        channel: str,
        chance: random.Random | None = None,
    ) -> None:
        self.db = store.db
        self.settings = settings
        self.channel = channel
        self.chance = chance or random.SystemRandom()

    def add(self, account: str, event: str, now: float) -> None:
        """Line an event up, as the switches say: late, more than once, or never."""
        dropped = self.chance.random() < self.settings.webhook_drop
        copies = 1 if dropped else 1 + self.settings.webhook_duplicates
        for _ in range(copies):
            self._insert(
                account,
                event,
                "dropped" if dropped else "waiting",
                now + self.settings.webhook_delay_seconds,
            )

    def resend(self, account: str, event: str, now: float) -> None:
        """One more copy, at once, whatever the switches say."""
        self._insert(account, event, "waiting", now)

    def _insert(self, account: str, event: str, state: str, due_at: float) -> None:
        self.db.execute(
            "INSERT INTO deliveries (channel, account, event, state, due_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (self.channel, account, event, state, due_at),
        )

    def due(self, now: float, limit: int = 100) -> list[Delivery]:
        """Deliveries whose time has come, in the order of creation."""
        rows = self.db.execute(
            "SELECT seq, account, event, attempts FROM deliveries "
            "WHERE state = 'waiting' AND channel = ? AND due_at <= ? ORDER BY seq LIMIT ?",
            (self.channel, now, limit),
        ).fetchall()
        return [Delivery(*row) for row in rows]

    def next_due_at(self) -> float | None:
        """When there is something to do next; None where nothing waits."""
        row = self.db.execute(
            "SELECT min(due_at) FROM deliveries WHERE state = 'waiting' AND channel = ?",
            (self.channel,),
        ).fetchone()
        return None if row[0] is None else float(row[0])

    def record(
        self, delivery: Delivery, at: float, url: str, status: int | None, error: str | None
    ) -> str:
        """Write an attempt down and decide what becomes of the delivery; returns its state."""
        attempts = delivery.attempts + 1
        if status is not None and 200 <= status < 300:
            state = "delivered"
        elif attempts >= self.settings.webhook_max_attempts:
            state = "failed"
        else:
            state = "waiting"
        self.db.execute(
            "INSERT INTO attempts (delivery, at, url, status, error) VALUES (?, ?, ?, ?, ?)",
            (delivery.seq, at, url, status, error),
        )
        self.db.execute(
            "UPDATE deliveries SET state = ?, attempts = ?, due_at = ? WHERE seq = ?",
            (
                state,
                attempts,
                at + pause(attempts, self.settings.webhook_retry_seconds),
                delivery.seq,
            ),
        )
        return state

    def pending(self, event: str) -> int:
        """How many copies of an event still wait."""
        row = self.db.execute(
            "SELECT count(*) FROM deliveries WHERE event = ? AND state = 'waiting'", (event,)
        ).fetchone()
        return int(row[0])

    def history(self, account: str, limit: int = 50) -> list[dict[str, Any]]:
        """The latest deliveries of an account with their last attempt, for the control page."""
        return self._last("d.account", account, limit)

    def of(self, event: str, limit: int = 50) -> list[dict[str, Any]]:
        """The latest deliveries of one event with their last attempt."""
        return self._last("d.event", event, limit)

    def _last(self, column: str, value: str, limit: int) -> list[dict[str, Any]]:
        # The column is one of two words of this file.
        rows = self.db.execute(
            "SELECT d.seq, d.event, json_extract(e.body, '$.type'), d.state, d.attempts, "  # noqa: S608
            "a.at, a.status, a.error FROM deliveries d JOIN documents e ON e.id = d.event "
            "LEFT JOIN attempts a ON a.seq = "
            "(SELECT max(seq) FROM attempts WHERE delivery = d.seq) "
            f"WHERE {column} = ? AND d.channel = ? ORDER BY d.seq DESC LIMIT ?",
            (value, self.channel, limit),
        ).fetchall()
        names = ("seq", "event", "type", "state", "attempts", "at", "status", "error")
        return [dict(zip(names, row, strict=True)) for row in rows]


def pause(attempts: int, first: float, longest: float = 300) -> float:
    """Seconds until the next try: doubling from the first, up to five minutes."""
    return min(first * 2.0 ** min(attempts - 1, 30), longest)
