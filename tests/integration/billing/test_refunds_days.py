"""Two hundred days of terms, passes, gifts and refunds against an account of our own: money, revenue by day, and rights."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.billing.orders.models import SalesOrder
from services.billing.readers.models import Reader
from services.billing.refunds.service import By
from services.billing.transfers.facts import CreditNotice
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.test_transfers_year import (
    ACCOUNT,
    HANOI,
    Person,
    later,
    next_anchor,
    pass_time,
    readers,
)
from tests.integration.billing.test_transfers_year import Books as NoBooks
from tests.integration.billing.world import AGENCY, World

PRICES = {"week": 19_000, "month": 59_000, "once": 5_000}
PASS = timedelta(days=1)
DAYS = int(os.environ.get("YEAR_DAYS", "200"))
LAN, MINH = By("1", "Lan"), By("2", "Minh")


@dataclass
class Bought:
    """A payment as we account for it: what it is earned over, and what was given back of it."""

    code: str
    payer: Person
    kind: str
    price: int
    gift: bool = False
    reader: Person | None = None  # nobody, while a gift waits
    start: datetime | None = None
    end: datetime | None = None
    returned: int = 0
    #: What each day of the agency's calendar earns, as long as nothing goes back.
    plan: dict[date, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return self.returned == self.price

    def spread(self, amount: int, first: date, end: date) -> None:
        days = (end - first).days
        for n in range(days):
            self.plan[first + timedelta(days=n)] = amount * (n + 1) // days - amount * n // days

    def begin(self, reader: Person, start: datetime, end: datetime) -> None:
        self.reader, self.start, self.end = reader, start, end
        first, last = (start + HANOI).date(), (end + HANOI).date()
        self.spread(self.price - self.returned, first, last)


@dataclass
class Account:
    bought: list[Bought] = field(default_factory=list)
    received: int = 0
    returned: int = 0
    #: Given back after it was earned.
    earned_back: int = 0

    def terms(self, reader: Person) -> list[Bought]:
        """What a reader has paid for in terms, or was given, and was not given back whole."""
        return [
            one
            for one in self.bought
            if one.reader is reader and not one.whole and one.kind != "once"
        ]

    def extend(self, one: Bought, reader: Person, now: datetime) -> None:
        ends = [known.end for known in self.terms(reader) if known.end is not None]
        until = max(ends, default=None)
        start = max(now, until or now)
        if start != until:
            reader.anchor = (start + HANOI).day
        reader.anchor = next_anchor(reader.anchor, start)
        one.begin(reader, start, later(start, one.kind, reader.anchor))

    def give_back(self, one: Bought, amount: int, now: datetime) -> None:
        """Of the days to come first, and what is left of them is spread anew over all of them; then of what was earned."""
        self.returned += amount
        one.returned += amount
        if one.start is None:
            return  # nobody reads for it yet
        tomorrow = (now + HANOI).date() + timedelta(days=1)
        ahead = {day: vnd for day, vnd in one.plan.items() if day >= tomorrow}
        still = sum(ahead.values())
        taken = min(amount, still)
        self.earned_back += amount - taken
        for day in ahead:
            del one.plan[day]
        if still > taken:
            one.spread(still - taken, min(ahead), max(ahead) + timedelta(days=1))


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", [1])
async def test_days_with_refunds_come_out_as_in_our_own_account(world: World, seed: int) -> None:
    dice = random.Random(seed)
    world.clock.set(datetime(2027, 1, 28, 2, 0, tzinfo=UTC) + seed * timedelta(hours=5))
    begin = world.clock.now()
    with acting(Actor.system("test")):
        await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")
        people, account = await readers(world), Account()
        while world.clock.now() < begin + timedelta(days=DAYS):
            act = dice.choices([buy, redeem, refund], [6, 2, 4])[0]
            await act(world, dice, account, people)
            await pass_time(world, dice, NoBooks(), people, [])
            await readable(world, account, people)
    await compare(world, account)


async def buy(world: World, dice: random.Random, account: Account, people: list[Person]) -> None:
    payer, kind = dice.choice(people), dice.choice(["week", "month", "month", "once"])
    gift = kind != "once" and dice.random() < 0.3
    offer = next(
        one
        for one in await world.billing.plans.offers(AGENCY)
        if one.period == kind and one.plan_code in ("doc-bao", "ngay")
    )
    assert offer.amount_vnd == PRICES[kind]
    try:
        order = await world.billing.orders.start(payer.row, offer.price_id, "", "vi", gift=gift)
    except ConflictError:
        assert kind == "once", "only a pass is refused, beside what they read already"
        return
    one = Bought(order.code, payer, kind, PRICES[kind], gift)
    await transfer(world, dice, order)
    account.received += one.price
    account.bought.append(one)
    now = world.clock.now()
    if kind == "once":
        one.begin(payer, now, now + PASS)
        one.plan.clear()
        first = (now + HANOI).date()
        one.spread(one.price, first, first + PASS)
    elif not gift:
        account.extend(one, payer, now)


async def transfer(world: World, dice: random.Random, order: SalesOrder) -> None:
    now, reference = world.clock.now(), f"FT{dice.getrandbits(60):015X}"
    told = CreditNotice(ACCOUNT, reference, reference, order.amount_vnd, order.code, "", now)
    async with world.billing.database.transaction() as session:
        assert await world.billing.transfers.take(session, AGENCY, "sepay", told)


async def redeem(world: World, dice: random.Random, account: Account, people: list[Person]) -> None:
    gifts = [one for one in account.bought if one.gift and one.start is None]
    if not gifts:
        return
    one, friend = dice.choice(gifts), dice.choice(people)
    code = await world.value(
        "SELECT g.code FROM gift g JOIN sales_order o ON o.id = g.order_id WHERE o.code = :code",
        code=one.code,
    )
    reader: Reader = friend.row
    if one.whole:
        with pytest.raises(ConflictError):
            await world.billing.orders.redeem(reader, code)
        return
    await world.billing.orders.redeem(reader, code)
    account.extend(one, friend, world.clock.now())


async def refund(world: World, dice: random.Random, account: Account, people: list[Person]) -> None:
    """A part or all of something, whichever of a reader's periods it is."""
    open_ = [one for one in account.bought if not one.whole]
    if not open_:
        return
    one = dice.choice(open_[-12:])
    left = one.price - one.returned
    amount = left if dice.random() < 0.6 else dice.randrange(1, left + 1)
    payment: UUID = await world.value(
        "SELECT id FROM payment WHERE reference = :code", code=one.code
    )
    refunds = world.billing.refunds
    request = await refunds.ask(AGENCY, one.payer.row.id, payment, amount, "asked", LAN)
    if dice.random() < 0.2:
        await refunds.refuse(AGENCY, request.id, "not today", MINH)
        return
    await refunds.pay(AGENCY, request.id, f"B{dice.getrandbits(60):015X}", MINH)
    account.give_back(one, amount, world.clock.now())


