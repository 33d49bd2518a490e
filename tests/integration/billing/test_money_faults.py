"""Money in another currency, a fact that is in the books already, and what is read, tried and collected when nobody pays."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.billing import metrics
from services.billing.charges import asking
from services.billing.charges.apply import apply
from services.billing.ledger import rules as accounts
from services.billing.ledger.service import PostedBeforeError, Posting, post_new
from services.billing.payments.adapters.port import (
    Captured,
    GoneError,
    ProviderUnavailableError,
    RefundMoved,
    RefundState,
)
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.repository import lock_reader
from shared.ids import new_id
from tests.fixtures.waiting import eventually
from tests.integration.billing.lives import Lives
from tests.integration.billing.renewing import due, subscribe
from tests.integration.billing.returning import at_the_bank, dashboard_refund, dispute, reference_of
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, OTHER_AGENCY, World

DAY = timedelta(days=1)
LAN = "lan@example.vn"
READING = {"code": "doc-bao", "name_vi": "Đọc báo không giới hạn", "name_en": "Unlimited reading"}


async def told(world: World, fact: Any) -> bool:
    async with world.billing.database.transaction() as session:
        return await apply(session, "stripe", fact, world.clock.now())


async def test_money_in_another_currency_ends_its_charge_and_waits_for_finance_until_it_went_back(
    world: World,
) -> None:
    await subscribe(world.billing, LAN, "month", AGENCY)
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.billing.renewals.run_due()
    [one] = await due(world.billing)
    fact = Captured(one.charge, "pi_dollars", 2_400, "USD", world.clock.now())
    assert await told(world, fact) and not await told(world, fact), "once"
    assert not await world.billing.charges.ask_one(), "it is asked for no more"
    found = (await world.billing.exceptions.listing(AGENCY, 9))["foreign"]
    assert [(row["amount_vnd"], row["detail"], row["reader_email"]) for row in found] == [
        (2_400, "USD", LAN)
    ]
    assert not (await world.billing.exceptions.listing(OTHER_AGENCY, 9))["foreign"]
    for _ in range(8):  # not tried again for this period, nor booked
        world.clock.advance(DAY)
        await world.billing.renewals.run_due()
        assert await due(world.billing) == []
    assert await world.value("SELECT state FROM subscription") == "expired"
    at = world.clock.now()
    for id_, amount, currency, news in (
        ("re_1", 400, "USD", True),
        ("re_1", 400, "USD", False),
        ("re_2", 2_000, "VND", False),
        ("re_3", 2_000, "USD", True),
    ):
        moved = RefundMoved(id_, "pi_dollars", amount, currency, RefundState.SUCCEEDED, at)
        assert await told(world, moved) is news
    assert not (await world.billing.exceptions.listing(AGENCY, 9))["foreign"]
    assert await world.value("SELECT count(*) FROM payment") == 1
    await world.assert_sound()


async def test_a_payment_whose_entry_is_there_already_is_refused_and_not_left_without_schedule(
    world: World,
) -> None:
    await subscribe(world.billing, LAN, "month", AGENCY)
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.billing.renewals.run_due()
    [one] = await due(world.billing)
    code = await world.value("SELECT code FROM sales_order WHERE state = 'open'")
    now = world.clock.now()
    async with world.billing.database.transaction() as session:
        lines = (accounts.Line(accounts.RECEIVABLE, 5), accounts.Line(accounts.DEFERRED, -5))
        key = f"order:{code}:paid"
        await post_new(
            session, Posting(AGENCY, key, "payment", new_id(), now.date(), now, lines), now
        )
    with pytest.raises(PostedBeforeError):
        await told(world, Captured(one.charge, "pi_second", one.amount_vnd, "VND", now))
    assert await world.value("SELECT count(*) FROM payment") == 1
    assert await world.value("SELECT count(*) FROM recognition_schedule") == 1


async def row_of(world: World) -> Subscription:
    return (await Lives(world).subscriptions(LAN))[0]


async def test_a_reader_who_presses_pay_now_uses_up_none_of_the_tries(world: World) -> None:
    await Lives(world).buys(LAN, "month", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.deliver()
    row = await row_of(world)
    for _ in range(3):
        await world.billing.wishes.pay_now(AGENCY, row.reader_id, row.id)
        await world.deliver()
    counted = "SELECT tries FROM sales_order WHERE state = 'open'"
    refused = "SELECT count(*) FROM charge WHERE state = 'failed' AND by_reader = :own"
    assert await world.value(counted) == 1
    assert await world.value(refused, own=True) == 3
    for wait, tries in ((DAY, 2), (2 * DAY, 3), (2 * DAY, 4)):
        world.clock.advance(wait)
        await world.deliver()
        assert await world.value(counted) == tries
    assert await world.value(refused, own=False) == 4


async def test_a_grace_is_given_to_who_has_paid_and_once_until_a_renewal_was_paid(
    world: World,
) -> None:
    lives, read = Lives(world), 0
    for days in (14, 7, 7):
        await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
        await world.deliver()
        until = world.clock.now() + 15 * DAY
        read = 0
        while world.clock.now() < until:
            read += LAN in await lives.rights()
            world.clock.advance(DAY)
            await world.deliver()
        assert read == days
        assert (await row_of(world)).state == "expired"
    await world.assert_sound()


async def test_who_cancels_in_the_grace_and_buys_anew_has_no_grace_again(world: World) -> None:
    lives, read = Lives(world), []
    for _ in range(3):
        await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
        await world.deliver()
        days = 0
        for day in range(16):
            if day == 13:
                await lives.cancels(LAN)
            days += LAN in await lives.rights()
            world.clock.advance(DAY)
            await world.deliver()
        read.append(days)
    assert read == [13, 7, 7]
    await world.assert_sound()


async def test_money_that_goes_back_after_a_grace_does_not_undo_that_it_was_read(
    world: World,
) -> None:
    lives, read = Lives(world), []
    for _ in range(2):
        await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
        await world.deliver()
        days = 0
        for _ in range(16):
            days += LAN in await lives.rights()
            world.clock.advance(DAY)
            await world.deliver()
        read.append(days)
        newest = "SELECT reference FROM payment ORDER BY paid_at DESC LIMIT 1"
        await dashboard_refund(world, await world.value(newest))
        await world.deliver()
    assert read == [14, 7]
    await world.assert_sound()


async def test_after_a_trial_that_is_not_paid_for_nothing_is_read_and_money_begins_when_it_comes(
    world: World,
) -> None:
    lives = Lives(world)
    await world.billing.plans.save_plan(AGENCY, READING, {"month": 59_000}, {"month": 7})
    await lives.buys(LAN, "month", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.deliver()
    assert await lives.rights() == set()
    assert (await row_of(world)).state == "grace"
    world.clock.advance(2 * DAY)
    await lives.gives_card(LAN)
    for _ in range(2):
        await world.deliver()
    row = await row_of(world)
    assert (row.state, row.period_start) == ("active", world.clock.now())
    assert await lives.rights() == {LAN}
    await world.assert_sound()


async def test_a_trial_that_is_canceled_and_resumed_goes_on(world: World) -> None:
    lives = Lives(world)
    await world.billing.plans.save_plan(
        AGENCY, READING, {"month": 59_000, "year": 590_000}, {"month": 7}
    )
    await lives.buys(LAN, "month")
    await world.deliver()
    assert await lives.cancels(LAN) and (await row_of(world)).state == "ending"
    assert await lives.resumes(LAN) and (await row_of(world)).state == "trialing"
    assert await lives.rights() == {LAN}
    await world.assert_sound()


async def test_of_two_workers_the_one_that_overran_its_lease_charges_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one finds that the reader wants no more; the first one, which still thinks otherwise, wakes up afterwards."""
    lives = Lives(world)
    await lives.buys(LAN)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.billing.renewals.run_due()
    stopped, goes_on = asyncio.Event(), asyncio.Event()
    mandate = asking.subscriptions_repository.mandate

    async def slow(*given: Any) -> Any:
        if not stopped.is_set():
            stopped.set()
            await goes_on.wait()
        return await mandate(*given)

    monkeypatch.setattr(asking.subscriptions_repository, "mandate", slow)
    first = asyncio.create_task(world.billing.charges.ask_one())
    await stopped.wait()
    assert await lives.cancels(LAN)
    world.clock.advance(asking.LEASE)
    assert await world.billing.charges.ask_one(), "another worker has it now"
    goes_on.set()
    await first
    assert len(await lives.charges_at_provider()) == 1
    assert await world.value("SELECT state FROM charge WHERE kind = 'mandate'") == "closed"
    await world.assert_sound()


