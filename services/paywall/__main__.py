"""``python -m services.paywall web|worker|migrate|seed|rebuild-entitlements|dead-letters``."""

from __future__ import annotations

import typer

from services.paywall.app import web
from services.paywall.entitlements.consumers import ENTITLEMENTS
from services.paywall.process import PAYWALL
from services.paywall.rebuild import rebuild
from services.paywall.seed import run as seed
from services.paywall.set_up import take_in
from services.paywall.settings import PaywallSettings
from services.paywall.worker import worker
from shared.audit.commands import By
from shared.cli import run_command, service_cli
from shared.process import Process
from shared.startup import Duty

cli = service_cli(
    PAYWALL,
    web=web,
    worker=worker,
    seed=seed,
    take_in=take_in,
    publishes=True,
    consumers=(ENTITLEMENTS,),
)


@cli.command("rebuild-entitlements")
def rebuild_entitlements(by: By = "") -> None:
    """Replay billing's events from the beginning and put the result in place of the present copy."""
    run_command(PAYWALL, "rebuild", Duty.COMMAND, _rebuild, by=by)


async def _rebuild(process: Process[PaywallSettings]) -> None:
    report = await rebuild(process.database, await process.bus(), process.clock)
    typer.echo(
        f"{report.replayed} events replayed, {report.taken} entitlements mended or added, "
        f"{report.forgotten} forgotten"
    )


if __name__ == "__main__":
    cli()
