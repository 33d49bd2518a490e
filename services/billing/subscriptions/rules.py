"""The life of a subscription, in our own words: values in, values out.

Everything is derived from facts whose order of arrival does not matter: which periods are paid for and kept, what the reader
wants, how collecting the next period goes. The same table holds for every way to pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal


class State(StrEnum):
    """``past_due``: collecting the next period failed, the paid one still runs. ``grace``: it is over and still
    collected; mostly reading goes on for a few days. ``ending``: paid for, and will not renew. ``expired``: nobody paid in time, or a term is over. ``canceled``: over because
    somebody wanted it."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    GRACE = "grace"
    PAUSED = "paused"
    ENDING = "ending"
    CANCELED = "canceled"
    EXPIRED = "expired"


_S = State
_RUNNING = frozenset(
    {_S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.PAUSED, _S.ENDING, _S.CANCELED, _S.EXPIRED}
)
#: The one table of transitions. Money that arrives late brings back what was over; a trial that was canceled is resumed while it runs.
TRANSITIONS: dict[State, frozenset[State]] = {
    _S.INCOMPLETE: _RUNNING | {_S.TRIALING},
    _S.TRIALING: _RUNNING,
    **{state: _RUNNING - {state} for state in _RUNNING},
    _S.ENDING: _RUNNING - {_S.ENDING} | {_S.TRIALING},
}
#: States in which the reader pays: their price counts as recurring revenue (of ``ending`` apart, as what will leave).
PAYING = frozenset({_S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.ENDING})
#: States in which it runs, or is to run on.
LIVE = frozenset({_S.TRIALING, _S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.PAUSED, _S.ENDING})

#: How it is collected: again and again; or the reader pays for one period at a time.
RENEWAL, TERM = "renewal", "term"
#: How long the first payment after a trial, a pause, or a grace that was never paid for may be on its way.
ON_ITS_WAY = timedelta(days=1)
#: How far ahead of ours a provider's clock may be.
CLOCK_SKEW = timedelta(minutes=5)


def recurs(state: State, facts: Facts, now: datetime) -> bool:
    """Whether its price counts as recurring revenue: the reader pays, and what is paid for has begun."""
    return state in PAYING and facts.begins_at(now) is None


def fails(before: State, after: State) -> bool:
    """Whether a renewal has just failed: from now on it is owed."""
    owing = (State.PAST_DUE, State.GRACE)
    return after in owing and before not in owing


def renews(state: str, collection: str, *, cancels: bool) -> bool:
    """Whether it goes on collecting by itself: a second one beside it would be a mistake."""
    return State(state) in LIVE and collection == RENEWAL and not cancels


def may_become(before: State, after: State) -> bool:
    """Whether the table allows it (staying is always allowed)."""
    return before == after or after in TRANSITIONS[before]


@dataclass(frozen=True, slots=True)
class Dunning:
    """How an agency collects: how long before a period's end, when again after the first try, and how long it is collected and, where
    the reader has that (:attr:`Facts.has_grace`), read on.

    The defaults: at the end of the period, again after 1, 3 and 5 days; reading goes on for 7. Every try lies within the grace.
    """

    ahead: timedelta = timedelta(0)
    retries: tuple[timedelta, ...] = (timedelta(days=1), timedelta(days=3), timedelta(days=5))
    grace: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Paid:
    """A period that is paid for and was not given back; ``trial``: nothing was paid for it; ``seats``: readers that it is for."""

    starts_at: datetime
    ends_at: datetime
    trial: bool = False
    seats: int = 1


