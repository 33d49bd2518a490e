"""Reading invariants from a checkpoint: what open transactions write, what was found before, what fails, who reads, and when everything is."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from services.billing.invariants import catalogue, repository, rules
from services.billing.invariants.invariant import CHANGES
from services.billing.invariants.repository import Subjects
from services.billing.invariants.service import Invariants
from services.billing.invariants.sold import MrrMovementsSum
from shared.ids import new_id
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import broken, read_invariants
from tests.integration.billing.lives import Lives
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, World, form_token

NAME = "payments_have_invoices"
#: Tables with a row an agency, a plan, or a day.
FEW = {"plan", "plan_price", "price_offer", "agency", "books", "invoice_series", "account_day"}


def an_id(age: timedelta = timedelta()) -> UUID:
    """An id that was made so long ago."""
    return UUID(int=rules.lowest_id(datetime.now(UTC) - age).int | new_id().int & (1 << 80) - 1)


async def intruder_of(world: World) -> asyncpg.Connection:
    """Past every guard of the database."""
    connection = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    await connection.execute("SET session_replication_role = replica")
    return connection


async def pay(connection: asyncpg.Connection, id_: UUID, agency: str = AGENCY) -> None:
    """A payment that has no invoice, nor anything else that it should have."""
    await connection.execute(
        """INSERT INTO payment (id, agency, order_id, reader_id, provider, reference, amount_vnd, paid_at)
           VALUES ($1, $2, $1, $1, 'stripe', $3, 1000, now())""",
        id_,
        agency,
        str(id_),
    )


async def found(world: World, name: str = NAME, *, whole: bool = False) -> int:
    return (await read_invariants(world.billing, whole=whole))[name]


async def test_what_an_open_transaction_writes_is_read_when_it_is_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rules, "MARGIN", timedelta())
    assert await found(world, whole=True) == 0
    url = world.billing.settings.database_url
    writer = await asyncpg.connect(url)  # the service's own role
    intruder = await intruder_of(world)
    try:
        await intruder.execute("ALTER TABLE payment DISABLE TRIGGER ALL")
        transaction = writer.transaction()
        await transaction.start()
        await pay(writer, new_id())
        for _ in range(2):  # however many readings go by meanwhile
            assert await found(world) == 0
        await transaction.commit()
        assert await found(world) == 1
    finally:
        await writer.close()
        await intruder.close()


@pytest.mark.parametrize(("age", "seen"), [(100, 1), (150, 0)])
async def test_clocks_may_differ_by_the_margin(world: World, age: int, seen: int):
    assert await found(world, whole=True) == 0
    intruder = await intruder_of(world)
    try:
        await pay(intruder, an_id(timedelta(seconds=age)))
        assert await found(world) == seen
        assert await found(world, whole=True) == 1
    finally:
        await intruder.close()


#: Of a reader, subscription and payment of long ago, all with the id {id}: what happens to them now, {now}, and what new id {new} it has.
HAPPENS = {
    "an entry": """INSERT INTO journal_entry (id, agency, currency, business_key, kind, source_id, occurred_on, booked_on, occurred_at,
        posted_at) VALUES ('{new}', '{agency}', 'VND', '{new}', 'payment', '{id}', '2026-11-23', '2026-11-23', '{now}', '{now}')""",
    "a refund that fails": """INSERT INTO refund (id, agency, payment_id, provider, provider_refund, amount_vnd, deferred_vnd, refunded_at,
        failed_at) VALUES ('{id}', '{agency}', '{id}', 'stripe', '{id}', 1, 0, '{now}', '{now}')""",
    "a movement": "INSERT INTO mrr_movement (subscription_id, version, movement, amount_vnd, occurred_on) VALUES ('{id}', 1, 'new', 5, '2026-11-23')",
    "a transition": "INSERT INTO subscription_transition (subscription_id, to_state, at) VALUES ('{id}', 'expired', '{now}')",
    "a seat that ends": """INSERT INTO seat (id, agency, subscription_id, reader_id, number, joined_at, ended_at, ended_by)
        VALUES ('{id}', '{agency}', '{id}', '{new}', 2, '2026-01-01Z', '{now}', 'member')""",
    "a period that ends": "UPDATE subscription SET period_end = '{now}' WHERE id = '{id}'",
    "a right": """INSERT INTO entitlement (id, agency, reader_id, subscription_id, plan_code, scope, valid_from, valid_until, updated_at)
        VALUES ('{new}', '{agency}', '{id}', '{id}', 'x', 'site', '{now}', '{now}', '{now}')""",
    "a use of a bundle": """INSERT INTO bundle_use (id, bundle_id, agency, reader_id, uses, number, article, used_at, readable_until)
        VALUES ('{new}', '{id}', '{agency}', '{id}', 2, 1, 'a', '2026-01-01Z', '{now}')""",
}


async def test_whatever_happens_to_a_reader_of_long_ago_has_them_read(world: World):
    """Each of them has a payment without an invoice, which nothing else leads to."""
    intruder = await intruder_of(world)
    try:
        await found(world, whole=True)
        for number, (what, statement) in enumerate(HAPPENS.items()):
            id_ = an_id(timedelta(days=1))
            await pay(intruder, id_)
            await intruder.execute(
                """INSERT INTO subscription (id, agency, reader_id, price_id, collection, anchor_day, state, period_start, period_end,
                       created_at, updated_at)
                   VALUES ($1, $2, $1, $1, 'renewal', 1, 'active', '2026-01-01Z', '2027-01-01Z', '2026-01-01Z', '2026-01-01Z')""",
                id_,
                AGENCY,
            )
            assert await found(world) == number, what
            now = world.clock.now().isoformat()
            await intruder.execute(statement.format(id=id_, new=new_id(), agency=AGENCY, now=now))
            assert await found(world) == number + 1, what
    finally:
        await intruder.close()


async def test_what_was_found_stays_until_it_was_read_again_and_is_right(world: World):
    """Of a subject that nothing happens to any more; of a sum only everything knows better."""
    intruder = await intruder_of(world)
    try:
        await found(world, whole=True)
        id_ = an_id(timedelta(days=1))
        await pay(intruder, id_)
        await intruder.execute(
            "INSERT INTO recognition_due (agency, stream, currency, day, amount_vnd) VALUES ($1, 'subscription', 'VND', '2026-11-20', 5)",
            AGENCY,
        )
        assert await found(world) == 0, "long ago, and nothing is new"
        wrong = {"captured_is_settled": 1_000, "deferred_rolls_forward": 5, NAME: 1}
        assert await broken(world.billing) == wrong
        for _ in range(2):
            assert await broken(world.billing, whole=False) == wrong
        await intruder.execute("DELETE FROM payment WHERE id = $1", id_)
        await intruder.execute("DELETE FROM recognition_due")
        assert await broken(world.billing, whole=False) == {
            "captured_is_settled": 1_000,
            "deferred_rolls_forward": 5,
        }
        assert await broken(world.billing) == {}
    finally:
        await intruder.close()


async def test_one_that_fails_keeps_no_other_waiting_and_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """It runs out of time: the others are read, its checkpoint and what it had found stay, the page does not say that it holds."""
    invariants, now = world.billing.invariants, world.clock.now()
    intruder = await intruder_of(world)
    try:
        assert await invariants.run_due()
        monkeypatch.setattr(repository, "STATEMENT_TIMEOUT_MS", 200)
        repository._query.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(
                MrrMovementsSum,
                "sql",
                lambda self, of: (
                    "SELECT '', '', 1 FROM (SELECT pg_sleep(20)::text AS done) AS slept WHERE done IS NULL"
                ),
            )
            world.clock.advance(timedelta(minutes=1))
            await pay(intruder, new_id(), OTHER_AGENCY)
            assert await invariants.run_due()
            repository._query.cache_clear()
        states = {one.name: one for one in await invariants.findings(OTHER_AGENCY)}
        late = states.pop(MrrMovementsSum.name)
        assert (late.reading.error, late.reading.checked_at) == ("timeout", now)
        assert {one.reading.checked_at for one in states.values()} == {world.clock.now()}
        assert states[NAME].violations == 1
        metrics = (await world.browser().get("/metrics")).text
        for line in (
            'press_billing_invariant_failed{invariant="mrr_movements_sum"} 1.0',
            'press_billing_invariant_failures_total{invariant="mrr_movements_sum",reason="timeout"} 1.0',
            'press_billing_invariant_age_seconds{invariant="mrr_movements_sum",reading="changes"} 60.0',
            'press_billing_invariant_age_seconds{invariant="ledger_balances",reading="changes"} 0.0',
            f'press_invariant_violations{{invariant="{NAME}",service="billing"}} 1.0',
        ):
            assert line in metrics, line
        page = (await world.browser(press_staff="finance-token").get(f"/staff/{AGENCY}")).text
        assert "bị quá giờ" in page and page.count("chưa rõ") == 1
        await invariants.run_due()
        page = (await world.browser(press_staff="finance-token").get(f"/staff/{AGENCY}")).text
        assert "bị quá giờ" not in page and page.count("badge ok") == len(catalogue.ALL)
    finally:
        repository._query.cache_clear()
        await intruder.close()


async def test_everything_is_read_once_a_night_by_one_process_also_by_who_was_down(world: World):
    """The world begins at ten in the morning; the clock is the agency's nights."""
    invariants, clock = world.billing.invariants, world.clock
    twin = Invariants(world.billing.database, clock)

    async def whole_at() -> datetime:
        states = await invariants.findings(AGENCY)
        [at] = {one.reading.whole_at for one in states if one.name not in ALWAYS}
        assert at is not None
        return at

    ALWAYS = {one.name for one in catalogue.ALL if one.always_whole}
    first = clock.now()
    await asyncio.gather(invariants.run_due(), twin.run_due())
    assert await whole_at() == first, "never read: at once"
    clock.advance(timedelta(hours=16, minutes=59))
    assert await twin.run_due()
    assert await whole_at() == first
    clock.advance(timedelta(hours=5))  # nobody was there at three
    assert await invariants.run_due()
    assert await whole_at() == clock.now()
    # One reads at a time, and the other one is not kept waiting.
    async with invariants._alone() as alone:
        assert alone and not await twin.run_due()
    assert await twin.run_due()


