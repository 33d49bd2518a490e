"""The commands every service has: ``python -m services.<name> web|worker|migrate|setup|seed|dead-letters``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uvloop

from shared import bus as bus_module
from shared.audit.commands import audit_commands
from shared.database import Database
from shared.database.migrations import migrate as run_migrations
from shared.inbox import list_dead_letters, replay_dead_letters
from shared.settings import ServiceSettings
from shared.setup import SetUp, SetUpError, set_up
from shared.startup import EXIT_CONFIGURATION, Duty, load_settings
from shared.telemetry import configure_logging, configure_tracing
from shared.web.serve import serve


def service_cli(
    name: str,
    package: str,
    settings_class: type[ServiceSettings],
    *,
    web_factory: str | None = None,
    worker: Callable[[], Awaitable[None]] | None = None,
    seed: Callable[[], Awaitable[None]] | None = None,
    take_in: SetUp | None = None,
) -> typer.Typer:
    """The command line of one service. ``web_factory`` is ``package.app:create``."""
    app = typer.Typer(help=f"{name}: one service of press-revenue", no_args_is_help=True)

    def prepare(duty: Duty) -> ServiceSettings:
        settings = load_settings(settings_class, duty, name)
        configure_logging(name, level=settings.log_level, fmt=settings.log_format)
        configure_tracing(name, sample_ratio=settings.trace_sample_ratio)
        return settings

    @app.command()
    def migrate(revision: str = "head") -> None:
        """Bring the database to the newest schema. Safe to repeat."""
        settings = prepare(Duty.MIGRATE)
        applied = asyncio.run(run_migrations(settings.database_url, package, revision))
        typer.echo(f"{name}: {', '.join(applied) if applied else 'nothing to do'}")

    @app.command()
    def setup(
        file: Annotated[Path, typer.Argument(help="The agencies")] = Path("agencies.toml"),
    ) -> None:
        """Take in the operator's agencies from a file. Safe to repeat."""
        settings = prepare(Duty.SETUP)
        try:
            count = asyncio.run(set_up(settings, file, take_in))
        except SetUpError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{name}: {count} agencies")

    if web_factory is not None:

        @app.command()
        def web() -> None:
            """Serve HTTP."""
            serve(web_factory, prepare(Duty.WEB))

    if worker is not None:
        run_worker = worker

        @app.command("worker")
        def worker_command() -> None:
            """Run consumers, outbox relay and timers."""
            prepare(Duty.WORKER)
            uvloop.run(_awaited(run_worker))

    if seed is not None:
        run_seed = seed

        @app.command("seed")
        def seed_command() -> None:
            """Load the example agencies with their invented figures, never in production. Safe to repeat."""
            if prepare(Duty.SETUP).environment == "production":
                typer.echo(f"{name}: example data is never loaded in production", err=True)
                raise typer.Exit(EXIT_CONFIGURATION)
            asyncio.run(_awaited(run_seed))

    app.add_typer(audit_commands(name, lambda: prepare(Duty.COMMAND)), name="audit")

    @app.command("dead-letters")
    def dead_letters(
        replay: Annotated[list[UUID] | None, typer.Option(help="Publish this one again")] = None,
        replay_all: Annotated[bool, typer.Option(help="Publish all of them again")] = False,
    ) -> None:
        """List messages that could not be handled; replay them once the cause is mended."""
        asyncio.run(_dead_letters(prepare(Duty.COMMAND), name, replay or [], replay_all=replay_all))

    return app


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _dead_letters(
    settings: ServiceSettings, name: str, ids: list[UUID], *, replay_all: bool
) -> None:
    database = Database(settings.database_url, application_name=f"{name}-dead-letters")
    try:
        letters = await list_dead_letters(database)
        if ids or replay_all:
            bus = await bus_module.connect(settings.nats_url, f"{name}-dead-letters")
            try:
                chosen = ids or [letter.id for letter in letters]
                typer.echo(f"replayed {await replay_dead_letters(database, bus, chosen)}")
            finally:
                await bus.close()
            return
        for letter in letters:
            typer.echo(
                f"{letter.id}  {letter.created_at:%Y-%m-%d %H:%M}  {letter.consumer}  "
                f"{letter.subject}  tries {letter.deliveries}  {letter.reason}: {letter.error}"
            )
        typer.echo(f"{len(letters)} dead letters")
    finally:
        await database.close()
