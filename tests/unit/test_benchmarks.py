"""The pure parts of the benchmarks: what is sent, what is read, what is concluded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from benchmarks import harness, report
from benchmarks.harness import (
    LUA,
    Request,
    Run,
    _median,
    in_flight,
    parse_result,
    require_wrk,
    wanted,
)
from benchmarks.harness import Target as HarnessTarget
from benchmarks.report import Goal
from benchmarks.rows.exporter import exported_revenue
from benchmarks.stripe_events import PRICE_VND, renewal_paid
from services.billing.payments.adapters.port import (
    Captured,
)
from services.billing.payments.adapters.stripe_shapes import interpret
from services.billing.payments.method import Method

RUN = Run(8, 100, 100, 0, 0, 0, 0, 50.0, 1_000, 9_000, 20.0, 64.0)


def runs(*rates: float) -> list[Run]:
    return [replace(RUN, per_second=rate) for rate in rates]


def target(name: str) -> HarnessTarget:
    return HarnessTarget(name, "http://127.0.0.1:1", [], lambda _: [])


def test_a_request_is_one_line_with_its_body_escaped() -> None:
    line = Request("/x", 'a\tb\n"c\\d"', headers=(("A", "1"), ("Cookie", "k=v"))).line()
    assert line == 'POST\t/x\tA: 1|Cookie: k=v\ta\\tb\\n"c\\\\d"'
    assert "\n" not in line and line.count("\t") == 3


@pytest.mark.parametrize("header", ["a|b", "a\tb", "a\nb"])
def test_a_header_that_would_break_the_line_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="header"):
        Request("/x", headers=(("Cookie", header),)).line()


def test_the_result_is_found_among_what_wrk_prints() -> None:
    output = 'Running 2s test\n  Thread Stats\nRESULT {"requests": 7, "marked": 3}\n'
    assert parse_result(output) == {"requests": 7, "marked": 3}


def test_output_without_a_result_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_result("unable to connect to 127.0.0.1")


def test_enough_requests_are_prepared_for_a_faster_run() -> None:
    assert wanted(10_000, 2) > 1.5 * 10_000 * 2
    assert wanted(0, 2) > 0


@pytest.mark.parametrize(("once", "sent"), [(True, [100, 200, 400]), (False, [100])])
def test_a_server_faster_than_expected_is_asked_again_with_more(monkeypatch, once, sent) -> None:
    counts: list[int] = []

    def run_once(_target, _connections, _seconds, _folder, count):
        counts.append(count)
        return replace(RUN, wrapped=int(count < 400))

    monkeypatch.setattr(harness, "run_once", run_once)
    found = harness.run_whole(replace(target("ours"), once=once), 8, 1, Path(), 100)
    assert counts == sent
    assert len(found) == len(sent)


def test_a_row_that_never_has_enough_requests_stops_by_name(monkeypatch) -> None:
    monkeypatch.setattr(harness, "run_once", lambda *_: replace(RUN, wrapped=1))
    with pytest.raises(SystemExit, match="ours: 1600 prepared requests"):
        harness.run_whole(replace(target("ours"), once=True), 8, 1, Path(), 100)


def test_the_median_is_taken_of_the_runs_and_of_the_pairs() -> None:
    found = _median("row", target("ours"), 8, runs(10, 90, 40), runs(100, 100, 10))
    assert found.per_second == 40
    assert found.ratio == 0.9  # of 0.1, 0.9 and 4
    assert (found.p50_ms, found.p99_ms) == (1.0, 9.0)


def test_refused_answers_and_broken_connections_are_summed() -> None:
    bad = [replace(RUN, refused=2), replace(RUN, socket_errors=3), RUN]
    assert _median("row", target("ours"), 8, bad, runs(1, 1, 1)).refused == 5


def test_what_may_be_in_flight_is_one_a_connection_and_run() -> None:
    assert in_flight([replace(RUN, connections=1), replace(RUN, connections=32)]) == 33


def result(target: str, connections: int, **figures: float) -> dict[str, Any]:
    values = {"per_second": 0.0, "p50_ms": 0.0, "p99_ms": 0.0, "cpu_us": 0.0, "ratio": None}
    more = {"peak_mib": 0.0, "refused": 0, "note": ""}
    return {"row": "row", "target": target, "connections": connections, **values, **more, **figures}


@pytest.mark.parametrize(
    ("goal", "measured", "expected"),
    [
        (Goal("row", "a", "per_second", 100), 100, "reached"),
        (Goal("row", "a", "per_second", 100), 54, "**missed**: 54% of it"),
        (Goal("row", "a", "p99_ms", 10), 10, "reached"),
        (Goal("row", "a", "p99_ms", 10), 25, "**missed**: 2.5 × it"),
        (Goal("row", "a", "peak_mib", 550), 660, "**missed**: 1.2 × it"),
        (Goal("row", "a", "ratio", 0.5), 0.4, "**missed**: 80% of it"),
        (Goal("row", "a", "per_second", 1.3, compared="b"), 1.2, "reached"),
        (Goal("row", "a", "per_second", 1.3, compared="b"), 1.95, "**missed**: 1.5 × it"),
    ],
)
def test_a_goal_is_reached_or_missed_by_so_much(goal: Goal, measured: float, expected: str) -> None:
    assert report.verdict(goal, measured) == expected


def test_a_goal_is_held_against_the_heaviest_load() -> None:
    results = [result("a", 1, per_second=9.0), result("a", 32, per_second=5.0)]
    assert report.figure(Goal("row", "a", "per_second", 1), results) == 5.0
    assert report.figure(Goal("row", "other", "per_second", 1), results) is None


def test_a_comparison_is_the_cost_of_one_by_the_others() -> None:
    results = [result("few", 32, per_second=300.0), result("many", 32, per_second=200.0)]
    assert report.figure(Goal("row", "many", "per_second", 1.3, "few"), results) == 1.5


def test_every_goal_names_a_row_that_the_benchmarks_have() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (LUA.parent / "rows").glob("*.py")
    )
    for goal in report.GOALS:
        stem = goal.row.removesuffix(", 2 processes").removesuffix(", 1 process")
        assert stem.removesuffix("1,000 agencies").strip(", ") in sources, goal.row


def test_the_report_shows_figures_goals_and_what_was_verified() -> None:
    one = result("100 live lines", 32, per_second=12_345.6, ratio=0.61)
    one |= {"row": "ad decision, one placement", "note": "nothing was lost"}
    machine = {"processors": 2, "memory_gib": 8, "system": "secret-host", "python": "3.11.7"}
    document = {"measured_at": "2026-11-23T10:00:00+00:00", "machine": machine, "results": [one]}
    text = report.markdown([document])
    assert "12,346" in text and "0.61" in text and "reached" in text
    assert "nothing was lost" in text and "2 processors, 8 GiB" in text
    assert "secret-host" not in text


def test_the_exported_revenue_is_summed_by_agency() -> None:
    page = (
        "# TYPE press_revenue_ytd_vnd gauge\n"
        'press_revenue_ytd_vnd{agency="a",segment="tv"} 5\n'
        'press_revenue_ytd_vnd{agency="b",segment="tv"} -2\n'
        'press_mrr_vnd{agency="c"} 9\n'
    )
    assert exported_revenue(page) == (2, 3)


def test_the_stripe_event_is_a_captured_renewal_to_billing() -> None:
    at, charge = datetime(2026, 7, 1, tzinfo=UTC), UUID(int=7)
    fact = interpret(json.loads(renewal_paid("n1", charge, "cus_1", "pm_1", at)))
    assert fact == Captured(charge, "pi_n1", PRICE_VND, "VND", at, Method("cus_1", "pm_1"))


def test_wrk_is_told_how_to_be_installed_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt-get install wrk"):
        require_wrk()


@pytest.mark.parametrize(("load", "expected"), [(0.2, True), (6.0, False), (None, False)])
def test_a_run_on_a_busy_machine_is_called_disturbed(load: float | None, expected: bool) -> None:
    machine = {"processors": 2, "memory_gib": 8, "python": "3.11.7"}
    machine |= {} if load is None else {"load_before": load}
    document = {"measured_at": "2026-11-23T10:00:00+00:00", "machine": machine, "results": []}
    assert report.quiet([document]) is expected
    assert (report.DISTURBED in report.markdown([document])) is not expected
