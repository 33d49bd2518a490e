"""``python -m services.billing web|worker|migrate|seed|dead-letters|webhooks``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.billing import seed, worker
from services.billing.composition import build
from services.billing.set_up import take_in
from services.billing.settings import BillingSettings
from shared.cli import service_cli
from shared.startup import Duty, load_settings

app = service_cli(
    "billing",
    "services.billing",
    BillingSettings,
    web_factory="services.billing.app:create",
    worker=worker.main,
    seed=seed.main,
    take_in=take_in,
)
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
    asyncio.run(_list(None if state == "all" else state, limit))


@webhooks.command("replay")
def replay_command(
    event: Annotated[list[str] | None, typer.Argument(help="Event ids")] = None,
    all_parked: Annotated[bool, typer.Option("--all", help="Every parked event")] = False,
) -> None:
    """Give parked events another round of tries, once the cause is mended."""
    if not event and not all_parked:
        raise typer.BadParameter("name the events, or say --all")
    asyncio.run(_replay(event or None))


async def _list(state: str | None, limit: int) -> None:
    billing = build(load_settings(BillingSettings, Duty.COMMAND, "billing"), role="webhooks")
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


async def _replay(events: list[str] | None) -> None:
    billing = build(load_settings(BillingSettings, Duty.COMMAND, "billing"), role="webhooks")
    try:
        replayed = await billing.webhooks.replay(events)
    finally:
        await billing.close()
    typer.echo(f"replayed {len(replayed)}")


if __name__ == "__main__":
    app()
