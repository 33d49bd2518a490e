"""What the database and the use cases refuse of changes, refunds that failed and disputes."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, NoResultFound

from services.billing.ledger import rules as accounts
from services.billing.ledger.service import PostedBeforeError
from services.billing.recognition import service
from services.billing.recognition.changes import post_change
from shared.agencies import get_agency
from shared.money import Money
from tests.fixtures.roles import as_superuser, assert_never
from tests.integration.billing.invariants_read import read_invariants
from tests.integration.billing.own_books import DAY, FAIL, OTHER, Books, paid

RAISED = "UPDATE payment SET refunded_vnd = refunded_vnd + 1"
LOWERED = "UPDATE payment SET refunded_vnd = refunded_vnd - 1"
ANOTHER = """INSERT INTO refund (id, agency, payment_id, provider, provider_refund, amount_vnd, deferred_vnd, refunded_at{more})
    SELECT gen_random_uuid(), agency, payment_id, provider, 'other', 1, 0, refunded_at{values} FROM refund"""


async def refunded(books: Books, kind: str = "refund"):
    old = paid(33_000, 30, vat=3_000)
    await books.pay(old)
    return old, await books.refund(old, 11_000, kind)


async def refuse(books: Books, statement: str, match: str, **values: object) -> None:
    with pytest.raises(DBAPIError, match=match):
        async with books.database.transaction() as session:
            await session.execute(text(statement), values)
    await books.assert_sound()


async def test_what_a_payment_says_was_given_back_is_the_sum_of_its_refunds(books: Books) -> None:
    await refunded(books)
    for harm in (RAISED, LOWERED, ANOTHER.format(more="", values="")):
        await refuse(books, harm, "its refunds that did not fail sum to")
    await refuse(books, FAIL.replace("WHERE id = :id", ""), "sum to", now=books.clock.now())
    copied = """INSERT INTO payment (id, agency, reader_id, order_id, provider, reference, amount_vnd, refunded_vnd, paid_at)
        VALUES (gen_random_uuid(), 'bao-thu', gen_random_uuid(), gen_random_uuid(), 'x', 'x', 5, 1, now())"""
    intruder = await asyncpg.connect(as_superuser(books.url))
    try:
        await intruder.execute("ALTER TABLE payment DROP CONSTRAINT fk_payment_reader_id_reader")
        await intruder.execute(
            "ALTER TABLE payment DROP CONSTRAINT fk_payment_order_id_sales_order"
        )
    finally:
        await intruder.close()
    await refuse(books, copied, "sum to")


async def test_a_refund_by_transfer_is_asked_for_first(books: Books) -> None:
    old = paid(30_000, 30)
    await books.pay(old)
    intruder = await asyncpg.connect(as_superuser(books.url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        await intruder.execute("UPDATE payment SET provider = 'transfer'")
    finally:
        await intruder.close()
    with pytest.raises(DBAPIError, match="asked for, approved and paid first"):
        await books.refund(old, 30_000)


async def test_a_refund_fails_once_and_nothing_else_of_it_changes(books: Books) -> None:
    old, id_ = await refunded(books)
    for change in (
        "amount_vnd = amount_vnd + 1",
        "deferred_vnd = 0",
        "refunded_at = now()",
        "provider_refund = 'x'",
        "kind = 'dispute'",
        "amount_vnd = amount_vnd + 1, failed_at = now()",
        "kind = 'dispute', failed_at = now()",
        "failed_at = NULL",
    ):
        await refuse(books, f"UPDATE refund SET {change}", "fails once")
    failed_at_once = ANOTHER.format(more=", failed_at", values=", now()")
    await refuse(books, failed_at_once, "that failed at once is not written")
    await refuse(books, ANOTHER.format(more=", kind", values=", 'gift'"), "ck_refund_kind")
    await assert_never(books.url, "DELETE FROM refund")
    await books.fail(id_)
    await books.assert_sound()
    for change in ("failed_at = now()", "failed_at = NULL"):
        await refuse(books, f"UPDATE refund SET {change}", "fails once")
    assert await books.refund(old, 33_000), "all of it can be given back again"
    await books.assert_sound()


async def test_a_failure_is_posted_once_with_what_was_deferred_of_a_refund_that_was_posted(
    books: Books,
) -> None:
    _, id_ = await refunded(books)
    fact, deferred = books.refunds[id_]
    with pytest.raises(ValueError, match="took 10000"):
        await books.fail(id_, deferred - 1)

    async def again(fact) -> None:
        async with books.database.transaction() as session:
            await service.post_refund_failed(session, fact, deferred, books.clock.now())

    with pytest.raises(NoResultFound):
        await again(replace(fact, key="test:never"))
    await books.fail(id_)
    with pytest.raises(PostedBeforeError):
        await again(fact)
    entries = await books.rows(
        "SELECT e.kind, r.kind FROM journal_entry e JOIN journal_entry r ON r.id = e.reverses"
    )
    assert entries == [("refund_failed", "refund")]
    balances = await books.balances()
    assert (balances[accounts.VAT_PAYABLE], balances[accounts.RECEIVABLE]) == (-3_000, 33_000)
    await books.assert_sound()


async def test_an_entry_is_reversed_once(books: Books) -> None:
    _, id_ = await refunded(books)
    fact, _ = books.refunds[id_]
    await books.fail(id_)
    ((reversed_,),) = await books.rows("SELECT id FROM journal_entry WHERE kind = 'refund'")
    opposite = "SELECT account, -amount_vnd FROM journal_line WHERE entry_id = :id"
    lines = tuple(accounts.Line(*row) for row in await books.rows(opposite, id=reversed_))
    with pytest.raises(IntegrityError, match="uq_journal_entry_reverses"):
        async with books.database.transaction() as session:
            now = books.clock.now()
            posting = fact.posting("once-more", "refund_failed", now, lines, reversed_)
            await service.post_new(session, posting, now)


async def test_a_payment_is_replaced_once_and_a_schedule_goes_to_another_payment(
    books: Books,
) -> None:
    old, new, other = paid(30_000, 30), paid(60_000, 30), paid(1_000, 30)
    for one in (old, other):
        await books.pay(one)
    closing = "closed_on = starts_on, carried_vnd = total_vnd, carried_to ="
    wrong = "ck_recognition_schedule_carried_to"
    for change in (
        f"{closing} payment_id",
        "closed_on = starts_on, reversed_vnd = total_vnd, carried_to = gen_random_uuid()",
    ):
        await refuse(books, f"UPDATE recognition_schedule SET {change}", wrong)
    insert = """INSERT INTO recognition_schedule (id, agency, payment_id, stream, currency, starts_on, ends_on, total_vnd,
        counted_from, carried_to) SELECT gen_random_uuid(), agency, payment_id, stream, currency, starts_on, ends_on, 1,
        counted_from, :to FROM recognition_schedule"""
    await refuse(books, insert, wrong, to=new.id)
    await refuse(
        books,
        f"UPDATE recognition_schedule SET {closing} gen_random_uuid()",
        "fk_recognition_schedule_carried_to",
    )
    await refuse(books, "UPDATE payment SET replaced_by = id", "ck_payment_replaced_by")
    await refuse(
        books, "UPDATE payment SET replaced_by = gen_random_uuid()", "fk_payment_replaced_by"
    )
    await books.row(new)
    await books.change(new, old)
    for to in ("NULL", "(SELECT id FROM payment WHERE amount_vnd = 1000)"):
        of = "WHERE replaced_by IS NOT NULL"
        await refuse(books, f"UPDATE payment SET replaced_by = {to} {of}", "stays as it was booked")
    moved = "UPDATE recognition_schedule SET carried_to = NULL WHERE carried_to IS NOT NULL"
    await refuse(books, moved, "closed once")


async def test_a_change_takes_over_what_is_of_its_agency_stream_and_currency(books: Books) -> None:
    old, new = paid(30_000, 30), paid(60_000, 30)
    await books.pay(old)
    await books.row(new)

    async def change(**changes: object) -> None:
        async with books.database.transaction() as session:
            fact = replace(await books.fact(session, new), **changes)
            await post_change(session, fact, [old.id], books.clock.now())

    async with books.database.read() as session:
        other = await get_agency(session, OTHER)
    for changes, match in (
        ({"agency": other}, "has no payments"),
        ({"amount": Money(5, "USD")}, "not another's"),
        ({"stream": "single_article"}, "not another's"),
        ({"amount": Money(-1)}, "not paid with"),
        ({"vat_vnd": 60_001}, "not paid with"),
    ):
        with pytest.raises(ValueError, match=match):
            await change(**changes)
    assert await books.rows("SELECT count(*) FROM journal_entry") == [(1,)]


async def test_a_dispute_is_withdrawn_lost_and_won_after_all(books: Books) -> None:
    old = paid(33_000, 30, vat=3_000)
    await books.pay(old)
    await books.post(accounts.DISPUTE_WITHDRAWN, accounts.dispute_withdrawn_lines(33_000, 15_000))
    await books.assert_sound()
    books.clock.advance(9 * DAY)
    id_ = await books.refund(old, 33_000, "dispute")
    await books.run()
    assert await books.balances() == {
        accounts.RECEIVABLE: -15_000,
        accounts.FEES: 15_000,
        accounts.REVENUE: -10_000,
        accounts.REFUNDS: 10_000,
    }
    await books.assert_sound()
    await books.fail(id_)
    await books.post(accounts.DISPUTE_REINSTATED, accounts.dispute_reinstated_lines(33_000))
    await books.assert_sound()
    books.clock.advance(20 * DAY)
    await books.run()
    assert await books.balances() == {
        accounts.RECEIVABLE: 18_000,
        accounts.FEES: 15_000,
        accounts.REVENUE: -30_000,
        accounts.VAT_PAYABLE: -3_000,
    }
    await books.assert_sound()


async def test_payouts_and_money_that_no_order_takes_are_in_the_invariants(books: Books) -> None:
    await books.pay(paid(100_000, 30))
    unclaimed = accounts.unclaimed_lines(accounts.RECEIVABLE, 50_000)
    await books.post(accounts.UNCLAIMED, unclaimed)
    await books.post(accounts.PAYOUT, accounts.payout_lines(145_000, 5_000))
    await books.assert_sound()
    await books.post(accounts.PAYOUT_FAILED, accounts.payout_failed_lines(145_000, 5_000))
    returned = accounts.unclaimed_returned_lines(accounts.RECEIVABLE, 50_000)
    await books.post(accounts.UNCLAIMED_RETURNED, returned)
    await books.assert_sound()
    balances = await books.balances()
    assert balances == {accounts.RECEIVABLE: 100_000, accounts.DEFERRED: -100_000}


@pytest.mark.parametrize(
    ("invariant", "harm"),
    [
        ("deferred_rolls_forward", "UPDATE recognition_schedule SET carried_vnd = 5"),
        ("periods_do_not_overlap", "UPDATE payment SET replaced_by = NULL"),
    ],
)
async def test_each_invariant_notices(books: Books, invariant: str, harm: str) -> None:
    subscription = uuid4()
    old, new = paid(30_000, 30), paid(60_000, 30)
    await books.pay(old, subscription)
    await books.row(new, subscription)
    await books.change(new, old)
    await books.refund(new, 7_000)
    await books.post(accounts.PAYOUT, accounts.payout_lines(5_000, 100))
    await books.post(accounts.UNCLAIMED, accounts.unclaimed_lines(accounts.RECEIVABLE, 900))
    await books.post(accounts.DISPUTE_WITHDRAWN, accounts.dispute_withdrawn_lines(800, 0))
    await books.assert_sound()
    intruder = await asyncpg.connect(as_superuser(books.url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        await intruder.execute(
            "ALTER TABLE recognition_schedule DROP CONSTRAINT ck_recognition_schedule_closed"
        )
        await intruder.execute(harm)
    finally:
        await intruder.close()
    for whole in (False, True):
        assert (await read_invariants(books, whole=whole))[invariant] > 0, whole
