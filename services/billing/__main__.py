"""``python -m services.billing web|worker|migrate|seed|dead-letters|webhooks``."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from services.billing.app import web
from services.billing.composition import build
from services.billing.process import BILLING
from services.billing.seed import run as seed
from services.billing.set_up import take_in
from services.billing.settings import BillingSettings
from services.billing.worker import worker
from shared.audit.commands import By
from shared.cli import run_command, service_cli
from shared.process import Process
from shared.startup import Duty

app = service_cli(BILLING, web=web, worker=worker, seed=seed, take_in=take_in, publishes=True)
webhooks = typer.Typer(
    help="The inbox of notifications from payment providers.", no_args_is_help=True
)
app.add_typer(webhooks, name="webhooks")


@webhooks.command("list")
def list_command(
    state: Annotated[str, typer.Option(help="waiting, handled, parked, or all")] = "parked",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """Show events of the inbox, parked ones by default."""
    run_command(
        BILLING, "webhooks", Duty.COMMAND, partial(_list, None if state == "all" else state, limit)
    )


@webhooks.command("replay")
def replay_command(
    event: Annotated[list[str] | None, typer.Argument(help="Event ids")] = None,
    all_parked: Annotated[bool, typer.Option("--all", help="Every parked event")] = False,
    by: By = "",
) -> None:
    """Give parked events another round of tries, once the cause is mended."""
    if not event and not all_parked:
        raise typer.BadParameter("name the events, or say --all")
    run_command(BILLING, "webhooks-replay", Duty.COMMAND, partial(_replay, event or None), by=by)


async def _list(state: str | None, limit: int, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        events = await billing.webhooks.listing(state, limit)
    finally:
        await billing.close()
    for one in events:
        typer.echo(
            f"{one.event_id}  {one.received_at:%Y-%m-%d %H:%M:%S}  {one.type}  {one.state}  "
            f"tries {one.attempts}  {one.error}"
        )
    typer.echo(f"{len(events)} events")


async def _replay(events: list[str] | None, process: Process[BillingSettings]) -> None:
    billing = build(process)
    try:
        replayed = await billing.webhooks.replay(events)
    finally:
        await billing.close()
    typer.echo(f"replayed {len(replayed)}")


if __name__ == "__main__":
    app()