async def test_finance_has_everything_read_by_the_worker(world: World):
    invariants, clock = world.billing.invariants, world.clock
    await invariants.run_due()
    intruder = await intruder_of(world)
    await pay(intruder, an_id(timedelta(days=1)))
    await intruder.close()
    finance, support = (world.browser(press_staff=f"{one}-token") for one in ("finance", "support"))
    page, action = f"/staff/{AGENCY}", f"/staff/{AGENCY}/checks"
    assert "Kiểm tra tất cả ngay" not in (await support.get(page)).text
    sent = {"csrf_token": form_token((await finance.get(page)).text)}
    forms = await asyncio.gather(
        *(finance.client.post(action, data=sent, headers={"Origin": OWN}) for _ in range(3))
    )
    assert {one.status_code for one in forms} == {303}
    assert await world.value("SELECT count(*) FROM audit_entry WHERE action = 'check-asked'") == 1
    asked = (await finance.get(page)).text
    assert "Đã yêu cầu kiểm tra toàn bộ" in asked and "Kiểm tra tất cả ngay" not in asked
    clock.advance(timedelta(minutes=9))
    await invariants.run_due()
    assert "badge bad" not in (await finance.get(page)).text, "everything was read nine minutes ago"
    clock.advance(timedelta(minutes=1))
    await invariants.run_due()
    shown = (await finance.get(page)).text
    assert "badge bad" in shown and "Kiểm tra tất cả ngay" in shown


