"""The commands every service has: ``python -m services.<name> web|worker|migrate|setup|seed``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from shared.audit.commands import By, audit_commands, command_caller
from shared.command_line import command_line
from shared.inbox import Consumer
from shared.inbox import commands as letter_commands
from shared.outbox.commands import Work, outbox_commands
from shared.process.process import Process, S, Service
from shared.process.web import BuildWeb, serve
from shared.process.worker import BuildWorker, work
from shared.setup import SetUp, SetUpError, set_up
from shared.startup import EXIT_CONFIGURATION, Duty

#: Somebody sits before a command: a server that is not there is told soon.
BUS_WAIT_SECONDS = 5.0


def service_cli(
    service: Service[S],
    *,
    web: BuildWeb[S] | None = None,
    worker: BuildWorker[S] | None = None,
    seed: Callable[[Process[S]], Awaitable[None]] | None = None,
    take_in: SetUp | None = None,
    publishes: bool = False,
    consumers: Sequence[Consumer] = (),
) -> typer.Typer:
    """The command line of one service, from what builds its web process's and its worker's parts.

    ``publishes``: it has an outbox. ``consumers``: what its worker runs; their dead letters are its own.
    """
    app = command_line(service.name, about=f"{service.name}: one service of press-revenue")

    @app.command()
    def migrate(revision: str = "head") -> None:
        """Bring the database to the newest schema. Safe to repeat."""
        from shared.database.migrations import migrate as run_migrations

        settings = service.prepare(Duty.MIGRATE)
        applied = asyncio.run(run_migrations(settings.database_url, service.package, revision))
        typer.echo(f"{service.name}: {', '.join(applied) if applied else 'nothing to do'}")

    @app.command()
    def setup(
        file: Annotated[Path, typer.Argument(help="The agencies")] = Path("agencies.toml"),
        by: By = "",
    ) -> None:
        """Take in the operator's agencies from a file. Safe to repeat."""
        settings = service.prepare(Duty.SETUP)
        try:
            with command_caller("setup", by):
                count = asyncio.run(set_up(settings, file, take_in))
        except SetUpError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None
        typer.echo(f"{service.name}: {count} agencies")

    if web is not None:
        build_web = web

        @app.command("web")
        def web_command() -> None:
            """Serve HTTP."""
            serve(service, build_web)

    if worker is not None:
        build_worker = worker

        @app.command("worker")
        def worker_command() -> None:
            """Run consumers, outbox relay and timers."""
            work(service, build_worker)

    if seed is not None:
        run_seed = seed

        @app.command("seed")
        def seed_command() -> None:
            """Load the example agencies with their invented figures, never in production. Safe to repeat."""

            async def unless_production(process: Process[S]) -> None:
                if process.settings.environment == "production":
                    said = f"{service.name}: example data is never loaded in production"
                    typer.echo(said, err=True)
                    raise typer.Exit(EXIT_CONFIGURATION)
                await run_seed(process)
                typer.echo(f"{service.name}: the example data is there")

            run_command(service, "seed", Duty.SETUP, unless_production)

    app.add_typer(audit_commands(service.name, lambda: service.prepare(Duty.COMMAND)), name="audit")

    if consumers:
        _dead_letters(app, service, consumers)

    if publishes:

        def run(work: Work, by: str) -> None:
            async def with_parts(process: Process[S]) -> None:
                await work(process.database, process.bus)

            run_command(service, "outbox", Duty.COMMAND, with_parts, by=by)

        app.add_typer(outbox_commands(service.name, run), name="outbox")

    return app


def run_command(
    service: Service[S],
    role: str,
    duty: Duty,
    command: Callable[[Process[S]], Awaitable[None]],
    *,
    by: str = "",
) -> None:
    """Run a command to its end in a process of its own role.

    What it changes is on record as the command's, done by ``by`` (empty: the operating system's account).
    """
    settings = service.prepare(duty)

    async def run() -> None:
        process = service.process(role, settings, bus_wait_seconds=BUS_WAIT_SECONDS)
        try:
            await command(process)
        finally:
            await process.close()

    with command_caller(role, by):
        asyncio.run(run())


def _dead_letters(app: typer.Typer, service: Service[S], consumers: Sequence[Consumer]) -> None:
    @app.command("dead-letters")
    def dead_letters(
        replay: Annotated[list[UUID] | None, typer.Option(help="Handle this one again")] = None,
        replay_all: Annotated[bool, typer.Option(help="Handle all of them again")] = False,
        by: By = "",
    ) -> None:
        """List messages that could not be handled; handle them again once the cause is mended."""

        async def letters(process: Process[S]) -> None:
            if replay or replay_all:
                await letter_commands.replay(process.database, consumers, replay or ())
            else:
                await letter_commands.show(process.database)

        run_command(service, "dead-letters", Duty.COMMAND, letters, by=by)
