"""The metrics layer's part of set-up: who carries on whom, and the growth asked of each agency."""

from __future__ import annotations

from shared.database import Database
from shared.metrics.lineage.rules import Edge
from shared.metrics.lineage.service import save_lineage, save_target
from shared.metrics.settings import MetricsSettings
from shared.setup import AgenciesFile


async def take_in(database: Database, _settings: MetricsSettings, file: AgenciesFile) -> None:
    """Lineage and targets; baselines and revenue are imported by the agency's finance."""
    edges = [
        Edge(one.predecessor, segment, one.successor, one.effective_on, one.note)
        for one in file.lineage
        for segment in one.segments
    ]
    async with database.transaction() as session:
        await save_lineage(session, edges)
        for target in file.targets:
            await save_target(session, target.agency, target.deadline, target.ratio)
