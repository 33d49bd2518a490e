"""Changes of plan and refunds that failed in the books, beside an account of our own kept day by day."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.billing.ledger import rules as accounts
from services.billing.recognition import service
from shared.money import Money
from tests.integration.billing.own_books import DAY, NOW, TODAY, Books, Paid, paid

# An account of our own: what each day earns, in pieces; nothing in it knows of schedules' columns.


def spread(amount: int, first: date, days: int) -> dict[date, int]:
    return {first + n * DAY: amount * (n + 1) // days - amount * n // days for n in range(days)}


@dataclass
class Plan:
    """A payment and its pieces: days with what each earns. What was refunded is taken from the oldest piece first."""

    paid: Paid
    pieces: list[dict[date, int]]
    end: date
    given_back: int = 0
    taken_back: int = 0
    replaced: bool = False
    replaced_by: Plan | None = None
    given_net: int = 0

    @property
    def holder(self) -> Plan:
        """The plan that has what is left of this one."""
        return self.replaced_by.holder if self.replaced_by is not None else self

    def give_back(self, net: int, today: date) -> int:
        """Takes a refund's net of days to come, of a plan that was changed from the credit that is left; returns how much."""
        holder, self.given_net = self.holder, self.given_net + net
        most = net
        if holder is not self:
            own = holder.paid.net - holder.given_net
            most = min(net, max(holder.ahead(today) - own, 0))
        taken = holder.cut(most, today)
        holder.taken_back -= most - taken
        self.taken_back += net - taken
        return taken

    def ahead(self, today: date) -> int:
        return sum(vnd for piece in self.pieces for day, vnd in piece.items() if day > today)

    def cut(self, net: int, today: date) -> int:
        """Takes a refund's net from days to come; returns how much."""
        taken_all = 0
        for piece in list(self.pieces):
            days = sorted(day for day in piece if day > today)
            still = sum(piece[day] for day in days)
            taken = min(net - taken_all, still)
            if not taken:
                continue
            taken_all += taken
            for day in days:
                del piece[day]
            if still > taken:
                self.pieces.append(spread(still - taken, days[0], len(days)))
        self.taken_back += net - taken_all
        return taken_all

    def given_again(self, deferred: int, earned: int, today: date) -> None:
        self.taken_back -= earned
        if deferred:
            left = (self.end - today).days - 1
            begins = today + DAY if left > 0 else today
            self.pieces.append(spread(deferred, begins, max(left, 1)))
            self.end = max(self.end, begins + DAY)

    def comes_back(self, net: int, deferred: int, today: date) -> None:
        """A refund that failed."""
        self.given_net -= net
        self.taken_back -= net - deferred
        self.holder.given_again(deferred, 0, today)

    def hand_over(self, today: date) -> int:
        carried = self.ahead(today)
        for piece in self.pieces:
            for day in [day for day in piece if day > today]:
                del piece[day]
        self.replaced = True
        return carried

    def has_today(self, today: date) -> bool:
        """Earns today, or was itself told to begin tomorrow."""
        return any(
            today in piece or min(piece, default=today) == today + DAY for piece in self.pieces
        )


