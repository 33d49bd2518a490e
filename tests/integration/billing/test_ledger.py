"""The database itself refuses books that do not balance, changes of what was posted, and facts for a closed period."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.billing.ledger import rules, service
from services.billing.ledger.repository import Wanted
from services.billing.ledger.service import Posting
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.fixtures.roles import assert_never
from tests.fixtures.waiting import eventually
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

DAY = date(2026, 11, 23)
#: The world stands at ten in the morning of 23 November 2026: October is over.
OCTOBER = date(2026, 10, 1)
ENTRY = """INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on, booked_on,
        occurred_at, posted_at, reverses)
    VALUES (:id, :agency, :currency, :key, 'payment', :id, CAST(:day AS date), CAST(:day AS date), now(), now(), :reverses)"""
LINES = """INSERT INTO journal_line (entry_id, line_no, agency, account, booked_on, amount_vnd)
    SELECT :id, no + :first, :agency, account, CAST(:day AS date), amount
    FROM unnest(CAST(:accounts AS text[]), CAST(:amounts AS bigint[])) WITH ORDINALITY AS l(account, amount, no)"""
PAIR = ((rules.BANK, 5), (rules.DEFERRED, -5))


async def add_lines(session, id_: UUID, *lines: tuple[str, int], agency=AGENCY, day=DAY, first=0):
    await session.execute(
        text(LINES),
        {
            **{"id": id_, "agency": agency, "day": day, "first": first},
            "accounts": [account for account, _ in lines],
            "amounts": [amount for _, amount in lines],
        },
    )


async def raw_entry(
    world: World,
    *lines: tuple[str, int],
    agency: str = AGENCY,
    lines_of: str | None = None,
    day: date = DAY,
    lines_on: date | None = None,
    currency: str = "VND",
    key: str | None = None,
    reverses: UUID | None = None,
) -> UUID:
    """Straight into the tables, past every check of the code; refused at COMMIT or not at all."""
    id_ = uuid4()
    async with world.billing.database.transaction() as session:
        values = {"id": id_, "agency": agency, "currency": currency, "key": key or str(id_)}
        await session.execute(text(ENTRY), {**values, "day": day, "reverses": reverses})
        if lines:
            await add_lines(session, id_, *lines, agency=lines_of or agency, day=lines_on or day)
    return id_


async def close(world: World, month: date, agency: str = AGENCY) -> date:
    with acting(Actor.command("test")):
        return await world.billing.recognition.close_month(agency, month)


async def nothing_is_booked(world: World) -> bool:
    counts = """SELECT (SELECT count(*) FROM journal_entry), (SELECT count(*) FROM journal_line),
        (SELECT count(*) FROM account_day)"""
    return await world.rows(counts) == [(0, 0, 0)]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [(rules.BANK, 5)],
        [(rules.BANK, 5), (rules.DEFERRED, -4)],
        [(rules.BANK, 5), (rules.DEFERRED, -5), (rules.REVENUE, 1)],
    ],
)
async def test_an_entry_without_lines_or_balance_is_refused(world: World, lines):
    with pytest.raises(DBAPIError, match="refused"):
        await raw_entry(world, *lines)
    assert await nothing_is_booked(world)


async def test_a_line_after_an_early_check_of_the_entry_is_checked_as_well(world: World):
    id_ = uuid4()
    with pytest.raises(DBAPIError, match="1 of them sum to 1, or"):
        async with world.billing.database.transaction() as session:
            values = {"id": id_, "agency": AGENCY, "currency": "VND", "key": "one", "day": DAY}
            await session.execute(text(ENTRY), {**values, "reverses": None})
            await add_lines(session, id_, *PAIR)
            await session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            await session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
            await add_lines(session, id_, (rules.BANK, 1), first=2)
    assert await nothing_is_booked(world)
    with pytest.raises(DBAPIError, match="2 of them sum to 0, or are not all of it"):
        async with world.billing.database.transaction() as session:
            await session.execute(text(ENTRY), {**values, "reverses": None})
            await add_lines(session, id_, *PAIR)
            await add_lines(session, id_, *PAIR, first=2)
    assert await nothing_is_booked(world)


@pytest.mark.parametrize(
    "wrong", [{"lines_of": OTHER_AGENCY}, {"lines_on": DAY + timedelta(days=1)}], ids=str
)
async def test_lines_of_another_agency_or_day_than_the_entrys_are_refused(world: World, wrong):
    with pytest.raises(DBAPIError, match="its agency, day and transaction"):
        await raw_entry(world, *PAIR, **wrong)


async def test_an_account_outside_the_chart_is_refused(world: World):
    with pytest.raises(IntegrityError):
        await raw_entry(world, ("petty_cash", 5), (rules.DEFERRED, -5))


async def test_a_fact_of_an_agency_without_books_is_an_error_and_not_posted_before(world: World):
    now = world.clock.now()
    lines = rules.payment_lines("subscription", 59_000, 0)
    with pytest.raises(IntegrityError, match="fk_journal_entry_agency_books"):
        async with world.billing.database.transaction() as session:
            await service.post(
                session, Posting("nobody", "fact:1", "payment", uuid4(), DAY, now, lines), now
            )


async def test_what_cannot_have_been_posted_before_is_rolled_back_when_it_was(world: World):
    now = world.clock.now()
    lines = rules.payment_lines("subscription", 59_000, 0)
    posting = Posting(AGENCY, "fact:1", "refund", uuid4(), DAY, now, lines)
    async with world.billing.database.transaction() as session:
        await service.post_new(session, posting, now)
    with pytest.raises(service.PostedBeforeError, match="fact:1"):
        async with world.billing.database.transaction() as session:
            await session.execute(text("UPDATE payment SET refunded_vnd = 0"))
            await service.post_new(session, posting, now)


async def test_a_business_key_is_there_once_an_agency(world: World):
    await raw_entry(world, *PAIR, key="invoice:1:paid")
    await raw_entry(world, *PAIR, key="invoice:1:paid", agency=OTHER_AGENCY)
    with pytest.raises(IntegrityError, match="uq_journal_entry_agency_business_key"):
        await raw_entry(world, *PAIR, key="invoice:1:paid")


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
    await raw_entry(world, *PAIR)
    await assert_never(world.billing.settings.database_url, change)
    assert await world.rows("SELECT sum(amount_vnd), count(*) FROM journal_line") == [(0, 2)]


async def test_a_posted_entry_takes_no_further_lines_even_balanced_ones(world: World):
    entry = await raw_entry(world, *PAIR)
    with pytest.raises(DBAPIError, match="its agency, day and transaction"):
        async with world.billing.database.transaction() as session:
            await add_lines(session, entry, (rules.BANK, 3), (rules.BANK, -3), first=7)


async def test_a_reversal_is_the_exact_opposite_of_an_entry_of_the_agency_once(world: World):
    entry = await raw_entry(world, (rules.BANK, 5), (rules.BANK, 7), (rules.DEFERRED, -12))
    opposite = ((rules.DEFERRED, 12), (rules.BANK, -7), (rules.BANK, -5))
    for lines, more in (
        (((rules.DEFERRED, 12), (rules.BANK, -12)), {}),
        (((rules.DEFERRED, 11), (rules.BANK, -6), (rules.BANK, -5)), {}),
        (((rules.BANK, 5), (rules.BANK, 7), (rules.DEFERRED, -12)), {}),
        (opposite, {"agency": OTHER_AGENCY}),
        (opposite, {"currency": "USD"}),
    ):
        with pytest.raises(DBAPIError, match="not the opposite"):
            await raw_entry(world, *lines, reverses=entry, **more)
    await raw_entry(world, *opposite, reverses=entry)
    with pytest.raises(IntegrityError, match="uq_journal_entry_reverses"):
        await raw_entry(world, *opposite, reverses=entry)


# Periods


async def test_nothing_is_booked_in_a_closed_period_and_it_is_not_opened_again(world: World):
    assert await close(world, OCTOBER) == date(2026, 10, 31)
    for day in (date(2026, 10, 31), date(2024, 1, 1)):
        with pytest.raises(DBAPIError, match="closed period"):
            await raw_entry(world, *PAIR, day=day)
    await raw_entry(world, *PAIR, day=date(2026, 11, 1))
    await raw_entry(world, *PAIR, day=date(2026, 10, 31), agency=OTHER_AGENCY)
    for back in ("NULL", "DATE '2026-09-30'"):
        with pytest.raises(DBAPIError, match="go forward only"):
            async with world.billing.database.transaction() as session:
                await session.execute(
                    text(f"UPDATE books SET closed_through = {back} WHERE agency = :a"),
                    {"a": AGENCY},
                )


@pytest.mark.parametrize(
    "change",
    [
        "closed_through = DATE '2026-10-15'",
        "closed_through = DATE '2026-11-30'",
        "opened_through = opened_through - 1, counted_through = counted_through - 1",
        "counted_through = counted_through - 1",
        "counted_through = counted_through + 1",
        "agency = 'dai-song-hong'",
    ],
)
async def test_books_close_whole_months_that_are_counted_and_take_no_day_back(
    world: World, change: str
):
    with pytest.raises(DBAPIError, match=r"go forward only|ck_books_"):
        async with world.billing.database.transaction() as session:
            await session.execute(
                text(f"UPDATE books SET {change} WHERE agency = :a"), {"a": AGENCY}
            )


async def test_a_late_fact_lands_in_the_open_period_and_names_its_own_day(world: World):
    await close(world, OCTOBER)
    now = world.clock.now()
    async with world.billing.database.transaction() as session:
        for day in (date(2026, 10, 30), date(2026, 11, 2)):
            lines = (rules.Line(rules.BANK, 9), rules.Line(rules.DEFERRED, -9))
            await service.post(
                session, Posting(AGENCY, str(day), "payment", uuid4(), day, now, lines), now
            )
    november = Wanted(date(2026, 11, 1), date(2026, 11, 30))
    page = await world.billing.ledger.journal(AGENCY, november, limit=10)
    assert [(entry["occurred_on"], entry["booked_on"]) for entry in page.entries] == [
        (date(2026, 11, 2), date(2026, 11, 2)),
        (date(2026, 10, 30), date(2026, 11, 1)),
    ]


async def test_a_month_is_closed_once_and_when_it_is_over_and_recognised(world: World):
    with pytest.raises(ConflictError) as error:
        await close(world, date(2026, 11, 1))
    assert error.value.slug == "period-not-over"
    # On the second of December, before the last days of November have been counted, it is not over yet.
    world.clock.advance(timedelta(days=9))
    with pytest.raises(ConflictError):
        await close(world, date(2026, 11, 1))
    await world.billing.recognition.run_due()
    await close(world, date(2026, 11, 1))
    for month in (date(2026, 11, 1), OCTOBER):
        with pytest.raises(ConflictError) as error:
            await close(world, month)
        assert error.value.slug == "period-closed"
    acts = await world.rows(
        "SELECT agency, action, subject FROM audit_entry WHERE action LIKE 'period%'"
    )
    assert acts == [(AGENCY, "period-closed", "books/2026-11")]


async def test_who_posts_while_a_month_is_closed_is_wholly_before_or_after_it(world: World):
    """Who was first to post is booked in October although it commits late; who comes when the closing waits, in November."""
    now = world.clock.now()
    waiting = """SELECT count(*) = :count FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""

    def fact(number: int) -> Posting:
        lines = (rules.Line(rules.BANK, 9), rules.Line(rules.DEFERRED, -9))
        return Posting(AGENCY, f"f{number}", "payment", uuid4(), date(2026, 10, 5), now, lines)

    async def post(number: int) -> None:
        async with world.billing.database.transaction() as session:
            await service.post(session, fact(number), now)

    async def are_waiting(count: int) -> None:
        await eventually(lambda: world.value(waiting, count=count))

    async with world.billing.database.transaction() as session:
        await service.post(session, fact(1), now)
        closing = asyncio.ensure_future(close(world, OCTOBER))
        await are_waiting(1)
        late = asyncio.ensure_future(post(2))
        await are_waiting(2)
    await asyncio.gather(closing, late)
    days = "SELECT business_key, booked_on FROM journal_entry ORDER BY 1"
    assert await world.rows(days) == [("f1", date(2026, 10, 5)), ("f2", date(2026, 11, 1))]


