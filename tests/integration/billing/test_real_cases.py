"""Faults that people reported of systems of this kind (numbers as in the list of findings), each as it must be here."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.billing.charges.apply import apply
from services.billing.coupons.service import NewCoupon
from services.billing.payments.adapters.port import Captured, GoneError
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import API, DAY, Lives
from tests.integration.billing.paying import ACCOUNT, credited, person
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, World

LAN = "lan@example.vn"


async def subscription(world: World) -> tuple[Any, ...]:
    """(state, will not renew) of the one there is."""
    (row,) = await world.rows("SELECT state, cancel_at_period_end FROM subscription")
    return row


async def taken(world: World) -> int:
    """What the provider has taken altogether."""
    intents = await Lives(world).charges_at_provider()
    return sum(one["amount_received"] for one in intents if one["status"] == "succeeded")


async def booked(world: World) -> int:
    return int(await world.value("SELECT coalesce(sum(amount_vnd), 0)::bigint FROM payment"))


async def page_until(world: World) -> Any:
    return await world.value("SELECT max(valid_until) FROM entitlement WHERE NOT revoked")


async def test_case_1_who_cancels_in_the_grace_is_charged_no_more(world: World):
    lives = Lives(world)
    await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    until = await world.value("SELECT period_end FROM subscription")
    world.clock.set(until)
    await world.deliver()
    assert (await subscription(world))[0] == "grace"
    world.clock.advance(2 * DAY)
    await lives.cancels(LAN)
    assert await subscription(world) == ("canceled", True)
    reader = await person(world, LAN)
    assert await world.billing.subscriptions.rights(reader.id) == []
    tries = await world.value("SELECT count(*) FROM charge WHERE kind = 'mandate'")
    for _ in range(20):
        world.clock.advance(DAY)
        await world.deliver()
    assert await world.value("SELECT count(*) FROM charge WHERE kind = 'mandate'") == tries
    assert await taken(world) == await booked(world) == 19_000
    assert await world.value("SELECT state FROM sales_order WHERE purpose = 'renewal'") == "closed"
    await world.assert_sound()


@pytest.mark.parametrize("answer", ["lost after it was taken", "lost before it was"])
async def test_case_1b_who_cancels_while_a_charge_is_open_has_what_was_taken_and_nothing_else(
    world: World, answer: str
):
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    until = await world.value("SELECT period_end FROM subscription")
    world.clock.set(until)
    await world.billing.renewals.run_due()
    switches = world.sandbox.state.sandbox.switches
    switches.no_answer, switches.no_answer_after_effect = 9, answer.startswith("lost after")
    await world.billing.charges.ask_one()
    switches.no_answer = 0
    await lives.cancels(LAN)
    assert (await subscription(world))[1]
    for _ in range(4):
        world.clock.advance(timedelta(minutes=10))
        await world.deliver()
    if answer == "lost before it was":
        assert await taken(world) == await booked(world) == 19_000
        assert (await subscription(world))[0] == "canceled"
    else:
        assert await taken(world) == await booked(world) == 38_000
        assert (await subscription(world))[0] == "ending"
        assert await page_until(world) == until + 7 * DAY, "what was taken is read"
    world.clock.advance(30 * DAY)
    await world.deliver()
    assert (await subscription(world))[0] == "canceled"
    assert await taken(world) == await booked(world)
    await world.assert_sound()


async def test_case_2_no_second_subscription_beside_one_that_is_owed(world: World):
    lives = Lives(world)
    await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.advance(8 * DAY)
    await world.deliver()
    assert (await subscription(world))[0] == "grace"
    with pytest.raises(ConflictError) as refused:
        await lives.chooses(LAN, "month")
    assert refused.value.slug == "already-subscribed"
    # What is owed can be paid: by transfer too.
    code = await world.value("SELECT code FROM sales_order WHERE purpose = 'renewal'")
    assert (await lives.page(LAN, code)).startswith("http")


async def test_case_2_after_the_debt_is_closed_a_new_one_is_sold_and_the_old_one_never_renews(
    world: World,
):
    lives = Lives(world)
    await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    for _ in range(15):
        world.clock.advance(DAY)
        await world.deliver()
    assert (await subscription(world))[0] == "expired"
    await lives.buys(LAN, "month")
    for _ in range(40):
        world.clock.advance(DAY)
        await world.deliver()
    states = await world.rows("SELECT state FROM subscription ORDER BY created_at")
    assert states == [("expired",), ("active",)]
    assert await taken(world) == await booked(world) == 19_000 + 2 * 59_000
    assert await world.value("SELECT sum(mrr_vnd)::bigint FROM subscription") == 59_000
    await world.assert_sound()


async def test_case_2_a_whole_refund_ends_the_renewal(world: World):
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    intent = (await lives.charges_at_provider())[0]["id"]
    await world.payer.post("/v1/refunds", data={"payment_intent": intent}, headers=API)
    await world.deliver()
    reader = await person(world, LAN)
    assert await world.billing.subscriptions.rights(reader.id) == []
    await lives.buys(LAN, "month")
    for _ in range(35):
        world.clock.advance(DAY)
        await world.deliver()
    assert await taken(world) == 3 * 59_000, "the old one is not charged again"
    assert await world.value("SELECT sum(mrr_vnd)::bigint FROM subscription") == 59_000
    await world.assert_sound()


async def test_case_4_a_customer_that_is_gone_is_made_anew(world: World):
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    customer = await world.value("SELECT external_id FROM provider_customer")
    await lives.cancels(LAN)
    world.clock.advance(8 * DAY)
    await world.deliver()
    # The word of it is lost: only the provider knows.
    world.sandbox.state.sandbox.settings.webhook_drop = 1.0
    answer = await world.payer.delete(f"/v1/customers/{customer}", headers=API)
    assert answer.status_code == 200
    for _ in range(3):
        order = await lives.chooses(LAN, "week")
        page = await lives.page(LAN, order.code)
    await world.pay(page)
    await world.billing.webhooks.sweep()
    await world.deliver()
    assert await world.value("SELECT external_id FROM provider_customer") != customer
    assert await world.value("SELECT count(*) FROM payment") == 2


async def test_case_4_a_customer_that_is_gone_is_charged_no_more_and_the_reader_is_asked(
    world: World,
):
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    customer = await world.value("SELECT external_id FROM provider_customer")
    world.sandbox.state.sandbox.settings.webhook_drop = 1.0
    await world.payer.delete(f"/v1/customers/{customer}", headers=API)
    world.clock.advance(7 * DAY)
    await world.deliver()
    assert (await subscription(world))[0] == "grace"
    assert await world.rows("SELECT mandate_id FROM subscription") == [(None,)]
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'payment_failed'") == 1
    reader = await person(world, LAN)
    page = await world.billing.charges.card_page(
        reader, await world.value("SELECT id FROM subscription"), "vi"
    )
    await world.pay(page)
    world.sandbox.state.sandbox.settings.webhook_drop = 0.0
    await world.billing.webhooks.sweep()
    for _ in range(2):
        await world.deliver()
    assert (await subscription(world))[0] == "active"
    with pytest.raises(GoneError):
        await world.billing.provider.method("pm_of_nobody")


async def test_case_9_a_scheduled_end_is_told_and_has_no_grace(world: World):
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    until = await world.value("SELECT period_end FROM subscription")
    assert await page_until(world) == until + 7 * DAY
    await lives.cancels(LAN)
    assert await page_until(world) == until
    browser = await world.signed_in(LAN)
    shown = (await browser.get(f"/r/{AGENCY}/account")).text
    assert f"{until:%d/%m/%Y}" in shown and "Gia hạn ngày" not in shown


async def test_case_12_nothing_to_pay_is_paid(world: World):
    """A coupon of the whole price: the card is kept, the period runs, nothing is posted, and the next one is charged."""
    with acting(Actor.system("test")):
        await world.billing.coupons.make(
            AGENCY, NewCoupon("MIENPHI", 100, None, None, world.clock.now(), None, None, True)
        )
    lives = Lives(world)
    order = await lives.chooses(LAN, "week")
    free = await world.billing.orders.discount(await lives.reader(LAN), order.code, "MIENPHI")
    assert (free.amount_vnd, free.state) == (0, "open"), "it waits for its card"
    await world.pay(await lives.page(LAN, free.code))
    await world.deliver()
    assert (await subscription(world))[0] == "active"
    assert await world.rows("SELECT amount_vnd FROM payment") == [(0,)]
    assert await world.value("SELECT count(*) FROM journal_entry") == 0
    assert await world.value("SELECT count(*) FROM invoice") == 0
    world.clock.advance(7 * DAY)
    await world.deliver()
    assert await world.rows("SELECT amount_vnd FROM payment ORDER BY paid_at") == [(0,), (19_000,)]
    await world.assert_sound()


async def test_case_13_another_plan_counts_as_what_it_is(world: World):
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    assert await lives.changes(LAN, "year") == 590_000 - (59_000 - 59_000 // 30)
    await world.deliver()
    await world.deliver()
    moved = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")
    assert moved == [("new", 59_000), ("contraction", 49_166 - 59_000)]
    assert await world.value("SELECT count(*) FROM subscription") == 1
    await world.assert_sound()


async def test_case_14_what_will_not_renew_is_no_growth_and_one_plan_after_another_no_reactivation(
    world: World,
):
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    await lives.cancels(LAN)
    assert (await subscription(world))[0] == "ending"
    await lives.buys(LAN, "year")
    await world.deliver()
    assert await world.value("SELECT sum(mrr_vnd)::bigint FROM subscription") == 59_000
    starts = await world.rows("SELECT period_start, period_end FROM payment ORDER BY 1")
    assert starts[0][1] == starts[1][0], "no day is paid for twice"
    world.clock.set(starts[1][0])
    await world.deliver()
    assert await world.value("SELECT sum(mrr_vnd)::bigint FROM subscription") == 49_166
    await world.assert_sound()


async def test_case_22_two_devices_that_pay_in_the_same_second_are_one_subscription(world: World):
    lives = Lives(world)
    phone = await lives.page(LAN, (await lives.chooses(LAN, "week")).code)
    laptop = await lives.page(LAN, (await lives.chooses(LAN, "month")).code)
    await asyncio.gather(world.pay(phone), world.pay(laptop), return_exceptions=True)
    for _ in range(3):
        await world.deliver()
        await world.billing.webhooks.sweep()
    assert await taken(world) == await booked(world)
    live = await world.rows("SELECT state FROM subscription WHERE state = 'active'")
    assert len(live) == 1
    # What was taken beside it is nobody's until finance gives it back.
    beside = await world.rows("SELECT amount_vnd FROM payment WHERE order_id IS NULL")
    assert len(beside) == (1 if await taken(world) > 59_000 else 0)
    await world.assert_sound()


async def test_case_22_the_page_of_an_order_that_was_paid_by_transfer_is_closed(
    paid_by_transfer: World,
):
    """What is owed is paid at the bank while the card page is open; paid there all the same, it is nobody's money."""
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    with acting(Actor.system("test")):
        await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")
    await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.advance(8 * DAY)
    await world.deliver()
    code = await world.value("SELECT code FROM sales_order WHERE purpose = 'renewal'")
    page = await lives.page(LAN, code)
    await credited(world, code, 19_000)
    assert (await subscription(world))[0] == "active"
    await world.pay(page)
    for _ in range(2):
        await world.deliver()
    assert await world.rows(
        "SELECT provider, amount_vnd, order_id IS NULL FROM payment ORDER BY paid_at, provider DESC"
    ) == [("stripe", 19_000, False), ("transfer", 19_000, False), ("stripe", 19_000, True)]
    await world.assert_sound()
    # Without such haste the page is closed before anybody pays there.
    world.clock.advance(7 * DAY)
    await world.deliver()
    code = await world.value(
        "SELECT code FROM sales_order WHERE purpose = 'renewal' AND state = 'open'"
    )
    page = await lives.page(LAN, code)
    await credited(world, code, 19_000, id_=2)
    await world.deliver()
    closed = await world.pay(page)
    assert "/orders/" not in closed.headers.get("location", "")
    assert await world.value("SELECT count(*) FROM charge WHERE state = 'open'") == 0


