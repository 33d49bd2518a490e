"""``python -m services.ads web|worker|migrate|seed|dead-letters|rebuild-counters``."""

from __future__ import annotations

import asyncio

import typer

from services.ads.delivery.repository import rebuild
from services.ads.seed import seed
from services.ads.settings import AdsSettings
from services.ads.worker import main as worker
from shared.cli import service_cli
from shared.database import Database
from shared.startup import Duty, load_settings

app = service_cli(
    "ads",
    "services.ads",
    AdsSettings,
    web_factory="services.ads.app:create",
    worker=worker,
    seed=seed,
)


@app.command("rebuild-counters")
def rebuild_counters() -> None:
    """Fold the delivery events anew and mend the counters; prints what differed (0 when all is well)."""
    asyncio.run(_rebuild())


async def _rebuild() -> None:
    database = Database(
        load_settings(AdsSettings, Duty.COMMAND, "ads").database_url, application_name="ads-rebuild"
    )
    try:
        async with database.transaction() as session:
            differences = await rebuild(session)
        for line_id, day in differences:
            typer.echo(f"{line_id}  {day}")
        typer.echo(f"{len(differences)} differences")
    finally:
        await database.close()


if __name__ == "__main__":
    app()
