"""Refunds through the card provider: by whomever, in any order, doubled, pending, failing; and money that no order takes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.billing.charges.currency import ForeignCurrencyError
from services.billing.payments.adapters.port import (
    ProviderFailedError,
    ProviderUnavailableError,
    RefundMoved,
    RefundState,
)
from services.billing.refunds.models import RefundRequest
from services.billing.refunds.service import By
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.paying import person
from tests.integration.billing.returning import (
    MONTH,
    at_the_bank,
    at_the_provider,
    booked,
    dashboard_refund,
    notified,
    picture,
    reference_of,
    tell,
    with_vat,
)
from tests.integration.billing.test_once_and_gifts import chosen
from tests.integration.billing.world import AGENCY, Browser, World

WAITS, COMES_BACK = "4000000000007726", "4000000000005126"
DAY = timedelta(days=1)
LAN, MINH = By("1", "Lan"), By("2", "Minh")


async def subscribed(world: World, card: str = "4242424242424242") -> str:
    """The provider's reference of a month that was paid."""
    await world.subscribed(card=card)
    await world.deliver()
    return await reference_of(world)


async def reads(world: World, email: str = "lan@example.vn") -> bool:
    reader = await person(world, email)
    return bool(await world.billing.subscriptions.rights(reader.id))


async def test_a_whole_refund_made_at_the_provider_ends_the_right_and_is_booked_once(
    world: World,
) -> None:
    await with_vat(world)
    reference = await subscribed(world)
    world.clock.advance(9 * DAY)
    await dashboard_refund(world, reference)
    await world.deliver()
    vat = MONTH * 800 // 10_800
    net = MONTH - vat
    earned = net * 10 // 30
    assert (await booked(world)) in (
        {"refunds_subscription": earned, "revenue_subscription": -earned},
    )
    assert not await reads(world)
    assert await world.rows("SELECT state, cancel_at_period_end FROM subscription") == [
        ("expired", True)
    ]
    before = await picture(world)
    await tell(world, *await notified(world, "refund.created", "refund.updated"))
    assert await picture(world) == before, "told again"
    world.clock.advance(40 * DAY)
    await world.deliver()
    assert await world.value("SELECT count(*) FROM payment") == 1, "nothing is charged any more"
    await world.assert_sound()


async def test_parts_sum_exactly_and_the_last_one_ends_the_right(world: World) -> None:
    await with_vat(world)
    reference = await subscribed(world)
    for amount in (20_001, 1, 3_333):
        await dashboard_refund(world, reference, amount=amount)
        await world.deliver()
        assert await reads(world)
        await world.assert_sound()
    await dashboard_refund(world, reference)
    await world.deliver()
    assert not await reads(world)
    today = (MONTH - MONTH * 800 // 10_800) // 30
    assert await booked(world) == {
        "refunds_subscription": today,
        "revenue_subscription": -today,
    }, "all of the tax with the last đồng"
    await world.assert_sound()


async def test_a_refund_that_waits_is_booked_when_it_has_gone(world: World) -> None:
    reference = await subscribed(world, WAITS)
    before = await picture(world)
    refund = await dashboard_refund(world, reference)
    await world.deliver()
    now = await picture(world)
    assert now.pop("told") == [(refund, False, False)] and before.pop("told") == []
    assert now == before, "nothing is booked"
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="succeed")
    await world.deliver()
    assert not await reads(world)
    assert await world.value("SELECT refunded_vnd FROM payment") == MONTH
    await world.assert_sound()


async def test_a_refund_that_comes_back_is_reversed_and_the_right_returns(world: World) -> None:
    await with_vat(world)
    reference = await subscribed(world, COMES_BACK)
    clean = await booked(world)
    refund = await dashboard_refund(world, reference)
    await world.deliver()
    assert not await reads(world)
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'refunded'") == 1
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await reads(world)
    assert await booked(world) == clean
    assert await world.rows("SELECT refunded_vnd FROM payment") == [(0,)]
    assert await world.rows("SELECT failed_at IS NULL FROM refund") == [(False,)]
    assert await world.rows("SELECT state FROM letter WHERE kind = 'refunded'") == [("dropped",)]
    await world.assert_sound()
    world.clock.advance(31 * DAY)
    await world.billing.recognition.run_due()
    assert "deferred_subscription" not in await booked(world), "the rest is earned to the end"
    await world.assert_sound()


async def test_a_refund_that_fails_before_it_went_is_never_booked(world: World) -> None:
    reference = await subscribed(world, WAITS)
    refund = await dashboard_refund(world, reference)
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await world.value("SELECT count(*) FROM refund") == 0
    assert await world.rows(
        "SELECT succeeded_at IS NULL, failed_at IS NULL FROM provider_refund"
    ) == [(True, False)]
    assert await reads(world)
    await world.assert_sound()


