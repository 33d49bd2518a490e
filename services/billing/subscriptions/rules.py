"""States of a subscription, and what follows from them: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal


class State(StrEnum):
    """``past_due``: a renewal failed, the paid time still runs. ``grace``: it is over, reading goes on for a few days.
    ``expired``: nobody paid in time; a late payment brings it back. ``canceled``: over for good."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    GRACE = "grace"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"


_S = State
#: The one table of transitions.
TRANSITIONS: dict[State, frozenset[State]] = {
    _S.INCOMPLETE: frozenset(
        {_S.TRIALING, _S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.PAUSED, _S.CANCELED, _S.EXPIRED}
    ),
    _S.TRIALING: frozenset({_S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.PAUSED, _S.CANCELED, _S.EXPIRED}),
    _S.ACTIVE: frozenset({_S.PAST_DUE, _S.GRACE, _S.PAUSED, _S.CANCELED, _S.EXPIRED}),
    _S.PAST_DUE: frozenset({_S.ACTIVE, _S.GRACE, _S.PAUSED, _S.CANCELED, _S.EXPIRED}),
    _S.GRACE: frozenset({_S.ACTIVE, _S.PAST_DUE, _S.PAUSED, _S.CANCELED, _S.EXPIRED}),
    _S.PAUSED: frozenset({_S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.CANCELED, _S.EXPIRED}),
    _S.EXPIRED: frozenset({_S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.PAUSED, _S.CANCELED}),
    _S.CANCELED: frozenset(),
}
#: States in which the reader pays: their price counts as recurring revenue.
PAYING = frozenset({_S.ACTIVE, _S.PAST_DUE, _S.GRACE})
#: States in which a second subscription of the same agency would be a mistake.
LIVE = frozenset({_S.TRIALING, _S.ACTIVE, _S.PAST_DUE, _S.GRACE, _S.PAUSED})


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


#: Who collects: a provider, again and again; or the reader pays for one period at a time.
RENEWAL, TERM = "renewal", "term"
#: The ``provider`` of a subscription that no provider knows.
OWN = "own"
#: How far ahead of ours a provider's clock may be.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Paid:
    """A period that is paid for and was not given back."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a subscription: the provider's word, and our own list of what was paid."""

    provider_status: str
    cancel_at_period_end: bool
    ended_at: datetime | None
    paid: tuple[Paid, ...]
    grace: timedelta
    refunded: bool = False  # the newest period that was paid for was given back whole

    @property
    def slack(self) -> timedelta:
        """How late a payment may be; who has asked for the money back is not waited for."""
        return timedelta(0) if self.refunded else self.grace

    @property
    def paid_from(self) -> datetime | None:
        return min((period.starts_at for period in self.paid), default=None)

    @property
    def paid_until(self) -> datetime | None:
        return max((period.ends_at for period in self.paid), default=None)

    def begins_at(self, now: datetime) -> datetime | None:
        """When what is paid for begins, where none of it has begun and nothing else runs; else None."""
        ahead = [period.starts_at for period in self.paid if period.ends_at > now]
        begins = min(ahead, default=None)
        return begins if begins is not None and begins > now + CLOCK_SKEW else None

    @property
    def readable_until(self) -> datetime | None:
        """When reading ends if nothing more happens: a renewal may come a little late, a cancellation may not."""
        until = self.paid_until
        if until is None:
            return None
        if self.ended_at is not None:
            return min(until, self.ended_at)
        return until if self.cancel_at_period_end else until + self.slack


_PLAIN = {
    "incomplete": State.INCOMPLETE,
    "incomplete_expired": State.EXPIRED,
    "trialing": State.TRIALING,
    "paused": State.PAUSED,
    "canceled": State.CANCELED,
}


def derive_state(facts: Facts, now: datetime) -> State:
    """The state that follows from the facts at ``now``. The order in which the facts arrived does not matter."""
    plain = _PLAIN.get(facts.provider_status)
    if plain is not None:
        return plain
    until = facts.paid_until
    if until is None:
        return State.EXPIRED if facts.refunded else State.INCOMPLETE
    end = facts.ended_at or (until if facts.cancel_at_period_end else None)
    if end is not None and now >= end:
        return State.CANCELED
    if now >= until + facts.slack:
        return State.EXPIRED
    if facts.provider_status == "active":
        return State.ACTIVE
    return State.PAST_DUE if now < until else State.GRACE


def review_at(facts: Facts, now: datetime) -> datetime | None:
    """The next instant at which the clock alone changes the state."""
    until = facts.paid_until
    if until is None or facts.provider_status in _PLAIN:
        return None
    moments = [facts.begins_at(now), until, until + facts.slack]
    return min((moment for moment in moments if moment is not None and moment > now), default=None)


@dataclass(frozen=True, slots=True)
class Right:
    """A reader's right to read, as it was last announced."""

    plan_code: str
    valid_from: datetime
    valid_until: datetime
    revoked: bool


Announcement = Literal["granted", "changed", "revoked"]


def next_right(
    before: Right | None, facts: Facts, plan_code: str, now: datetime
) -> tuple[Announcement, Right] | None:
    """What to announce, or None when the last announcement still says it all.

    A right that runs out by itself needs no word: its end was announced. One that is cut short is revoked.
    """
    start, until = facts.paid_from, facts.readable_until
    if facts.provider_status == "incomplete" or start is None or until is None:
        if before is None or before.revoked:
            return None
        ended = max(min(before.valid_until, now), before.valid_from)
        return "revoked", Right(before.plan_code, before.valid_from, ended, True)
    right = Right(plan_code, min(start, until), until, False)
    if before is None:
        return "granted", right
    if before == right or (before.revoked and until <= before.valid_until):
        return None
    if not before.revoked and until <= now and until < before.valid_until:
        return "revoked", Right(plan_code, right.valid_from, until, True)
    return ("granted" if before.revoked else "changed"), right


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
