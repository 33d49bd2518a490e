"""Security events: every one is counted, no stranger fills the log, none is told twice or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from shared.audit.caller import Actor, Caller, calling
from shared.errors import ConflictError, ForbiddenError, NotFoundError, UnauthorizedError
from shared.security import report
from shared.security.events import SecurityEvent
from shared.security.report import ALL_BURST, BURST, EVERY_SECONDS, NETWORK_BURST, Pace, Paces
from shared.telemetry import metrics

EVENT, ANOTHER = SecurityEvent.KEY_UNKNOWN, SecurityEvent.FORBIDDEN


def counted(event: SecurityEvent, service: str) -> float:
    return metrics.SECURITY_EVENTS.labels(event, service)._value.get()


@pytest.fixture
def seconds(monkeypatch):
    """The report's clock and its memory, both of this test alone."""
    now = [1000.0]
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(report, "_paces", Paces())
    return now


@given(st.integers(1, 30), st.sampled_from([0.5, 1.0, 10.0]), st.integers(0, 10**6))
def test_a_pace_is_a_burst_and_then_one_each_while(burst, every, start):
    pace = Pace(burst, every)
    for _ in range(burst):
        assert pace.has_room(start)
        pace.take(start)
    assert not pace.has_room(start)
    assert not pace.has_room(start + every * 0.75)
    later = start + every * 1.25
    assert pace.has_room(later)
    pace.take(later)
    assert not pace.has_room(later)
    rested = later + every * (burst + 2)
    for _ in range(burst):
        assert pace.has_room(rested), "rest is never worth more than a burst"
        pace.take(rested)
    assert not pace.has_room(rested)


def take(paces: Paces, now: float = 0.0, event=EVENT, agency="a", network="n", service="s"):
    return paces.take(service, event, agency, network, now)


def test_each_event_agency_and_network_has_lines_of_its_own():
    paces = Paces()
    assert [take(paces) for _ in range(BURST + 2)] == [0] * BURST + [None] * 2
    for other in ({"event": ANOTHER}, {"service": "t"}):
        assert take(paces, **other) == 0, other
    assert take(paces, EVERY_SECONDS - 0.1) is None
    assert take(paces, EVERY_SECONDS) == 3, "the next line says how many were left out"
    for other in ({"agency": "b"}, {"network": "m"}):
        assert take(paces, EVERY_SECONDS, **other) == 0, other
    assert take(paces, 2 * EVERY_SECONDS) == 0


def test_what_was_left_out_is_told_by_event_and_service():
    paces = Paces()
    for _ in range(BURST + 5):
        take(paces)
    assert take(paces, agency="b", event=ANOTHER) == 0
    assert take(paces, agency="b", service="t") == 0
    assert take(paces, agency="b") == 5, "another line of the event tells it as well"


def test_a_network_that_makes_agencies_up_gets_no_more_lines():
    paces = Paces()
    told = [take(paces, agency=f"made-up-{number}") for number in range(NETWORK_BURST + 10)]
    assert told == [0] * NETWORK_BURST + [None] * 10
    assert take(paces, network="m") == 10
    assert take(paces, agency="x", service="t") == 0


def test_all_together_have_a_bound():
    paces = Paces()
    told = [take(paces, network=f"n{number}") for number in range(ALL_BURST + 3)]
    assert told == [0] * ALL_BURST + [None] * 3
    assert take(paces, 0.4, network="new") is None
    assert take(paces, 0.5, network="new") == 4


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(report, "KEPT", 2)
    paces = Paces()
    for number in range(5):
        take(paces, network=f"n{number}")
    assert paces._of_one.cache_info().currsize == 2
    assert paces._of_network.cache_info().currsize == 2
    assert paces._of_one.cache_info().maxsize == paces._of_network.cache_info().maxsize == 2


def test_a_line_says_what_who_where_and_never_more_of_a_text_than_fits(seconds):
    by = Caller(
        request_id="r-1",
        network="203.0.113.0/24",
        actor=Actor.command("seed"),
        service="report-test",
        scope={"path_params": {"agency": "bao-thu"}},
    )
    before = counted(EVENT, "report-test")
    with capture_logs() as lines:
        report.tell(EVENT, by=by, origin="x" * 300)
    assert lines == [
        {
            "event": str(EVENT),
            "log_level": "warning",
            "security": True,
            "service": "report-test",
            "agency": "bao-thu",
            "actor": "command:seed",
            "network": "203.0.113.0/24",
            "route": "unmatched",
            "request_id": "r-1",
            "untold": 0,
            "origin": "x" * 200,
        }
    ]
    assert by.refusal_told
    assert counted(EVENT, "report-test") == before + 1