# Running balances


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE account_day SET debit_vnd = debit_vnd + 1",
        "INSERT INTO account_day SELECT agency, account, currency, booked_on + 1, 1, 1 FROM account_day",
    ],
)
async def test_running_balances_are_changed_by_posting_only(world: World, change: str):
    await raw_entry(world, *PAIR)
    with pytest.raises(DBAPIError, match="follow the journal"):
        async with world.billing.database.transaction() as session:
            await session.execute(text(change))
    await assert_never(world.billing.settings.database_url, "DELETE FROM account_day")


async def test_the_trial_balance_of_any_period_is_the_sum_of_the_journal(world: World):
    """Entries of two agencies and currencies, posted eight at a time, beside an account of our own."""
    draw = random.Random(20261126)
    accounts = [spec.code for spec in rules.CHART]
    booked: list[tuple[str, str, str, date, int]] = []

    async def one() -> None:
        agency, currency = draw.choice((AGENCY, OTHER_AGENCY)), draw.choice(("VND", "USD"))
        day = DAY - timedelta(days=draw.randrange(90))
        amounts = [
            draw.choice((1, -1)) * draw.randrange(1, 10**9) for _ in range(draw.randrange(1, 4))
        ]
        amounts.append(-sum(amounts) or 7)
        if sum(amounts):
            amounts.append(-sum(amounts))
        lines = [(draw.choice(accounts), amount) for amount in amounts if amount]
        await raw_entry(world, *lines, agency=agency, currency=currency, day=day)
        booked.extend((agency, currency, account, day, amount) for account, amount in lines)

    for _ in range(12):
        await asyncio.gather(*(one() for _ in range(8)))
    for first, last in (
        (date(2026, 1, 1), date(2026, 12, 31)),
        (date(2026, 10, 1), date(2026, 10, 31)),
        (DAY, DAY),
    ):
        for agency in (AGENCY, OTHER_AGENCY):
            wanted: Counter[tuple[str, str, str]] = Counter()
            for of, currency, account, day, amount in booked:
                if of == agency and day <= last:
                    side = "opening" if day < first else "debit" if amount > 0 else "credit"
                    wanted[currency, account, side] += amount if side == "opening" else abs(amount)
            found: Counter[tuple[str, str, str]] = Counter()
            for row in await world.billing.ledger.trial_balance(agency, first, last):
                sides = (
                    ("opening", row.opening_vnd),
                    ("debit", row.debit_vnd),
                    ("credit", row.credit_vnd),
                )
                found.update({(row.currency, row.code, side): amount for side, amount in sides})
            assert +found == +wanted and -found == -wanted
    assert not {"ledger_balances", "balances_follow_the_journal"} & {*await broken(world.billing)}


