"""``audit verify`` and ``audit export``: the trail on a service's command line."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from shared.audit import service
from shared.audit.caller import Actor, Caller, acting
from shared.audit.repository import Filter
from shared.audit.rules import Broken
from shared.clock import SystemClock
from shared.database import Database
from shared.settings import ServiceSettings
from shared.web.spreadsheet import BYTE_ORDER_MARK, csv_lines

Anchors = Annotated[
    list[str] | None,
    typer.Option(help="chain:position:hash from a log line audit_chain_head, kept elsewhere"),
]


By = Annotated[
    str, typer.Option(help="Who does it, for the audit trail; else the system's account")
]


@contextmanager
def command_caller(name: str, by: str = "") -> Iterator[Caller]:
    """What runs inside is done by a command; ``by`` defaults to the operating system's account."""
    try:
        account = by or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        account = ""
    with acting(Actor.command(name, account)) as present:
        yield present


def audit_commands(name: str, prepare: Callable[[], ServiceSettings]) -> typer.Typer:
    """The sub-commands of one service. ``prepare`` gives its settings."""
    commands = typer.Typer(help="The audit trail.", no_args_is_help=True)

    @commands.command()
    def verify(anchor: Anchors = None) -> None:
        """Check every chain from its first entry; names the first bad one of each. Exit status 1 when one is bad."""
        raise typer.Exit(asyncio.run(_verify(prepare(), name, anchor or [])))

    @commands.command()
    def export(
        agency: Annotated[str, typer.Option(help="Empty: what belongs to no agency")] = "",
    ) -> None:
        """Write a chain's entries as CSV to the standard output, newest first."""
        asyncio.run(_export(prepare(), name, agency or None))

    return commands


def _anchor(words: str) -> tuple[str, tuple[int, bytes]]:
    chain, _, rest = words.partition(":")
    position, _, digest = rest.partition(":")
    try:
        return chain, (int(position), bytes.fromhex(digest))
    except ValueError as error:
        raise typer.BadParameter("an anchor is chain:position:hash") from error


async def _verify(settings: ServiceSettings, name: str, anchors: list[str]) -> int:
    database = Database(settings.database_url, application_name=f"{name}-audit")
    now = SystemClock(settings.clock_offset_seconds).now()
    try:
        found = await service.verify(
            database, whole=True, now=now, anchors=dict(map(_anchor, anchors))
        )
    finally:
        await database.close()
    for one in found:
        if isinstance(one, Broken):
            typer.echo(
                f"BROKEN {one.chain or '(no agency)'} at {one.position}: {one.reason} {one.entry_id or ''}"
            )
        else:
            typer.echo(f"ok {one}")
    broken = sum(isinstance(one, Broken) for one in found)
    typer.echo(f"{len(found)} chains, {broken} broken")
    return 1 if broken else 0


async def _export(settings: ServiceSettings, name: str, agency: str | None) -> None:
    database = Database(settings.database_url, application_name=f"{name}-audit")
    try:
        await database.ping()  # before the heading: a file that has one holds the trail
        sys.stdout.write(BYTE_ORDER_MARK + csv_lines([service.HEADING]))
        async for entry in service.all_entries(database, agency, Filter()):
            sys.stdout.write(csv_lines([service.as_row(entry, entry.at.isoformat(), entry.action)]))
    finally:
        await database.close()
