"""The metrics layer's part of set-up: who carries on whom, and the growth asked of each agency."""

from __future__ import annotations

from shared.clock import SystemClock
from shared.database import Database
from shared.metrics.lineage.rules import Edge, Target
from shared.metrics.lineage.service import save
from shared.metrics.settings import MetricsSettings
from shared.setup import AgenciesFile


async def take_in(database: Database, settings: MetricsSettings, file: AgenciesFile) -> None:
    """Lineage and targets; baselines and revenue are imported by the agency's finance."""
    edges = [
        Edge(one.predecessor, segment, one.successor, one.effective_on, one.note)
        for one in file.lineage
        for segment in one.segments
    ]
    targets = [Target(one.agency, one.deadline, one.ratio) for one in file.targets]
    now = SystemClock(settings.clock_offset_seconds).now()
    async with database.transaction() as session:
        await save(session, lineage=edges, targets=targets, now=now)
