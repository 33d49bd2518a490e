"""A year of bank transfers under a moving clock against an account of our own: money, rights and books, to the đồng."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from services.billing.readers.models import Reader
from services.billing.transfers.facts import CreditNotice
from shared.audit import Actor, acting
from tests.integration.billing.world import AGENCY, World

HANOI = timedelta(hours=7)
ACCOUNT = "9900000001"
PRICES = {"week": 19_000, "month": 59_000, "year": 590_000}
MONTHS = {"month": 1, "year": 12}
DAYS, READERS = int(os.environ.get("YEAR_DAYS", "150")), 8


def later(start: datetime, period: str, anchor: int) -> datetime:
    """The end of a period, by walking over the calendar."""
    if period == "week":
        return start + timedelta(days=7)
    day, passed = (start + HANOI).date(), 0
    while passed < MONTHS[period] or day.day < anchor:
        following = day + timedelta(days=1)
        if passed == MONTHS[period] and following.month != day.month:
            break  # the month has no such day: its last one
        passed += following.month != day.month
        day = following
    moved = day - (start + HANOI).date()
    return start + moved


def next_anchor(anchor: int, start: datetime) -> int:
    """The day of the month of a period that follows: a short month keeps what was agreed, weeks move it."""
    day = (start + HANOI).date()
    shortened = day.day < anchor and (day + timedelta(days=1)).day == 1
    return anchor if shortened else day.day


@dataclass
class Transaction:
    """What the bank did: told of by each source as often as it likes."""

    reference: str
    note: str
    amount: int
    at: datetime
    booked: bool = False


@dataclass
class Asked:
    """An order as we account for it."""

    code: str
    period: str
    reader: int
    expires_at: datetime
    state: str = "open"
    came: int = 0  # and waits


@dataclass
class Person:
    row: Reader
    paid: list[tuple[datetime, datetime]] = field(default_factory=list)
    anchor: int = 0


@dataclass
class Books:
    """The same money, kept our own way."""

    orders: dict[str, Asked] = field(default_factory=dict)
    received: int = 0
    unplaced: int = 0
    earned: dict[date, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, paid: Transaction, people: list[Person], now: datetime) -> None:
        self.received += paid.amount
        order = self.orders.get(paid.note)
        open_ = order is not None and order.state == "open" and paid.at < order.expires_at
        if order is None or not open_:
            self.unplaced += paid.amount
            return
        order.came += paid.amount
        price = PRICES[order.period]
        if order.came < price:
            return
        self.unplaced += order.came - price
        order.state, order.came = "paid", 0
        person = people[order.reader]
        until = person.paid[-1][1] if person.paid else now
        start = max(now, until)
        if not person.paid or start != until:
            person.anchor = (start + HANOI).day
        person.anchor = next_anchor(person.anchor, start)
        end = later(start, order.period, person.anchor)
        person.paid.append((start, end))
        first, last = (start + HANOI).date(), (end + HANOI).date()
        days = (last - first).days
        for n in range(days):
            self.earned[first + timedelta(days=n)] += price * (n + 1) // days - price * n // days

    def waiting(self) -> int:
        return self.unplaced + sum(order.came for order in self.orders.values())


async def tell(world: World, source: str, paid: Transaction) -> bool:
    """A source's report, in a transaction of its own. Whether it was news."""
    told = CreditNotice(
        ACCOUNT, paid.reference, paid.reference, paid.amount, paid.note, "", paid.at
    )
    async with world.billing.database.transaction() as session:
        return await world.billing.transfers.take(session, AGENCY, source, told)


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", [1])
async def test_days_of_transfers_come_out_as_in_our_own_account(world: World, seed: int) -> None:
    dice = random.Random(seed)
    world.clock.set(datetime(2027, 1, 30, 2, 0, tzinfo=UTC) + seed * timedelta(hours=7))
    begin = world.clock.now()
    with acting(Actor.system("test")):
        await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")
    sold = await world.billing.plans.offers(AGENCY)
    offers = {one.period: one.price_id for one in sold if one.plan_code == "doc-bao"}
    people, books = await readers(world), Books()
    on_the_way: list[tuple[datetime, str, Transaction]] = []
    while world.clock.now() < begin + timedelta(days=DAYS):
        now = world.clock.now()
        number = dice.randrange(READERS)
        period = dice.choice(["week", "month", "month", "year"])
        order = await world.billing.orders.start(people[number].row, offers[period], "", "vi")
        for known in books.orders.values():
            if known.reader == number and known.state == "open" and known.code != order.code:
                known.state = "closed"
        books.orders.setdefault(
            order.code, Asked(order.code, period, number, now + timedelta(hours=72))
        )
        on_the_way += transfers(dice, order.code, PRICES[period], now)
        await pass_time(world, dice, books, people, on_the_way)
    world.clock.advance(timedelta(days=5))
    await deliver(world, books, people, on_the_way)
    await compare(world, books, people)