async def test_the_overview_reads_what_was_found_and_looks_for_nothing_itself(
    paid_by_transfer: World,
):
    """Names of readers that something is wrong with lead to their pages."""
    world = paid_by_transfer
    lives = Lives(world)
    await lives.transfers("lan@example.vn")
    await world.billing.invariants.run_due()
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE subscription SET mrr_vnd = mrr_vnd + 1"))
    staff = world.browser(press_staff="finance-token")
    assert "badge bad" not in (await staff.get(f"/staff/{AGENCY}")).text
    await world.billing.invariants.run_due()
    page = (await staff.get(f"/staff/{AGENCY}")).text
    reader = (await lives.reader("lan@example.vn")).id
    assert page.count("badge bad") == 2 and page.count(f"/readers/{reader}") == 2


async def test_what_has_changed_is_found_by_indexes(world: World):
    """Without a reading of any table in full, but those that have a row an agency or a plan."""
    one = [new_id()]
    day = [f"{AGENCY} bank 2026-11-23"]
    given = Subjects(one, one, one, one, one, day, named=["x"]).parameters()
    now = world.clock.now()
    given |= {"now": now, "since": now, "floor_at": now}
    statements = {one.name: one.sql(CHANGES) for one in catalogue.ALL}
    statements["touched"] = str(repository._TOUCHED)
    slow = dict[str, set[str]]()
    async with world.billing.database.read() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        for name, sql in statements.items():
            query = text(f"EXPLAIN {sql}")
            asked = {key: given[key] for key in query._bindparams}
            plan = "\n".join(await session.scalars(query, asked))
            slow[name] = set(re.findall(r"Seq Scan on (\w+)", plan)) - FEW
    assert {name: tables for name, tables in slow.items() if tables} == {}
