"""The exporter: what Prometheus reads is exactly what the entries sum to, or nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from shared.metrics.entries import service as entries
from tests.fixtures.finance import running_finance
from tests.integration.metrics.test_entries import entry

MONEY = re.compile(
    r"^press_(revenue_.*|mrr|mrr_movement_mtd|deferred_revenue)_vnd\{.*\} (\S+)$", re.M
)


@pytest.fixture
async def finance(create_database, template_database):
    async with running_finance(create_database, template_database) as found:
        yield found


def total(body, family):
    return sum(int(value) for value in re.findall(rf"^{family}\{{.*\}} (\S+)$", body, re.M))


async def entries_total(finance, day):
    async with finance.database.read() as session:
        found = await session.execute(
            text(
                """SELECT sum(amount)::bigint FROM revenue_entry
                   WHERE recognised_on BETWEEN date_trunc('year', CAST(:day AS date)) AND :day"""
            ),
            {"day": day},
        )
        return found.scalar_one()


async def test_the_gauges_sum_to_the_entries_before_and_after_each_change(finance):
    day = finance.clock.now().date()
    body = (await finance.scrape()).text
    before = total(body, "press_revenue_ytd_vnd")
    assert before == await entries_total(finance, day) > 10**10
    new = [
        entry("now", agency="bao-hung-yen", amount=12_345, recognised_on=day),
        entry("ahead", agency="bao-hung-yen", amount=7, recognised_on=day + timedelta(days=1)),
        entry("old", agency="bao-thai-binh", amount=5, recognised_on=day - timedelta(days=100)),
    ]
    async with finance.database.transaction() as session:
        await entries.record_entries(session, new)
    body = (await finance.scrape()).text
    assert total(body, "press_revenue_ytd_vnd") == before + 12_345 + 5
    assert total(body, "press_revenue_ytd_vnd") == await entries_total(finance, day)
    finance.clock.advance(timedelta(days=1))
    body = (await finance.scrape()).text
    assert total(body, "press_revenue_ytd_vnd") == before + 12_345 + 5 + 7


async def test_the_exposition_is_read_by_prometheus_own_parser_without_an_exponent(finance):
    body = (await finance.scrape()).text
    families = {family.name for family in text_string_to_metric_families(body)}
    assert {
        "press_revenue_ytd_vnd",
        "press_revenue_baseline_ytd_vnd",
        "press_revenue_baseline_year_vnd",
        "press_revenue_trailing_28d_vnd",
        "press_revenue_baseline_trailing_28d_vnd",
        "press_revenue_growth_target_ratio",
        "press_revenue_as_of_timestamp_seconds",
        "press_fiscal_year_start_timestamp_seconds",
        "press_fiscal_year_end_timestamp_seconds",
        "press_baseline_info",
        "press_agencies_on_target_ratio",
        "press_revenue_snapshot_up",
    } <= families
    assert MONEY.findall(body)
    assert all(re.fullmatch(r"-?[0-9]+", value) for _, value in MONEY.findall(body))
    assert 'agency="bao-thai-binh"' not in body, "what was carried on is exported once"


async def test_without_its_database_the_exporter_answers_and_shows_no_money(
    finance, postgres_server
):
    assert "press_revenue_snapshot_up 1.0" in (await finance.scrape()).text
    postgres_server.drop_database(finance.settings.database_url)
    answer = await finance.scrape()
    assert answer.status_code == 200
    assert "press_revenue_snapshot_up 0.0" in answer.text
    assert MONEY.findall(answer.text) == []
    assert "press_agencies_on_target_ratio" not in answer.text


async def test_what_an_event_brought_is_fresh_and_what_an_import_brought_is_not(finance):
    def heard(body: str) -> dict[str, int]:
        found = re.findall(
            r'^press_revenue_heard_timestamp_seconds\{agency="(.*?)".*\} (\S+)$', body, re.M
        )
        return {agency: int(at) for agency, at in found}

    body = (await finance.scrape()).text
    assert total(body, "press_revenue_ytd_vnd") > 0 and heard(body) == {}, "the demo is imported"
    day = finance.clock.now().date()
    for number, agency in enumerate(["bao-hung-yen", "bao-thai-binh", "bao-hung-yen"]):
        before = heard((await finance.scrape()).text)
        async with finance.database.transaction() as session:
            await entries.record_entries(
                session, [entry(f"e{number}", agency=agency, recognised_on=day)]
            )
            now = int(
                (await session.execute(text("SELECT extract(epoch FROM now())"))).scalar_one()
            )
        # what another carries on is its own: both agencies of the demo are one now
        after = heard((await finance.scrape()).text)
        assert after == before | {"bao-hung-yen": now}


async def test_an_amount_beyond_2_53_takes_all_money_away(finance):
    day = finance.clock.now().date()
    many = [
        entry(f"big{n}", agency="bao-hung-yen", amount=10**15, recognised_on=day) for n in range(10)
    ]
    async with finance.database.transaction() as session:
        await entries.record_entries(session, many)
    answer = await finance.scrape()
    assert "press_revenue_snapshot_up 0.0" in answer.text
    assert MONEY.findall(answer.text) == []


async def test_a_new_target_is_exported_at_the_next_scrape(finance):
    from datetime import date

    from shared.audit import Actor, acting
    from shared.metrics.lineage.rules import Target
    from shared.metrics.lineage.service import save

    line = 'press_revenue_growth_target_ratio{agency="bao-hung-yen"} '
    body = (await finance.scrape()).text
    assert f"{line}0.2\n" in body and "press_agencies_on_target_ratio 0.5\n" in body
    async with finance.database.transaction() as session:
        target = Target("bao-hung-yen", date(2030, 12, 31), Decimal("0.1"))
        with acting(Actor.command("test")):
            await save(session, targets=[target], now=finance.clock.now())
    body = (await finance.scrape()).text
    assert f"{line}0.1\n" in body
    assert "press_agencies_on_target_ratio 1\n" in body
