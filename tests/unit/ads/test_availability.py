"""How much fits: the max-flow against brute force, and the figures people are told."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ads.availability.rules import (
    Book,
    Claim,
    Flow,
    claim_on,
    fit_day,
    most_that_fits,
    new_shortages,
    share_of_day,
    short_day,
)

DAY = date(2026, 12, 1)
PLACES = ("a", "b", "c", "d")
places = st.frozensets(st.sampled_from(PLACES), min_size=1)
capacities = st.fixed_dictionaries({place: st.integers(0, 12) for place in PLACES})


def feasible(capacity, demand) -> bool:
    """Hall's condition: no set of groups wants more than the places it may use hold (by brute force)."""
    groups = list(demand)
    for size in range(1, len(groups) + 1):
        for chosen in combinations(groups, size):
            wanted = sum(demand[group] for group in chosen)
            if wanted > sum(capacity[p] for p in frozenset().union(*chosen)):
                return False
    return True


@settings(max_examples=300)
@given(capacities, st.dictionaries(places, st.integers(0, 15), max_size=5), places)
def test_what_is_free_is_the_most_that_halls_condition_allows(capacity, demand, wanted):
    if not feasible(capacity, demand):
        return
    free, _ = fit_day(capacity, demand, wanted)

    def with_new(units):
        return demand | {wanted: demand.get(wanted, 0) + units}

    assert feasible(capacity, with_new(free))
    assert not feasible(capacity, with_new(free + 1))


@settings(max_examples=300)
@given(capacities, st.dictionaries(places, st.integers(1, 15), max_size=5), places)
def test_those_who_contend_are_exactly_who_must_give_way(capacity, demand, wanted):
    """Without the contending lines, and only then, there is more room (or the places are empty already)."""
    if not feasible(capacity, demand):
        return
    free, contending = fit_day(capacity, demand, wanted)
    rest = {group: units for group, units in demand.items() if group not in contending}
    assert fit_day(capacity, rest, wanted)[0] >= free
    if contending:
        assert fit_day(capacity, rest, wanted)[0] > free
    else:
        assert free == sum(capacity[place] for place in wanted)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), max_size=18))
def test_dinic_equals_the_smallest_cut_found_by_trying_all(edges):
    flow = Flow(6)
    for source, target, capacity in edges:
        flow.edge(source, target, capacity)
    smallest = min(
        sum(c for s, t, c in edges if s in side and t not in side)
        for size in range(5)
        for chosen in combinations((1, 2, 3, 4), size)
        for side in [{0, *chosen}]
    )
    assert flow.augment(0, 5) == smallest
    assert 5 not in flow.reachable(0)


def test_augmenting_again_after_adding_an_edge_gives_only_the_difference():
    flow = Flow(3)
    flow.edge(0, 1, 10)
    first = flow.edge(1, 2, 4)
    assert flow.augment(0, 2) == 4
    flow.edge(1, 2, 3)
    assert flow.augment(0, 2) == 3
    assert flow.used(first) == 4


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_daily_shares_sum_to_the_quantity_and_differ_by_at_most_one(quantity, days):
    shares = [share_of_day(quantity, days, i) for i in range(days)]
    assert sum(shares) == quantity
    assert max(shares) - min(shares) <= 1


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_the_most_that_fits_does_fit_and_one_more_does_not(available):
    most, days = most_that_fits(available), len(available)
    assert all(share_of_day(most, days, i) <= free for i, free in enumerate(available))
    assert any(share_of_day(most + 1, days, i) > free for i, free in enumerate(available))


@pytest.mark.parametrize(
    ("day", "today", "delivered", "units"),
    [
        (DAY, DAY, 0, 25),
        (DAY + timedelta(days=3), DAY, 0, 25),
        (DAY + timedelta(days=4), DAY, 0, 0),
        (DAY - timedelta(days=1), DAY, 0, 0),
        # half the flight is over and only 10 of 100 were delivered: the rest needs more a day
        (DAY + timedelta(days=2), DAY + timedelta(days=2), 10, 45),
        (DAY, DAY + timedelta(days=1), 0, 0),
        (DAY + timedelta(days=3), DAY + timedelta(days=3), 100, 0),
        (DAY + timedelta(days=3), DAY + timedelta(days=3), 130, 0),
    ],
)
def test_a_line_wants_on_each_remaining_day_what_is_not_delivered_yet(day, today, delivered, units):
    claim = Claim("x", frozenset("a"), DAY, DAY + timedelta(days=3), 100, delivered)
    assert claim_on(claim, day, today) == units