@pytest.mark.parametrize("seed", range(4))
async def test_every_order_of_every_word_ends_the_same(world: World, seed: int) -> None:
    """Two parts and the rest, of which one waits and one comes back, told shuffled, doubled, and some of it lost at first."""
    await with_vat(world)
    reference = await subscribed(world)
    world.sandbox.state.sandbox.settings.webhook_drop = 1.0
    world.clock.advance(3 * DAY)
    await at_the_bank(world, "control", refunds="wait", drop=1.0)
    waits = await dashboard_refund(world, reference, amount=10_007)
    await at_the_bank(world, "control", refunds="succeed")
    back = await dashboard_refund(world, reference, amount=20_003)
    await at_the_bank(world, f"refunds/{waits}/settle", outcome="succeed")
    await at_the_bank(world, f"refunds/{back}/settle", outcome="fail")
    await dashboard_refund(world, reference)
    told = await notified(world, "refund.created", "refund.updated", "refund.failed")
    assert len(told) >= 6
    dice = random.Random(seed)
    order = [*told, *told[::2]]
    dice.shuffle(order)
    await tell(world, *order)
    shuffled = await picture(world)
    assert shuffled["payments"] == [(reference, MONTH, MONTH)]
    net = MONTH - MONTH * 800 // 10_800
    await world.billing.recognition.run_due()
    sums = await booked(world)
    earned = net * 4 // 30
    assert sums == {"refunds_subscription": earned, "revenue_subscription": -earned}
    assert not await reads(world)
    await world.assert_sound()
    before = await picture(world)
    await tell(world, *told)
    assert await picture(world) == before


async def test_the_months_that_are_kept_are_read_and_the_one_between_is_not(world: World) -> None:
    await world.subscribed()
    await world.deliver()
    for _ in range(2):
        world.clock.advance(31 * DAY)
        await world.deliver()
        await world.deliver()
    paid = await world.rows("SELECT reference, period_end FROM payment ORDER BY period_start")
    assert len(paid) == 3
    await dashboard_refund(world, paid[1][0])
    await world.deliver()
    stretches = await world.rows(
        "SELECT valid_from, valid_until FROM entitlement WHERE NOT revoked ORDER BY valid_from"
    )
    assert [one[0] for one in stretches] == [paid[1][1]], "the middle month is in none"
    assert await world.rows("SELECT state, cancel_at_period_end FROM subscription") == [
        ("active", False)
    ]
    await world.assert_sound()


async def test_another_currency_is_parked_and_a_strangers_refund_is_none_of_ours(
    world: World,
) -> None:
    reference = await subscribed(world)
    from services.billing.charges.apply import apply

    fact = RefundMoved("re_x", reference, 5, "USD", RefundState.SUCCEEDED, world.clock.now())
    async with world.billing.database.transaction() as session:
        with pytest.raises(ForeignCurrencyError):
            await apply(session, "stripe", fact, world.clock.now())
    fact = RefundMoved("re_x", "pi_else", 5, "VND", RefundState.SUCCEEDED, world.clock.now())
    async with world.billing.database.transaction() as session:
        assert not await apply(session, "stripe", fact, world.clock.now())
    await world.assert_sound()


# -- asked for by staff ---------------------------------------------------------------------


async def ask(world: World, amount: int, by: By = LAN) -> RefundRequest:
    [row] = await world.rows("SELECT reader_id, id FROM payment ORDER BY paid_at DESC LIMIT 1")
    with acting(Actor.system("test")):
        return await world.billing.refunds.ask(AGENCY, row[0], row[1], amount, "asked", by)


async def request_state(world: World, id_: UUID) -> Any:
    [row] = await world.rows(
        "SELECT state, provider_refund IS NOT NULL, ask_at IS NOT NULL FROM refund_request WHERE id = :id",
        id=id_,
    )
    return row


async def test_what_staff_ask_back_goes_through_the_provider_by_itself(world: World) -> None:
    await subscribed(world)
    request = await ask(world, 9_000)
    assert (request.state, request.by_card) == ("approved", True)
    with acting(Actor.system("test")), pytest.raises(ConflictError) as transferred:
        await world.billing.refunds.pay(AGENCY, request.id, "B1", MINH)
    assert transferred.value.slug == "refund-by-card"
    assert await world.billing.sent_refunds.run_due() == 1
    assert await request_state(world, request.id) == ("paid", True, False)
    assert await world.value("SELECT refunded_vnd FROM payment") == 9_000
    await world.deliver()
    assert await world.value("SELECT count(*) FROM refund") == 1
    assert await world.billing.sent_refunds.run_due() == 0
    await world.assert_sound()


