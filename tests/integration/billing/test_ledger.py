"""The database itself refuses books that do not balance, and changes of what was posted."""

from __future__ import annotations

import asyncio
import random
from datetime import date, timedelta
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.billing.ledger import rules, service
from services.billing.ledger.service import Posting
from shared.audit import Actor, acting
from tests.fixtures.roles import as_superuser, assert_never
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

ENTRY = """INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on,
    occurred_at, posted_at) VALUES (:id, :agency, 'VND', :key, 'payment', :id, '2026-11-23', now(), now())"""
LINE = """INSERT INTO journal_line (entry_id, line_no, agency, account, amount_vnd)
    VALUES (:id, :no, :agency, :account, :amount)"""


async def raw_entry(world: World, *lines: tuple[str, int], agency: str = AGENCY) -> None:
    """Straight into the tables, past every check of the code; refused at COMMIT or not at all."""
    id_ = uuid4()
    async with world.billing.database.transaction() as session:
        await session.execute(text(ENTRY), {"id": id_, "agency": AGENCY, "key": str(id_)})
        for number, (account, amount) in enumerate(lines):
            await session.execute(
                text(LINE),
                {"id": id_, "no": number, "agency": agency, "account": account, "amount": amount},
            )


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [(rules.BANK, 5)],
        [(rules.BANK, 5), (rules.DEFERRED, -4)],
        [(rules.BANK, 5), (rules.DEFERRED, -5), (rules.REVENUE, 1)],
    ],
)
async def test_an_entry_without_lines_or_balance_is_refused_at_commit(world: World, lines):
    with pytest.raises(DBAPIError, match="is refused"):
        await raw_entry(world, *lines)
    assert await world.value("SELECT count(*) FROM journal_entry") == 0


async def test_a_line_added_after_an_early_check_of_the_entry_is_checked_as_well(world: World):
    id_ = uuid4()
    with pytest.raises(DBAPIError, match="is refused"):
        async with world.billing.database.transaction() as session:
            await session.execute(text(ENTRY), {"id": id_, "agency": AGENCY, "key": str(id_)})
            for number, amount in ((0, 5), (1, -5), (2, 1)):
                if number == 2:
                    await session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
                    await session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
                values = {"id": id_, "no": number, "agency": AGENCY, "account": rules.BANK}
                await session.execute(text(LINE), values | {"amount": amount})
    assert await world.value("SELECT count(*) FROM journal_entry") == 0


async def test_a_line_of_another_agency_is_refused(world: World):
    with pytest.raises(DBAPIError, match="of another agency"):
        await raw_entry(world, (rules.BANK, 5), (rules.DEFERRED, -5), agency=OTHER_AGENCY)


async def test_an_account_outside_the_chart_is_refused(world: World):
    with pytest.raises(IntegrityError):
        await raw_entry(world, ("petty_cash", 5), (rules.DEFERRED, -5))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE journal_line SET amount_vnd = amount_vnd + 1",
        "UPDATE journal_entry SET occurred_on = occurred_on + 1",
        "DELETE FROM journal_line",
        "DELETE FROM journal_entry",
        "TRUNCATE journal_line",
        "TRUNCATE journal_entry CASCADE",
    ],
)
async def test_posted_entries_cannot_be_changed_or_removed(world: World, change: str):
    await raw_entry(world, (rules.BANK, 5), (rules.DEFERRED, -5))
    await assert_never(world.billing.settings.database_url, change)
    assert await world.rows("SELECT sum(amount_vnd), count(*) FROM journal_line") == [(0, 2)]


async def test_a_posted_entry_takes_no_further_lines_even_balanced_ones(world: World):
    await raw_entry(world, (rules.BANK, 5), (rules.DEFERRED, -5))
    entry = await world.value("SELECT id FROM journal_entry")
    with pytest.raises(DBAPIError, match="takes no further lines"):
        async with world.billing.database.transaction() as session:
            for number, amount in ((7, 3), (8, -3)):
                await session.execute(
                    text(LINE),
                    {
                        "id": entry,
                        "no": number,
                        "agency": AGENCY,
                        "account": rules.BANK,
                        "amount": amount,
                    },
                )


async def test_posting_the_same_fact_many_times_at_once_is_one_entry(world: World):
    now, source = world.clock.now(), uuid4()
    posting = Posting(
        AGENCY,
        "fact:1",
        "payment",
        source,
        date(2026, 11, 23),
        now,
        rules.payment_lines(59_000, 0),
    )

    async def post() -> bool:
        async with world.billing.database.transaction() as session:
            return await service.post(session, posting, now)

    assert sorted(await asyncio.gather(*(post() for _ in range(5)))) == [False] * 4 + [True]
    assert await world.rows("SELECT count(*), sum(amount_vnd) FROM journal_line") == [(2, 0)]


