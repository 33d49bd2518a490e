"""``python -m shared.metrics web|worker|migrate|seed|dead-letters|import-baseline|import-revenue``."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from shared.cli import run_command, service_cli
from shared.metrics.app import web
from shared.metrics.baseline import service as baseline
from shared.metrics.entries.consumers import RECORDER
from shared.metrics.imports import service as imports
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.process import METRICS
from shared.metrics.seed import run as seed
from shared.metrics.set_up import take_in
from shared.metrics.settings import MetricsSettings
from shared.metrics.sheets import Problem
from shared.metrics.worker import worker
from shared.process import Process
from shared.startup import Duty

app = service_cli(
    METRICS, web=web, worker=worker, seed=seed, take_in=take_in, consumers=(RECORDER,)
)

FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
AgencyOption = Annotated[str, typer.Option(help="The agency's id")]
ByOption = Annotated[str, typer.Option(help="Who imports: kept with the file")]


@app.command("import-baseline")
def import_baseline(file: FileArgument, agency: AgencyOption, by: ByOption = "cli") -> None:
    """Import a baseline year from a CSV file, as a draft to be reviewed and frozen on the finance page."""
    run_command(
        METRICS, "import-baseline", Duty.COMMAND, partial(_import_baseline, file, agency, by), by=by
    )


@app.command("import-revenue")
def import_revenue(file: FileArgument, agency: AgencyOption, by: ByOption = "cli") -> None:
    """Import revenue that other systems book from a CSV file."""
    run_command(
        METRICS, "import-revenue", Duty.COMMAND, partial(_import_revenue, file, agency, by), by=by
    )


async def _import_baseline(
    file: Path, agency: str, by: str, process: Process[MetricsSettings]
) -> None:
    parsed, version = await baseline.import_draft(
        process.database,
        FileReader(),
        agency=agency,
        file_name=file.name,
        content=file.read_bytes(),  # noqa: ASYNC240 - one file, nothing else waits
        by=by,
        now=process.clock.now(),
    )
    _refuse(parsed.problems)
    assert version is not None
    total = sum(row.amount for row in parsed.rows)
    typer.echo(
        f"{agency}: version {version.version} (year {parsed.year}, {len(parsed.rows)} rows, {total} VND)"
    )


async def _import_revenue(
    file: Path, agency: str, by: str, process: Process[MetricsSettings]
) -> None:
    database, now = process.database, process.clock.now()
    try:
        kept = await imports.upload_revenue(
            database,
            FileReader(),
            agency=agency,
            file_name=file.name,
            content=file.read_bytes(),  # noqa: ASYNC240 - one file, nothing else waits
            by=by,
            now=now,
        )
        await imports.confirm_revenue(database, agency=agency, file_id=kept.id, by=by, now=now)
    except imports.FileProblemsError as error:
        _refuse(error.problems)
    # The worker takes its part where one runs.
    while not (await imports.show(database, agency=agency, file_id=kept.id)).file.applied_at:
        if await imports.record_batch(database, now=now, file_id=kept.id) is None:
            await asyncio.sleep(0.1)
    typer.echo(f"{agency}: {kept.rows} rows, {kept.total_vnd} VND")


def _refuse(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        typer.echo(
            f"row {problem.row}  {problem.column or '-'}: {problem.found!r}, expected {problem.expected}",
            err=True,
        )
    if problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