async def test_a_second_person_approves_what_is_large(world: World) -> None:
    await world.subscribed(period="year")
    await world.deliver()
    request = await ask(world, 590_000)
    assert request.state == "asked"
    assert await world.billing.sent_refunds.run_due() == 0
    with acting(Actor.system("test")):
        await world.billing.refunds.approve(AGENCY, request.id, MINH)
    assert await world.billing.sent_refunds.run_due() == 1
    assert (await request_state(world, request.id))[0] == "paid"
    assert not await reads(world)
    await world.assert_sound()


async def test_one_that_waits_is_sent_and_nobody_refuses_it_any_more(world: World) -> None:
    await subscribed(world, WAITS)
    request = await ask(world, MONTH)
    await world.billing.sent_refunds.run_due()
    assert await request_state(world, request.id) == ("sent", True, True)
    with acting(Actor.system("test")), pytest.raises(ConflictError):
        await world.billing.refunds.refuse(AGENCY, request.id, "no", MINH)
    with pytest.raises(ConflictError):
        await ask(world, 1)
    await world.deliver()
    assert (await request_state(world, request.id))[0] == "sent"
    refund = await world.value("SELECT provider_refund FROM refund_request")
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="succeed")
    await world.deliver()
    assert (await request_state(world, request.id))[0] == "paid"
    await world.assert_sound()


async def test_a_refund_whose_notice_never_comes_is_looked_at(world: World) -> None:
    await subscribed(world, WAITS)
    await at_the_bank(world, "control", drop=1.0)
    request = await ask(world, MONTH)
    await world.billing.sent_refunds.run_due()
    refund = await world.value("SELECT provider_refund FROM refund_request")
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    assert await world.billing.sent_refunds.run_due() == 0
    world.clock.advance(timedelta(hours=7))
    await world.billing.sent_refunds.run_due()
    assert (await request_state(world, request.id))[0] == "failed"
    assert (await ask(world, MONTH)).state == "approved", "what failed is left again"
    await world.assert_sound()


async def test_one_that_comes_back_after_it_was_paid_has_failed(world: World) -> None:
    await subscribed(world, COMES_BACK)
    request = await ask(world, MONTH)
    await world.billing.sent_refunds.run_due()
    assert (await request_state(world, request.id))[0] == "paid"
    refund = await world.value("SELECT provider_refund FROM refund_request")
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert (await request_state(world, request.id))[0] == "failed"
    assert await reads(world)
    await world.assert_sound()


@pytest.mark.parametrize(
    "switch", ["fail_creates", "fail_creates+after", "no_answer", "no_answer+after"]
)
async def test_whatever_the_provider_answers_it_goes_back_once(world: World, switch: str) -> None:
    await subscribed(world)
    request = await ask(world, 9_000)
    name, _, after = switch.partition("+")
    effect = {"fail_creates": "fail_after_effect", "no_answer": "no_answer_after_effect"}[name]
    await at_the_bank(world, "control", **{name: 3, effect: bool(after)})
    for _ in range(6):
        await world.billing.sent_refunds.run_due()
        world.clock.advance(timedelta(minutes=7))
    await at_the_bank(world, "control", **{name: 0, effect: False})
    await world.billing.sent_refunds.run_due()
    await world.deliver()
    assert (await request_state(world, request.id))[0] == "paid"
    assert await world.value("SELECT refunded_vnd FROM payment") == 9_000
    [payment] = await world.rows("SELECT reference FROM payment")
    assert len(await world.billing.provider.refunds_of(payment[0])) == 1
    await world.assert_sound()


async def test_what_the_provider_refuses_has_failed_and_says_why(world: World) -> None:
    reference = await subscribed(world)
    request = await ask(world, MONTH)
    await at_the_bank(world, "control", drop=1.0)
    await dashboard_refund(world, reference)
    await world.billing.sent_refunds.run_due()
    assert (await request_state(world, request.id)) == ("failed", False, False)
    assert "refunded" in await world.value("SELECT failure FROM refund_request")
    assert issubclass(ProviderFailedError, ProviderUnavailableError)


# -- money that no order takes --------------------------------------------------------------