def transfers(
    dice: random.Random, code: str, price: int, now: datetime
) -> list[tuple[datetime, str, Transaction]]:
    """What a reader does with an order, and when which source tells of it: late, doubled, or one of the two never."""
    kind = dice.choices(
        ["whole", "halves", "over", "twice", "nameless", "never"], [8, 3, 1, 1, 1, 2]
    )[0]
    amounts = {
        "whole": [price],
        "halves": [price // 3, price - price // 3],
        "over": [price + 1_000],
        "twice": [price, price],
        "nameless": [price],
        "never": [],
    }[kind]
    found = []
    for amount in amounts:
        at = now + timedelta(minutes=dice.randrange(1, 4_000))  # 4,320 minutes are 72 hours
        note = "tien bao" if kind == "nameless" else code
        paid = Transaction(f"FT{dice.getrandbits(60):015X}", note, amount, at)
        told = dice.choice([["sepay"], ["statement"], ["sepay", "statement"], ["sepay", "sepay"]])
        found += [
            (at + timedelta(minutes=dice.choice([0, 0, 1, 300, 3_000])), source, paid)
            for source in told
        ]
    return found


async def pass_time(
    world: World,
    dice: random.Random,
    books: Books,
    people: list[Person],
    on_the_way: list[tuple[datetime, str, Transaction]],
) -> None:
    """A day or several go by; the worker's timers run now and then."""
    for _ in range(dice.randrange(2, 12)):
        world.clock.advance(timedelta(minutes=dice.randrange(1, 1_500)))
        await deliver(world, books, people, on_the_way)
        if dice.random() < 0.6:
            await world.billing.orders.close_expired()
            for order in books.orders.values():
                if order.state == "open" and order.expires_at <= world.clock.now():
                    order.state = "closed"
        if dice.random() < 0.4:
            await world.billing.renewals.run_due()
        if dice.random() < 0.1:
            await world.billing.recognition.run_due()


async def deliver(
    world: World,
    books: Books,
    people: list[Person],
    on_the_way: list[tuple[datetime, str, Transaction]],
) -> None:
    now = world.clock.now()
    due = sorted(
        (one for one in on_the_way if one[0] <= now), key=lambda one: (one[0], one[2].reference)
    )
    on_the_way[:] = [one for one in on_the_way if one[0] > now]
    for _, source, paid in due:
        news = await tell(world, source, paid)
        assert news is not paid.booked
        if not paid.booked:
            paid.booked = True
            books.take(paid, people, now)


async def compare(world: World, books: Books, people: list[Person]) -> None:
    await world.billing.orders.close_expired()
    await world.billing.renewals.run_due()
    await world.billing.recognition.run_due()
    now, today = world.clock.now(), (world.clock.now() + HANOI).date()
    assert sum(len(person.paid) for person in people) > 30
    paid: dict[UUID, list[tuple[datetime, datetime]]] = defaultdict(list)
    for reader_id, start, end in await world.rows(
        "SELECT reader_id, period_start, period_end FROM payment ORDER BY period_start"
    ):
        paid[reader_id].append((start, end))
    assert paid == {one.row.id: one.paid for one in people if one.paid}
    until = dict(
        await world.rows(
            "SELECT reader_id, max(valid_until) FROM entitlement WHERE NOT revoked GROUP BY 1"
        )
    )
    assert until == {one.row.id: one.paid[-1][1] for one in people if one.paid}
    booked = {row.code: row.balance_vnd for row in await world.billing.ledger.trial_balance(AGENCY)}
    assert booked["bank"] == books.received
    assert -booked["unallocated_receipts"] == books.waiting()
    assert -booked["revenue_subscription"] == sum(
        vnd for day, vnd in books.earned.items() if day <= today
    )
    assert -booked["deferred_subscription"] == sum(
        vnd for day, vnd in books.earned.items() if day > today
    )
    by_day = dict(await world.rows("SELECT day, amount_vnd FROM recognition_day"))
    assert by_day == {day: vnd for day, vnd in books.earned.items() if day <= today}
    states = dict(await world.rows("SELECT reader_id, state FROM subscription"))
    assert states == {
        one.row.id: "active" if one.paid[-1][1] > now else "expired" for one in people if one.paid
    }
    orders = dict(await world.rows("SELECT code, state FROM sales_order"))
    for order in books.orders.values():
        if order.state == "open" and order.expires_at <= now:
            order.state = "closed"
    assert orders == {order.code: order.state for order in books.orders.values()}
    moved = await world.value("SELECT coalesce(sum(amount_vnd), 0)::bigint FROM mrr_movement")
    assert moved == await world.value("SELECT sum(mrr_vnd)::bigint FROM subscription")
    await world.assert_sound()


async def readers(world: World) -> list[Person]:
    found = []
    for number in range(READERS):
        email = f"reader-{number}@example.vn"
        async with world.billing.database.transaction() as session:
            row = Reader(
                id=UUID(int=number + 1),
                agency=AGENCY,
                email=email,
                name="",
                created_at=world.clock.now(),
            )
            session.add(row)
        async with world.billing.database.read() as reading:
            row = (await reading.scalars(select(Reader).where(Reader.email == email))).one()  # type: ignore[arg-type]
        found.append(Person(row))
    return found
