"""An account of our own of readers' money: what the provider took and gave back, and what readers wished, day by day.

Nothing in here reads the product's code or database: periods, days, tax and credits are computed anew, simply and slowly.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

HANOI = ZoneInfo("Asia/Ho_Chi_Minh")
DAY = timedelta(days=1)
GRACE = 7 * DAY
PRICES = {"week": 19_000, "month": 59_000, "year": 590_000}
#: What who never had a subscription pays for a week, and how often.
INTRO_PERIOD, INTRO, INTRO_TIMES = "week", 9_000, 3
#: A bundle: its scope is nothing to read, its articles are; how many it opens.
BUNDLE, USES = "bundle", 10
MONTHS = {"month": 1, "year": 12}
TAX_PERCENT = 8


def day_of(at: datetime) -> date:
    return at.astimezone(HANOI).date()


def tax_in(gross: int) -> int:
    """8 % inside a price, to the nearest đồng, half up."""
    exact, rest = divmod(gross * TAX_PERCENT, 100 + TAX_PERCENT)
    return exact + (2 * rest >= 100 + TAX_PERCENT)


def next_end(start: datetime, period: str, anchor: int) -> datetime:
    local = start.astimezone(HANOI)
    if period == "week":
        return start + 7 * DAY
    months = local.month - 1 + MONTHS[period]
    year, month = local.year + months // 12, months % 12 + 1
    day = min(anchor, monthrange(year, month)[1])
    return local.replace(year=year, month=month, day=day).astimezone(start.tzinfo)


def next_anchor(anchor: int, start: datetime) -> int:
    """31 January, 28 February, 31 March; but a week or a trial moves it."""
    local = start.astimezone(HANOI)
    month_end = (local + DAY).day == 1
    return anchor if local.day == anchor or (month_end and local.day < anchor) else local.day


def spread(total: int, days: list[date]) -> dict[date, int]:
    """Whole đồng by day: the running sum is the exact share, rounded down. Nothing is earned on no day."""
    count = len(days) if total else 0
    days = days[:count]
    return {one: total * (n + 1) // count - total * n // count for n, one in enumerate(days)}


def days_between(first: date, end: date) -> list[date]:
    return [first + n * DAY for n in range(max((end - first).days, 1))]


@dataclass
class Bought:
    """A period that money (or a trial) bought; ``by_day``: what each day of it earns."""

    start: datetime
    end: datetime
    gross: int
    value: int
    period: str
    by_day: dict[date, int]
    trial: bool = False
    reference: str = ""
    given_back: int = 0
    tax_back: int = 0
    refunds_of_revenue: int = 0
    cut: datetime | None = None
    #: The change that took its place, and earns what was left of it.
    heir: Bought | None = field(default=None, repr=False, compare=False)
    scope: str = "site"
    gift: bool = False
    #: Paid at the introductory price.
    intro: bool = False
    #: What a change took the place of.
    instead_of: list[Bought] = field(default_factory=list)

    @property
    def until(self) -> datetime:
        return self.cut or self.end

    @property
    def kept(self) -> bool:
        return self.given_back < max(self.gross, 1) and self.until > self.start

    def ahead(self, today: date) -> int:
        return sum(amount for one, amount in self.by_day.items() if one > today)

    @property
    def holder(self) -> Bought:
        """Whose days earn what is left of it."""
        return self if self.heir is None else self.heir.holder

    @property
    def own_net(self) -> int:
        """What was paid for it and kept, without tax."""
        return self.gross - tax_in(self.gross) - (self.given_back - self.tax_back)

    def give_back(self, amount: int, today: date) -> None:
        """Its own net comes out of the days to come; where a change took its place, out of the credit that is left there."""
        tax = tax_in(self.gross) * (self.given_back + amount) // self.gross - self.tax_back
        net, self.tax_back = amount - tax, self.tax_back + tax
        holder = self.holder
        days = sorted(one for one in holder.by_day if one > today)
        deferred = holder.ahead(today)
        still = deferred if holder is self else max(deferred - holder.own_net, 0)
        taken = min(net, still)
        if taken:
            for one in days:
                del holder.by_day[one]
            holder.by_day |= spread(deferred - taken, days)
        self.refunds_of_revenue += net - taken
        self.given_back += amount


@dataclass
class Subscribed:
    """A renewing subscription."""

    period: str
    anchor: int
    bought: list[Bought] = field(default_factory=list)
    next_period: str | None = None
    cancels: bool = False
    paused: datetime | None = None
    good_card: bool = True
    refused: bool = False
    over: bool = False
    #: Its reader had read on in an earlier one for nothing; when they gave it up while they read on.
    spent: bool = False
    given_up: datetime | None = None
    #: The introductory price goes on, as far as it was not paid so often.
    intro: bool = False

    @property
    def paid_until(self) -> datetime | None:
        return max((one.until for one in self.bought if one.kept), default=None)

    @property
    def newest(self) -> Bought | None:
        kept = [one for one in self.bought if one.kept]
        return max(kept, key=lambda one: one.until) if kept else None

    @property
    def due(self) -> datetime | None:
        until = self.paid_until
        if until is None or self.cancels:
            return None
        return max(until, self.paused) if self.paused else until

    @property
    def has_grace(self) -> bool:
        """Who has paid for the last period reads on; after a grace for nothing only who has renewed since."""
        newest = self.newest
        paid = [one for one in self.bought if one.kept and not one.trial]
        return newest is not None and not newest.trial and (not self.spent or len(paid) > 1)

    @property
    def grace(self) -> timedelta:
        newest = self.newest
        if newest is None or not self.has_grace:
            return DAY
        return min(GRACE, newest.until - newest.start)

    @property
    def read_for_nothing(self) -> bool:
        """Whether its reader read on after all that was ever paid for, for more than a day, and it is over."""
        last = max(one.until for one in self.bought)
        if self.cancels:
            return self.given_up is not None and self.given_up - last > DAY
        return self.has_grace and self.due == self.paid_until == last and self.grace > DAY

    def lives(self, now: datetime) -> bool:
        """Whether it runs, or is to run on."""
        until, due = self.paid_until, self.due
        if until is None:
            return False
        return now < until or (due is not None and now < due + GRACE)

    def renews(self, now: datetime) -> bool:
        return self.lives(now) and not self.cancels

    def owes(self, now: datetime) -> bool:
        return self.due is not None and self.due <= now < self.due + GRACE

    def reads(self, now: datetime) -> bool:
        if any(one.kept and one.start <= now < one.until for one in self.bought):
            return True
        until, due = self.paid_until, self.due
        if until is None or due != until or not self.has_grace:
            return False  # a first payment that fails ends it at once
        return until <= now < until + self.grace

    def mrr(self, now: datetime) -> int:
        newest = self.newest
        owes = self.owes(now) and self.due == self.paid_until
        if newest is None or not (self.reads(now) or owes):
            return 0
        running = [one for one in self.bought if one.kept and one.start <= now < one.until]
        if running and running[0].trial:
            return 0
        return monthly(newest.value, newest.period)


def monthly(value: int, period: str) -> int:
    net = value - tax_in(value)
    return net * {"week": 52, "month": 12, "year": 1}[period] // 12


@dataclass
class Present:
    """A period for somebody else, that nobody has redeemed yet."""

    code: str
    gross: int
    period: str


@dataclass
class Articles:
    """A bundle: how many articles it still opens, and which it has, each until when."""

    bought: Bought
    left: int
    opened: dict[str, datetime] = field(default_factory=dict)


@dataclass
class Person:
    """A reader: at most one subscription that renews at a time, terms that are transferred or given, passes and articles."""

    email: str
    renewing: list[Subscribed] = field(default_factory=list)
    terms: list[Bought] = field(default_factory=list)
    once: list[Bought] = field(default_factory=list)
    bundles: list[Articles] = field(default_factory=list)
    change_to: str | None = None
    #: What the next money by card is for, where it is no renewal and no change: the period and the price, or what is bought once.
    wants: tuple[str, int] | None = None
    wants_once: tuple[str, timedelta] | None = None

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
        return rights | {"site" for one in self.renewing if one.reads(now)}

    @property
    def subscribed_before(self) -> bool:
        return bool(self.renewing or self.terms)

    def mrr(self, now: datetime) -> int:
        total = sum(one.mrr(now) for one in self.renewing)
        kept = [one for one in self.terms if one.kept]
        if any(one.start <= now < one.until for one in kept):
            newest = max(kept, key=lambda one: one.until)
            total += monthly(newest.value, newest.period)
        return total

    def price_now(self, period: str, now: datetime) -> int:
        """What a period that is begun now costs, without a code."""
        terms = any(one.kept and now < one.until for one in self.terms)
        goes_on = (self.term_intro and terms) or any(
            o.intro and o.lives(now) for o in self.renewing
        )
        offered = goes_on or not self.subscribed_before
        return self._at_intro(period) if offered else PRICES[period]

    def _at_intro(self, period: str) -> int:
        left = period == INTRO_PERIOD and self.intro_paid < INTRO_TIMES
        return INTRO if left else PRICES[period]

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

    def transferred(self, gross: int, period: str, at: datetime) -> Bought:
        start = max(filter(None, (at, self.paid_until())))
        own = [one.until for one in self.terms if one.kept]
        anchor = start.astimezone(HANOI).day
        if own and start == max(own):
            anchor = next_anchor(self.term_anchor, start)
        self.term_anchor = anchor
        bought = self._bought(start, next_end(start, period, anchor), gross, period)
        self.terms.append(bought)
        self.term_intro = bought.intro
        return bought

    term_anchor: int = 1
    given_back_at: datetime | None = None
    #: Whether the introductory price goes on for who pays term after term; how often it was paid in all.
    term_intro: bool = False
    intro_paid: int = 0
    happened: set[str] = field(default_factory=set)

    def _bought(self, start: datetime, end: datetime, gross: int, period: str) -> Bought:
        days = days_between(day_of(start), day_of(end))
        intro = (period, gross) == (INTRO_PERIOD, INTRO)
        self.intro_paid += intro
        by_day = spread(gross - tax_in(gross), days)
        return Bought(start, end, gross, gross, period, by_day, intro=intro)

    def tried(self, period: str, at: datetime, days: int) -> None:
        """A trial begins: its card is good."""
        start = max(filter(None, (at, self.paid_until())))
        row = Subscribed(period, start.astimezone(HANOI).day)
        row.bought.append(Bought(start, start + days * DAY, 0, 0, period, {}, trial=True))
        self.renewing.append(row)

    def buys_once(self, gross: int, at: datetime, reference: str = "") -> None:
        """A pass is earned over its days, an article when it is opened."""
        assert self.wants_once is not None
        (scope, lasts), self.wants_once = self.wants_once, None
        end = at + (DAY if scope.startswith("article:") else lasts)
        bought = self._bought(at, end, gross, "once")
        bought.end, bought.scope, bought.reference = at + lasts, scope, reference
        self.once.append(bought)
        if scope == BUNDLE:
            self.bundles.append(Articles(bought, USES))

    def bundle(self, at: datetime) -> Articles | None:
        """The one that ends first of those that open another article."""
        found = [o for o in self.bundles if o.left and o.bought.kept and at < o.bought.until]
        return min(found, key=lambda one: one.bought.until, default=None)

    def redeems(self, present: Present, at: datetime) -> None:
        goes_on = self.term_intro and present.period == INTRO_PERIOD  # an offer is of one price
        bought = self.transferred(present.gross, present.period, at)
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
        period, self.change_to = self.change_to, None
        today, carried, earned_today = day_of(at), 0, False
        assert gross == PRICES[period] - self.credit(row, at), "as previewed"
        olds = [one for one in row.bought if one.kept and one.until > at]
        for old in olds:
            carried += old.ahead(today)
            earned_today |= today in old.by_day
            old.by_day = {one: vnd for one, vnd in old.by_day.items() if one <= today}
            old.cut = at
        row.period, row.anchor = period, at.astimezone(HANOI).day
        row.paused, row.next_period, row.intro = None, None, False
        end = next_end(at, period, row.anchor)
        days = days_between(day_of(at), day_of(end))
        days = [one for one in days if one > today or not earned_today]
        net = gross - tax_in(gross)
        bought = Bought(at, end, gross, PRICES[period], period, spread(net + carried, days))
        bought.instead_of = olds
        for old in olds:
            old.heir = bought
        return bought

    def credit(self, row: Subscribed, at: datetime) -> int:
        left = [one.ahead(day_of(at)) for one in row.bought if one.kept and one.until > at]
        return sum(one + one * TAX_PERCENT // 100 for one in left)

    def _renewed(self, row: Subscribed, gross: int, at: datetime) -> Bought:
        start = row.due
        assert start is not None
        if at >= start + row.grace:  # nothing was read meanwhile
            start = max(filter(None, (at, self.paid_until())))
        goes_on = row.intro and row.next_period in (None, row.period)
        row.period, row.next_period = row.next_period or row.period, None
        assert gross == (self._at_intro(row.period) if goes_on else PRICES[row.period])
        if goes_on:
            self.happened.add(f"renewal {'at' if gross == INTRO else 'after'} INTRO")
        row.intro = goes_on and gross == INTRO
        row.anchor = (
            next_anchor(row.anchor, start)
            if start == row.paid_until
            else start.astimezone(HANOI).day
        )
        row.paused = None
        return self._bought(start, next_end(start, row.period, row.anchor), gross, row.period)

    def begun(self, gross: int, at: datetime) -> tuple[Subscribed, Bought]:
        assert self.wants is not None, f"nothing is owed at {at}, and {gross} was taken: {self}"
        (period, price), self.wants = self.wants, None
        assert gross == price
        start = max(filter(None, (at, self.paid_until())))
        row = Subscribed(period, start.astimezone(HANOI).day)
        row.spent = any(one.read_for_nothing for one in self.renewing)
        self.renewing.append(row)
        bought = self._bought(start, next_end(start, period, row.anchor), gross, period)
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
                    newest = max(row.bought, key=lambda one: one.until)
                    if one is newest and one.given_back == one.gross:
                        row.cancels = True
                    if one.instead_of and one.given_back == one.gross:
                        self._undone(row, one, day_of(at))

    @staticmethod
    def _undone(row: Subscribed, change: Bought, today: date) -> None:
        """All money of a change went back: what was paid before is there again, and earns what is left of its credit."""
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
        row.period, row.next_period, row.intro = last.period, None, last.intro
        row.anchor = max(one.astimezone(HANOI).day for one in (last.start, last.end))