async def paid_twice(world: World) -> tuple[str, int]:
    """The reference and amount of a payment that no order takes: two pages were paid for what renews."""
    from services.billing.charges.apply import apply
    from services.billing.payments.adapters.port import Captured

    await world.subscribed()
    await world.deliver()
    charge = await world.value("SELECT id FROM charge")
    made = await at_the_bank_intent(world)
    fact = Captured(charge, made, MONTH, "VND", world.clock.now())
    async with world.billing.database.transaction() as session:
        assert await apply(session, "stripe", fact, world.clock.now())
    return made, MONTH


async def at_the_bank_intent(world: World) -> str:
    """A payment at the provider that nobody told us of."""
    made = await at_the_provider(
        world,
        "payment_intents",
        amount=MONTH,
        currency="vnd",
        customer=await world.value("SELECT external_id FROM provider_customer"),
        payment_method="pm_card_visa",
        confirm="true",
        off_session="true",
    )
    return str(made["id"])


async def test_money_that_no_order_takes_is_owed_and_given_back(world: World) -> None:
    reference, amount = await paid_twice(world)
    assert (await booked(world))["unallocated_receipts"] == -amount
    assert (await booked(world))["stripe_receivable"] == MONTH + amount
    await world.assert_sound()
    payment = await world.value("SELECT id FROM payment WHERE order_id IS NULL")
    reader = await person(world)
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(AGENCY, reader.id, payment, amount, "twice", LAN)
    await world.billing.sent_refunds.run_due()
    assert (await request_state(world, request.id))[0] == "paid"
    await world.deliver()
    sums = await booked(world)
    assert "unallocated_receipts" not in sums and sums["stripe_receivable"] == MONTH
    assert await reads(world), "what the order bought stays"
    await world.billing.letters.send_due()
    await world.assert_sound()
    refund = await world.value("SELECT provider_refund FROM refund")
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert (await booked(world))["unallocated_receipts"] == -amount
    assert (await world.rows("SELECT reference FROM payment WHERE refunded_vnd > 0")) == []
    assert reference
    await world.assert_sound()


async def by_card(world: World, browser: Browser, plan: str, **more: str) -> None:
    """An order of what does not renew, paid with a card whose refunds come back."""
    code = await chosen(world, browser, plan, **more)
    page = await world.billing.charges.page(await person(world), code, "vi")
    await world.pay(page, COMES_BACK)


@pytest.mark.parametrize("redeemed", [False, True])
async def test_of_a_gift_the_code_or_the_right_of_who_reads_ends_and_returns(
    paid_by_transfer: World, redeemed: bool
) -> None:
    world = paid_by_transfer
    await with_vat(world)
    browser = await world.signed_in()
    await by_card(world, browser, "doc-bao", gift="1")
    await world.deliver()
    reference = await reference_of(world)
    code = await world.value("SELECT code FROM gift")
    await world.signed_in("friend@example.vn")
    friend = await person(world, "friend@example.vn")
    if redeemed:
        await world.billing.orders.redeem(friend, code)
    refund = await dashboard_refund(world, reference)
    await world.deliver()
    assert "gifts_not_redeemed" not in await booked(world)
    assert not await reads(world, "friend@example.vn")
    if not redeemed:
        with pytest.raises(ConflictError):
            await world.billing.orders.redeem(friend, code)
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    if not redeemed:
        await world.billing.orders.redeem(friend, code)
    assert await reads(world, "friend@example.vn")
    await world.assert_sound()


async def test_of_a_pass_the_right_ends_and_returns(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    browser = await world.signed_in()
    await by_card(world, browser, "ngay")
    await world.deliver()
    assert await reads(world)
    refund = await dashboard_refund(world, await reference_of(world))
    await world.deliver()
    assert not await reads(world)
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await reads(world)
    versions = await world.rows("SELECT version, revoked FROM entitlement")
    assert versions == [(3, False)]
    await world.assert_sound()


async def test_of_a_gift_given_back_in_parts_of_which_one_came_back_the_rest_is_earned_exactly(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    await with_vat(world)
    browser = await world.signed_in()
    await by_card(world, browser, "doc-bao", gift="1")
    await world.deliver()
    reference = await reference_of(world)
    await at_the_bank(world, "control", refunds="succeed")
    back = await dashboard_refund(world, reference, amount=10_001)
    await world.deliver()
    await dashboard_refund(world, reference, amount=20_003)
    await at_the_bank(world, f"refunds/{back}/settle", outcome="fail")
    await world.deliver()
    await world.assert_sound()
    await world.signed_in("friend@example.vn")
    friend = await person(world, "friend@example.vn")
    await world.billing.orders.redeem(friend, await world.value("SELECT code FROM gift"))
    assert "gifts_not_redeemed" not in await booked(world)
    await world.assert_sound()
