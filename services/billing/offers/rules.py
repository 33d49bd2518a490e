"""Decisions about offers: values in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.billing.plans.rules import MONTHS

#: How long a student's address counts after it was verified.
VERIFIED_FOR = timedelta(days=365)
#: How long before a price rises its reader is told.
RISES_BEFORE = timedelta(days=7)
#: A winback is written of this long after it became the reader's, and no later.
WINBACK_WITHIN = timedelta(days=60)

_DOMAIN = re.compile(r"(?=.{3,100}$)[a-z0-9]+(-+[a-z0-9]+)*(\.[a-z0-9]+(-+[a-z0-9]+)*)+")


class Kind(StrEnum):
    """``intro``: for who has never had a subscription; ``winback``: for who paid, and left; ``student``: while an address is proved."""

    INTRO = "intro"
    WINBACK = "winback"
    STUDENT = "student"


@dataclass(frozen=True, slots=True)
class Terms:
    """An offer of one price. ``periods`` None: of a student; ``lapsed_days`` and ``again_days`` are a winback's; ``valid_until`` is
    exclusive."""

    id: UUID
    price_id: UUID
    kind: Kind
    amount_vnd: int
    periods: int | None
    valid_from: datetime
    valid_until: datetime | None
    lapsed_days: int | None
    again_days: int | None
    domains: tuple[str, ...]
    ended_at: datetime | None

    def open_at(self, now: datetime) -> bool:
        """Whether it is offered now."""
        begun = self.valid_from <= now and (self.valid_until is None or now < self.valid_until)
        return begun and (self.ended_at is None or now < self.ended_at)


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a reader (nothing: of a visitor nobody knows, who may be new).

    ``new``: has never had a subscription; ``live``: one runs; ``lapsed_at``: when the last period that was paid for ended;
    ``won_back_at``: when a winback was paid last; ``address``, ``student_until``: the student's address that was verified, and until when;
    ``held``: what is left of the offers that running subscriptions are in, by the offer.
    """

    new: bool = True
    live: bool = False
    lapsed_at: datetime | None = None
    won_back_at: datetime | None = None
    address: str = ""
    student_until: datetime | None = None
    held: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Priced:
    """What a period costs: ``terms`` None at the price itself. ``left``: periods that are paid at the offer, this one among them."""

    full_vnd: int
    period: str
    terms: Terms | None = None
    left: int | None = None

    @property
    def amount_vnd(self) -> int:
        return self.terms.amount_vnd if self.terms else self.full_vnd

    @property
    def offer_id(self) -> UUID | None:
        return self.terms.id if self.terms else None

    @property
    def span(self) -> tuple[int, str]:
        """How long it is paid at the offer: see :func:`span`."""
        return span(self.left or 1, self.period)

    @property
    def first(self) -> bool:
        """Whether all of the offer's periods are still to come."""
        return self.terms is not None and self.left == self.terms.periods


def is_for(terms: Terms, person: Person, at: datetime) -> bool:
    """Whether an offer is for this reader at a moment, whenever it is offered."""
    match terms.kind:
        case Kind.INTRO:
            return person.new
        case Kind.STUDENT:
            proved = person.student_until is not None and at < person.student_until
            return proved and is_of(person.address, terms.domains)
        case Kind.WINBACK:
            assert (
                terms.lapsed_days is not None and terms.again_days is not None
            )  # the table says so
            away, again = timedelta(days=terms.lapsed_days), timedelta(days=terms.again_days)
            left = not person.live and person.lapsed_at is not None
            rested = person.won_back_at is None or at >= person.won_back_at + again
            return (
                left and rested and person.lapsed_at is not None and at >= person.lapsed_at + away
            )


def price_for(
    full_vnd: int, period: str, offered: Sequence[Terms], person: Person, now: datetime
) -> Priced:
    """What a period that is bought now costs: at the cheapest offer that is for this reader, else the price itself."""
    found = [one for one in offered if _applies(one, person, now)]
    return _cheapest(full_vnd, period, [(one, _left(one, person)) for one in found])


def next_price(
    full_vnd: int,
    period: str,
    held: tuple[Terms, int | None] | None,
    offered: Sequence[Terms],
    person: Person,
    due_at: datetime,
) -> Priced:
    """What the next period of a subscription costs. ``held``: the offer that it is in, and how many periods of it are left;
    ``offered``: what else there is of its price, of which only a student's may begin in the middle."""
    found: list[tuple[Terms, int | None]] = [
        (one, None)
        for one in (*offered, *([held[0]] if held else []))
        if one.kind is Kind.STUDENT and is_for(one, person, due_at)
    ]
    if held is not None and held[0].kind is not Kind.STUDENT and held[1]:
        found.append(held)
    return _cheapest(full_vnd, period, found)


def stands(terms: Terms, person: Person, *, used: int, still_open: bool, now: datetime) -> bool:
    """Whether money may pay a sale at an offer that this reader has paid ``used`` times. What an open order says holds, as far as there
    are periods; a closed one is looked at anew, whether the offer is made any more or not."""
    if terms.periods is not None and used >= terms.periods:
        return False
    return still_open or terms.id in person.held or is_for(terms, person, now)


def _applies(terms: Terms, person: Person, now: datetime) -> bool:
    return terms.id in person.held or (terms.open_at(now) and is_for(terms, person, now))


def _left(terms: Terms, person: Person) -> int | None:
    return person.held.get(terms.id, terms.periods) if terms.periods is not None else None


def _cheapest(full_vnd: int, period: str, found: list[tuple[Terms, int | None]]) -> Priced:
    best = min(found, key=lambda one: (one[0].amount_vnd, -(one[1] or 0), one[0].id), default=None)
    return Priced(full_vnd, period, *best) if best else Priced(full_vnd, period)


def span(periods: int, period: str) -> tuple[int, str]:
    """So many periods as a number of weeks, months or years: 2 quarters are 6 months."""
    if period in ("week", "year"):
        return periods, period
    return periods * MONTHS[period], "month"


def is_of(address: str, domains: Sequence[str]) -> bool:
    """Whether an address is of one of these domains, or of one below them."""
    host = address.rpartition("@")[2]
    return any(host == one or host.endswith(f".{one}") for one in domains)


def as_domains(text: str) -> tuple[str, ...] | None:
    """Mail domains as people write them (``.edu.vn, @vnu.vn``); None where one of them is none, or there is none."""
    words = [word.lstrip("@.") for word in re.split(r"[\s,;]+", text.lower()) if word]
    fits = 0 < len(words) <= 20 and all(_DOMAIN.fullmatch(word) for word in words)
    return tuple(dict.fromkeys(words)) if fits else None
