"""Chapter four: growth against the baseline, computed here by hand from the CSV files, with nothing of the product."""

from __future__ import annotations

import calendar
import csv
from collections import defaultdict
from datetime import date
from fractions import Fraction
from pathlib import Path

from tests.e2e.story.teller import AGENCY, Story, eventually, staff_page

DEMO = Path(__file__).parents[3] / "infra" / "demo"
PREDECESSORS = ("bao-thai-binh", "dai-thai-binh")
FINANCE = f"finance@{AGENCY}.example"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def baseline_to_date(today: date) -> int:
    """Whole months before, and the same share of days of this month, rounded down per segment and stream."""
    months: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for agency in PREDECESSORS:
        for row in rows(DEMO / "baseline" / f"{agency}.csv"):
            months[row["segment"], row["stream"], int(row["month"])] += int(row["amount_vnd"])
    length = calendar.monthrange(today.year, today.month)[1]
    total = 0
    for (_segment, _stream, month), amount in months.items():
        if month < today.month:
            total += amount
        elif month == today.month:
            total += amount * today.day // length
    return total


def imported_to_date(today: date) -> int:
    """What other systems booked this year; a running month counts day by day, rounded down per row."""
    total = 0
    length = calendar.monthrange(today.year, today.month)[1]
    for row in rows(DEMO / "revenue" / f"{AGENCY}-{today.year}.csv"):
        month = int(row["period"].split("-")[1])
        amount = int(row["amount_vnd"])
        if month < today.month:
            total += amount
        elif month == today.month:
            total += amount * today.day // length
    return total


async def tell(story: Story) -> None:
    async with story.step("Growth against the baseline is what a hand computes") as facts:
        today: date = (
            await story.sql("metrics", "SELECT (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date")
        )[0][0]
        recognised = -await story.number(
            "billing",
            """SELECT coalesce(sum(amount_vnd), 0) FROM journal_line
               WHERE agency = $1 AND account = 'revenue_subscription'""",
            AGENCY,
        )
        delivered = await story.number(
            "ads", "SELECT coalesce(sum(recognised_vnd), 0) FROM line_day"
        )
        baseline = baseline_to_date(today)
        before = Fraction(imported_to_date(today) - baseline, baseline)
        revenue = imported_to_date(today) + recognised + delivered
        by_hand = Fraction(revenue - baseline, baseline)

        async def same() -> bool:
            return (
                await story.gauge("press_revenue_ytd_vnd", agency=AGENCY),
                await story.gauge("press_revenue_baseline_ytd_vnd", agency=AGENCY),
            ) == (revenue, baseline)

        await eventually(f"revenue {revenue} and baseline {baseline} at the exporter", same)
        page = await staff_page(story, FINANCE, f"{story.url('metrics-web')}/finance/{AGENCY}")
        shown = await page.request.get(f"{story.url('metrics-web')}/v1/agencies/{AGENCY}/growth")
        everything = next(
            d for d in (await shown.json())["definitions"] if d["definition"] == "all"
        )
        assert int(everything["revenue_ytd"]) == revenue
        assert int(everything["baseline_ytd"]) == baseline
        assert abs(Fraction(str(everything["growth"])) - by_hand) < Fraction(1, 10_000)
        assert by_hand > before
        percent = f"{float(by_hand) * 100:.1f}"
        text = await page.locator("main").inner_text()
        assert percent.replace(".", ",") in text, f"{percent} is not on the finance page"
        facts.append(
            f"{revenue:,} / {baseline:,} = +{float(by_hand):.6%} (was +{float(before):.6%})"
        )
        await page.context.close()
