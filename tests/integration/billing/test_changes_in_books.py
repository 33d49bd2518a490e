"""Changes of plan and refunds that failed in the books, beside an account of our own kept day by day."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

import pytest

from services.billing.ledger import rules as accounts
from tests.integration.billing.own_books import DAY, NOW, Books, Paid, paid

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
        assert plan.cut(net, self.books.today) == deferred
        plan.given_back += amount
        self.open_refunds[id_] = plan, deferred, net - deferred

    async def fail(self) -> None:
        if not self.open_refunds:
            return
        id_ = self.draw.choice(list(self.open_refunds))
        plan, deferred, earned = self.open_refunds.pop(id_)
        await self.books.fail(id_)
        plan.given_back -= self.books.refunds[id_][0].amount.amount
        plan.given_again(deferred, earned, self.books.today)
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
@pytest.mark.parametrize("seed", [1, 2])
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
            assert plan.cut(net, books.today) == deferred
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
