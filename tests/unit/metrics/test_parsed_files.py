"""What comes out of a file, to the last field: every row that is taken, every problem with its cell and its words."""

from __future__ import annotations

from datetime import date

import pytest

from shared.metrics.baseline import rules as baseline
from shared.metrics.baseline.rules import MonthAmount
from shared.metrics.entries import rules as revenue
from shared.metrics.entries.rules import Period, RevenueRow
from shared.metrics.rules import LAW_SOURCES, PAYERS, SEGMENTS, STREAMS
from shared.money import MAX_AMOUNT

TODAY = date(2026, 7, 10)
HEAD = "period,segment,stream,amount_vnd,key,payer,law_source,account,document"
KEY = "the row's own name in the other system: 1 to 120 characters, each once in the file"
PERIOD = "a date such as 2026-03-15, or a month such as 2026-03"
JUNE = Period(date(2026, 6, 1), date(2026, 6, 30))


def one_of(choices) -> str:
    return f"one of: {', '.join(choices)}"


def parsed(*rows: str, head: str = HEAD, **options):
    return revenue.parse("\n".join([head, *rows]).encode(), TODAY, **options)


def told(problems) -> list[tuple[int, str, str, str]]:
    return [(one.row, one.column, one.found, str(one.expected)) for one in problems]


@pytest.mark.parametrize(
    ("cell", "period"),
    [
        ("2026-06", JUNE),
        ("2026-06-15", Period(date(2026, 6, 15), date(2026, 6, 15))),
        ("2028-02", Period(date(2028, 2, 1), date(2028, 2, 29))),
        ("2000-01-01", Period(date(2000, 1, 1), date(2000, 1, 1))),
        ("2100-12", Period(date(2100, 12, 1), date(2100, 12, 31))),
        ("1999-12-31", None),
        ("2101-01", None),
        ("2026-00", None),
        ("2026-6", None),
        ("2026-06-31", None),
    ],
)
def test_a_period_is_a_day_or_a_whole_month(cell, period):
    assert revenue.parse_period(cell) == period


def test_rows_say_everything_or_mean_what_their_stream_means():
    found = parsed(
        "2026-06,tv,advertising,-5,k1,,,,",
        f"2026-07-10,online,subscription,19000,k2,business,copyright,511,{'d' * 501}",
        "2026-06-30,print,state_commission,7,k3,,,,HĐ 1",
        "2026-05,print,state_commission,8,k4,state,governing_body_funding,,",
    )
    assert found.problems == () and found.total == 19_010
    june_30, may = date(2026, 6, 30), Period(date(2026, 5, 1), date(2026, 5, 31))
    assert found.rows == (
        RevenueRow(2, "k1", JUNE, "tv", "advertising", "business", "advertising", "imported", -5, ""),
        RevenueRow(3, "k2", Period(TODAY, TODAY), "online", "subscription", "business", "copyright", "511", 19_000, "d" * 500),
        RevenueRow(4, "k3", Period(june_30, june_30), "print", "state_commission", "state", "commissioned_public_service", "imported", 7, "HĐ 1"),
        RevenueRow(5, "k4", may, "print", "state_commission", "state", "governing_body_funding", "imported", 8, ""),
    )  # fmt: skip
    bare = parsed("2026-06,radio,other,1,k1", head="period,segment,stream,amount_vnd,key")
    assert bare.rows == (
        RevenueRow(2, "k1", JUNE, "radio", "other", "business", "business_and_services", "imported", 1, ""),
    )  # fmt: skip


def test_every_bad_cell_of_every_row_is_named_with_what_would_be_right():
    found = parsed(
        "2026,paper,ads,1.5,,nobody,tax,\x00,\x00",
        "2026-06,tv,events,5,k1,,,,",
        "2026-06,tv,events,5,k2,state,governing_body_funding,,",
        "2026-06,tv,state_commission,5,k3,,advertising,,",
    )
    state = "what the state pays (commissioned_public_service, governing_body_funding) with the stream state_commission, and only there"
    assert [row.key for row in found.rows] == ["k1"]
    assert told(found.problems) == [
        (2, "period", "2026", PERIOD),
        (2, "segment", "paper", one_of(SEGMENTS)),
        (2, "stream", "ads", one_of(STREAMS)),
        (2, "payer", "nobody", one_of(PAYERS)),
        (2, "law_source", "tax", one_of(LAW_SOURCES)),
        (2, "amount_vnd", "1.5", str(revenue.AMOUNT_EXPECTED)),
        (2, "key", "", KEY),
        (2, "account", "\x00", "text"),
        (2, "document", "\x00", "text"),
        (4, "law_source", "governing_body_funding", state),
        (5, "law_source", "advertising", state),
    ]


