"""Billing's part of set-up: charts of accounts, and the plans that are sold."""

from __future__ import annotations

from services.billing.ledger.service import open_books
from services.billing.plans.service import Plans
from services.billing.settings import BillingSettings
from shared.clock import SystemClock
from shared.database import Database
from shared.setup import AgenciesFile


async def take_in(database: Database, settings: BillingSettings, file: AgenciesFile) -> None:
    """Books for every agency; a plan whose price is another than before gets a new price, and nobody's past changes."""
    clock = SystemClock(settings.clock_offset_seconds)
    async with database.transaction() as session:
        for agency in file.agencies:
            await open_books(session, agency.id, clock.now())
    plans = Plans(database, clock)
    for agency in file.agencies:
        for plan in agency.plans:
            words = plan.model_dump(exclude={"prices"})
            await plans.save_plan(
                agency.id, words, {str(period): price for period, price in plan.prices.items()}
            )