@dataclass(frozen=True, slots=True)
class Owed:
    """The open order of the next period: tries that were refused, and whether one is on its way whose outcome is not known."""

    tries: int
    pending: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a subscription. ``refunded``: the newest period that was paid for was given back whole; ``grace_spent``: its
    reader had read on in one before, and never paid for that."""

    collection: str
    paid: tuple[Paid, ...]
    dunning: Dunning
    cancels: bool = False
    owed: Owed | None = None
    paused_until: datetime | None = None
    refunded: bool = False
    grace_spent: bool = False

    @property
    def last(self) -> Paid | None:
        """The period that ends last."""
        return max(self.paid, key=lambda one: one.ends_at, default=None)

    @property
    def has_grace(self) -> bool:
        """Whether it is read on while the next period is collected: by who has paid for the last one; of a reader who had a grace for
        nothing before, by who has renewed since. So grace days are never given for a trial, nor twice without a renewal between."""
        last = self.last
        if last is None or last.trial:
            return False
        return not self.grace_spent or sum(not one.trial for one in self.paid) > 1

    @property
    def grace(self) -> timedelta:
        """How long is read on at most: no longer than what was paid for."""
        last = self.last
        if last is None or not self.has_grace:
            return min(self.dunning.grace, ON_ITS_WAY)
        return min(self.dunning.grace, last.ends_at - last.starts_at)

    @property
    def goes_on(self) -> bool:
        """Whether another period is to be collected."""
        return self.collection == RENEWAL and not self.cancels and not self.refunded

    @property
    def paid_until(self) -> datetime | None:
        return max((period.ends_at for period in self.paid), default=None)

    @property
    def due_at(self) -> datetime | None:
        """When the next period begins."""
        until = self.paid_until
        if until is None or not self.goes_on:
            return None
        return max(until, self.paused_until or until)

    def pays_for(self, at: datetime) -> bool:
        """Whether a moment is in a period that is paid for."""
        return any(one.starts_at <= at < one.ends_at for one in self.paid)

    @property
    def pauses(self) -> bool:
        """Whether nothing is read between what is paid for and the next period."""
        return self.due_at is not None and self.due_at != self.paid_until

    @property
    def lapses_at(self) -> datetime | None:
        """When the debt is closed: nobody paid in time."""
        return self.due_at + self.dunning.grace if self.due_at is not None else None

    @property
    def readable_until(self) -> datetime | None:
        """When reading ends if nothing more happens: a renewal may come a little late, a cancellation or a pause may not."""
        until = self.paid_until
        if until is None:
            return None
        refused = self.owed is not None and self.owed.tries > 0
        ends = not self.goes_on or self.pauses or (refused and not self.has_grace)
        return until if ends else until + self.grace

    def begins_at(self, now: datetime) -> datetime | None:
        """When what is paid for begins, where none of it has begun and nothing else runs; else None."""
        begins = min((one.starts_at for one in self.paid if one.ends_at > now), default=None)
        return begins if begins is not None and begins > now else None

    def runs_at(self, now: datetime) -> Paid | None:
        """The period that is read at ``now``."""
        return next((one for one in self.paid if one.starts_at <= now < one.ends_at), None)


def derive_state(facts: Facts, now: datetime) -> State:
    """The state that follows from the facts at ``now``."""
    until = facts.paid_until
    if until is None:
        return State.EXPIRED if facts.refunded else State.INCOMPLETE
    failed = facts.owed is not None and facts.owed.tries > 0
    if now < until:
        return _while_paid(facts, now, State.PAST_DUE if failed else State.ACTIVE)
    lapses_at = facts.lapses_at
    if facts.cancels:
        return State.CANCELED
    if lapses_at is None or now >= lapses_at:
        return State.EXPIRED
    if facts.pauses:
        return State.PAUSED
    return State.GRACE if failed else State.ACTIVE


def _while_paid(facts: Facts, now: datetime, otherwise: State) -> State:
    if facts.collection == RENEWAL and facts.cancels:
        return State.ENDING
    running = facts.runs_at(now)
    return State.TRIALING if running is not None and running.trial else otherwise


def next_start(
    facts: Facts,
    at: datetime,
    others_until: datetime | None,
    planned: tuple[datetime, datetime] | None = None,
) -> datetime:
    """When the period that money which came at ``at`` pays for begins. ``others_until``: the end of what else the reader has paid;
    ``planned``: of a renewal, when its period begins and when it lapses.

    It follows what is paid for already, also within the grace, as it was read meanwhile, whatever was wished since it was charged; later
    money begins a period of its own, as does that for a period that was paid meanwhile. After a pause, in which nobody reads, it begins
    with the pause's end if it was on its way then."""
    if planned is None and facts.due_at is not None and facts.lapses_at is not None:
        planned = facts.due_at, facts.lapses_at
    if planned is not None and not facts.pays_for(planned[0]):
        follows = facts.paid_until is not None and planned[0] <= facts.paid_until
        grace = facts.grace if follows else min(facts.grace, ON_ITS_WAY)
        if at < min(planned[1], planned[0] + grace):
            return planned[0]
    return max(at, facts.paid_until or at, others_until or at)


class Step(StrEnum):
    """What the clock asks for: make the order of the next period and collect it; try again; close the debt."""

    NONE = "none"
    RENEW = "renew"
    RETRY = "retry"
    CLOSE = "close"


def next_step(facts: Facts, now: datetime) -> Step:
    """What is to be done now. Nothing is, while the outcome of a try is not known: a reader is not charged twice."""
    owed, due_at, lapses_at = facts.owed, facts.due_at, facts.lapses_at
    if owed is not None and owed.pending:
        return Step.NONE
    if due_at is None or lapses_at is None or now >= lapses_at:
        return Step.CLOSE if owed is not None else Step.NONE
    if owed is None:
        return Step.RENEW if now >= due_at - facts.dunning.ahead else Step.NONE
    retry_at = _retry_at(facts, owed)
    return Step.RETRY if retry_at is not None and now >= retry_at else Step.NONE


def _retry_at(facts: Facts, owed: Owed) -> datetime | None:
    """When the next try is due after ``owed.tries`` refused ones; None after the last."""
    due_at, retries = facts.due_at, facts.dunning.retries
    if due_at is None or owed.tries > len(retries):
        return None
    wait = retries[owed.tries - 1] if owed.tries else timedelta(0)
    return due_at - facts.dunning.ahead + wait


