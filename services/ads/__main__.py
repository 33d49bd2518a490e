"""``python -m services.ads web|worker|migrate|seed|dead-letters|rebuild-counters``."""

from __future__ import annotations

import typer

from services.ads.app import web
from services.ads.delivery.repository import rebuild
from services.ads.process import ADS
from services.ads.seed import seed
from services.ads.settings import AdsSettings
from services.ads.worker import worker
from shared import audit
from shared.audit.commands import By
from shared.cli import run_command, service_cli
from shared.process import Process
from shared.startup import Duty

app = service_cli(ADS, web=web, worker=worker, seed=seed, publishes=True)


@app.command("rebuild-counters")
def rebuild_counters(by: By = "") -> None:
    """Fold the delivery events anew and mend the counters; prints what differed (0 when all is well)."""
    run_command(ADS, "rebuild", Duty.COMMAND, _rebuild, by=by)


async def _rebuild(process: Process[AdsSettings]) -> None:
    async with process.database.transaction() as session:
        differences = await rebuild(session)
        if differences:
            await audit.record(
                session,
                audit.Action.COUNTERS_REBUILT,
                agency=None,
                at=process.clock.now(),
                subject="counters",
                after={
                    "count": len(differences),
                    "days": [f"{day} {line_id}" for line_id, day in differences],
                },
            )
    for line_id, day in differences:
        typer.echo(f"{line_id}  {day}")
    typer.echo(f"{len(differences)} differences")


if __name__ == "__main__":
    app()
