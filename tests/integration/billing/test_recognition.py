"""Deferred revenue is earned day by day, exactly, however late, in whatever order, by however many processes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.billing.ledger import rules as accounts
from services.billing.ledger.repository import Wanted
from services.billing.payments.models import Refund
from services.billing.recognition import service
from services.billing.recognition.facts import PaymentFact, RefundFact
from shared.agencies import get_agency
from shared.audit import Actor, acting
from shared.ids import new_id
from shared.money import Money
from tests.fixtures.roles import as_superuser, assert_never
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

DAY = timedelta(days=1)
HANOI = timedelta(hours=7)
#: Invariants of the books alone.
OF_THE_BOOKS = {"ledger_balances", "balances_follow_the_journal", "deferred_rolls_forward"}
EVER = Wanted(date(2020, 1, 1), date(2030, 12, 31))


class Account:
    """An account of our own: what each day of a payment earns, kept as a list, cut and spread anew by a refund."""

    def __init__(self, starts_on: date, days: int, net: int) -> None:
        self.by_day = {
            starts_on + n * DAY: net * (n + 1) // days - net * n // days for n in range(days)
        }
        self.paid, self.given_back, self.taken_back = net, 0, 0

    def refund(self, amount: int, today: date) -> None:
        ahead = sorted(day for day in self.by_day if day > today)
        deferred = sum(self.by_day[day] for day in ahead)
        left = max(deferred - amount, 0)
        if amount:
            for number, day in enumerate(ahead):
                self.by_day[day] = left * (number + 1) // len(ahead) - left * number // len(ahead)
        self.taken_back += max(amount - deferred, 0)
        self.given_back += amount


async def with_payments(world: World, count: int) -> list[UUID]:
    """Rows that the schedules' foreign key finds; what stands behind them is not looked at here."""
    ids = [new_id() for _ in range(count)]
    intruder = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        await intruder.executemany(
            """INSERT INTO reader (id, agency, email, name, created_at) VALUES ($1, $2, $1::uuid || '@example.vn', '', now())""",
            [(id_, AGENCY) for id_ in ids],
        )
        await intruder.executemany(
            """INSERT INTO payment (id, agency, subscription_id, order_id, reader_id, provider, reference, amount_vnd,
                                    period_start, period_end, paid_at)
               VALUES ($1::uuid, $2, $1, $1, $1, 'stripe', $1::uuid::text, 1000000000000, now(), now() + interval '1 day', now())""",
            [(id_, AGENCY) for id_ in ids],
        )
    finally:
        await intruder.close()
    return ids


async def pay(world: World, id_: UUID, starts_on: date, days: int, net: int) -> None:
    begin = datetime(starts_on.year, starts_on.month, starts_on.day, tzinfo=UTC) - HANOI
    async with world.billing.database.transaction() as session:
        agency, now = await get_agency(session, AGENCY), world.clock.now()
        fact = PaymentFact(
            id_, agency, f"test:{id_}", Money(net), 0, now, begin, begin + days * DAY
        )
        await service.post_payment(session, fact, now)


async def give_back(world: World, id_: UUID, amount: int) -> None:
    async with world.billing.database.transaction() as session:
        agency, now = await get_agency(session, AGENCY), world.clock.now()
        refund = new_id()
        fact = RefundFact(refund, id_, agency, f"test:{refund}", Money(amount), 0, now)
        deferred = await service.post_refund(session, fact, now)
        session.add(
            Refund(id=refund, agency=AGENCY, payment_id=id_, provider="stripe", provider_refund=str(refund),
                   amount_vnd=amount, deferred_vnd=deferred, refunded_at=now)
        )  # fmt: skip
        await session.flush()
        await session.execute(
            text("UPDATE payment SET refunded_vnd = refunded_vnd + :amount WHERE id = :id"),
            {"id": id_, "amount": amount},
        )


async def earned_by_day(world: World) -> Counter[date]:
    found: Counter[date] = Counter()
    for day, amount in await world.rows(
        """SELECT e.occurred_on, -l.amount_vnd FROM journal_entry e JOIN journal_line l ON l.entry_id = e.id
           WHERE e.kind = 'recognition' AND l.account = 'revenue_subscription'"""
    ):
        found[day] += amount
    return found