def test_the_present_caller_is_the_one_and_a_stranger_has_no_name(seconds):
    with calling(Caller(service="report-test")) as present, capture_logs() as lines:
        report.tell(EVENT)
        report.tell(EVENT, agency="bao-thu", actor="key:k1")
    assert present.refusal_told
    assert [(line["agency"], line["actor"]) for line in lines] == [
        ("", "stranger:-"),
        ("bao-thu", "key:k1"),
    ]
    with capture_logs() as lines:
        report.tell(EVENT)
    assert [line["service"] for line in lines] == [""]


@pytest.mark.parametrize(
    ("written", "told"),
    [("a" * 40, "a" * 40), ("a" * 41, ""), ("Bao", ""), ("báo", ""), ("a\nb", ""), ("a-1", "a-1")],
)
def test_what_a_stranger_calls_an_agency_is_told_only_when_it_could_be_one(seconds, written, told):
    with capture_logs() as lines:
        report.tell(EVENT, agency=written)
    assert [line["agency"] for line in lines] == [told]


def test_what_is_left_out_of_the_log_is_counted_all_the_same(seconds):
    before = counted(EVENT, "report-test")
    with calling(Caller(service="report-test", network="n")), capture_logs() as lines:
        for _ in range(BURST + 7):
            report.tell(EVENT)
        seconds[0] += EVERY_SECONDS
        report.tell(EVENT)
    assert counted(EVENT, "report-test") == before + BURST + 8
    assert [line["untold"] for line in lines] == [0] * BURST + [7]


def test_lines_are_paced_for_each_agency_and_network(seconds):
    with capture_logs() as lines:
        for agency, network in (("a", "n"), ("b", "n"), ("a", "m")):
            with calling(Caller(network=network)):
                for _ in range(BURST + 1):
                    report.tell(EVENT, agency=agency)
        with calling(Caller(network="n")):
            report.tell(ANOTHER, agency="a")
        with calling(Caller(network="n", service="report-test")):
            report.tell(EVENT, agency="a")
    assert len(lines) == 3 * BURST + 2


def test_an_error_that_is_an_event_is_told_with_what_it_knows(seconds):
    error = NotFoundError(security=SecurityEvent.OTHER_AGENCY, about={"agency": "bao-thu"})
    by = Caller(service="report-test")
    with capture_logs() as lines:
        report.refused(error, by=by)
        report.refused(ConflictError())
        report.refused(ForbiddenError(security=None))
    assert [(line["event"], line["agency"]) for line in lines] == [("other_agency", "bao-thu")]
    assert by.refusal_told
    with calling(Caller()) as present, capture_logs() as lines:
        report.refused(UnauthorizedError())
    assert present.refusal_told
    assert [line["event"] for line in lines] == ["unauthenticated"]


@pytest.mark.parametrize(
    ("status", "event"), [(401, "unauthenticated"), (403, "forbidden"), (404, None), (200, None)]
)
def test_an_answer_that_refuses_is_never_silent_and_told_once(seconds, status, event):
    by = Caller(service="report-test")
    with capture_logs() as lines:
        report.answered(status, by)
        report.answered(status, by)
    assert [line["event"] for line in lines] == ([event] if event else [])


def test_a_question_for_a_fresh_proof_is_no_event(seconds):
    report.expected()
    with calling(Caller()) as present, capture_logs() as lines:
        report.expected()
        report.answered(403, present)
    assert present.refusal_told
    assert lines == []


def test_every_event_has_its_series_before_the_first():
    report.count_from_zero("report-zero")
    series = {
        sample.labels["event"]
        for family in metrics.SECURITY_EVENTS.made().collect()
        for sample in family.samples
        if sample.labels["service"] == "report-zero" and sample.name.endswith("_total")
    }
    assert series == {str(event) for event in SecurityEvent}
