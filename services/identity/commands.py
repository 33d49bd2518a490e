"""What only the operator may do, on the server: the first administrator of an agency, and the way back in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from services.identity.accounts import repository as accounts
from services.identity.composition import Parts, assemble
from services.identity.process import IDENTITY
from services.identity.settings import IdentitySettings
from shared.auth.roles import Role
from shared.cli import run_command
from shared.database import Database
from shared.errors import ConflictError, ProblemError
from shared.mail.address import normalise_email
from shared.process import Process
from shared.startup import Duty


def install(cli: typer.Typer) -> None:
    """Add the commands to identity's command line."""

    @cli.command("create-administrator")
    def create_administrator(
        agency: Annotated[str, typer.Argument(help="The agency's id")],
        email: Annotated[str, typer.Argument(help="Where the invitation is mailed")],
        name: Annotated[str, typer.Argument(help="The person's name")],
        show_link: Annotated[
            bool, typer.Option(help="Print the link too: where mail does not work yet")
        ] = False,
        again: Annotated[
            bool, typer.Option(help="Send a new invitation although one is open")
        ] = False,
    ) -> None:
        """Invite an administrator by mail. Safe to repeat: done already, it says so and sends nothing."""

        async def work(parts: Parts, database: Database) -> None:
            await _create_administrator(
                parts, database, agency, email, name, show_link=show_link, again=again
            )

        _run("create-administrator", work)

    @cli.command("break-glass")
    def break_glass(
        email: Annotated[str, typer.Argument(help="Whose account")],
        second_factor: Annotated[
            bool, typer.Option("--second-factor", help="Forget the authenticator app as well")
        ] = False,
    ) -> None:
        """Let somebody in again: a one-time password, shown once; locks and sessions end."""

        async def work(parts: Parts, _database: Database) -> None:
            password = await parts.accounts.break_glass(
                normalise_email(email) or "", second_factor=second_factor
            )
            typer.echo(f"one-time password of {email}, shown once, for 7 days: {password}")

        _run("break-glass", work)


Work = Callable[[Parts, Database], Awaitable[None]]


def _run(name: str, work: Work) -> None:
    """With the parts of a process of its own, on record as this command."""

    async def command(process: Process[IdentitySettings]) -> None:
        parts = assemble(process.settings, process.database, process.clock)
        await work(parts, process.database)

    try:
        run_command(IDENTITY, name, Duty.SETUP, command)
    except ProblemError as error:
        typer.echo(f"not done: {error.detail or error.title}", err=True)
        raise typer.Exit(1) from None


async def _create_administrator(
    parts: Parts,
    database: Database,
    agency: str,
    email: str,
    name: str,
    *,
    show_link: bool,
    again: bool,
) -> None:
    address = normalise_email(email)
    if address is not None and await _is_administrator(database, agency, address):
        typer.echo(f"{email} is an administrator of {agency} already: nothing to do")
        return
    try:
        link = await parts.invitations.invite(agency, email, name, [Role.ADMIN], None, again=again)
    except ConflictError as error:
        if error.slug != "invitation-open":
            raise
        typer.echo(f"{email} has an open invitation: nothing to do (--again sends another)")
        return
    typer.echo(f"an invitation to administer {agency} is on its way to {email}")
    if show_link:
        typer.echo(link)


async def _is_administrator(database: Database, agency: str, email: str) -> bool:
    async with database.read() as session:
        account = await accounts.by_email(session, email)
        if account is None or account.disabled_at is not None:
            return False
        return Role.ADMIN in (await accounts.roles_of(session, account.id)).get(agency, ())