async def test_what_is_rolled_back_is_not_counted_and_an_order_in_use_is_not_closed(
    world: World,
) -> None:
    paid = metrics.PAYMENTS.labels(AGENCY, "paid")._value.get
    before = paid()
    await subscribe(world.billing, LAN, "month", AGENCY)
    assert paid() == before + 1
    order = await Lives(world).chooses("minh@example.vn", "month")
    world.clock.set(order.expires_at)
    async with world.billing.database.transaction() as session:
        await lock_reader(session, order.reader_id)
        closing = asyncio.create_task(world.billing.orders.close_expired())
        waits = """SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted"""
        await eventually(lambda: world.value(waits), "it waits for who holds the reader")
        with pytest.raises(ZeroDivisionError):
            async with world.billing.database.transaction() as other:
                metrics.after_commit(other, metrics.PAYMENTS.labels(AGENCY, "paid").inc)
                raise ZeroDivisionError
    assert await closing == 1
    assert paid() == before + 1


async def test_a_card_that_is_let_go_is_let_go_at_the_provider_and_a_refund_that_fails_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.subscribed(card="4000000000005126")
    await world.deliver()
    reference = await reference_of(world)
    refund = await dashboard_refund(world, reference, amount=9_000)
    await world.deliver()
    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE letter SET state = 'sent', sent_at = :now WHERE kind = 'refunded'"),
            {"now": world.clock.now()},
        )
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'refund_failed'") == 1
    await dispute(world, reference)
    await world.deliver()
    method = await world.value("SELECT method FROM mandate WHERE let_go_at IS NOT NULL")

    async def away(_: str) -> None:
        raise ProviderUnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(world.billing.provider, "revoke", away)
        assert await world.billing.charges.let_go() == 0
    assert await world.billing.charges.let_go() == 0, "not yet again"
    world.clock.advance(asking.TELL_AGAIN)
    assert await world.billing.charges.let_go() == 1
    with pytest.raises(GoneError):
        await world.billing.provider.method(method)
    assert await world.billing.charges.let_go() == 0
