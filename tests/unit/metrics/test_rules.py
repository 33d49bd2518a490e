"""Words of revenue, lineage, the exporter's text, the chart: pure rules."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.metrics.baseline.rules import MonthAmount, compose, signature
from shared.metrics.exporter import rules as exporter
from shared.metrics.exporter.rules import AgencyFigures, InexactAmountError
from shared.metrics.finance import rules as finance
from shared.metrics.lineage.rules import Edge, LineageCycleError, live, members, owners
from shared.metrics.rules import (
    LAW_SOURCES,
    STREAM_DEFAULTS,
    STREAM_LABELS,
    STREAMS,
    entry_problem,
)
from shared.money import MAX_AMOUNT

SERIES = ("print", "circulation", "VND")


def test_the_law_names_eight_sources_and_every_stream_has_a_default_that_is_accepted():
    assert len(LAW_SOURCES) == 8
    assert set(STREAM_DEFAULTS) == set(STREAMS) == set(STREAM_LABELS)
    for stream, (_, source) in STREAM_DEFAULTS.items():
        for amount in (1, MAX_AMOUNT, -MAX_AMOUNT):
            assert entry_problem(stream, source, "VND", amount) is None


@pytest.mark.parametrize(
    ("stream", "source", "currency", "amount", "named"),
    [
        ("advertising", "tax", "VND", 1, "law_source"),
        ("advertising", "governing_body_funding", "VND", 1, "state_commission"),
        ("state_commission", "advertising", "VND", 1, "state_commission"),
        ("advertising", "advertising", "vnd", 1, "currency"),
        ("advertising", "advertising", "VND", 10**15 + 1, "amount"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(stream, source, currency, amount, named):
    assert named in entry_problem(stream, source, currency, amount)


MERGED = [
    Edge("station", segment, "paper", date(2025, 3, 17))
    for segment in ("print", "online", "radio", "tv")
] + [
    Edge("paper", segment, "united", date(2025, 7, 1))
    for segment in ("print", "online", "radio", "tv")
]


@pytest.mark.parametrize(
    ("on", "station", "alive"),
    [
        (date(2025, 3, 16), "station", ("paper", "station", "united")),
        (date(2025, 3, 17), "paper", ("paper", "united")),
        (date(2025, 6, 30), "paper", ("paper", "united")),
        (date(2025, 7, 1), "united", ("united",)),
    ],
)
def test_a_merger_moves_every_figure_to_one_owner_on_its_day(on, station, alive):
    owned = owners(["station", "paper", "united"], MERGED, on)
    assert owned[("station", "tv")] == station
    assert live(owned) == alive


def test_a_split_by_segment_gives_each_figure_to_one_successor():
    edges = [
        Edge("old", "print", "paper", date(2026, 1, 1)),
        Edge("old", "tv", "station", date(2026, 1, 1)),
    ]
    owned = owners(["old", "paper", "station"], edges, date(2026, 1, 1))
    assert members(owned, "old") == (("old", "online"), ("old", "radio"))
    assert ("old", "print") in members(owned, "paper")
    assert ("old", "tv") in members(owned, "station")


def test_an_agency_cannot_carry_on_itself():
    edges = [Edge("a", "tv", "b", date(2025, 1, 1)), Edge("b", "tv", "a", date(2025, 2, 1))]
    with pytest.raises(LineageCycleError):
        owners(["a", "b"], edges, date(2026, 1, 1))


def test_a_circle_that_one_only_leads_into_is_found_as_well():
    edges = [
        Edge(before, "tv", after, date(2025, 1, 1))
        for before, after in (("a", "b"), ("b", "c"), ("c", "b"))
    ]
    with pytest.raises(LineageCycleError, match=r"^a would carry on itself in tv$"):
        owners(["a"], edges, date(2026, 1, 1))


rows = st.lists(
    st.builds(
        MonthAmount,
        st.sampled_from(["tv", "print"]),
        st.just("advertising"),
        st.integers(1, 12),
        st.integers(0, 10**9),
    ),
    max_size=8,
)


@given(st.lists(rows, max_size=4))
def test_a_composed_baseline_is_the_sum_of_its_parts(parts):
    assert sum(r.amount for r in compose(parts)) == sum(r.amount for part in parts for r in part)


def test_the_signature_changes_with_any_figure_and_not_with_their_order():
    first = [MonthAmount("tv", "advertising", 1, 5), MonthAmount("tv", "advertising", 2, 6)]
    signed = signature("a", 1, 2024, first)
    assert signature("a", 1, 2024, reversed(first)) == signed
    others = [
        signature("b", 1, 2024, first),
        signature("a", 2, 2024, first),
        signature("a", 1, 2025, first),
        signature("a", 1, 2024, [first[0], MonthAmount("tv", "advertising", 2, 7)]),
    ]
    assert len({signed, *others}) == 5
    text = "press-revenue baseline|a|1|2024\ntv|advertising|VND|1|5\ntv|advertising|VND|2|6"
    assert signed == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "vi", "en"),
    [("tv", "Truyền hình", "TV"), ("not_known_yet", "not_known_yet", "Not known yet")],
)
def test_keys_are_words_on_screen(key, vi, en):
    assert (finance.label(key, "vi"), finance.label(key, "en")) == (vi, en)


def figures(**changes):
    return AgencyFigures(
        "a", ZoneInfo("Asia/Ho_Chi_Minh"), date(2026, 7, 10), Decimal("0.2000"), **changes
    )


def text_of(item):
    return exporter.render([exporter.render_agency(item)], datetime(2026, 7, 10, tzinfo=UTC))


def test_amounts_are_written_as_exact_integers_and_one_beyond_2_53_is_an_error():
    text = text_of(figures(revenue_ytd={SERIES: 2**53}))
    line = 'press_revenue_ytd_vnd{agency="a",segment="print",stream="circulation",currency="VND"}'
    assert f"{line} 9007199254740992\n" in text
    with pytest.raises(InexactAmountError):
        text_of(figures(revenue_ytd={SERIES: 2**53 + 1}))


def test_a_known_series_without_revenue_is_zero_and_without_a_baseline_there_is_none():
    text = text_of(figures(baseline={SERIES: {1: 100}}, baseline_version=3))
    assert (
        'press_revenue_ytd_vnd{agency="a",segment="print",stream="circulation",currency="VND"} 0'
        in text
    )
    assert 'press_baseline_info{agency="a",version="3"} 1' in text
    text = text_of(figures(revenue_ytd={SERIES: 5}))
    assert "press_revenue_baseline" not in text
    assert "press_agencies_on_target_ratio 0\n" in text


def test_another_currency_has_families_of_its_own():
    text = text_of(figures(revenue_ytd={("online", "subscription", "USD"): 7}))
    assert (
        'press_revenue_ytd_usd{agency="a",segment="online",stream="subscription",currency="USD"} 7'
        in text
    )
    assert "press_revenue_ytd_vnd" not in text


def test_families_are_written_once_and_together():
    item = exporter.render_agency(figures(revenue_ytd={SERIES: 5}, baseline={SERIES: {1: 9}}))
    text = exporter.render([item, item], datetime(2026, 7, 10, tzinfo=UTC))
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    names = [
        line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")
    ]
    assert names == [name for name, _ in itertools.groupby(names) for _ in range(names.count(name))]


@pytest.mark.parametrize(
    ("top", "step"),
    [(1, 1), (5, 1), (6, 2), (11, 5), (26, 10), (510, 200), (6_300_000_000, 2_000_000_000)],
)
def test_the_axis_has_round_steps(top, step):
    assert finance.tick_step(top) == step


def test_the_chart_stays_inside_its_frame_and_shows_no_bar_ahead_of_today():
    chart = finance.chart({1: 50, 2: 70}, dict.fromkeys(range(1, 13), 60), 2, "vi")
    assert [m.number for m in chart.months if m.revenue] == [1, 2]
    assert [m.number for m in chart.months if m.running] == [2]
    for month in chart.months:
        for bar in (month.baseline, month.revenue):
            assert bar is None or (bar.y >= 0 and bar.y + bar.height == chart.floor)


def test_figures_are_written_the_way_each_language_does():
    assert finance.show_percent(Fraction(138, 1000), "vi") == "+13,8 %"
    assert finance.show_percent(Fraction(-138, 1000), "en") == "−13.8%"
    assert finance.show_percent(None, "vi") == "–"
    assert finance.show_percent(Decimal("0.2000"), "vi", signed=False) == "20 %"
    assert finance.axis_label(7_500_000_000, "vi") == "7,5 tỷ"
    assert finance.axis_label(500_000_000, "en") == "500 m"
    assert finance.axis_label(1_000_000_000, "en") == "1 bn"
    assert finance.axis_label(2_000_000, "vi") == "2 triệu"
    assert finance.axis_label(0, "vi") == "0"


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        (Fraction(1, 10), (250, 500)),
        (None, (0, 500)),
        (Fraction(4, 5), (1000, 250)),
        (Fraction(-1, 5), (0, 500)),
    ],
)
def test_the_meter_never_leaves_its_room(growth, expected):
    assert finance.meter(growth, Decimal("0.2")) == expected


def test_the_time_of_the_last_event_is_exported_by_series():
    heard = datetime(2026, 7, 9, 12, 30, tzinfo=UTC)
    labels = '{agency="a",segment="print",stream="circulation",currency="VND"}'
    line = f"press_revenue_heard_timestamp_seconds{labels} {int(heard.timestamp())}\n"
    assert line in text_of(figures(heard={SERIES: heard}))
    assert "press_revenue_heard" not in text_of(figures())
