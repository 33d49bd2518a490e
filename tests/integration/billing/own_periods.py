"""What readers' money bought, in an account of our own: periods, and the subscriptions that renew them.

Nothing in here reads the product's code or database: what a period earns and when it is read are computed anew, simply and slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from tests.integration.billing.own_plans import DAY, Chosen, monthly, spread, tax_in
from tests.integration.billing.own_seats import Group

GRACE = 7 * DAY


@dataclass
class Bought:
    """A period that money (or a trial) bought; ``by_day``: what each day of it earns."""

    start: datetime
    end: datetime
    gross: int
    value: int
    chosen: Chosen
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
    #: A change whose money went back whole, while something that it took the place of is kept: it is as if it had never been. (Where
    #: nothing is kept, all is over.)
    undone: bool = False

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

    chosen: Chosen
    anchor: int
    owner: str
    bought: list[Bought] = field(default_factory=list)
    following: Chosen | None = None
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

    def __post_init__(self) -> None:
        self.group = Group(self.owner, lambda: self.bought)

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
        return monthly(newest.value, newest.chosen.period)


@dataclass
class Present:
    """A period for somebody else, that nobody has redeemed yet."""

    code: str
    gross: int
    chosen: Chosen


@dataclass
class Articles:
    """A bundle: how many articles it still opens, and which it has, each until when."""

    bought: Bought
    left: int
    opened: dict[str, datetime] = field(default_factory=dict)
