"""The finance page in a real browser, on a phone and on a desktop."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from infra.local.assets import DEFAULT_FOLDER, ensure_assets
from shared.metrics.growth.service import agency_report
from shared.money import format_vnd
from tests.fixtures.finance import DEMO, running_finance
from tests.fixtures.identity import FINANCE, PROVINCE
from tests.fixtures.serving import served

SHOTS = os.environ.get("SCREENSHOTS", "")
AGENCY = "bao-hung-yen"


@pytest.fixture
async def finance(create_database, template_database):
    ensure_assets()
    async with running_finance(
        create_database, template_database, assets_dir=str(DEFAULT_FOLDER)
    ) as found:
        yield found


async def enter(context, finance, base, email):
    staff = await finance.identity.signed_in(email)
    await context.add_cookies([{"name": "press_staff", "value": staff.token, "url": base}])
    page = await context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: _note(line, faults))
    return page, faults


def _note(line, faults):
    """Errors the page itself causes; browsers ask for an icon on their own."""
    if line.type == "error" and not line.location.get("url", "").endswith("/favicon.ico"):
        faults.append(f"{line.text} {line.location.get('url', '')}")


async def shot(page, name):
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def no_sideways_scroll(page):
    return await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("screen", ["phone", "desktop"])
async def test_the_page_shows_the_figures_of_the_entries_without_sideways_scrolling(
    finance, phone, desktop, screen
):
    context = {"phone": phone, "desktop": desktop}[screen]
    report = await agency_report(
        finance.database,
        AGENCY,
        now=finance.clock.now(),
        default_target=finance.settings.growth_target_default_ratio,
    )
    async with served(finance.app) as base:
        page, faults = await enter(context, finance, base, FINANCE)
        await page.goto(f"{base}/finance")
        await page.wait_for_url(f"**/finance/{AGENCY}")
        figures = report.figures["all"]
        tiles = {
            name: await page.inner_text(f"[data-tile={name}] .tile-value")
            for name in ("growth", "revenue", "baseline", "projection", "needed")
        }
        assert tiles["revenue"] == format_vnd(figures.revenue_ytd)
        assert tiles["baseline"] == format_vnd(figures.baseline_ytd)
        assert tiles["projection"] == format_vnd(figures.projection.expected)
        assert tiles["needed"] == format_vnd(figures.need.per_day)
        assert re.fullmatch(r"\+1[0-9],[0-9] %", tiles["growth"])
        assert await page.locator("svg.chart .bar.revenue").count() == 11
        assert await no_sideways_scroll(page)
        await shot(page, f"finance-{screen}")
        if screen == "phone":
            await page.click(".staff-open")
        await page.click("a.language")
        assert "Growth to date" in await page.inner_text("main")
        await shot(page, f"finance-{screen}-en")
        await page.click("summary")
        await page.click("details a >> nth=0")
        assert "Entries of 01/2026" in await page.inner_text("h1")
        assert await no_sideways_scroll(page)
        await shot(page, f"month-{screen}")
        assert faults == []


@pytest.mark.parametrize("screen", ["phone", "desktop"])
async def test_a_baseline_is_uploaded_with_bad_rows_named_then_reviewed_and_frozen(
    finance, phone, desktop, screen, tmp_path
):
    context = {"phone": phone, "desktop": desktop}[screen]
    good = (DEMO / "baseline" / "bao-thai-binh.csv").read_text(encoding="utf-8")
    bad = tmp_path / "bad.csv"
    bad.write_text(good.replace("circulation,3,", "phathanh,3,", 1), encoding="utf-8")
    mended = tmp_path / "mended.csv"
    mended.write_text(good, encoding="utf-8")
    async with served(finance.app) as base:
        page, faults = await enter(context, finance, base, FINANCE)
        await page.goto(f"{base}/finance/{AGENCY}/baseline")
        await page.set_input_files("input[type=file]", str(bad))
        await page.click("text=Tải lên và xem trước")
        row = await page.inner_text(".problems tbody tr")
        assert "4" in row
        assert "phathanh" in row
        assert "circulation" in row
        await shot(page, f"baseline-bad-{screen}")
        faults.clear()  # the browser reports the 422 itself
        await page.set_input_files("input[type=file]", str(mended))
        await page.click("text=Tải lên và xem trước")
        await page.wait_for_url("**/baseline/2")
        assert "bản nháp" in await page.inner_text("h1")
        assert await no_sideways_scroll(page)
        await shot(page, f"baseline-draft-{screen}")
        await page.click("text=Chốt bản này")
        consequence = await page.inner_text("details[open] p")
        assert "thay cho" in consequence and "₫" in consequence, "said before it is done"
        await shot(page, f"baseline-freeze-{screen}")
        await page.click("text=Đúng, chốt số liệu")
        await page.wait_for_selector("text=SHA-256")
        assert FINANCE in await page.inner_text("main")
        await page.goto(f"{base}/finance/{AGENCY}/baseline")
        assert await no_sideways_scroll(page)
        await shot(page, f"baselines-{screen}")
        await page.goto(f"{base}/finance/{AGENCY}/imports")
        assert await no_sideways_scroll(page)
        await shot(page, f"imports-{screen}")
        assert faults == []


@pytest.mark.parametrize("screen", ["phone", "desktop"])
async def test_the_province_sees_its_agencies_and_no_predecessor_twice(
    finance, phone, desktop, screen
):
    context = {"phone": phone, "desktop": desktop}[screen]
    async with served(finance.app) as base:
        page, faults = await enter(context, finance, base, PROVINCE)
        await page.goto(f"{base}/finance")
        names = await page.locator("tbody a").all_inner_texts()
        assert len(names) == 2
        assert not any("Thái Bình" in name for name in names)
        assert await no_sideways_scroll(page)
        await shot(page, f"province-{screen}")
        assert faults == []
