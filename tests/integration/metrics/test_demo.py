"""The example data: the figures of the finance page, against a computation that shares no code with it."""

from __future__ import annotations

import calendar
import csv
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from shared.database.migrations import schema_differences
from shared.metrics.growth.service import agency_report
from shared.metrics.seed import seed
from shared.metrics.tables import METADATA
from shared.metrics.worker import check_invariants
from tests.integration.metrics.conftest import DEMO, NOW


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_hand(today, agencies=("bao-thai-binh", "dai-thai-binh"), stem="bao-hung-yen"):
    """Revenue and baseline to date: whole months, and the month that runs pro rata by day, floored per row."""
    length = calendar.monthrange(today.year, today.month)[1]

    def so_far(month, amount):
        if month < today.month:
            return amount
        return amount * today.day // length if month == today.month else 0

    base = sum(
        so_far(int(row["month"]), int(row["amount_vnd"]))
        for agency in agencies
        for row in rows(DEMO / "baseline" / f"{agency}.csv")
    )
    earned = sum(
        so_far(int(row["period"][5:7]), int(row["amount_vnd"]))
        for row in rows(DEMO / "revenue" / f"{stem}-{today.year}.csv")
    )
    return earned, base


async def test_migrations_make_exactly_the_tables_of_the_models(database_url):
    assert await schema_differences(database_url, METADATA) == []


async def test_growth_of_the_example_agency_is_the_figure_computed_by_hand_from_the_files(demo):
    report = await agency_report(demo, "bao-hung-yen", now=NOW, default_target=Decimal("0.2"))
    earned, base = by_hand(date(2026, 7, 10))
    figures = report.figures["all"]
    assert (figures.revenue_ytd, figures.baseline_ytd) == (earned, base)
    assert figures.growth == Fraction(earned - base, base)
    assert Fraction(10, 100) < figures.growth < Fraction(18, 100)


async def test_seeding_again_changes_nothing_and_on_a_later_day_adds_the_days_since(demo):
    assert await seed(demo, DEMO, NOW) == 0
    later = NOW + timedelta(days=25)
    assert await seed(demo, DEMO, later) > 0
    report = await agency_report(demo, "bao-hung-yen", now=later, default_target=Decimal("0.2"))
    earned, base = by_hand(date(2026, 8, 4))
    assert (report.figures["all"].revenue_ytd, report.figures["all"].baseline_ytd) == (earned, base)
    assert report.baseline is not None
    assert report.baseline.version == 1, "the composed baseline is still the same version"
    assert not any((await check_invariants(demo)).values())