def test_a_refusal_names_the_days_the_free_units_and_only_the_lines_in_the_way():
    claims = [
        Claim("wide", frozenset("ab"), DAY, DAY, 150),
        Claim("elsewhere", frozenset("c"), DAY, DAY, 90),
        Claim("another day", frozenset("a"), DAY + timedelta(days=5), DAY + timedelta(days=5), 100),
    ]
    book = Book({"a": 100, "b": 100, "c": 100}, claims, DAY)
    fit = book.flight(frozenset("a"), DAY, DAY + timedelta(days=1), 140)
    assert not fit.fits
    assert fit.available == 100  # one more would be a 51st on the first day, where 50 are free
    assert fit.short_days == (0,)
    assert fit.contending == {"wide"}
    assert [(day.capacity, day.available) for day in fit.days] == [(100, 50), (100, 100)]
    assert fit.fits is False


def test_a_flight_that_fits_says_so_also_when_it_takes_everything():
    book = Book({"a": 10, "b": 5}, [Claim("one", frozenset("a"), DAY, DAY, 4)] * 2, DAY)
    fit = book.flight(frozenset("ax"), DAY, DAY, 2)
    assert (fit.fits, fit.available, fit.short_days) == (True, 2, ())
    assert fit.days[0].capacity == 10  # a place that holds nothing adds nothing
    year = book.flight(frozenset("b"), DAY, DAY + timedelta(days=365), 366 * 5)
    assert (year.fits, year.available) == (True, 366 * 5)


def test_who_wants_more_than_there_is_takes_nothing_from_places_they_may_not_use():
    crowded = {frozenset("a"): 25}
    assert fit_day({"a": 10, "b": 10}, crowded, frozenset("b"))[0] == 10
    assert fit_day({"a": 10, "b": 10}, crowded, frozenset("ab"))[0] == 10
    assert fit_day({"a": 10, "b": 10}, crowded, frozenset("a")) == (0, {frozenset("a")})


def test_the_days_of_a_flight_are_its_own_in_their_order():
    taken = DAY + timedelta(days=5)
    book = Book({"a": 100}, [Claim("one", frozenset("a"), taken, taken, 90)], DAY)
    fit = book.flight(frozenset("a"), taken - timedelta(days=1), taken + timedelta(days=1), 60)
    assert [day.available for day in fit.days] == [100, 10, 100]
    assert (fit.short_days, fit.available, most_that_fits([])) == ((1,), 31, 0)


@pytest.mark.parametrize("days", [0, 367])
def test_a_flight_of_no_days_or_more_than_a_year_is_refused(days):
    with pytest.raises(ValueError, match="1 to 366"):
        Book({}, [], DAY).flight(frozenset(), DAY, DAY + timedelta(days=days - 1), 1)


@given(capacities, st.dictionaries(places, st.integers(0, 12), max_size=4))
def test_what_has_no_room_is_what_halls_condition_says(capacity, demand):
    """Of every set of places: what may only go there, less what they hold; the worst set is what is short."""
    sets = [
        frozenset(chosen)
        for size in range(len(PLACES) + 1)
        for chosen in combinations(PLACES, size)
    ]
    excess = [
        sum(units for wanted, units in demand.items() if wanted <= one)
        - sum(capacity[place] for place in one)
        for one in sets
    ]
    units, contending = short_day(capacity, demand)
    assert units == max(excess)
    assert bool(contending) == (units > 0)
    if units:  # those who contend are crowded by themselves
        room = frozenset().union(*contending)
        assert sum(demand[one] for one in contending) - sum(capacity[p] for p in room) == units


def test_only_days_that_a_change_makes_shorter_are_named():
    tomorrow, later = DAY + timedelta(days=1), DAY + timedelta(days=2)
    claims = [
        Claim("behind", frozenset("a"), DAY, DAY, 120),
        Claim("steady", frozenset("ab"), tomorrow, later, 200),
        Claim("other", frozenset("c"), DAY, later, 3),
    ]
    before = Book({"a": 100, "b": 0, "c": 1}, claims, DAY)
    assert [before.short(day)[0] for day in (DAY, tomorrow, later)] == [20, 0, 0]
    assert new_shortages(before, Book({"a": 100, "b": 50, "c": 1}, claims, DAY)) == []
    assert new_shortages(before, before) == []
    found = new_shortages(before, Book({"a": 90, "b": 0, "c": 1}, claims, DAY))
    assert [(one.day, one.units, set(one.contending)) for one in found] == [
        (DAY, 30, {"behind"}),
        (tomorrow, 10, {"steady"}),
        (later, 10, {"steady"}),
    ]
    assert new_shortages(Book({}, [], DAY), Book({}, [], DAY)) == []
