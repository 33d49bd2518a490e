"""Composition root of the metrics layer's HTTP: exporter, growth API, finance pages."""

from __future__ import annotations

from pathlib import Path

from shared.audit.pages import FOLDER as AUDIT_FOLDER
from shared.audit.pages import AuditDesk, audit_router
from shared.metrics.exporter.api import exporter_router
from shared.metrics.exporter.service import Exporter
from shared.metrics.finance.baseline_pages import baseline_router
from shared.metrics.finance.desk import Desk
from shared.metrics.finance.import_pages import import_router
from shared.metrics.finance.pages import finance_router
from shared.metrics.growth.api import growth_router
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.settings import MetricsSettings
from shared.process import Process
from shared.web import WebParts
from shared.web.staff_bar import AUDITORS

FOLDER = Path(__file__).parent


def web(process: Process[MetricsSettings]) -> WebParts:
    """The parts of the web process."""
    settings, database, clock = process.settings, process.database, process.clock
    access = process.access
    pages = process.pages(FOLDER, AUDIT_FOLDER)
    desk = Desk(
        database=database,
        clock=clock,
        access=access,
        forms=process.forms,
        pages=pages,
        reader=FileReader(),
        default_target=settings.growth_target_default_ratio,
    )
    exporter = Exporter(database, clock, settings.growth_target_default_ratio)

    return WebParts(
        routers=(
            exporter_router(exporter, settings, process.exposition),
            growth_router(database, access, clock, settings.growth_target_default_ratio),
            finance_router(desk),
            baseline_router(desk),
            import_router(desk),
            audit_router(
                AuditDesk("metrics", database, clock, pages, access.page, AUDITORS["metrics"])
            ),
        ),
        checks={"database": database.ping},
        words=pages.words,
        static_folder=FOLDER / "static",
        trusted_origins=(settings.metrics_url,),
        own_metrics_route=True,
    )
