"""An account of our own of readers' money: what the provider took and gave back, and what readers wished, day by day.

Nothing in here reads the product's code or database: periods, credits and rights are computed anew, simply and slowly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from tests.integration.billing.own_periods import Articles, Bought, Present, Subscribed
from tests.integration.billing.own_plans import (
    BUNDLE,
    DAY,
    HANOI,
    INTRO,
    INTRO_PERIOD,
    INTRO_TIMES,
    TAX_PERCENT,
    USES,
    Chosen,
    day_of,
    days_between,
    monthly,
    next_anchor,
    next_end,
    spread,
    tax_in,
)
from tests.integration.billing.own_seats import Group

#: What is bought once is of no plan.
ONCE = Chosen("once")


@dataclass(eq=False)
class Joined:
    """A group that somebody has, or had, a place in."""

    owner: Person = field(repr=False)
    row: Subscribed | None = field(repr=False)

    @property
    def group(self) -> Group:
        return self.owner.term_group if self.row is None else self.row.group

    def reads(self, email: str, now: datetime) -> bool:
        """Whether who has a place reads now, because the owner does."""
        return self.group.has(email) and self.owner.reads_by(self.row, now)


@dataclass
class Ordered:
    """Another plan in the place of a term, that waits for its money."""

    code: str
    chosen: Chosen
    price: int
    gross: int


@dataclass
class Person:
    """A reader: at most one subscription that renews at a time, terms that are transferred or given, passes and articles."""

    email: str
    renewing: list[Subscribed] = field(default_factory=list)
    terms: list[Bought] = field(default_factory=list)
    once: list[Bought] = field(default_factory=list)
    bundles: list[Articles] = field(default_factory=list)
    change_to: Chosen | None = None
    #: What the next money by card is for, where it is no renewal and no change: the period and the price, or what is bought once.
    wants: tuple[Chosen, int] | None = None
    wants_once: tuple[str, timedelta] | None = None
    #: Another plan of their term that they have chosen, and not transferred yet.
    ordered: Ordered | None = None
    #: Others' groups that they ever had a place in, each with whoever pays for it.
    joined: list[Joined] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.term_group = Group(self.email, lambda: self.terms)

    def live(self, now: datetime) -> Subscribed | None:
        return next((one for one in self.renewing if one.lives(now)), None)

    def reads(self, now: datetime) -> bool:
        return "site" in self.opens(now)

    def opens(self, now: datetime) -> set[str]:
        """The scopes of what may be read now."""
        rights = {
            one.scope
            for one in (*self.terms, *self.once)
            if one.kept and one.start <= now < one.until and one.scope != BUNDLE
        }
        for bundle in self.bundles:
            if bundle.bought.kept:
                rights |= {what for what, until in bundle.opened.items() if now < until}
        rights |= {"site" for one in self.renewing if one.reads(now)}
        return rights | {"site" for one in self.joined if one.reads(self.email, now)}

    def groups(self) -> Iterator[tuple[Group, Subscribed | None]]:
        """Those that they pay for, or ever did; of a term without a row."""
        yield from ((row.group, row) for row in self.renewing)
        if self.terms:
            yield self.term_group, None

    def reads_by(self, row: Subscribed | None, now: datetime) -> bool:
        """Whether a subscription, or a term, is read by now."""
        if row is not None:
            return row.reads(now)
        return any(one.kept and one.start <= now < one.until for one in self.terms)

    def group_lives(self, row: Subscribed | None, now: datetime) -> bool:
        if row is not None:
            return row.lives(now)
        return any(one.kept and now < one.until for one in self.terms)

    @property
    def subscribed_before(self) -> bool:
        return bool(self.renewing or self.terms)

    def mrr(self, now: datetime) -> int:
        total = sum(one.mrr(now) for one in self.renewing)
        kept = [one for one in self.terms if one.kept]
        if any(one.start <= now < one.until for one in kept):
            newest = max(kept, key=lambda one: one.until)
            total += monthly(newest.value, newest.chosen.period)
        return total

    def price_now(self, chosen: Chosen, now: datetime) -> int:
        """What a period that is begun now costs, without a code."""
        terms = any(one.kept and now < one.until for one in self.terms)
        goes_on = (self.term_intro and terms) or any(
            o.intro and o.lives(now) for o in self.renewing
        )
        offered = goes_on or not self.subscribed_before
        return self._at_intro(chosen) if offered else chosen.price

    def _at_intro(self, chosen: Chosen) -> int:
        left = chosen == INTRO_PERIOD and self.intro_paid < INTRO_TIMES
        return INTRO if left else chosen.price

    def periods(self) -> list[Bought]:
        return [*self.terms, *(one for row in self.renewing for one in row.bought)]

    def everything(self) -> list[Bought]:
        return [*self.periods(), *self.once]

    def paid_until(self, besides: Subscribed | None = None) -> datetime | None:
        ends = [one.until for one in self.terms if one.kept]
        ends += [
            one.until
            for row in self.renewing
            if row is not besides
            for one in row.bought
            if one.kept
        ]
        return max(ends, default=None)

    # What happens

    def transferred(self, gross: int, chosen: Chosen, at: datetime) -> Bought:
        start = max(filter(None, (at, self.paid_until())))
        own = [one.until for one in self.terms if one.kept]
        anchor = start.astimezone(HANOI).day
        if own and start == max(own):
            anchor = next_anchor(self.term_anchor, start)
        self.term_anchor = anchor
        end = next_end(start, chosen.period, anchor)
        bought = self._bought(start, end, gross, chosen)
        self.terms.append(bought)
        self.term_intro = bought.intro
        return bought

    term_anchor: int = 1
    given_back_at: datetime | None = None
    #: Whether the introductory price goes on for who pays term after term; how often it was paid in all.
    term_intro: bool = False
    intro_paid: int = 0
    happened: set[str] = field(default_factory=set)

    def _bought(self, start: datetime, end: datetime, gross: int, chosen: Chosen) -> Bought:
        days = days_between(day_of(start), day_of(end))
        intro = (chosen, gross) == (INTRO_PERIOD, INTRO)
        self.intro_paid += intro
        by_day = spread(gross - tax_in(gross), days)
        return Bought(start, end, gross, gross, chosen, by_day, intro=intro)

    def tried(self, chosen: Chosen, at: datetime, days: int) -> None:
        """A trial begins: its card is good."""
        start = max(filter(None, (at, self.paid_until())))
        row = Subscribed(chosen, start.astimezone(HANOI).day, self.email)
        row.bought.append(Bought(start, start + days * DAY, 0, 0, chosen, {}, trial=True))
        self.renewing.append(row)

    def buys_once(self, gross: int, at: datetime, reference: str = "") -> None:
        """A pass is earned over its days, an article when it is opened."""
        assert self.wants_once is not None
        (scope, lasts), self.wants_once = self.wants_once, None
        end = at + (DAY if scope.startswith("article:") else lasts)
        bought = self._bought(at, end, gross, ONCE)
        bought.end, bought.scope, bought.reference = at + lasts, scope, reference
        self.once.append(bought)
        if scope == BUNDLE:
            self.bundles.append(Articles(bought, USES))

    def bundle(self, at: datetime) -> Articles | None:
        """The one that ends first of those that open another article."""
        found = [o for o in self.bundles if o.left and o.bought.kept and at < o.bought.until]
        return min(found, key=lambda one: one.bought.until, default=None)

    def redeems(self, present: Present, at: datetime) -> None:
        goes_on = self.term_intro and present.chosen == INTRO_PERIOD  # an offer is of one price
        bought = self.transferred(present.gross, present.chosen, at)
        bought.gift, self.term_intro = True, goes_on

    def captured(self, gross: int, at: datetime, reference: str) -> None:
        """The provider took money: for a change that was confirmed, for the next period, for what is bought once, or for a new
        subscription."""
        row = self.live(at)
        if row is None and self.wants_once is not None:
            self.buys_once(gross, at, reference)
            return
        if row is not None and self.change_to is not None:
            bought = self._changed(row, gross, at)
        elif row is not None and row.due is not None and row.due <= at:
            bought = self._renewed(row, gross, at)
        else:
            row, bought = self.begun(gross, at)
        bought.reference = reference
        row.bought.append(bought)

    def _changed(self, row: Subscribed, gross: int, at: datetime) -> Bought:
        assert self.change_to is not None
        chosen, self.change_to = self.change_to, None
        assert gross == chosen.price - self.credit(row.bought, at), "as previewed"
        row.chosen, row.anchor = chosen, at.astimezone(HANOI).day
        row.paused, row.following, row.intro = None, None, False
        return self._instead(row.bought, gross, chosen.price, chosen, at)

    @staticmethod
    def _instead(own: list[Bought], gross: int, price: int, chosen: Chosen, at: datetime) -> Bought:
        """A period that begins now, in the place of what is not over of ``own``."""
        today, carried, earned_today = day_of(at), 0, False
        olds = [one for one in own if one.kept and one.until > at]
        for old in olds:
            carried += old.ahead(today)
            # One that earns from tomorrow on took the place of another, which earned today.
            begins_tomorrow = min(old.by_day, default=today) == today + DAY
            earned_today |= today in old.by_day or begins_tomorrow
            old.by_day = {one: vnd for one, vnd in old.by_day.items() if one <= today}
            old.cut = at
        end = next_end(at, chosen.period, at.astimezone(HANOI).day)
        days = days_between(day_of(at), day_of(end))
        days = [one for one in days if one > today or not earned_today]
        net = gross - tax_in(gross)
        bought = Bought(at, end, gross, price, chosen, spread(net + carried, days))
        bought.instead_of = olds
        for old in olds:
            old.heir = bought
        return bought

    def credit(self, own: list[Bought], at: datetime) -> int:
        left = [one.ahead(day_of(at)) for one in own if one.kept and one.until > at]
        return sum(one + one * TAX_PERCENT // 100 for one in left)

    def changed_term(self, ordered: Ordered, at: datetime) -> None:
        """What was transferred for another plan came: its price is as it was when it was chosen."""
        bought = self._instead(self.terms, ordered.gross, ordered.price, ordered.chosen, at)
        bought.intro = (ordered.chosen, ordered.price) == (INTRO_PERIOD, INTRO)
        self.intro_paid += bought.intro
        self.term_intro, self.term_anchor = bought.intro, at.astimezone(HANOI).day
        self.terms.append(bought)

    def _renewed(self, row: Subscribed, gross: int, at: datetime) -> Bought:
        start = row.due
        assert start is not None
        if at >= start + row.grace:  # nothing was read meanwhile
            start = max(filter(None, (at, self.paid_until())))
        goes_on = row.intro and row.following in (None, row.chosen)
        row.chosen, row.following = row.following or row.chosen, None
        assert gross == (self._at_intro(row.chosen) if goes_on else row.chosen.price)
        if goes_on:
            self.happened.add(f"renewal {'at' if gross == INTRO else 'after'} INTRO")
        row.intro = goes_on and gross == INTRO
        row.anchor = (
            next_anchor(row.anchor, start)
            if start == row.paid_until
            else start.astimezone(HANOI).day
        )
        row.paused = None
        end = next_end(start, row.chosen.period, row.anchor)
        return self._bought(start, end, gross, row.chosen)

    def begun(self, gross: int, at: datetime) -> tuple[Subscribed, Bought]:
        assert self.wants is not None, f"nothing is owed at {at}, and {gross} was taken: {self}"
        (chosen, price), self.wants = self.wants, None
        assert gross == price
        start = max(filter(None, (at, self.paid_until())))
        row = Subscribed(chosen, start.astimezone(HANOI).day, self.email)
        row.spent = any(one.read_for_nothing for one in self.renewing)
        self.renewing.append(row)
        end = next_end(start, chosen.period, row.anchor)
        bought = self._bought(start, end, gross, chosen)
        row.intro = bought.intro
        return row, bought

    def given_back(self, reference: str, amount: int, at: datetime) -> None:
        self.given_back_at = at
        for one in self.once:
            if one.reference == reference:
                one.give_back(amount, day_of(at))
        for row in self.renewing:
            for one in row.bought:
                if one.reference == reference:
                    one.give_back(amount, day_of(at))
                    if one.given_back < one.gross:
                        continue
                    if one.instead_of:
                        self._undone(row, one, day_of(at))
                    if all(other.until <= one.until for other in row.bought if other.kept):
                        row.cancels = True

    def _undone(self, row: Subscribed, change: Bought, today: date) -> None:
        """All money of a change went back: what was paid before is there again, and earns what is left of its credit."""
        change.undone = any(one.given_back < max(one.gross, 1) for one in change.instead_of)
        if row.group.places and change.undone:
            self.happened.add("change of a group taken back")
        later = [one for one in row.bought if one.kept and one.start > change.start]
        follows = min(later, key=lambda one: one.start, default=None)
        for old in change.instead_of:
            cut = follows is not None and follows.start < old.end
            old.cut = follows.start if follows is not None and cut else None
            old.heir = change if cut else None
            if follows is not None and cut:
                follows.instead_of.append(old)
        kept = [one for one in change.instead_of if one.given_back < max(one.gross, 1)]
        last = max(kept or change.instead_of, key=lambda one: one.end)
        if change.heir is not None or last.heir is not None:
            return
        left = change.ahead(today)
        change.by_day = {one: vnd for one, vnd in change.by_day.items() if one <= today}
        end = day_of(last.end)
        days = days_between(today + DAY, end) if end > today + DAY else [today]
        for day, amount in spread(left, days).items():
            last.by_day[day] = last.by_day.get(day, 0) + amount
        if follows is not None:
            return  # the plan is the one that was paid for since
        row.chosen, row.following, row.intro = last.chosen, None, last.intro
        row.anchor = max(one.astimezone(HANOI).day for one in (last.start, last.end))