def tries_after(tries: int, starts_at: datetime, dunning: Dunning, now: datetime) -> int:
    """How many tries count as refused after one more: those whose time went by without a try are not made up for."""
    over = sum(starts_at - dunning.ahead + wait <= now for wait in dunning.retries)
    return max(tries, over) + 1


def review_at(facts: Facts, now: datetime) -> datetime | None:
    """The next instant at which the clock alone changes something."""
    until, due_at = facts.paid_until, facts.due_at
    if until is None:
        return None
    moments = [facts.begins_at(now), until, due_at, facts.lapses_at]
    moments += [one.ends_at for one in facts.paid]
    if due_at is not None:
        moments.append(due_at - facts.dunning.ahead)
    moments += [_retry_at(facts, facts.owed)] if facts.owed is not None else []
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


@dataclass(frozen=True, slots=True)
class Right:
    """A reader's right to read, as it was last announced."""

    plan_code: str
    valid_from: datetime
    valid_until: datetime
    revoked: bool


def stretches(facts: Facts, seat: int = 1) -> list[tuple[datetime, datetime]]:
    """The times that are read by the subscription, without a gap in one, the first one first.

    A period that was given back between two others is in none. The last one runs on for the grace where another period is to come.
    ``seat``: which of its seats; a period that is for fewer readers is none of it.
    """
    found: list[tuple[datetime, datetime]] = []
    for period in sorted(facts.paid, key=lambda one: one.starts_at):
        if period.seats < seat:
            continue
        if found and period.starts_at <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], period.ends_at))
        else:
            found.append((period.starts_at, period.ends_at))
    until = facts.readable_until
    if found and until is not None:
        if until > found[-1][1] == facts.paid_until:
            found[-1] = (found[-1][0], until)
        found = [(start, min(end, until)) for start, end in found if start < until]
    return found


Announcement = Literal["granted", "changed", "revoked"]


def next_right(
    before: Right | None,
    wanted: tuple[datetime, datetime] | None,
    plan_code: str,
    now: datetime,
) -> tuple[Announcement, Right] | None:
    """What to announce of one stretch, or None when the last announcement still says it all.

    A right that runs out by itself needs no word: its end was announced, and stays where it was. One that is cut short is revoked and
    ends at ``now``, also where what is paid for ended before: what was read in between was read, and counts as a grace that was read
    for nothing.
    """
    if wanted is None:
        if before is None or before.revoked:
            return None
        ended = max(min(before.valid_until, now), before.valid_from)
        return "revoked", Right(before.plan_code, before.valid_from, ended, True)
    right = Right(plan_code, wanted[0], wanted[1], False)
    if before is None:
        return "granted", right
    over = right.valid_until < before.valid_until <= now
    if before == right or over or (before.revoked and right.valid_until <= before.valid_until):
        return None
    if not before.revoked and right.valid_until <= now < before.valid_until:
        return "revoked", Right(plan_code, right.valid_from, now, True)
    return ("granted" if before.revoked else "changed"), right


def announcements(
    wanted: Sequence[tuple[datetime, datetime]],
    told: Sequence[Right],
    plan_code: str,
    now: datetime,
) -> list[tuple[int, Announcement, Right]]:
    """What to announce of the stretches of a right (``told``: what was, in their order), each by its number."""
    found = []
    for number in range(max(len(wanted), len(told))):
        before = told[number] if number < len(told) else None
        stretch = wanted[number] if number < len(wanted) else None
        decided = next_right(before, stretch, plan_code, now)
        if decided is not None:
            found.append((number, *decided))
    return found


def seats_at(periods: Sequence[tuple[datetime, datetime, int, bool]], now: datetime) -> int:
    """How many readers a subscription is for, of the (start, end, seats, given back whole) of all its periods: as the newest one says
    that has begun, or the first one that will. One that was given back counts too, unless it had begun within one that is kept: that
    was a change, and is undone."""
    kept = [one for one in periods if not one[3]]
    found = [one for one in periods if not one[3] or not any(k[0] <= one[0] < k[1] for k in kept)]
    begun = [one for one in found if one[0] <= now]
    if begun:
        return max(begun, key=lambda one: (one[0], one[1]))[2]
    return min(found, default=(now, now, 1, False))[2]


Movement = Literal["new", "expansion", "contraction", "churn", "reactivation"]


def mrr_movement(before_vnd: int, after_vnd: int, *, returning: bool) -> Movement | None:
    """Which of the five movements takes MRR from one amount to the other; None when it stays."""
    if after_vnd == before_vnd:
        return None
    if before_vnd == 0:
        return "reactivation" if returning else "new"
    if after_vnd == 0:
        return "churn"
    return "expansion" if after_vnd > before_vnd else "contraction"


def newest_returned(periods: Sequence[tuple[datetime, datetime, bool]]) -> bool:
    """Whether the newest of (start, end, given back whole) was given back."""
    return bool(periods) and max(periods, key=lambda period: period[1])[2]
