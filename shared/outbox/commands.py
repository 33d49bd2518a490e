"""``python -m services.<name> outbox …``: what the bus refuses, and publishing again what was published."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy import TextClause, text

from shared import audit
from shared.audit import Action
from shared.audit.commands import By
from shared.bus import Bus
from shared.database import Database
from shared.outbox.relay import OutboxRelay

TAKE = 5_000
_REFUSED = """SELECT id, subject, created_at, refusals, due_at, refusal FROM outbox
    WHERE published_at IS NULL AND due_at IS NOT NULL ORDER BY id LIMIT 100"""
_RETRY = text(
    """UPDATE outbox SET due_at = now() WHERE id IN (
           SELECT id FROM outbox WHERE published_at IS NULL AND due_at IS NOT NULL ORDER BY id FOR UPDATE)
       RETURNING id, due_at"""
)
_MARK = text(
    """UPDATE outbox SET due_at = now() WHERE id IN (
           SELECT id FROM outbox WHERE id > :last AND id >= :least AND created_at >= :earliest
               AND published_at IS NOT NULL ORDER BY id LIMIT :take FOR UPDATE)
       RETURNING id, due_at"""
)
_LEFT = "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL AND due_at <= now()"

#: A piece of work with the service's database, and its bus when it is asked for; and what runs one, by somebody.
Work = Callable[[Database, Callable[[], Awaitable[Bus]]], Awaitable[None]]
Run = Callable[[Work, str], None]


def since_when(told: str) -> tuple[int, datetime]:
    """An outbox id, or a time (ISO 8601; without a zone it is UTC), as the least id and the earliest time.

    Raises :class:`typer.BadParameter` for anything else.
    """
    if told.isdecimal():
        return int(told), datetime(1970, 1, 1, tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        raise typer.BadParameter(
            "a number of the outbox, or a time like 2026-11-25T08:00+07:00"
        ) from None
    return 0, moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _take(
    database: Database, action: Action, statement: TextClause, values: dict[str, Any]
) -> list[int]:
    """Have events offered again; their numbers. Who did it is on the trail."""
    async with database.transaction() as session:
        rows = (await session.execute(statement, values)).all()
        taken = [row.id for row in rows]
        if taken:
            await audit.record(
                session,
                action,
                agency=None,
                at=rows[0].due_at,
                subject="outbox",
                after={"count": len(taken), "first": min(taken), "last": max(taken)},
            )
    return taken


async def retry_refused(database: Database) -> int:
    """Have refused events offered again now. Returns how many."""
    return len(await _take(database, Action.OUTBOX_RETRIED, _RETRY, {}))


async def republish(
    database: Database,
    relay: OutboxRelay,
    since: tuple[int, datetime],
    say: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Publish again what was published since then. Returns how many events. ``say`` gets done and all, as it goes on.

    A worker may help: what is taken is published by whoever comes first. Raises when the bus or the database is away;
    what was taken is then published by the worker. Each lot that is taken is on the trail, in the transaction that takes it.
    """
    pool = await database.pool()
    taken, last, (least, earliest) = 0, 0, since
    while lot := await _take(
        database,
        Action.OUTBOX_REPUBLISHED,
        _MARK,
        {"last": last, "least": least, "earliest": earliest, "take": TAKE},
    ):
        taken += len(lot)
        last = max(lot)
    while left := await pool.fetchval(_LEFT):
        say(max(taken - left, 0), taken)
        if await relay.relay_once() == 0:
            await asyncio.sleep(0.2)  # the worker is at it, or the bus has refused some
    say(taken, taken)
    return taken


def outbox_commands(name: str, run: Run) -> typer.Typer:
    """The commands of one service."""
    app = typer.Typer(help="Events this service publishes", no_args_is_help=True)

    @app.command()
    def refused() -> None:
        """List events that the bus refuses, with the reason."""

        async def work(database: Database, _bus: Callable[[], Awaitable[Bus]]) -> None:
            pool = await database.pool()
            rows = await pool.fetch(_REFUSED)
            for row in rows:
                typer.echo(
                    f"{row['id']}  {row['created_at']:%Y-%m-%d %H:%M}  {row['subject']}  refused "
                    f"{row['refusals']}  again {row['due_at']:%H:%M:%S}  {row['refusal']}"
                )
            typer.echo(f"{len(rows)} refused events")

        run(work, "")

    @app.command()
    def retry(by: By = "") -> None:
        """Have refused events offered again now, without waiting for their time."""

        async def work(database: Database, _bus: Callable[[], Awaitable[Bus]]) -> None:
            typer.echo(f"{await retry_refused(database)} events are offered again")

        run(work, by)

    @app.command("republish")
    def republish_command(
        since: Annotated[str, typer.Option(help="A time (ISO 8601), or a number of the outbox")],
        by: By = "",
    ) -> None:
        """Publish again what was published since then. Consumers know what they have handled: safe to repeat."""
        start = since_when(since)

        def say(done: int, whole: int) -> None:
            typer.echo(f"{done} of {whole}")

        async def work(database: Database, bus: Callable[[], Awaitable[Bus]]) -> None:
            relay = OutboxRelay(database, await bus(), service=name)
            count = await republish(database, relay, start, say)
            typer.echo(f"published {count} events again")

        run(work, by)

    return app
