"""The life of a subscription, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.subscriptions import rules
from services.billing.subscriptions.rules import Dunning, Facts, Owed, Paid, Right, State, Step

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DUNNING = Dunning(timedelta(0), (DAY, 3 * DAY), 5 * DAY)
GRACE = DUNNING.grace


def facts(
    left: timedelta | None = 10 * DAY,
    *,
    collection: str = rules.RENEWAL,
    trial: bool = False,
    tries: int | None = None,
    pending: bool = False,
    paused: timedelta | None = None,
    ahead: timedelta = timedelta(0),
    **more: Any,
) -> Facts:
    """A month that has ``left`` to run (negative: is over); None: nothing paid. ``tries``: the next one is owed."""
    paid = () if left is None else (Paid(NOW + left - 30 * DAY, NOW + left, trial),)
    owed = None if tries is None else Owed(tries, pending)
    until = None if paused is None else NOW + paused
    dunning = Dunning(ahead, DUNNING.retries, GRACE)
    return Facts(collection, paid, dunning, owed=owed, paused_until=until, **more)


TERM: dict[str, Any] = {"collection": rules.TERM}
ENDS: dict[str, Any] = {"cancels": True}
STATES = [
    ("paid and running", facts(), State.ACTIVE),
    ("nothing paid yet", facts(None), State.INCOMPLETE),
    ("trial", facts(trial=True), State.TRIALING),
    ("trial that ends by wish", facts(trial=True, **ENDS), State.ENDING),
    ("trial over, first payment on its way", facts(-HOUR, trial=True, tries=0), State.ACTIVE),
    ("renewal on its way", facts(-HOUR, tries=0), State.ACTIVE),
    ("renewal a little late", facts(-DAY), State.ACTIVE),
    ("renewal does not come", facts(-GRACE), State.EXPIRED),
    ("a moment before", facts(-GRACE + timedelta(microseconds=1)), State.ACTIVE),
    ("failed before the end", facts(tries=1), State.PAST_DUE),
    ("failed, paid time over", facts(-DAY, tries=1), State.GRACE),
    ("failed, paid time just over", facts(timedelta(0), tries=1), State.GRACE),
    ("failed, grace over", facts(-GRACE, tries=3), State.EXPIRED),
    ("failed, grace over, a try on its way", facts(-GRACE, tries=3, pending=True), State.EXPIRED),
    ("will not renew, not yet there", facts(**ENDS), State.ENDING),
    ("will not renew, there", facts(timedelta(0), **ENDS), State.CANCELED),
    ("will not renew, in grace", facts(-DAY, tries=1, **ENDS), State.CANCELED),
    ("a term runs", facts(**TERM), State.ACTIVE),
    ("a term is over", facts(timedelta(0), **TERM), State.EXPIRED),
    ("pauses later", facts(paused=40 * DAY), State.ACTIVE),
    ("paused", facts(-DAY, paused=DAY), State.PAUSED),
    ("pause over, not paid yet", facts(-9 * DAY, paused=-DAY, tries=1), State.PAUSED),
    ("pause over, never paid", facts(-40 * DAY, paused=-GRACE), State.EXPIRED),
    ("a pause that was over before the end is none", facts(-DAY, paused=-2 * DAY), State.ACTIVE),
    ("all given back", facts(None, refunded=True), State.EXPIRED),
    ("newest given back, no grace", facts(-DAY, refunded=True), State.EXPIRED),
    ("newest given back, the one before runs", facts(refunded=True), State.ACTIVE),
]


@pytest.mark.parametrize(("case", "found", "state"), STATES, ids=[row[0] for row in STATES])
def test_the_state_follows_from_the_facts(case, found, state):
    assert rules.derive_state(found, NOW) == state


def test_a_trial_goes_on_while_it_runs_and_late_money_brings_back_what_was_over():
    assert rules.TRANSITIONS.keys() == set(State)
    for before in State:
        assert rules.may_become(before, before)
        for after in set(State) - {before}:
            in_a_trial = before in (State.INCOMPLETE, State.ENDING)
            allowed = after is not State.INCOMPLETE and (after is not State.TRIALING or in_a_trial)
            assert rules.may_become(before, after) is allowed, (before, after)


STEPS = [
    ("nothing is due", facts(), Step.NONE),
    ("the period is over", facts(timedelta(0)), Step.RENEW),
    ("a moment before", facts(timedelta(microseconds=1)), Step.NONE),
    ("collected ahead", facts(2 * HOUR, ahead=2 * HOUR), Step.RENEW),
    ("not yet ahead", facts(3 * HOUR, ahead=2 * HOUR), Step.NONE),
    ("a worker that was off for days", facts(-4 * DAY), Step.RENEW),
    ("nobody is charged whose right has ended", facts(-GRACE), Step.NONE),
    ("a try is on its way", facts(-HOUR, tries=0, pending=True), Step.NONE),
    ("and is at the grace's end", facts(-GRACE, tries=2, pending=True), Step.NONE),
    ("refused once, a day later", facts(-DAY, tries=1), Step.RETRY),
    ("refused once, earlier", facts(-DAY + HOUR, tries=1), Step.NONE),
    ("refused twice, earlier", facts(-2 * DAY, tries=2), Step.NONE),
    ("refused twice, three days later", facts(-3 * DAY, tries=2), Step.RETRY),
    ("refused after the last", facts(-4 * DAY, tries=3), Step.NONE),
    ("grace over: the debt is closed", facts(-GRACE, tries=3), Step.CLOSE),
    ("owed without a try on its way: at once", facts(-HOUR, tries=0), Step.RETRY),
    ("will not renew: what is owed is closed", facts(-DAY, tries=1, **ENDS), Step.CLOSE),
    ("will not renew", facts(-DAY, **ENDS), Step.NONE),
    ("given back: what is owed is closed", facts(-DAY, tries=1, refunded=True), Step.CLOSE),
    ("a term", facts(-DAY, **TERM), Step.NONE),
    ("paused", facts(-DAY, paused=DAY), Step.NONE),
    ("the pause is over", facts(-9 * DAY, paused=timedelta(0)), Step.RENEW),
    ("nothing paid", facts(None), Step.NONE),
]


@pytest.mark.parametrize(("case", "found", "step"), STEPS, ids=[row[0] for row in STEPS])
def test_what_the_clock_asks_for(case, found, step):
    assert rules.next_step(found, NOW) is step


REVIEWS = [
    ("the end of the period", facts(), 10 * DAY),
    ("the end of the grace", facts(-DAY), GRACE - DAY),
    ("the next try", facts(-HOUR, tries=1), DAY - HOUR),
    ("collected ahead", facts(5 * HOUR, ahead=2 * HOUR), 3 * HOUR),
    ("everything is over", facts(-GRACE), None),
    ("a term ends", facts(**TERM), 10 * DAY),
    ("the pause ends", facts(-DAY, paused=6 * DAY), 6 * DAY),
    ("nothing paid", facts(None), None),
    ("it begins later", facts(40 * DAY), 10 * DAY),
]


@pytest.mark.parametrize(("case", "found", "after"), REVIEWS, ids=[row[0] for row in REVIEWS])
def test_the_clock_looks_again_exactly_when_something_changes(case, found, after):
    assert rules.review_at(found, NOW) == (None if after is None else NOW + after)


any_facts = st.builds(
    facts,
    st.integers(-900, 900).map(lambda hours: hours * HOUR),
    collection=st.sampled_from([rules.RENEWAL, rules.TERM]),
    trial=st.booleans(),
    tries=st.none() | st.integers(0, 4),
    pending=st.booleans(),
    paused=st.none() | st.integers(-900, 900).map(lambda hours: hours * HOUR),
    ahead=st.integers(0, 72).map(lambda hours: hours * HOUR),
    cancels=st.booleans(),
    refunded=st.booleans(),
)


@given(any_facts, st.integers(0, 2_000))
def test_between_two_reviews_nothing_changes(found: Facts, minutes: int):
    """State, step and what is read are the same from now until just before the moment that the clock looks again."""
    then = NOW + timedelta(minutes=minutes)
    at = rules.review_at(found, NOW)
    if at is not None and then >= at:
        then = at - timedelta(microseconds=1)
    assert rules.derive_state(found, then) is rules.derive_state(found, NOW)
    assert rules.next_step(found, then) is rules.next_step(found, NOW)


@given(any_facts)
def test_who_reads_is_live_and_nobody_else_is_charged(found: Facts):
    until = found.readable_until
    reads = until is not None and found.paid[0].starts_at <= NOW < until
    state = rules.derive_state(found, NOW)
    if reads:
        assert state in rules.LIVE
    if rules.next_step(found, NOW) in (Step.RENEW, Step.RETRY):
        assert state in rules.LIVE, "nothing is collected of what is over"
        assert found.goes_on


STARTS = [
    ("the first one begins when it is paid", facts(None), -HOUR, None, -HOUR),
    ("after what else is paid for", facts(None), -HOUR, 9 * DAY, 9 * DAY),
    ("paid ahead follows", facts(2 * HOUR), -HOUR, None, 2 * HOUR),
    ("paid in the grace follows, as it was read", facts(-4 * DAY), timedelta(0), None, -4 * DAY),
    ("paid after the grace begins then", facts(-GRACE), timedelta(0), None, timedelta(0)),
    ("after a pause", facts(-9 * DAY, paused=-23 * HOUR), timedelta(0), None, -23 * HOUR),
    ("a day after a pause", facts(-9 * DAY, paused=-DAY), timedelta(0), None, timedelta(0)),
    ("after a pause and a refusal", facts(-9 * DAY, paused=-4 * DAY), HOUR, None, HOUR),
    ("before the pause is over", facts(-9 * DAY, paused=DAY), timedelta(0), None, DAY),
    ("late, of what will not renew", facts(-DAY, cancels=True), timedelta(0), None, timedelta(0)),
    ("ahead, of what will not renew", facts(DAY, cancels=True), timedelta(0), None, DAY),
    ("another term", facts(DAY, **TERM), timedelta(0), None, DAY),
    ("another term after a pass", facts(-DAY, **TERM), timedelta(0), 2 * DAY, 2 * DAY),
    ("after both are over", facts(-2 * DAY, **TERM), timedelta(0), -DAY, timedelta(0)),
    ("a renewal does not wait for others", facts(-DAY), timedelta(0), 9 * DAY, -DAY),
]


@pytest.mark.parametrize(
    ("case", "found", "at", "others", "start"), STARTS, ids=[row[0] for row in STARTS]
)
def test_when_a_period_begins(case, found, at, others, start):
    until = None if others is None else NOW + others
    assert rules.next_start(found, NOW + at, until) == NOW + start


def test_money_for_a_period_that_was_paid_meanwhile_follows_what_is_paid():
    found, began = facts(2 * DAY), NOW - HOUR
    assert rules.next_start(found, NOW, None, (began, began + GRACE)) == NOW + 2 * DAY


def test_a_period_is_read_up_to_its_end_and_not_at_it():
    found = Facts(rules.RENEWAL, (Paid(NOW - DAY, NOW), Paid(NOW, NOW + DAY)), DUNNING)
    assert found.runs_at(NOW) == Paid(NOW, NOW + DAY)
    assert found.runs_at(NOW - HOUR) == Paid(NOW - DAY, NOW)
    assert found.runs_at(NOW + DAY) is None


def month(number: int) -> Paid:
    return Paid(NOW + number * 30 * DAY, NOW + (number + 1) * 30 * DAY)


def test_a_month_that_was_given_back_between_two_others_is_in_no_stretch():
    paid = (month(2), month(0))
    kept = Facts(rules.TERM, paid, DUNNING)
    assert rules.stretches(kept) == [
        (NOW, NOW + 30 * DAY),
        (NOW + 60 * DAY, NOW + 90 * DAY),
    ]
    whole = Facts(rules.TERM, (*paid, month(1)), DUNNING)
    assert rules.stretches(whole) == [(NOW, NOW + 90 * DAY)]
    going_on = Facts(rules.RENEWAL, paid, DUNNING)
    assert rules.stretches(going_on)[-1] == (NOW + 60 * DAY, NOW + 90 * DAY + GRACE)
    assert rules.stretches(Facts(rules.RENEWAL, (), DUNNING)) == []


def right(until: timedelta, *, revoked: bool = False, plan: str = "doc-bao") -> Right:
    return Right(plan, NOW - 20 * DAY, NOW + until, revoked)


def reads(until: timedelta) -> tuple[datetime, datetime]:
    return NOW - 20 * DAY, NOW + until


RIGHTS = [
    ("first payment", None, reads(13 * DAY), ("granted", 13 * DAY)),
    ("nothing new", right(13 * DAY), reads(13 * DAY), None),
    ("renewal", right(13 * DAY), reads(43 * DAY), ("changed", 43 * DAY)),
    ("will not renew", right(13 * DAY), reads(10 * DAY), ("changed", 10 * DAY)),
    ("cut short", right(13 * DAY), reads(timedelta(0)), ("revoked", timedelta(0))),
    ("cut short after what is paid for", right(5 * DAY), reads(-2 * DAY), ("revoked", 0 * DAY)),
    ("cut short, and was told so", right(0 * DAY, revoked=True), reads(-2 * DAY), None),
    ("over, and what was paid for is less", right(-1 * DAY), reads(-2 * DAY), None),
    ("given back", right(13 * DAY), None, ("revoked", timedelta(0))),
    ("given back already", right(timedelta(0), revoked=True), None, None),
    ("ran out by itself", right(-DAY), reads(-DAY), None),
    ("another plan, after the end", right(-DAY, plan="x"), reads(-DAY), ("changed", -DAY)),
    (
        "paid again",
        right(timedelta(0), revoked=True),
        reads(13 * DAY),
        ("granted", 13 * DAY),
    ),
    ("nothing paid", None, None, None),
    ("revoked, and paid up to there", right(13 * DAY, revoked=True), reads(13 * DAY), None),
    (
        "given back before it began",
        Right("doc-bao", NOW + DAY, NOW + 2 * DAY, False),
        None,
        ("revoked", DAY),
    ),
]


@pytest.mark.parametrize(
    ("case", "before", "wanted", "expected"), RIGHTS, ids=[row[0] for row in RIGHTS]
)
def test_a_right_is_announced_when_it_changes(case, before, wanted, expected):
    found = rules.next_right(before, wanted, "doc-bao", NOW)
    if expected is None:
        assert found is None
        return
    assert found is not None
    word, announced = found
    assert (word, announced.valid_until) == (expected[0], NOW + expected[1])
    assert announced.plan_code == "doc-bao"
    assert announced.revoked is (word == "revoked")
    assert announced.valid_from <= announced.valid_until


@pytest.mark.parametrize(
    ("before", "after", "returning", "movement"),
    [
        (0, 59_000, False, "new"),
        (0, 59_000, True, "reactivation"),
        (59_000, 0, False, "churn"),
        (59_000, 79_000, False, "expansion"),
        (59_000, 49_000, False, "contraction"),
        (59_000, 59_000, False, None),
        (0, 0, True, None),
    ],
)
def test_mrr_moves_by_one_of_five_movements(before, after, returning, movement):
    assert rules.mrr_movement(before, after, returning=returning) == movement


WEEK = Paid(NOW - 7 * DAY, NOW)
TRIAL = Paid(NOW - 7 * DAY, NOW, True)


@pytest.mark.parametrize(
    ("name", "paid", "spent", "tries", "reads"),
    [
        ("who has paid", (WEEK,), False, 1, 5 * DAY),
        ("no longer than what was paid for", (Paid(NOW - 2 * DAY, NOW),), False, 1, 2 * DAY),
        ("after a trial while the first try is on its way", (TRIAL,), False, 0, DAY),
        ("after a trial that was not paid for", (TRIAL,), False, 1, 0 * DAY),
        ("a grace was read for nothing before", (WEEK,), True, 1, 0 * DAY),
        ("renewed since", (Paid(NOW - 14 * DAY, NOW - 7 * DAY), WEEK), True, 1, 5 * DAY),
        (
            "a trial is no renewal",
            (Paid(NOW - 9 * DAY, NOW - 7 * DAY, True), WEEK),
            True,
            1,
            0 * DAY,
        ),
    ],
)
def test_grace_is_for_who_has_paid_and_once_until_a_renewal(
    name: str, paid: tuple[Paid, ...], spent: bool, tries: int, reads: timedelta
) -> None:
    found = Facts("renewal", paid, DUNNING, owed=Owed(tries, False), grace_spent=spent)
    assert found.readable_until == NOW + reads, name
    assert found.lapses_at == NOW + 5 * DAY, "it is collected as long in any case"
    planned = (NOW, NOW + 5 * DAY)
    late = rules.next_start(found, NOW + found.grace, None, planned)
    assert late == NOW + found.grace, "what is paid afterwards begins when it is paid"
    assert rules.next_start(found, NOW + found.grace - timedelta(seconds=1), None, planned) == NOW


def test_each_stretch_of_a_right_is_announced_by_its_number():
    first, second = (NOW - 9 * DAY, NOW - 2 * DAY), (NOW, NOW + 7 * DAY)
    told = [Right("doc-bao", *first, False), Right("doc-bao", *second, False)]
    assert rules.announcements([first, second], told, "doc-bao", NOW) == []
    assert rules.announcements([first, second], [], "doc-bao", NOW) == [
        (0, "granted", told[0]),
        (1, "granted", told[1]),
    ]
    later = (NOW + 8 * DAY, NOW + 9 * DAY)
    assert rules.announcements([first, second, later], told, "doc-bao", NOW) == [
        (2, "granted", Right("doc-bao", *later, False))
    ]
    assert rules.announcements([first], told, "doc-bao", NOW + DAY) == [
        (1, "revoked", Right("doc-bao", NOW, NOW + DAY, True))
    ]
    assert rules.announcements([], told[1:], "doc-bao", NOW) == [
        (0, "revoked", Right("doc-bao", NOW, NOW, True))
    ]
    assert rules.announcements([], [], "doc-bao", NOW) == []


@pytest.mark.parametrize(
    ("tries", "late", "ahead", "counted"),
    [
        (0, timedelta(0), timedelta(0), 1),
        (1, DAY - HOUR, timedelta(0), 2),
        (0, DAY, timedelta(0), 2),
        (1, DAY, timedelta(0), 2),
        (2, DAY, timedelta(0), 3),
        (0, 3 * DAY, timedelta(0), 3),
        (0, 9 * DAY, timedelta(0), 3),
        (0, DAY - HOUR, HOUR, 2),
        (0, DAY - 2 * HOUR, HOUR, 1),
    ],
)
def test_tries_whose_time_went_by_are_not_made_up_for(tries, late, ahead, counted):
    dunning = Dunning(ahead, (DAY, 3 * DAY), 5 * DAY)
    assert rules.tries_after(tries, NOW, dunning, NOW + late) == counted


def test_whether_the_newest_period_was_given_back():
    old, new = (NOW - 9 * DAY, NOW), (NOW, NOW + DAY)
    assert not rules.newest_returned([])
    assert rules.newest_returned([(*new, True), (*old, False)])
    assert not rules.newest_returned([(*new, False), (*old, True)])
    # Of one that began later and ends before: what ends last counts.
    assert rules.newest_returned([(NOW - 9 * DAY, NOW + 9 * DAY, True), (*new, False)])


def test_a_renewal_fails_once_and_recurs_while_its_reader_pays():
    owing = {State.PAST_DUE, State.GRACE}
    for before in State:
        for after in State:
            assert rules.fails(before, after) is (after in owing and before not in owing)
    paying = {State.ACTIVE, State.PAST_DUE, State.GRACE, State.ENDING}
    for state in State:
        assert rules.recurs(state, facts(), NOW) is (state in paying)
        assert not rules.recurs(state, facts(40 * DAY), NOW), "it has not begun"