async def test_a_plan_that_was_changed_the_moment_it_began_is_given_back_whole(world: World):
    """What it took the place of is read by again: its money was not given back."""
    lives = Lives(world)
    await lives.buys(LAN, "month")
    await world.deliver()
    await lives.changes(LAN, "year")
    for _ in range(2):
        await world.deliver()
    newest = (await lives.charges_at_provider())[0]["id"]
    await world.payer.post("/v1/refunds", data={"payment_intent": newest}, headers=API)
    await world.deliver()
    assert await world.value("SELECT count(*) FROM webhook_event WHERE state <> 'handled'") == 0
    assert await world.value("SELECT count(*) FROM refund") == 1
    assert await lives.rights() == {LAN}
    assert await world.value("SELECT value_vnd FROM subscription") == 59_000
    await world.assert_sound()


@pytest.mark.parametrize("turn", [1, -1])
async def test_of_two_payments_of_one_charge_it_names_the_one_that_its_order_took(
    world: World, turn: int
):
    """In whichever order they are told; the other one is nobody's."""
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    world.clock.advance(7 * DAY)
    await world.billing.renewals.run_due()
    charge = await world.value("SELECT id FROM charge WHERE kind = 'mandate'")
    at = world.clock.now()
    told = [
        Captured(charge, "pi_other", 7_000, "VND", at),
        Captured(charge, "pi_right", 19_000, "VND", at),
    ]
    for fact in told[::turn]:
        async with world.billing.database.transaction() as session:
            assert await apply(session, "stripe", fact, at)
    found = await world.rows(
        """SELECT c.reference, p.reference, p.order_id IS NULL FROM charge c, payment p
           WHERE c.id = :id AND p.reference LIKE 'pi_%' AND p.amount_vnd IN (7000, 19000)
             AND p.reference IN ('pi_other', 'pi_right') ORDER BY 2""",
        id=charge,
    )
    assert found == [("pi_right", "pi_other", True), ("pi_right", "pi_right", False)]