class Simulation:
    """Readers who pay, change, are refunded in parts, whose refunds fail, and days that pass."""

    def __init__(self, books: Books, seed: int) -> None:
        self.books, self.draw = books, random.Random(seed)
        self.plans: list[Plan] = []
        self.open_refunds: dict[UUID, tuple[Plan, int, int]] = {}
        self.failed = self.changed = 0

    def drawn(self, first: date) -> Paid:
        price = self.draw.choice((1, 19_000, 59_000, 590_000, self.draw.randrange(2, 10**9)))
        rate = self.draw.choice((0, 0, 5, 8, 10))
        days = self.draw.choice((1, 7, 30, 91, 365))
        return paid(price, days, first, price * rate // (100 + rate))

    async def act(self) -> None:
        todo = self.draw.choices((self.pay, self.change, self.refund, self.fail), (4, 3, 3, 2))[0]
        await todo()

    async def pay(self) -> None:
        new = self.drawn(self.books.today + self.draw.choice((-9, 0, 0, 0, 5)) * DAY)
        await self.books.pay(new)
        pieces = [spread(new.net, new.first, new.days)]
        self.plans.append(Plan(new, pieces, new.first + new.days * DAY))

    async def change(self) -> None:
        """Of one plan, or of two at once; paid with something, or with what is left alone."""
        current = [one for one in self.plans if not one.replaced][-8:]
        old = self.draw.sample(current, min(len(current), self.draw.choice((1, 1, 2))))
        if not old:
            return
        today, new = self.books.today, self.drawn(self.books.today)
        if self.draw.random() < 0.3:
            new.price = new.vat = 0
        busy = any(one.has_today(today) for one in old)
        carried = sum(one.hand_over(today) for one in old)
        await self.books.row(new)
        replaced = [one.paid for one in old]
        assert await self.books.change(new, *replaced) == carried
        if self.draw.random() < 0.3:
            assert await self.books.change(new, *replaced) == carried, "told twice"
        total, end = new.net + carried, new.first + new.days * DAY
        first = today + DAY if busy else today
        days = max((end - first).days, 1)
        pieces = [spread(total, first, days)] if total else []
        self.plans.append(Plan(new, pieces, first + days * DAY))
        for one in old:
            one.replaced_by = self.plans[-1]
        self.changed += 1

    async def refund(self) -> None:
        able = [one for one in self.plans if one.given_back < one.paid.price][-12:]
        if not able:
            return
        plan = self.draw.choice(able)
        left = plan.paid.price - plan.given_back
        amount = left if self.draw.random() < 0.3 else self.draw.randrange(1, left + 1)
        id_ = await self.books.refund(plan.paid, amount)
        fact, deferred = self.books.refunds[id_]
        net = amount - fact.vat_vnd
        assert plan.give_back(net, self.books.today) == deferred
        plan.given_back += amount
        self.open_refunds[id_] = plan, deferred, net - deferred

    async def fail(self) -> None:
        if not self.open_refunds:
            return
        id_ = self.draw.choice(list(self.open_refunds))
        plan, deferred, earned = self.open_refunds.pop(id_)
        await self.books.fail(id_)
        plan.given_back -= self.books.refunds[id_][0].amount.amount
        plan.comes_back(deferred + earned, deferred, self.books.today)
        self.failed += 1

    async def compare(self) -> None:
        await self.books.run()
        today, wanted, ahead = self.books.today, Counter[date](), 0
        for plan in self.plans:
            for piece in plan.pieces:
                wanted.update({day: vnd for day, vnd in piece.items() if day <= today})
            ahead += plan.ahead(today)
        assert +(await self.books.earned()) == +wanted
        balances = Counter(await self.books.balances())
        taken_back = sum(one.taken_back for one in self.plans)
        assert -balances[accounts.DEFERRED] == ahead
        assert -balances[accounts.REVENUE] == sum(wanted.values())
        assert balances[accounts.REFUNDS] == taken_back
        assert balances[accounts.RECEIVABLE] == sum(
            one.paid.price - one.given_back for one in self.plans
        )
        assert await self.books.told("deferred") == ahead
        assert await self.books.told("revenue") == sum(wanted.values()) - taken_back
        await self.books.assert_sound()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1])
async def test_a_year_of_changes_refunds_and_failures_is_earned_as_an_account_of_our_own_says(
    books: Books, seed: int
) -> None:
    simulation = Simulation(books, seed)
    while books.clock.now() < NOW + 400 * DAY:
        for _ in range(simulation.draw.randrange(0, 5)):
            await asyncio.gather(simulation.act(), books.run())
        step = simulation.draw.choice((timedelta(hours=5), DAY, 3 * DAY, 12 * DAY, 30 * DAY))
        books.clock.advance(step)
        if simulation.draw.random() < 0.2:
            await simulation.compare()
    await simulation.compare()
    assert simulation.changed > 10 and simulation.failed > 5
    for plan in simulation.plans:
        if plan.given_back < plan.paid.price:
            left = plan.paid.price - plan.given_back
            id_ = await books.refund(plan.paid, left)
            fact, deferred = books.refunds[id_]
            net = left - fact.vat_vnd
            assert plan.give_back(net, books.today) == deferred
            plan.given_back += left
    await simulation.compare()
    balances = await books.balances()
    assert accounts.VAT_PAYABLE not in balances, "all of the tax went back with the last đồng"
    books.clock.advance(500 * DAY)
    await simulation.compare()
    # All money has gone back: what was earned was taken back, and nothing is owed to anybody.
    balances = await books.balances()
    assert balances.pop(accounts.REFUNDS) == -balances.pop(accounts.REVENUE)
    assert balances == {}


# Single cases, by hand


