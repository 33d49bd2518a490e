"""Loads the example agencies: lineage, targets, frozen baselines, and revenue up to today. Safe to repeat, and on a later
day it adds the days since.
"""

from __future__ import annotations

import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import structlog

from shared.agencies import get_agency, list_agencies, read_agencies, save_agencies
from shared.audit import Actor, acting
from shared.clock import local_date
from shared.database import Database, Session
from shared.ids import new_id
from shared.metrics.baseline import rules as baseline_rules
from shared.metrics.baseline import service as baseline
from shared.metrics.entries import rules as revenue_rules
from shared.metrics.imports import service as imports
from shared.metrics.imports.rules import revenue_file
from shared.metrics.lineage import service as lineage
from shared.metrics.lineage.rules import Edge, Target, live, members
from shared.metrics.lineage.service import owners_on
from shared.metrics.settings import MetricsSettings
from shared.process import Process

log = structlog.get_logger(__name__)
BY = "example-data"


class ExampleDataError(ValueError):
    """A file of the example data has a bad row."""


async def seed(database: Database, folder: Path, now: datetime) -> int:
    """Everything in one transaction. Returns how many entries are new."""
    with acting(Actor.system("seed")):
        async with database.transaction() as session:
            await save_agencies(session, read_agencies(folder / "agencies.toml"))
            await _seed_lineage(session, folder / "lineage.toml", now)
            for path in sorted((folder / "baseline").glob("*.csv")):
                await _seed_baseline(session, path, now)
            await _compose(session, now)
            added = 0
            for path in sorted((folder / "revenue").glob("*.csv")):
                added += await _seed_revenue(session, path, now)
    return added


async def _seed_lineage(session: Session, path: Path, now: datetime) -> None:
    data = tomllib.loads(path.read_text(encoding="utf-8"))  # noqa: ASYNC240
    edges = [
        Edge(item["predecessor"], segment, item["successor"], item["effective_on"], item["note"])
        for item in data["lineage"]
        for segment in item["segments"]
    ]
    targets = [
        Target(item["agency"], item["deadline"], Decimal(item["ratio"])) for item in data["targets"]
    ]
    await lineage.save(session, lineage=edges, targets=targets, now=now)


async def _seed_baseline(session: Session, path: Path, now: datetime) -> None:
    content, agency = path.read_bytes(), path.stem  # noqa: ASYNC240 - a command, nothing else waits
    parsed = baseline_rules.parse(content)
    if parsed.problems:
        raise ExampleDataError(f"{path.name}: {parsed.problems[0]}")
    version = await baseline.save_draft(
        session,
        agency=agency,
        file_name=path.name,
        content=content,
        parsed=parsed,
        by=BY,
        now=now,
    )
    await baseline.freeze(session, agency=agency, version=version.version, approver=BY, now=now)


async def _compose(session: Session, now: datetime) -> None:
    """Who carries on others is measured against the sum of their baselines."""
    for agency in await list_agencies(session):
        owned = await owners_on(session, local_date(now, agency.zone))
        carried = {member for member, _ in members(owned, agency.id)} - {agency.id}
        if agency.id in live(owned) and carried:
            version = await baseline.compose_draft(session, agency=agency.id, by=BY, now=now)
            await baseline.freeze(
                session, agency=agency.id, version=version.version, approver=BY, now=now
            )


async def _seed_revenue(session: Session, path: Path, now: datetime) -> int:
    """``<agency>-<anything>.csv``; a month that is not over is recorded day by day, up to today."""
    content, agency = path.read_bytes(), path.stem.rpartition("-")[0]  # noqa: ASYNC240
    today = local_date(now, (await get_agency(session, agency)).zone)
    parsed = revenue_rules.parse(content, today, unfinished_months=True)
    if parsed.problems:
        raise ExampleDataError(f"{path.name}: {parsed.problems[0]}")
    file_id = new_id()
    file, _ = await imports.keep_file(
        session,
        agency=agency,
        kind="revenue",
        file_name=path.name,
        content=content,
        by=BY,
        now=now,
        read=revenue_file(parsed, file_id),
        file_id=file_id,
    )
    added = await imports.record(session, file, after=0, upto=file.rows, through=today)
    await imports.mark_confirmed(session, file.id, BY, now)
    await imports.mark_recorded(session, file.id, file.rows, now)
    return added


async def run(process: Process[MetricsSettings]) -> None:
    """``python -m shared.metrics seed``."""
    folder = Path(process.settings.demo_dir)
    added = await seed(process.database, folder, process.clock.now())
    log.info("seeded", new_entries=added)