async def test_a_price_is_never_edited_only_superseded(world: World):
    for change in (
        "UPDATE plan_price SET amount_vnd = 1",
        "UPDATE plan_price SET superseded_at = now(), amount_vnd = 1",
        "DELETE FROM provider_price; DELETE FROM plan_price",
    ):
        with pytest.raises(DBAPIError):
            async with world.billing.database.transaction() as session:
                for statement in change.split("; "):
                    await session.execute(text(statement))
    plan = {"code": "doc-bao", "name_vi": "Đọc báo", "name_en": "Reading"}
    with acting(Actor.command("test")):
        await world.billing.plans.save_plan(AGENCY, plan, {"month": 69_000})
        await world.billing.plans.save_plan(AGENCY, plan, {"month": 69_000})
    history = """SELECT amount_vnd, superseded_at IS NULL FROM plan_price
        WHERE agency = :agency AND period = 'month' ORDER BY created_at, amount_vnd"""
    assert await world.rows(history, agency=AGENCY) == [(59_000, False), (69_000, True)]


async def test_a_subscriber_keeps_the_price_that_was_bought(world: World):
    await world.subscribed()
    await world.deliver()
    plan = {"code": "doc-bao", "name_vi": "Đọc báo", "name_en": "Reading"}
    with acting(Actor.command("test")):
        await world.billing.plans.save_plan(AGENCY, plan, {"month": 99_000})
    await world.advance(timedelta(days=31))
    await world.deliver()
    assert await world.rows("SELECT amount_vnd FROM payment") == [(59_000,), (59_000,)]
    assert await world.value("SELECT mrr_vnd FROM subscription") == 59_000


async def test_a_day_without_a_vat_row_is_an_error_not_a_guess(world: World):
    from services.billing.plans.rules import NoVatRateError
    from services.billing.plans.service import vat_in

    async with world.billing.database.read() as session:
        assert await vat_in(session, 59_000, date(2026, 11, 23)) == 0
        with pytest.raises(NoVatRateError):
            await vat_in(session, 59_000, date(2020, 1, 1))


async def test_recognition_run_twice_at_once_earns_each_day_once(world: World):
    await world.subscribed()
    await world.deliver()
    world.clock.advance(timedelta(days=5))
    await asyncio.gather(*(world.billing.ledger.recognise_due() for _ in range(4)))
    days = await world.rows(
        "SELECT occurred_on, count(*) FROM journal_entry WHERE kind = 'recognition' GROUP BY 1"
    )
    assert len(days) == 6 and {count for _, count in days} == {1}
    await world.assert_sound()


async def test_all_days_of_a_period_earn_exactly_its_price_however_late_they_are_posted(
    world: World,
):
    """Against an independent account: after k of n days, k/n of the price is earned, rounded down to the đồng."""
    draw = random.Random(20261123)
    today = world.clock.now().date()
    plans = {}
    for _ in range(80):
        start = today - timedelta(days=draw.randrange(200))
        days = draw.choice((1, 7, 30, 31, 91, 365, draw.randrange(1, 400)))
        total = draw.choice((1, 59_000, draw.randrange(1, 400), draw.randrange(1, 10**12)))
        plans[uuid4()] = (start, days, total)
    # A payment stands behind each; here the days are what is looked at.
    intruder = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        await intruder.executemany(
            """INSERT INTO recognition_schedule
                   (id, agency, payment_id, currency, starts_on, ends_on, total_vnd, next_on)
               VALUES ($1, $2, $3, 'VND', $4, $5, $6, $4)""",
            [
                (id_, AGENCY, uuid4(), start, start + timedelta(days=days), total)
                for id_, (start, days, total) in plans.items()
            ],
        )
    finally:
        await intruder.close()
    while today < date(2027, 12, 31):
        while await world.billing.ledger.recognise_due():
            pass
        posted = {}
        for source, day, account, amount in await world.rows(
            """SELECT e.source_id, e.occurred_on, l.account, l.amount_vnd
               FROM journal_entry e JOIN journal_line l ON l.entry_id = e.id"""
        ):
            posted.setdefault((source, day), {})[account] = amount
        wanted = {}
        for id_, (start, days, total) in plans.items():
            for k in range(min(days, (today - start).days + 1)):
                amount = total * (k + 1) // days - total * k // days
                if amount:
                    sides = {rules.DEFERRED: amount, rules.REVENUE: -amount}
                    wanted[id_, start + timedelta(days=k)] = sides
        assert posted == wanted
        step = draw.randrange(1, 120)
        world.clock.advance(timedelta(days=step))
        today += timedelta(days=step)
    assert sum(sides[rules.DEFERRED] for sides in posted.values()) == sum(
        total for _, _, total in plans.values()
    )
    assert (
        await world.value(
            "SELECT count(*) FROM recognition_schedule WHERE recognised_vnd <> total_vnd"
        )
        == 0
    )