async def sums(world: World) -> dict[str, int]:
    rows = await world.rows("SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1")
    return {account: amount for account, amount in rows if amount}


async def test_a_year_of_payments_and_refunds_is_earned_as_an_account_of_our_own_says(world: World):
    """Sixty payments, some late and some ahead, refunds at any moment, two workers, rounds left out for weeks."""
    draw = random.Random(20261126)
    ids = await with_payments(world, 60)
    waiting, ours = list(ids), {}
    run = world.billing.recognition.run_due

    async def act(today: date) -> None:
        if waiting and draw.random() < 0.6:
            id_ = waiting.pop()
            starts_on = today + draw.randrange(-40, 40) * DAY
            days = draw.choice((1, 7, 30, 31, 91, 365, draw.randrange(1, 400)))
            net = draw.choice((1, 19_000, 59_000, 590_000, draw.randrange(1, 10**12)))
            ours[id_] = Account(starts_on, days, net)
            await pay(world, id_, starts_on, days, net)
        elif ours:
            id_ = draw.choice(list(ours))
            account = ours[id_]
            left = account.paid - account.given_back
            if left:
                amount = left if draw.random() < 0.3 else draw.randrange(1, left + 1)
                account.refund(amount, today)
                await give_back(world, id_, amount)

    while waiting or world.clock.now() < datetime(2028, 6, 1, tzinfo=UTC):
        today = (world.clock.now() + HANOI).date()
        for _ in range(draw.randrange(0, 8)):
            # What is independent happens at the same time as a round of each worker.
            await asyncio.gather(act(today), *(run() for _ in range(draw.randrange(0, 3))))
        if draw.random() < 0.5:
            await asyncio.gather(run(), run())
        world.clock.advance(draw.choice((timedelta(hours=3), DAY, 3 * DAY, 40 * DAY, 40 * DAY)))
        if draw.random() < 0.2:
            today = (world.clock.now() + HANOI).date()
            await run()
            wanted = Counter[date]()
            for account in ours.values():
                wanted.update({d: n for d, n in account.by_day.items() if d <= today})
            assert +(await earned_by_day(world)) == +wanted
            deferred = sum(n for a in ours.values() for d, n in a.by_day.items() if d > today)
            assert (await sums(world)).get(accounts.DEFERRED, 0) == -deferred
            await books_are_sound(world)
    world.clock.advance(500 * DAY)  # a backlog; by then every day has passed
    await asyncio.gather(run(), run())
    totals = await sums(world)
    assert totals.get(accounts.REFUNDS, 0) == sum(account.taken_back for account in ours.values())
    earned = {id_: sum(account.by_day.values()) for id_, account in ours.items()}
    assert totals[accounts.REVENUE] == -sum(earned.values())
    for id_, account in ours.items():
        assert earned[id_] == account.paid - account.given_back + account.taken_back
    assert not OF_THE_BOOKS & {*await broken(world.billing)}
    await days_are_the_sums_of_their_shares(world, ours)


async def books_are_sound(world: World) -> None:
    for whole in (False, True):
        assert not OF_THE_BOOKS & {*await broken(world.billing, whole=whole)}


