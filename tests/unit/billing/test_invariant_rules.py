"""When everything is read, from where on what has changed is, and how findings are counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.billing.invariants import rules
from services.billing.invariants.rules import Reading, Wrong
from shared.clock import VIETNAM
from shared.ids import new_id

NOON = datetime(2026, 11, 23, 5, tzinfo=UTC)  # in Hà Nội
NIGHT = datetime(2026, 11, 22, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("now", "night"),
    [
        (NOON, NIGHT),
        (NIGHT, NIGHT),
        (NIGHT - timedelta(microseconds=1), NIGHT - 24 * HOUR),
    ],
)
def test_the_last_night_is_the_last_time_it_was_that_hour(now: datetime, night: datetime):
    assert rules.last_night(now, 3, VIETNAM) == night


@pytest.mark.parametrize(
    ("reading", "asked", "due"),
    [
        (Reading(), False, True),
        (Reading(whole_at=NIGHT - HOUR, whole_tried_at=NIGHT - HOUR), False, True),
        (Reading(whole_at=NIGHT, whole_tried_at=NIGHT), False, False),
        # One that failed is tried again, but not at once.
        (Reading(whole_tried_at=NOON - HOUR / 2, whole_error="timeout"), False, False),
        (Reading(whole_tried_at=NOON - HOUR, whole_error="timeout"), False, True),
        (Reading(whole_at=NIGHT, whole_tried_at=NIGHT), True, True),
        (Reading(whole_at=NOON - HOUR / 7, whole_tried_at=NOON - HOUR / 7), True, False),
        (Reading(whole_at=NOON - HOUR / 6, whole_tried_at=NOON - HOUR / 6), True, True),
    ],
)
def test_everything_is_due(reading: Reading, asked: bool, due: bool):
    assert rules.whole_due(reading, NOON, NIGHT, asked=asked) is due


def test_an_id_is_not_below_the_lowest_of_its_moment():
    before = datetime.now(UTC)
    made = [new_id() for _ in range(100)]
    after = datetime.now(UTC) + timedelta(milliseconds=1)
    assert rules.lowest_id(before) <= min(made) and max(made) < rules.lowest_id(after)


def test_findings_are_counted_by_subject_and_the_rest_by_the_agencys_sum():
    found = [Wrong("a", "x", 2), Wrong("a", "x", 3), Wrong("a", "", 4), Wrong("b", "", 7)]
    kept = rules.counted(found)
    assert kept == {("a", "x"): 5, ("a", ""): 4, ("b", ""): 7}
    assert rules.by_agency(kept) == {"a": 5, "b": 7}, "the sum counts where it is more"
    many = [Wrong("a", f"{number}", 1) for number in range(rules.NAMED + 30)]
    kept = rules.counted([*many, Wrong("b", "y", 1)])
    assert len(kept) == rules.NAMED + 2 and rules.by_agency(kept) == {
        "a": rules.NAMED + 30,
        "b": 1,
    }


def test_an_agencys_violations_are_those_of_all_its_subjects():
    found = [Wrong("a", "x", 2), Wrong("a", "y", 3), Wrong("a", "", 6), Wrong("a", "", 1)]
    kept = rules.counted(found)
    assert kept == {("a", "x"): 2, ("a", "y"): 3, ("a", ""): 6}, "the largest sum stands"
    assert rules.by_agency(kept) == {"a": 6}
    del kept["a", ""]
    assert rules.by_agency(kept) == {"a": 5}
    many = [Wrong("a", f"{number}", 1) for number in range(rules.NAMED + 2)]
    kept = rules.counted([Wrong("a", "", rules.NAMED + 9), *many])
    assert kept["a", ""] == rules.NAMED + 9, "the sum of the subjects is less"


def test_what_failed_at_night_is_tried_again_also_if_it_was_read_once():
    reading = Reading(whole_at=NIGHT - HOUR, whole_tried_at=NOON, whole_error="timeout")
    assert not rules.whole_due(reading, NOON, NIGHT, asked=True)
    assert rules.whole_due(replace(reading, whole_error=""), NOON, NIGHT, asked=False)
