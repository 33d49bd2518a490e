"""``python -m services.<name> dead-letters``: what could not be handled, and another try once the cause is mended."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import typer

from shared.database import Database, database_is_away
from shared.inbox.consumer import Consumer
from shared.inbox.dead_letters import list_dead_letters, open_letters, replay_dead_letter


async def show(database: Database) -> None:
    """The oldest of them, a line each."""
    letters = await list_dead_letters(database)
    for letter in letters:
        typer.echo(
            f"{letter.id}  {letter.created_at:%Y-%m-%d %H:%M}  {letter.consumer}  "
            f"{letter.subject}  tries {letter.deliveries}  {letter.reason}: {letter.error}"
        )
    typer.echo(f"{len(await open_letters(database))} dead letters")


async def replay(database: Database, consumers: Sequence[Consumer], ids: Sequence[UUID]) -> None:
    """Those named, or all. One that fails again is named with its reason, and holds up no other; the exit status is 1."""
    replayed, failed = 0, 0
    for id_ in ids or await open_letters(database):
        try:
            replayed += await replay_dead_letter(database, consumers, id_)
        except Exception as error:
            # Whatever a handler raises: the letter waits on, and the operator is told why.
            if database_is_away(error):
                raise
            failed += 1
            typer.echo(f"{id_}  waits on  {type(error).__name__}: {error}", err=True)
    typer.echo(f"replayed {replayed}")
    if failed:
        raise typer.Exit(1)