async def test_today_belongs_to_the_plan_that_earned_it_and_what_is_left_goes_over_whole(
    books: Books,
) -> None:
    """30 days of 1,000 đồng; on the tenth another plan of 30 days for 60,000 begins: 20,000 go over."""
    old, new = paid(30_000, 30), paid(60_000, 30, TODAY + 9 * DAY)
    subscription = uuid4()
    await books.pay(old, subscription)
    books.clock.advance(9 * DAY)
    await books.run()
    async with books.database.read() as session:
        assert await service.unearned_net(session, [old.id], books.today + DAY) == 20_000
    await books.row(new, subscription)
    assert await books.change(new, old) == 20_000
    await books.assert_sound()
    schedules = """SELECT payment_id, starts_on, ends_on, total_vnd, closed_on, carried_vnd, carried_to
        FROM recognition_schedule ORDER BY id"""
    tomorrow = books.today + DAY
    assert await books.rows(schedules) == [
        (old.id, TODAY, TODAY + 30 * DAY, 30_000, tomorrow, 20_000, new.id),
        (new.id, tomorrow, TODAY + 39 * DAY, 80_000, None, 0, None),
    ]
    assert await books.rows("SELECT replaced_by FROM payment ORDER BY paid_at") == [
        (new.id,),
        (None,),
    ]
    books.clock.advance(DAY)
    await books.run()
    assert (await books.earned())[books.today] == 80_000 // 29
    assert (await books.balances())[accounts.RECEIVABLE] == 90_000
    await books.assert_sound()


async def test_a_refund_of_the_new_plan_leaves_what_was_carried(books: Books) -> None:
    old, new = paid(30_000, 30), paid(60_000, 30)
    await books.pay(old)
    await books.row(new)
    assert await books.change(new, old) == 29_000
    id_ = await books.refund(new, 60_000)
    assert books.refunds[id_][1] == 60_000
    assert (await books.balances())[accounts.DEFERRED] == -30_000, "29,000 and today's 1,000"
    await books.run()
    assert (await books.balances())[accounts.DEFERRED] == -29_000
    await books.assert_sound()


async def test_two_changes_on_one_day_and_one_that_costs_nothing(books: Books) -> None:
    first, second, third = paid(30_000, 30), paid(0, 60), paid(0, 1)
    await books.pay(first)
    for new, old in ((second, first), (third, second)):
        await books.row(new)
        assert await books.change(new, old) == 29_000
    await books.run()
    assert await books.earned() == Counter({TODAY: 1_000})
    books.clock.advance(DAY)
    await books.run()
    assert await books.earned() == Counter({TODAY: 1_000, TODAY + DAY: 29_000})
    assert await books.rows("SELECT count(*) FROM journal_entry WHERE kind = 'payment'") == [(1,)]
    await books.assert_sound()


async def test_a_new_plan_earns_today_where_the_old_one_does_not(books: Books) -> None:
    """One that ended yesterday, and one that is wholly ahead."""
    ended, ahead, new = paid(5_000, 5), paid(7_000, 7, TODAY + 20 * DAY), paid(10_000, 10)
    await books.pay(ended)
    await books.pay(ahead)
    books.clock.advance(5 * DAY)
    new.first = books.today
    await books.row(new)
    assert await books.change(new, ended, ahead) == 7_000
    await books.run()
    assert (await books.earned())[books.today] == 1_700
    await books.assert_sound()


async def test_a_change_and_a_refund_of_what_it_replaces_wait_for_each_other(books: Books) -> None:
    for _ in range(5):
        old, new = paid(30_000, 30, books.today), paid(60_000, 30, books.today)
        await books.pay(old)
        await books.row(new)
        await asyncio.gather(books.change(new, old), books.refund(old, 10_000))
        await books.run()
        await books.assert_sound()


async def test_a_gifts_refund_that_failed_is_worth_it_again_redeemed_or_not(books: Books) -> None:
    gift = paid(30_000, 30, gift=True)
    await books.pay(gift)
    first, second = await books.refund(gift, 4_000), await books.refund(gift, 6_000)
    await books.fail(first)
    assert (await books.balances())[accounts.GIFTS] == -24_000
    async with books.database.transaction() as session:
        redeemed = replace(await books.fact(session, gift), amount=Money(24_000))
        await session.execute(
            text("UPDATE payment SET period_start = :first, period_end = :end WHERE id = :id"),
            {"id": gift.id, "first": redeemed.period_start, "end": redeemed.period_end},
        )
        await service.post_redeemed(session, redeemed, books.clock.now())
    books.clock.advance(9 * DAY)
    await books.fail(second)
    await books.run()
    balances = await books.balances()
    assert accounts.GIFTS not in balances and balances[accounts.DEFERRED] == -16_000 - 6_000
    books.clock.advance(DAY)
    await books.run()
    assert (await books.earned())[books.today] == 800 + 300
    assert (await books.balances())[accounts.RECEIVABLE] == 30_000


async def test_what_a_failed_refund_gives_back_after_the_last_day_is_earned_at_once(
    books: Books,
) -> None:
    old = paid(30_000, 30)
    await books.pay(old)
    id_ = await books.refund(old, 29_000)
    books.clock.advance(29 * DAY)
    await books.fail(id_)
    await books.run()
    assert await books.earned() == Counter({TODAY: 1_000, books.today: 29_000})
    await books.assert_sound()
