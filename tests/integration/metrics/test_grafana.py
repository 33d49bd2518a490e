"""Every panel of every dashboard: its query runs on the real thing, and shows what the entries sum to."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from infra.docs.metrics import all_metrics
from infra.grafana.build import AGENCIES, DASHBOARDS, FOLDER, text_of
from shared.metrics.entries import service as entries
from shared.metrics.entries.rules import Entry
from shared.metrics.entries.service import DeferredChange, Movement
from shared.metrics.growth.service import agency_report
from tests.fixtures.finance import SCRAPE_TOKEN, running_finance
from tests.fixtures.prometheus import FOLDER as PROMETHEUS
from tests.fixtures.prometheus import executable, query, running_prometheus, until_sampled
from tests.fixtures.roles import as_superuser
from tests.fixtures.serving import served

AGENCY = "bao-hung-yen"
HANOI = ZoneInfo("Asia/Ho_Chi_Minh")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_committed_dashboard_is_what_the_code_builds(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == text_of(name)


@pytest.mark.parametrize("path", sorted((PROMETHEUS / "tests").glob("*.yml")), ids=lambda p: p.name)
def test_promtool_accepts_the_rules_and_their_tests(path):
    rules = [str(rule) for rule in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    for command in (["check", "rules", *rules], ["test", "rules", str(path)]):
        done = subprocess.run(
            [executable("promtool"), *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def panels():
    board = json.loads((FOLDER / "finance-agency.json").read_text(encoding="utf-8"))
    return {panel["title"]: panel["targets"][0] for panel in board["panels"]}


def filled(text, definition, now):
    return (
        text.replace("$agency", AGENCY)
        .replace("$definition", definition)
        .replace("$__timeFrom()", f"'{now.astimezone(HANOI).year}-01-01'")
        .replace("$__timeTo()", "'2100-01-01'")
        .replace("time()", str(now.timestamp()))
    )


async def record_today(finance, today):
    """A subscriber, and an advertisement, on top of the sample year."""
    async with finance.database.transaction() as session:
        series = {"agency": AGENCY, "segment": "online", "currency": "VND"}
        await entries.record_entries(
            session,
            [
                Entry(
                    **series,
                    stream="subscription",
                    source_reference="billing:recognition:p1:1",
                    payer="reader",
                    law_source="sales_and_access_rights",
                    account="revenue",
                    amount=3_001,
                    recognised_on=today,
                )
            ],
        )
        change = {**series, "stream": "subscription", "occurred_on": today}
        await entries.record_deferred(
            session, [DeferredChange(**change, source_reference="d1", amount=86_999)]
        )
        await entries.record_movements(
            session, [Movement(**change, source_reference="m1", movement="new", amount=90_000)]
        )


async def with_the_clock_at(url, now):
    """A connection for which ``now()``, which the dashboards' SQL asks for, is another time."""
    superuser = await asyncpg.connect(as_superuser(url))
    try:
        await superuser.execute(
            f"""CREATE SCHEMA clock;
                CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE
                    RETURN timestamptz '{now.isoformat()}';
                GRANT USAGE ON SCHEMA clock TO PUBLIC"""
        )
    finally:
        await superuser.close()
    return await asyncpg.connect(url, server_settings={"search_path": "clock, pg_catalog, public"})


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
        datetime(2026, 12, 31, 17, 30, tzinfo=UTC),  # a new year in Hà Nội, and only there
    ],
)
async def test_every_panel_shows_what_the_entries_sum_to(
    create_database, template_database, tmp_path, now
):
    async with running_finance(create_database, template_database, at=now) as finance:
        report = await agency_report(
            finance.database,
            AGENCY,
            now=now,
            default_target=finance.settings.growth_target_default_ratio,
        )
        await record_today(finance, report.as_of)
        reports = await agency_report(
            finance.database,
            AGENCY,
            now=now,
            default_target=finance.settings.growth_target_default_ratio,
        )
        connection = await with_the_clock_at(finance.settings.database_url, now)
        try:
            async with (
                served(finance.app) as base,
                # a scrape may take as long as the interval: one that fails takes every series away until the next
                running_prometheus(
                    tmp_path,
                    {"press-metrics": [base.removeprefix("http://")]},
                    SCRAPE_TOKEN,
                    interval_seconds=3,
                ) as http,
            ):
                await until_sampled(http, "press:revenue_projected_per_target_ratio")
                for definition in ("all", "own"):
                    await check_definition(http, connection, reports, definition, now)
        finally:
            await connection.close()


OF_BILLING = {
    "Bạn đọc: doanh thu định kỳ": "press_billing_mrr_vnd",
    "Trong đó sắp hết, không gia hạn": "press_billing_mrr_ending_vnd",
    "Bạn đọc đang trả tiền": "press_billing_active_paid_readers",
}


