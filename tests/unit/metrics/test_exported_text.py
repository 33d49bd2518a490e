"""What Prometheus is told, line by line: the text was written by hand from the figures, not by the code."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from shared.metrics.exporter.rules import (
    LARGEST_EXACT,
    MONEY_HELP,
    OTHER_HELP,
    AgencyFigures,
    InexactAmountError,
    Rendered,
    exact,
    render,
    render_agency,
)

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
READING = ("online", "subscription", "VND")
ADS = ("print", "advertising", "VND")
STATE = ("print", "state_commission", "VND")
ABROAD = ("online", "subscription", "USD")
#: 900,000 a month: to 15 February (28 days) that is 900,000 + 482,142; the 28 days to then begin on 19 January.
EVEN = dict.fromkeys(range(1, 13), 900_000)


def figures(**changes) -> AgencyFigures:
    given = {
        "agency": "bao-hung-yen",
        "zone": HANOI,
        "day": date(2026, 2, 15),
        "target": Decimal("0.200"),
    }
    return AgencyFigures(**(given | changes))


def labels(series: tuple[str, str, str]) -> str:
    segment, stream, currency = series
    return f'agency="bao-hung-yen",segment="{segment}",stream="{stream}",currency="{currency}"'


YEAR = {
    "press_revenue_growth_target_ratio": 'press_revenue_growth_target_ratio{agency="bao-hung-yen"} 0.2\n',
    # 1 January 2026 and 2027, midnight in Hà Nội: 17:00 UTC of the day before.
    "press_fiscal_year_start_timestamp_seconds": 'press_fiscal_year_start_timestamp_seconds{agency="bao-hung-yen"} 1767200400\n',
    "press_fiscal_year_end_timestamp_seconds": 'press_fiscal_year_end_timestamp_seconds{agency="bao-hung-yen"} 1798736400\n',
}


def test_an_agency_without_anything_has_its_year_and_target_alone():
    assert render_agency(figures()) == Rendered(YEAR, False, False)


def test_every_figure_of_an_agency_is_a_line_of_its_family():
    heard = datetime(2026, 2, 15, 1, 2, 3, 999_999, tzinfo=UTC)
    found = render_agency(
        figures(
            revenue_ytd={READING: 1_500_000, ABROAD: 70},
            revenue_trailing={READING: 800_000},
            deferred={READING: 9_000, ABROAD: -1},
            heard={ADS: heard},
            mrr={READING: 59_000},
            movements={(READING, "new"): 118_000, (READING, "churn"): -59_000, (ADS, "new"): 1},
            baseline_version=3,
            baseline={ADS: EVEN},
        )
    )
    ads, reading, abroad = labels(ADS), labels(READING), labels(ABROAD)
    to_date = 900_000 + 900_000 * 15 // 28
    last_28_days = 900_000 - 900_000 * 18 // 31 + 900_000 * 15 // 28
    version = 'press_baseline_info{agency="bao-hung-yen",version="3"} 1\n'
    assert found.chunks == YEAR | {
        "press_revenue_ytd_vnd": f"press_revenue_ytd_vnd{{{reading}}} 1500000\npress_revenue_ytd_vnd{{{ads}}} 0\n",
        "press_revenue_ytd_usd": f"press_revenue_ytd_usd{{{abroad}}} 70\n",
        "press_revenue_trailing_28d_vnd": (
            f"press_revenue_trailing_28d_vnd{{{reading}}} 800000\npress_revenue_trailing_28d_vnd{{{ads}}} 0\n"
        ),
        "press_revenue_trailing_28d_usd": f"press_revenue_trailing_28d_usd{{{abroad}}} 0\n",
        "press_revenue_baseline_ytd_vnd": (
            f"press_revenue_baseline_ytd_vnd{{{reading}}} 0\npress_revenue_baseline_ytd_vnd{{{ads}}} {to_date}\n"
        ),
        "press_revenue_baseline_ytd_usd": f"press_revenue_baseline_ytd_usd{{{abroad}}} 0\n",
        "press_revenue_baseline_year_vnd": (
            f"press_revenue_baseline_year_vnd{{{reading}}} 0\npress_revenue_baseline_year_vnd{{{ads}}} 10800000\n"
        ),
        "press_revenue_baseline_year_usd": f"press_revenue_baseline_year_usd{{{abroad}}} 0\n",
        "press_revenue_baseline_trailing_28d_vnd": (
            f"press_revenue_baseline_trailing_28d_vnd{{{reading}}} 0\n"
            f"press_revenue_baseline_trailing_28d_vnd{{{ads}}} {last_28_days}\n"
        ),
        "press_revenue_baseline_trailing_28d_usd": f"press_revenue_baseline_trailing_28d_usd{{{abroad}}} 0\n",
        "press_mrr_vnd": f"press_mrr_vnd{{{reading}}} 59000\n",
        "press_mrr_movement_mtd_vnd": "".join(
            f'press_mrr_movement_mtd_vnd{{{reading},movement="{movement}"}} {amount}\n'
            for movement, amount in (
                ("new", 118_000),
                ("expansion", 0),
                ("contraction", 0),
                ("churn", -59_000),
                ("reactivation", 0),
            )
        ),
        "press_deferred_revenue_vnd": f"press_deferred_revenue_vnd{{{reading}}} 9000\n",
        "press_deferred_revenue_usd": f"press_deferred_revenue_usd{{{abroad}}} -1\n",
        "press_revenue_heard_timestamp_seconds": f"press_revenue_heard_timestamp_seconds{{{ads}}} 1771117323\n",
        "press_baseline_info": version,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("revenue", "state", "abroad", "meets", "without_state"),
    [
        (1_658_571, 0, 0, True, True),
        (1_658_570, 0, 0, False, False),
        (1_658_570, 1, 0, True, False),
        (1_658_570, 0, 10**9, False, False),
    ],
)
def test_an_agency_meets_its_target_by_all_revenue_and_by_what_the_state_does_not_pay(
    revenue, state, abroad, meets, without_state
):
    """20 % above 1,382,142 of the same days; only đồng count."""
    found = render_agency(
        figures(
            revenue_ytd={READING: revenue, STATE: state, ABROAD: abroad},
            baseline_version=1,
            baseline={ADS: EVEN, ABROAD: {1: 5}},
        )
    )
    assert (found.meets, found.meets_without_state) == (meets, without_state)


def test_state_money_of_the_baseline_year_counts_on_its_side_alone():
    baseline = {ADS: {1: 100}, STATE: {1: 900}}
    found = render_agency(
        figures(revenue_ytd={ADS: 120, STATE: 900}, baseline_version=1, baseline=baseline)
    )
    assert (found.meets, found.meets_without_state) == (False, True)
    unmeasured = render_agency(figures(revenue_ytd={ADS: 120}))
    assert (unmeasured.meets, unmeasured.meets_without_state) == (False, False)


def test_the_page_is_sorted_by_family_with_its_help_and_the_share_on_target():
    def one(family: str, line: str, *meets: bool) -> Rendered:
        return Rendered({family: line}, *meets)

    money = "press_mrr_vnd"
    page = render(
        [
            one(money, "b\n", True, True),
            one(money, "a\n", True, False),
            one("press_baseline_info", "c\n", False, False),
        ],
        datetime(2026, 2, 15, 1, 2, 3, tzinfo=UTC),
    )
    info, as_of = (
        OTHER_HELP["press_baseline_info"],
        OTHER_HELP["press_revenue_as_of_timestamp_seconds"],
    )
    every = OTHER_HELP["press_agencies_on_target_ratio"]
    without = OTHER_HELP["press_agencies_on_target_without_state_ratio"]
    assert page == (
        f"# HELP press_baseline_info {info}\n# TYPE press_baseline_info gauge\nc\n"
        f"# HELP press_mrr_vnd {MONEY_HELP['press_mrr']} (VND)\n# TYPE press_mrr_vnd gauge\nb\na\n"
        f"# HELP press_revenue_as_of_timestamp_seconds {as_of}\n# TYPE press_revenue_as_of_timestamp_seconds gauge\n"
        "press_revenue_as_of_timestamp_seconds 1771117323\n"
        f"# HELP press_agencies_on_target_ratio {every}\n# TYPE press_agencies_on_target_ratio gauge\n"
        "press_agencies_on_target_ratio 0.666667\n"
        f"# HELP press_agencies_on_target_without_state_ratio {without}\n"
        "# TYPE press_agencies_on_target_without_state_ratio gauge\n"
        "press_agencies_on_target_without_state_ratio 0.333333\n"
    )
    nobody = render([], datetime(2026, 2, 15, tzinfo=UTC))
    assert "on_target" not in nobody and nobody.count("\n") == 3


def test_what_a_sample_cannot_hold_is_refused():
    assert (
        exact(LARGEST_EXACT) == "9007199254740992" and exact(-LARGEST_EXACT) == "-9007199254740992"
    )
    for beyond in (LARGEST_EXACT + 1, -LARGEST_EXACT - 1):
        with pytest.raises(InexactAmountError, match=f"^{beyond} is beyond"):
            exact(beyond)
        with pytest.raises(InexactAmountError):
            render_agency(figures(deferred={READING: beyond}))