async def days_are_the_sums_of_their_shares(world: World, ours: dict[UUID, Account]) -> None:
    days = await world.rows("SELECT id, day, amount_vnd, entries FROM recognition_day ORDER BY day")
    in_journal = await earned_by_day(world)
    for id_, day, amount, entries in days[:: max(1, len(days) // 40)]:
        shares, after = [], None
        while found := await world.billing.recognition.shares(AGENCY, id_, limit=7, after=after):
            shares += found
            after = found[-1]["id"]
        of_payments: Counter[UUID] = Counter()
        for share in shares:
            of_payments[share["payment_id"]] += share["share_vnd"]
        wanted = Counter({key: account.by_day.get(day, 0) for key, account in ours.items()})
        assert +of_payments == +wanted
        assert sum(of_payments.values()) == amount == in_journal[day]
        assert len(await world.billing.ledger.entries_of(AGENCY, id_)) == min(entries, 100)


async def test_a_day_is_one_entry_and_one_more_for_a_round_of_late_payments(world: World):
    first, second, third = await with_payments(world, 3)
    today, run = date(2026, 11, 23), world.billing.recognition.run_due
    await pay(world, first, today, 30, 59_000)
    await pay(world, second, today, 30, 59_000)
    assert await run() == 1 and await run() == 0
    await pay(world, third, today - DAY, 30, 30_000)
    assert await run() == 2, "yesterday, and today once more"
    world.clock.advance(3 * DAY)
    assert await run() == 3
    assert await earned_by_day(world) == Counter(
        {
            today - DAY: 1_000,
            today: 2 * 1_966 + 1_000,
            today + DAY: 2 * 1_967 + 1_000,
            today + 2 * DAY: 2 * 1_967 + 1_000,
            today + 3 * DAY: 2 * 1_966 + 1_000,
        }
    )
    told = [e["data"] for e in await world.events() if "revenue.recorded" in e["type"]]
    assert Counter({d["recognised_on"]: 0 for d in told}).keys() == {
        str(today + n * DAY) for n in range(-1, 4)
    }
    assert sum(d["amount"] for d in told) == sum((await earned_by_day(world)).values())


async def test_a_worker_that_stops_between_two_steps_is_followed_exactly(world: World, monkeypatch):
    """Ended after each statement of a round in turn; the next round ends it."""
    (id_,) = await with_payments(world, 1)
    await pay(world, id_, date(2026, 11, 23), 30, 59_000)
    run = world.billing.recognition.run_due
    await run()
    steps = ("open_through", "day_sums", "add_due", "counted", "take_due", "agencies_with_due")
    for number, step in enumerate(steps, start=1):
        world.clock.advance(DAY)
        really = getattr(service.repository, step)

        async def killed(*args, really=really, **kwargs):
            await really(*args, **kwargs)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(service.repository, step, killed)
            await run()
        await asyncio.gather(run(), run(), run())
        assert sum((await earned_by_day(world)).values()) == 59_000 * (number + 1) // 30
    await books_are_sound(world)


@pytest.mark.parametrize(
    "change",
    [
        "total_vnd = total_vnd + 1",
        "ends_on = ends_on + 1",
        "counted_from = counted_from + 1",
        "closed_on = ends_on, reversed_vnd = 1",
        "closed_on = starts_on, reversed_vnd = total_vnd + 1",
    ],
)
async def test_a_schedule_is_closed_with_all_of_it_told_and_nothing_else_of_it_changes(
    world: World, change: str
):
    (id_,) = await with_payments(world, 1)
    await pay(world, id_, date(2026, 11, 23), 30, 59_000)
    with pytest.raises(DBAPIError, match=r"closed once|ck_recognition_schedule_closed"):
        async with world.billing.database.transaction() as session:
            await session.execute(text(f"UPDATE recognition_schedule SET {change}"))
    for table in ("recognition_schedule", "recognition_day", "books"):
        await assert_never(world.billing.settings.database_url, f"DELETE FROM {table}")
    closing = "UPDATE recognition_schedule SET closed_on = starts_on, reversed_vnd = total_vnd"
    async with world.billing.database.transaction() as session:
        await session.execute(text(closing))
    with pytest.raises(DBAPIError, match="closed once"):
        async with world.billing.database.transaction() as session:
            await session.execute(text(closing))


async def test_days_of_a_closed_month_that_are_earned_late_are_booked_in_the_open_one(world: World):
    first, late = await with_payments(world, 2)
    await pay(world, first, date(2026, 11, 23), 30, 30_000)
    world.clock.advance(9 * DAY)
    await world.billing.recognition.run_due()
    with acting(Actor.command("test")):
        await world.billing.recognition.close_month(AGENCY, date(2026, 11, 1))
    await pay(world, late, date(2026, 11, 29), 4, 4_000)
    await world.billing.recognition.run_due()
    page = await world.billing.ledger.journal(AGENCY, EVER, limit=100)
    assert [
        (entry["occurred_on"].day, entry["booked_on"])
        for entry in page.entries
        if entry["kind"] == "recognition" and entry["booked_on"] != entry["occurred_on"]
    ] == [(30, date(2026, 12, 1)), (29, date(2026, 12, 1))]
    assert sum(row.balance_vnd for row in await world.billing.ledger.trial_balance(AGENCY)) == 0


async def test_a_month_closes_with_all_its_days_whatever_another_worker_has_done_of_them(
    world: World,
):
    """Counted and not yet booked, and late payments that are due: what is earned by the closing is booked in its month."""
    first, late = await with_payments(world, 2)
    await pay(world, first, date(2026, 11, 23), 30, 30_000)
    world.clock.advance(9 * DAY)
    recognition = world.billing.recognition
    await recognition._count(AGENCY, date(2026, 11, 22), date(2026, 12, 2))
    await pay(world, late, date(2026, 11, 29), 4, 4_000)
    with acting(Actor.command("test")):
        await recognition.close_month(AGENCY, date(2026, 11, 1))
    await recognition.run_due()
    page = await world.billing.ledger.journal(AGENCY, EVER, limit=100)
    assert {e["id"] for e in page.entries if e["booked_on"] != e["occurred_on"]} == set()
    assert sum((await earned_by_day(world)).values()) == 14_000
    await books_are_sound(world)


async def test_what_fails_for_one_agency_keeps_no_other_waiting(world: World, monkeypatch):
    (id_,) = await with_payments(world, 1)
    await pay(world, id_, date(2026, 11, 23), 30, 30_000)
    really = service.repository.day_sums

    async def failing(session, agency, day):
        if agency == AGENCY:
            raise RuntimeError("its schedules cannot be read")
        return await really(session, agency, day)

    world.clock.advance(DAY)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(service.repository, "day_sums", failing)
        await world.billing.recognition.run_due()
    counted = dict(await world.rows("SELECT agency, counted_through FROM books"))
    assert counted.pop(AGENCY) == date(2026, 11, 22)
    assert set(counted.values()) == {date(2026, 11, 24)}
    await world.billing.recognition.run_due()
    assert sum((await earned_by_day(world)).values()) == 2_000


async def test_a_clock_that_ran_ahead_is_told(world: World):
    (id_,) = await with_payments(world, 1)
    right = world.clock.now()
    world.clock.advance(40 * DAY)
    await pay(world, id_, date(2027, 1, 2), 30, 30_000)
    world.clock.set(right)
    found = await broken(world.billing)
    assert found["books_keep_the_calendar"] == 1


async def test_processes_whose_clocks_differ_over_midnight_agree_on_the_day(world: World):
    """The payment is made by a clock one minute past midnight, the refund by one that is two minutes behind."""
    refunded, kept = await with_payments(world, 2)
    midnight = datetime(2026, 11, 23, 17, tzinfo=UTC)  # in Hà Nội
    world.clock.set(midnight + timedelta(minutes=1))
    for id_ in (refunded, kept):
        await pay(world, id_, date(2026, 11, 24), 30, 30_000)
    world.clock.set(midnight - timedelta(minutes=1))
    await give_back(world, refunded, 30_000)
    await world.billing.recognition.run_due()
    await books_are_sound(world)
    world.clock.advance(60 * DAY)
    await world.billing.recognition.run_due()
    await books_are_sound(world)
    assert (await earned_by_day(world))[date(2026, 11, 24)] == 2_000
    assert (await sums(world)).get(accounts.DEFERRED, 0) == 0
    opened = "SELECT opened_through FROM books WHERE agency = :a"
    assert await world.value(opened, a=AGENCY) == date(2027, 1, 22)
    with pytest.raises(DBAPIError, match="go forward only"):
        async with world.billing.database.transaction() as session:
            await session.execute(
                text("UPDATE books SET opened_through = opened_through + 1 WHERE agency = :a"),
                {"a": AGENCY},
            )
            await session.execute(
                text("UPDATE books SET opened_through = opened_through - 1 WHERE agency = :a"),
                {"a": AGENCY},
            )


async def test_each_agency_begins_its_day_at_its_own_midnight(world: World):
    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE agency SET time_zone = 'Asia/Tokyo' WHERE id = :id"), {"id": OTHER_AGENCY}
        )
    world.clock.set(
        datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    )  # 22:30 in Hà Nội, 00:30 of the 24th in Tokyo
    await world.billing.recognition.run_due()
    opened = dict(await world.rows("SELECT agency, opened_through FROM books"))
    assert opened.pop(OTHER_AGENCY) == date(2026, 11, 24)
    assert opened.pop(AGENCY) == date(2026, 11, 23)