async def check_definition(http, connection, report, definition, now):
    exported = {metric.name for metric in all_metrics()}
    state = "" if definition == "all" else "AND stream <> 'state_commission'"
    # The members' entries, summed without any of the layer's sums or views.
    earned = await connection.fetchval(
        f"""SELECT sum(amount)::bigint FROM revenue_entry
            WHERE agency IN ('bao-hung-yen', 'bao-thai-binh', 'dai-thai-binh') AND currency = 'VND'
              AND recognised_on BETWEEN $1 AND $2 {state}""",
        report.as_of.replace(month=1, day=1),
        report.as_of,
    )
    baseline_year = await connection.fetchval(
        f"""SELECT sum(amount)::bigint FROM baseline_row
            WHERE agency IN ('bao-thai-binh', 'dai-thai-binh') AND version = 1 {state}"""
    )
    figures = report.figures[definition]
    assert figures.baseline_year == baseline_year
    goal = -(-baseline_year * 120 // 100)
    expected = {
        "Tăng so với cùng kỳ (chỉ tiêu +20 %)": earned / figures.baseline_ytd - 1,
        "Doanh thu từ đầu năm": earned,
        "Năm gốc, cùng kỳ": figures.baseline_ytd,
        "Dự báo cả năm": figures.projection.expected,
        "Tăng 28 ngày gần nhất": float(figures.trailing_growth),
        "Còn thiếu so với chỉ tiêu": max(0, goal - earned),
        "Dự báo so với chỉ tiêu": figures.projection.expected / goal,
        "Doanh thu định kỳ hằng tháng": 90_000,
        "Doanh thu chưa thực hiện": 86_999,
        "Mức tăng theo thời gian": earned / figures.baseline_ytd - 1,
    }
    unchecked = set(panels())
    for title, value in expected.items():
        samples = await until_sampled(http, filled(panels()[title]["expr"], definition, now))
        assert len(samples) == 1, title
        assert float(samples[0]["value"][1]) == pytest.approx(value, rel=1e-9), title
        if isinstance(value, int) and title != "Dự báo cả năm":
            assert float(samples[0]["value"][1]) == pytest.approx(value, abs=1), title
        unchecked.discard(title)
    movements = await until_sampled(
        http, filled(panels()["Biến động doanh thu định kỳ trong tháng"]["expr"], definition, now)
    )
    assert {s["metric"]["movement"]: int(s["value"][1]) for s in movements} == {
        **{"new": 90_000, "expansion": 0, "contraction": 0, "churn": 0, "reactivation": 0}
    }
    needed = await until_sampled(
        http, filled(panels()["Cần đạt mỗi ngày"]["expr"], definition, now)
    )
    assert float(needed[0]["value"][1]) == pytest.approx(
        max(0, goal - earned) / max(1, figures.need.days_left), rel=1e-6
    )

    async def rows(title):
        return await connection.fetch(filled(panels()[title]["rawSql"], definition, now))

    months = await rows("Doanh thu theo tháng so với năm gốc")
    assert len(months) == 12
    assert sum(row["Doanh thu"] for row in months) == earned
    assert sum(row["Năm gốc"] for row in months) == baseline_year
    series = await rows("Theo loại hình và nguồn thu")
    assert sum(row["Doanh thu từ đầu năm"] for row in series) == earned
    listed = await rows("Bút toán và chứng từ")
    assert 0 < len(listed) <= 1000
    assert listed[0]["Ngày"] == report.as_of
    assert AGENCY in {row["__value"] for row in await connection.fetch(AGENCIES)}
    for (
        title,
        metric,
    ) in OF_BILLING.items():  # its figures: tests/integration/billing/test_insight.py
        expression = filled(panels()[title]["expr"], definition, now)
        assert metric in exported and f"({metric}{{" in expression, title
        assert await query(http, expression) == [], "billing runs elsewhere"
    unchecked -= {
        *OF_BILLING,
        "Biến động doanh thu định kỳ trong tháng",
        "Cần đạt mỗi ngày",
        "Doanh thu theo tháng so với năm gốc",
        "Theo loại hình và nguồn thu",
        "Bút toán và chứng từ",
    }
    assert unchecked == set(), "a panel that no one has checked"


async def test_the_reporting_role_reads_the_views_and_nothing_else(
    postgres_server, create_database
):
    from shared.database.migrations import migrate

    postgres_server.execute(
        "DO $$ BEGIN CREATE ROLE press_reporting LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    url = create_database("metrics_reporting")
    await migrate(url, "shared.metrics")
    host = url.rpartition("@")[2]
    connection = await asyncpg.connect(f"postgresql://press_reporting@{host}")
    try:
        for view in (
            "agency",
            "revenue_daily",
            "revenue_entry",
            "baseline",
            "mrr_daily",
            "deferred",
        ):
            assert await connection.fetch(f"SELECT * FROM reporting.{view}") == []
        for statement in (
            "SELECT * FROM revenue_entry",
            "SELECT * FROM import_file",
            "CREATE TABLE reporting.mine (n integer)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