async def readable(world: World, account: Account, people: list[Person]) -> None:
    """Who reads now: whoever has a kept period or pass that runs, and nobody else."""
    now = world.clock.now()
    for person in people:
        reads = dict(await world.billing.subscriptions.rights(person.row.id))
        kept = account.terms(person)
        passes = [
            one
            for one in account.bought
            if one.reader is person and one.kind == "once" and not one.whole
        ]
        running = [
            one.end
            for one in kept + passes
            if one.start is not None and one.end is not None and one.start <= now < one.end
        ]
        last = max((one.end for one in kept + passes if one.end is not None), default=now)
        assert reads.get("site", last) <= last, "nothing is read that was given back at the end"
        if running:
            assert reads.get("site") is not None
        else:
            assert not reads, "nothing is read that was given back, also in the middle"


async def compare(world: World, account: Account) -> None:
    await world.billing.renewals.run_due()
    await world.billing.recognition.run_due()
    today = (world.clock.now() + HANOI).date()
    returned = [one for one in account.bought if one.returned]
    assert len(account.bought) > 15 and len(returned) > 5
    booked = defaultdict(
        int, {row.code: row.balance_vnd for row in await world.billing.ledger.trial_balance(AGENCY)}
    )
    earned: dict[date, int] = defaultdict(int)
    for one in account.bought:
        for day, vnd in one.plan.items():
            earned[day] += vnd
    assert booked["bank"] == account.received - account.returned
    assert -booked["gifts_not_redeemed"] == sum(
        one.price - one.returned for one in account.bought if one.start is None
    )
    assert -booked["revenue_subscription"] == sum(v for day, v in earned.items() if day <= today)
    assert -booked["deferred_subscription"] == sum(v for day, v in earned.items() if day > today)
    assert booked["refunds_subscription"] == account.earned_back
    by_day = dict(await world.rows("SELECT day, amount_vnd FROM recognition_day"))
    assert by_day == {day: vnd for day, vnd in earned.items() if day <= today and vnd}
    given_back = dict(await world.rows("SELECT reference, refunded_vnd FROM payment"))
    assert given_back == {one.code: one.returned for one in account.bought}
    await world.assert_sound()