async def test_posting_the_same_fact_many_times_at_once_is_one_entry(world: World):
    now, source = world.clock.now(), uuid4()
    posting = Posting(
        AGENCY,
        "fact:1",
        "payment",
        source,
        DAY,
        now,
        rules.payment_lines("subscription", 59_000, 0),
    )

    async def post() -> bool:
        async with world.billing.database.transaction() as session:
            return await service.post(session, posting, now)

    assert sorted(await asyncio.gather(*(post() for _ in range(5)))) == [False] * 4 + [True]
    assert await world.rows("SELECT count(*), sum(amount_vnd) FROM journal_line") == [(2, 0)]


async def test_every_entry_is_reached_page_by_page_and_found_by_what_it_is(world: World):
    """Twenty-seven entries, nine of one day, posted at the same time: ten a page."""
    for number in range(27):
        lines = PAIR if number % 3 else ((rules.FEES, 5), (rules.BANK, -5))
        await raw_entry(world, *lines, day=DAY - timedelta(days=number % 3), key=f"kind_%:{number}")
    ledger, everything = world.billing.ledger, Wanted(date(2026, 1, 1), DAY)
    seen, after = [], None
    while True:
        page = await ledger.journal(AGENCY, everything, limit=10, after=after)
        seen += page.entries
        if not page.more:
            break
        after = (page.entries[-1]["booked_on"], page.entries[-1]["id"])
    assert len({entry["id"] for entry in seen}) == len(seen) == 27
    assert seen == sorted(seen, key=lambda e: (e["booked_on"], e["id"].int), reverse=True)

    async def found(**changes) -> int:
        wanted = Wanted(**{"first": date(2026, 1, 1), "last": DAY, **changes})
        page = await ledger.journal(AGENCY, wanted, limit=100)
        assert len(page.entries) == await ledger.count(AGENCY, wanted)
        return len(page.entries)

    assert await found(account=rules.FEES) == 9
    assert await found(first=DAY) == 9
    assert await found(kind="refund") == 0
    assert await found(words="kind_%:2") == 8, "2 and 20 to 26"
    assert await found(words="kindx%:2") == 0, "signs of a pattern are themselves"
    assert await found(words="_") == 27


async def test_a_price_is_never_edited_only_superseded(world: World):
    for change in (
        "UPDATE plan_price SET amount_vnd = 1",
        "UPDATE plan_price SET superseded_at = now(), amount_vnd = 1",
        "DELETE FROM plan_price",
    ):
        with pytest.raises(DBAPIError, match=r"is never edited|permission denied"):
            async with world.billing.database.transaction() as session:
                await session.execute(text(change))
    plan = {"code": "doc-bao", "name_vi": "Đọc báo", "name_en": "Reading"}
    with acting(Actor.command("test")):
        await world.billing.plans.save_plan(AGENCY, plan, {"month": 69_000})
        await world.billing.plans.save_plan(AGENCY, plan, {"month": 69_000})
    history = """SELECT pp.amount_vnd, pp.superseded_at IS NULL FROM plan_price pp JOIN plan p ON p.id = pp.plan_id
        WHERE p.agency = :agency AND p.code = 'doc-bao' AND pp.period = 'month' ORDER BY pp.created_at, pp.amount_vnd"""
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
