"""Migrations and example data."""

from __future__ import annotations

from services.ads.bookings import models as _bookings  # noqa: F401
from services.ads.catalogue import models as _catalogue  # noqa: F401
from services.ads.creatives import models as _creatives  # noqa: F401
from services.ads.delivery import models as _delivery  # noqa: F401
from services.ads.metadata import metadata
from services.ads.seed import seed_database
from shared.database import Database
from shared.database.migrations import schema_differences
from tests.fixtures.ads import running_ads, settings_for, until


async def test_migrations_give_exactly_the_tables_of_the_models(ads_url):
    assert await schema_differences(ads_url, metadata) == []


async def test_the_seed_makes_the_demo_site_show_ads_and_repeats_without_effect(ads_url):
    database = Database(ads_url, application_name="test")
    await seed_database(database, settings_for(ads_url))
    pool = await database.pool()
    counts = "SELECT (SELECT count(*) FROM line), (SELECT count(*) FROM creative), (SELECT count(*) FROM placement)"
    before = tuple(await pool.fetchrow(counts))
    await seed_database(database, settings_for(ads_url))
    assert tuple(await pool.fetchrow(counts)) == before
    assert before == (4, 4, 5)
    await database.close()
    async with running_ads(ads_url) as ads:
        await until(lambda: any(line.units for line in ads.delivery.plan.lines.values()))
        shown = await ads.decide(
            "home-top", "article-inline", "article-bottom", "sidebar", agency="bao-hung-yen"
        )
        assert all(decision["creative"]["label"] == "Quảng cáo" for decision in shown)
