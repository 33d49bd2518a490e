"""A command line for operators: a server that is away, or a setting that names none, is one line and no traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from shared.bus import BusUnavailableError
from shared.database import DatabaseAddressError, database_problem
from shared.startup import EXIT_CONFIGURATION


class CommandGroup(TyperGroup):
    """The ``cls`` of a :class:`typer.Typer`: holds for all its commands, those of its groups too."""

    def invoke(self, ctx: Any) -> Any:
        """Exit status 1 when a server does not answer or refuses; 78 when its address is none."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Which kinds say so, the drivers and ours tell; every other goes on as it is.
            said = _said(error)
            if said is None:
                raise
            typer.echo(f"{self.name} {ctx.invoked_subcommand}: {said}", err=True)
            status = EXIT_CONFIGURATION if isinstance(error, DatabaseAddressError) else 1
            raise typer.Exit(status) from None


def command_line(name: str, *, about: str) -> typer.Typer:
    """An empty one; ``name`` begins what it says."""
    return typer.Typer(
        name=name,
        cls=CommandGroup,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # they show variables: passwords and keys would be in the log
    )


def _said(error: Exception) -> str | None:
    if isinstance(error, DatabaseAddressError):
        return str(error)
    if isinstance(error, BusUnavailableError):
        return (str(error).splitlines() or [type(error).__name__])[0]
    return database_problem(error)
