"""The Stripe adapter against the sandbox: refunds, disputes, payouts, and events of every kind and version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.billing.payments.adapters.port import (
    Captured,
    DisputeMoved,
    DisputeState,
    Look,
    MethodGone,
    NotOurs,
    Page,
    PayoutMoved,
    ProviderRefusedError,
    RefundState,
)
from tests.integration.billing.stripe_till import (
    CHARGE,
    DECLINED,
    FAILS_LATER,
    HOOK,
    REFUND_FAILS,
    REFUND_WAITS,
    START,
    Till,
)


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    made = Till()
    yield made
    await made.close()


# -- refunds, disputes, payouts -------------------------------------------------------------


async def test_a_refund_is_given_in_parts_and_never_more_than_was_paid(till: Till) -> None:
    paid = await till.paid()
    first = await till.provider.refund(paid.reference, 9_000, key="r1")
    assert (first.reference, first.amount, first.currency) == (paid.reference, 9_000, "VND")
    assert (first.state, first.moved_at) == (RefundState.SUCCEEDED, till.now)
    assert await till.provider.refund(paid.reference, 9_000, key="r1") == first
    till.now += timedelta(days=1)
    second = await till.provider.refund(paid.reference, 50_000, key="r2")
    with pytest.raises(ProviderRefusedError):
        await till.provider.refund(paid.reference, 1, key="r3")
    assert await till.provider.refunds_of(paid.reference) == [first, second]
    assert await till.told("refund.created") == [first, second]
    assert await till.provider.look(Look("refund", first.id)) == first


async def test_a_refund_may_wait(till: Till) -> None:
    paid = await till.paid(REFUND_WAITS)
    waiting = await till.provider.refund(paid.reference, 59_000, key="r")
    assert waiting.state is RefundState.PENDING
    till.now += timedelta(days=2)
    await till.bank(f"refunds/{waiting.id}/settle", outcome="succeed")
    done = replace(waiting, state=RefundState.SUCCEEDED, moved_at=till.now)
    assert await till.provider.refunds_of(paid.reference) == [done]
    assert await till.told("refund.created", "refund.updated") == [waiting, done]


async def test_a_refund_may_come_back(till: Till) -> None:
    paid = await till.paid(REFUND_FAILS)
    given = await till.provider.refund(paid.reference, 59_000, key="r")
    assert given.state is RefundState.SUCCEEDED
    till.now += timedelta(days=2)
    await till.bank(f"refunds/{given.id}/settle", outcome="fail")
    back = replace(given, state=RefundState.FAILED, moved_at=till.now)
    assert await till.provider.look(Look("refund", given.id)) == back
    assert set(await till.told("refund.failed", "refund.updated")) == {back}


@pytest.mark.parametrize("state", [DisputeState.WON, DisputeState.LOST])
async def test_a_dispute_takes_the_money_and_gives_it_back_when_won(
    till: Till, state: DisputeState
) -> None:
    paid = await till.paid()
    opened = await till.bank(f"charges/{await till.charge_of(paid.reference)}/dispute")
    at = till.now
    fact = DisputeMoved(
        opened["id"], paid.reference, 59_000, 350_000, "VND", DisputeState.OPEN, True, at
    )
    look = Look("dispute", opened["id"])
    assert await till.provider.look(look) == fact
    assert set(await till.told("charge.dispute.created", "charge.dispute.funds_withdrawn")) == {
        fact
    }
    till.now += timedelta(days=9)
    await till.bank(f"disputes/{opened['id']}/close", outcome="review")
    assert await till.told("charge.dispute.updated") == [fact]
    await till.bank(f"disputes/{opened['id']}/close", outcome=state.value)
    ended = replace(fact, state=state, withdrawn=state is DisputeState.LOST)
    assert await till.provider.look(look) == ended
    assert set(await till.told("charge.dispute.closed", "charge.dispute.funds_reinstated")) == {
        ended
    }


async def payouts(till: Till, since: datetime = START) -> list[PayoutMoved]:
    async with aclosing(till.provider.payouts_since(since)) as found:
        return [one async for one in found]


async def test_a_payout_is_the_sum_of_its_lines(till: Till) -> None:
    kept, given, disputed = [
        await till.paid(amount_vnd=amount) for amount in (900_000, 50_000, 30_000)
    ]
    await till.provider.refund(given.reference, 20_000, key="r")
    await till.bank(f"charges/{await till.charge_of(disputed.reference)}/dispute")
    till.now += timedelta(days=3)
    made = await till.bank("payouts", everything=True)
    (payout,) = await payouts(till)
    assert payout.id == made["id"] and (payout.paid, payout.failed) == (False, False)
    assert payout.amount == sum(line.net for line in payout.lines) == made["amount"]
    assert all(line.net == line.amount - line.fee for line in payout.lines)
    assert payout.arrives_on == (till.now + timedelta(days=1)).date()
    lines = {(line.kind, line.reference, line.amount) for line in payout.lines}
    assert lines == {
        ("charge", kept.reference, 900_000),
        ("charge", given.reference, 50_000),
        ("charge", disputed.reference, 30_000),
        ("refund", given.reference, -20_000),
        ("dispute", disputed.reference, -30_000),
    }
    await till.bank(f"payouts/{payout.id}/settle", outcome="succeed")
    arrived = replace(payout, paid=True)
    assert await till.told("payout.paid") == [Look("payout", payout.id)]
    assert await till.seen("payout.paid") == [arrived]
    await till.bank(f"payouts/{payout.id}/settle", outcome="fail")
    failed = replace(payout, failed=True)
    assert await till.seen("payout.failed") == [failed]

    await till.paid(amount_vnd=10_000)
    till.now += timedelta(days=3)
    await till.bank("payouts", everything=True)
    newer, older = await payouts(till)
    assert older == failed and newer.amount == sum(line.net for line in newer.lines)
    assert ("payout", failed.id, failed.amount) in {
        (line.kind, line.reference, line.amount) for line in newer.lines
    }
    assert await payouts(till, till.now) == [newer]


# -- notifications --------------------------------------------------------------------------


async def test_events_of_another_version_are_looked_up(till: Till) -> None:
    assert await till.provider.foreign_endpoints() == []
    await till.switch(event_version="2031-01-01.other", bank_debits=True)
    assert await till.provider.foreign_endpoints() == [HOOK]
    page = await till.open()
    await till.pay(page, DECLINED)
    assert await till.seen() == [NotOurs()]
    await till.pay(page)
    paid = await till.provider.page_facts(page.id)
    assert isinstance(paid, Captured) and paid.method is not None
    assert await till.told("checkout.session.completed", "payment_intent.succeeded") == [
        Look("payment", paid.reference),
        Look("page", page.id),
    ]
    refund = await till.provider.refund(paid.reference, 9_000, key="r")
    dispute = await till.bank(f"charges/{await till.charge_of(paid.reference)}/dispute")
    declined = await till.provider.charge(till.mandate(await till.saved(FAILS_LATER)))
    await till.provider.revoke(paid.method.id)
    assert all(isinstance(one, Look) for one in await till.told())
    facts = await till.seen()
    unkept = replace(paid, method=None)
    for expected in (unkept, refund, declined, MethodGone(method=paid.method.id)):
        assert expected in facts
    assert dispute["id"] in {one.id for one in facts if isinstance(one, DisputeMoved)}
    with pytest.raises(ProviderRefusedError):
        await till.provider.look(Look("invoice", "in_1"))


async def test_what_was_not_opened_by_us_is_not_ours(till: Till) -> None:
    line = {
        "price_data": {
            "currency": "vnd",
            "unit_amount": 12_000,
            "product_data": {"name": "Áo in báo"},
        },
        "quantity": 1,
    }
    body = {"mode": "payment", "line_items": [line], "success_url": "http://shop.test/done"}
    session = await till.provider._call(
        "post", "/v1/checkout/sessions", {**body, "customer_email": "la@example.vn"}
    )
    await till.pay(Page(session["id"], session["url"]))
    assert set(await till.told()) == {NotOurs()}
    assert await till.provider.look(Look("page", session["id"])) == NotOurs()
    paid = await till.provider.page_facts(session["id"])
    assert isinstance(paid, Captured) and paid.charge_id is None
    assert await till.provider.look(Look("payment", paid.reference)) == NotOurs()
    # Its refund is told all the same: whose it is, who keeps the payments knows.
    refund = await till.provider.refund(paid.reference, 12_000, key="r")
    assert await till.told("refund.created") == [refund]


async def test_another_currency_is_named(till: Till) -> None:
    method = await till.saved()
    await till.switch(currency="usd")
    paid = await till.paid(keeps=False)
    assert (paid.amount, paid.currency) == (59_000, "USD")
    assert await till.told("payment_intent.succeeded") == [paid]
    charged = await till.provider.charge(till.mandate(method))
    assert isinstance(charged, Captured) and charged.currency == "USD"
    refund = await till.provider.refund(paid.reference, 9_000, key="r")
    assert refund.currency == "USD"
    await till.bank("payouts", currency="usd", everything=True)
    (payout,) = await payouts(till)
    assert payout.currency == "USD"


async def test_long_lists_are_read_to_their_end(till: Till) -> None:
    method = await till.saved()
    first = await till.provider.charge(till.mandate(method))
    for one in range(101):
        other = till.mandate(method, charge_id=UUID(int=1_000 + one))
        assert isinstance(await till.provider.charge(other), Captured)
    assert await till.provider.find_charge(CHARGE, method.customer) == first
    told = await till.told("payment_intent.succeeded")
    assert len(told) == len(set(told)) == 102
    await till.bank("payouts", everything=True)
    (payout,) = await payouts(till)
    assert len(payout.lines) == 102
    assert payout.amount == sum(line.net for line in payout.lines)