def test_a_key_is_there_once_and_the_parts_of_a_month_have_theirs():
    """A month is recorded under ``<key>:<day>`` for each of its days: a row's own key may not be one of those."""
    taken = "a key of its own, 1 to 120 characters: row {} has this one"
    found = parsed(
        "2026-06,tv,events,5,m,,,,",
        "2026-05-01,tv,events,6,m,,,,",
        "2026-06-01,tv,events,7,m:2026-06-01,,,,",
        "2026-05-03,tv,events,8,m:2026-06-30,,,,",
        "2026-05-03,tv,events,9,m:2026-05-31,,,,",
        "2026-05-03,tv,events,9,m:2026-07-01,,,,",
        "2026-05-03,tv,events,9,m:June,,,,",
        "2026-05-04,tv,events,9,n:2026-06-01,,,,",
        "2026-04-01,tv,events,9,d,,,,",
        "2026-04-01,tv,events,9,d:2026-04-01,,,,",
        "2026-05,tv,events,9,m:2026-06-02,,,,",
        "2026-06,tv,events,5,a:b,,,,",
        "2026-06-01,tv,events,7,a:b:2026-06-01,,,,",
    )
    assert told(found.problems) == [
        (3, "key", "m", taken.format(2)),
        (4, "key", "m:2026-06-01", taken.format(2)),
        (5, "key", "m:2026-06-30", taken.format(2)),
        (14, "key", "a:b:2026-06-01", taken.format(13)),
    ]
    assert [row.number for row in found.rows] == [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


def test_days_to_come_and_months_that_run_are_refused_unless_they_are_wanted():
    rows = ("2026-07-10,tv,events,5,k1", "2026-07-11,tv,events,6,k2", "2026-07,tv,events,7,k3", "2026-06,tv,events,8,k4")  # fmt: skip
    head = "period,segment,stream,amount_vnd,key"
    expected = "a day up to 2026-07-10, or a month that is over by then"
    found = parsed(*rows, head=head)
    assert [row.key for row in found.rows] == ["k1", "k4"]
    assert told(found.problems) == [
        (3, "period", "2026-07-11", expected),
        (4, "period", "2026-07", expected),
    ]
    assert len(parsed(*rows, head=head, unfinished_months=True).rows) == 4
    # What is refused for its day has taken its key all the same.
    again = parsed(rows[1], "2026-06-01,tv,events,5,k2", head=head)
    assert [(one.row, one.column) for one in again.problems] == [(2, "period"), (3, "key")]


def test_a_file_is_bounded_in_both_directions():
    half = MAX_AMOUNT // 2
    rows = [f"2026-06,tv,events,{half},k1", f"2026-06,tv,events,-{half},k2"]
    head = "period,segment,stream,amount_vnd,key"
    assert parsed(*rows, head=head).problems == ()
    found = parsed(*rows, "2026-06,tv,events,1,k3", head=head)
    assert told(found.problems) == [
        (0, "amount_vnd", "", f"a file of at most {MAX_AMOUNT} đồng in all")
    ]
    many = parsed(*(f"x,tv,events,1,k{number}" for number in range(300)), head=head)
    assert len(many.problems) == revenue.MAX_PROBLEMS < 300


def test_the_file_to_fill_in():
    assert revenue.template("2026-06") == [
        tuple(HEAD.split(",")),
        ("2026-06", "print", "circulation", 0, "PH-2026-06", "reader", "", "", "HĐ …"),
        ("2026-06", "tv", "advertising", 0, "QC-2026-06", "business", "", "", "HĐ …"),
    ]  # fmt: skip
    first, *rows = baseline.template(2025)
    assert first == ("year", "segment", "stream", "month", "amount_vnd")
    assert {(row[0], row[4]) for row in rows} == {(2025, 0)}
    assert {row[3] for row in rows} == set(range(1, 13))


# Baselines


def months(*rows: str):
    return baseline.parse("\n".join(["year,segment,stream,month,amount_vnd", *rows]).encode())


def whole_year(segment: str = "print", year: int = 2024) -> list[str]:
    return [f"{year},{segment},circulation,{month},{month * 10}" for month in range(1, 13)]


@pytest.mark.parametrize("year", [2000, 2100])
def test_a_baseline_is_its_months_in_order(year):
    found = months(*whole_year("print", year)[::-1], *whole_year("online", year))
    assert found.year == year and found.problems == ()
    assert found.rows == tuple(
        MonthAmount(segment, "circulation", month, month * 10)
        for segment in ("online", "print")
        for month in range(1, 13)
    )


def test_every_bad_row_of_a_baseline_is_named_and_the_others_are_read():
    found = months(
        "1999,print,circulation,1,5",
        "2024,paper,circulation,1,5",
        "2025,print,press,13,-5",
        "2024,print,circulation,2,x",
        "2024,print,circulation,3,0",
        "2024,print,circulation,3,7",
        "2024,print,circulation,4,7",
    )
    assert told(found.problems) == [
        (2, "year", "1999", "a year such as 2024"),
        (3, "segment", "paper", one_of(SEGMENTS)),
        (4, "year", "2025", "2024, as in the rows above"),
        (4, "stream", "press", one_of(STREAMS)),
        (4, "month", "13", "a month from 1 to 12"),
        (4, "amount_vnd", "-5", "an amount that is not below 0"),
        (5, "amount_vnd", "x", str(revenue.AMOUNT_EXPECTED)),
        (7, "month", "3", "each month of a series once (row 6 has it)"),
    ]
    assert (found.year, [row.month for row in found.rows]) == (2024, [1, 3, 4])
    assert months().year == 0
    assert months("2101,print,circulation,1,5").problems[0].column == "year"
    assert len(months(*["x,print,circulation,1,5"] * 300).problems) == revenue.MAX_PROBLEMS


def test_months_that_are_missing_are_named_by_series():
    rows = [*whole_year("print")[1:], *whole_year("radio")[:-2], *whole_year("tv")]
    words = "a row for every month (0 where nothing was earned); missing: {}"
    assert told(months(*rows).problems) == [
        (0, "month", "print/circulation", words.format("1")),
        (0, "month", "radio/circulation", words.format("11, 12")),
    ]


def test_baselines_are_summed_by_series_month_and_currency():
    one = [MonthAmount("print", "circulation", 1, 5), MonthAmount("tv", "other", 2, 7, "USD")]
    two = [MonthAmount("print", "circulation", 1, 6), MonthAmount("tv", "other", 2, 8)]
    assert baseline.compose([one, two]) == (
        MonthAmount("print", "circulation", 1, 11),
        MonthAmount("tv", "other", 2, 7, "USD"),
        MonthAmount("tv", "other", 2, 8, "VND"),
    )
