"""``python -m services.paywall web|worker|migrate|seed|rebuild-entitlements|dead-letters``."""

from __future__ import annotations

import asyncio

import typer

from services.paywall.rebuild import rebuild_entitlements
from services.paywall.seed import run as seed
from services.paywall.set_up import take_in
from services.paywall.settings import PaywallSettings
from services.paywall.worker import main as worker
from shared.cli import service_cli
from shared.startup import Duty, load_settings

cli = service_cli(
    "paywall",
    "services.paywall",
    PaywallSettings,
    web_factory="services.paywall.app:create",
    worker=worker,
    seed=seed,
    take_in=take_in,
)


@cli.command("rebuild-entitlements")
def rebuild() -> None:
    """Replay billing's events from the beginning and put the result in place of the present copy."""
    report = asyncio.run(
        rebuild_entitlements(load_settings(PaywallSettings, Duty.COMMAND, "paywall"))
    )
    typer.echo(
        f"{report.replayed} events replayed, {report.taken} entitlements mended or added, "
        f"{report.forgotten} forgotten"
    )


if __name__ == "__main__":
    cli()
