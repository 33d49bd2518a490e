"""Refunds that wait and fail, disputes, payouts, and the balance that they all add up to."""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from .stripe_sandbox_fixtures import (
    DECLINED,
    DISPUTED,
    GOOD,
    IBAN_FAILS,
    IBAN_PAYS,
    REFUND_FAILS,
    REFUND_WAITS,
    World,
)

FEE, DISPUTE_FEE = 1_450, 350_000


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await must_add_up(made)
    await made.close()


async def entries(world: World, **filters: Any) -> list[Any]:
    """Balance transactions, oldest first."""
    listed = await world.stripe.v1.balance_transactions.list_async({"limit": 100, **filters})
    return [one async for one in listed.auto_paging_iter()][::-1]


async def must_add_up(world: World) -> None:
    """The balance is the sum of its transactions, each the difference of its amount and fee."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for entry in await entries(world):
        assert entry.net == entry.amount - entry.fee
        assert sum(detail.amount for detail in entry.fee_details) == entry.fee
        sums[entry.status, entry.currency] += entry.net
    balance = await world.stripe.v1.balance.retrieve_async()
    for status in ("available", "pending"):
        for part in getattr(balance, status):
            assert part.amount == sums.pop((status, part.currency), 0)
    assert not sums


async def new_events(world: World, seen: int) -> list[str]:
    return [event.type for event in await world.events()][seen:]


async def count_events(world: World) -> int:
    return len(await world.events())


# -- when the fee comes --------------------------------------------------------------------------


async def test_a_fee_may_come_later_than_its_charge(world: World) -> None:
    await world.switch(late_fees=True)
    charge = await world.paid()
    assert (charge.status, charge.balance_transaction) == ("succeeded", None)
    shown = (await world.events("charge.succeeded"))[0].data.object
    assert shown.balance_transaction is None
    await world.later()
    told = (await world.events("charge.updated"))[0].data
    assert told.object.balance_transaction
    assert told.previous_attributes.to_dict() == {"balance_transaction": None}
    other = await world.paid()
    booked = await world.act(f"charges/{other.id}/capture")
    assert booked["balance_transaction"]
    assert (await world.control(f"/sandbox/charges/{other.id}/capture")).status_code == 400
    third = await world.paid()  # given back before its fee has come: the fee comes first
    await world.stripe.v1.refunds.create_async({"charge": third.id})


# -- refunds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["card", "switch"])
async def test_a_refund_that_waits_moves_no_money_before_it_succeeds(world: World, by: str) -> None:
    charge = await world.paid(number=REFUND_WAITS if by == "card" else GOOD)
    if by == "switch":
        await world.switch(refunds="wait")
    seen = await count_events(world)
    refund = await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 20_000})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert refund.balance_transaction is None
    assert await new_events(world, seen) == ["charge.refunded", "refund.created"]
    again = await world.stripe.v1.charges.retrieve_async(charge.id)
    assert again.amount_refunded == 20_000

    await world.later()
    done = await world.stripe.v1.refunds.retrieve_async(
        refund.id, {"expand": ["balance_transaction"]}
    )
    assert (done.status, done.balance_transaction.amount) == ("succeeded", -20_000)
    assert await new_events(world, seen + 2) == ["refund.updated", "charge.refund.updated"]


@pytest.mark.parametrize("by", ["card", "switch"])
async def test_a_refund_that_fails_later_comes_back(world: World, by: str) -> None:
    charge = await world.paid(number=REFUND_FAILS if by == "card" else GOOD)
    if by == "switch":
        await world.switch(refunds="fail")
    refund = await world.stripe.v1.refunds.create_async({"payment_intent": charge.payment_intent})
    assert refund.status == "succeeded"
    seen = await count_events(world)
    await world.later()
    failed = await world.stripe.v1.refunds.retrieve_async(
        refund.id, {"expand": ["balance_transaction", "failure_balance_transaction"]}
    )
    assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
    assert failed.balance_transaction.amount == -50_000
    assert failed.failure_balance_transaction.amount == 50_000
    assert failed.failure_balance_transaction.type == "refund_failure"
    assert await new_events(world, seen) == [
        "charge.updated",
        "refund.failed",
        "refund.updated",
        "charge.refund.updated",
    ]
    charge = await world.stripe.v1.charges.retrieve_async(charge.id)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    # So it can be tried again.
    await world.switch(refunds="succeed")
    again = await world.stripe.v1.refunds.create_async({"charge": charge.id})
    assert (again.status, again.amount) == ("succeeded", 50_000)


async def test_the_control_page_decides_a_refund(world: World) -> None:
    charge = await world.paid()
    await world.switch(refunds="wait_then_fail")
    refund = await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 10_000})
    failed = await world.act(f"refunds/{refund.id}/settle", outcome="fail")
    assert (failed["status"], failed["balance_transaction"]) == ("failed", None)
    assert failed["failure_balance_transaction"] is None  # nothing had left
    refused = await world.control(f"/sandbox/refunds/{refund.id}/settle", {"outcome": "succeed"})
    assert refused.status_code == 400
    part = await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 30_000})
    assert (await world.act(f"refunds/{part.id}/settle", outcome="succeed"))["status"] == (
        "succeeded"
    )
    with pytest.raises(stripe.InvalidRequestError) as more:
        await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 20_001})
    assert more.value.user_message == (
        "Refund amount (20001 VND) is greater than unrefunded amount on charge (20000 VND)"
    )


async def test_what_no_date_moves_waits_for_the_control_page() -> None:
    world = World(later_seconds=0)
    charge = await world.paid(number=REFUND_WAITS)
    refund = await world.stripe.v1.refunds.create_async({"charge": charge.id})
    await world.later(10_000_000)
    assert (await world.stripe.v1.refunds.retrieve_async(refund.id)).status == "pending"
    await world.close()


# -- disputes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_dispute_takes_the_money_and_gives_it_back_only_when_won(
    world: World, outcome: str
) -> None:
    charge = await world.paid()
    seen = await count_events(world)
    made = await world.act(
        f"charges/{charge.id}/dispute", reason="product_not_received", amount=40_000
    )
    dispute = await world.stripe.v1.disputes.retrieve_async(made["id"])
    assert (dispute.status, dispute.reason, dispute.amount) == (
        "needs_response",
        "product_not_received",
        40_000,
    )
    assert (dispute.charge, dispute.payment_intent) == (charge.id, charge.payment_intent)
    out = dispute.balance_transactions[0]
    assert (out.amount, out.fee, out.net) == (-40_000, DISPUTE_FEE, -40_000 - DISPUTE_FEE)
    assert (out.type, out.reporting_category) == ("adjustment", "dispute")
    assert await new_events(world, seen) == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.updated",
    ]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await world.stripe.v1.refunds.create_async({"charge": charge.id})
    assert refused.value.code == "charge_disputed"

    seen = await count_events(world)
    await world.act(f"disputes/{dispute.id}/close", outcome="review")
    await world.act(f"disputes/{dispute.id}/close", outcome=outcome)
    expected = ["charge.dispute.updated", "charge.dispute.closed"]
    if outcome == "won":
        expected.append("charge.dispute.funds_reinstated")
    assert await new_events(world, seen) == expected
    closed = await world.stripe.v1.disputes.retrieve_async(dispute.id)
    assert closed.status == outcome
    assert sum(one.amount for one in closed.balance_transactions) == (
        0 if outcome == "won" else -40_000
    )
    assert (await world.control(f"/sandbox/disputes/{dispute.id}/close", {"outcome": "won"})
            ).status_code == 400  # fmt: skip
    assert (await world.stripe.v1.charges.retrieve_async(charge.id)).disputed


async def test_the_disputing_card_is_disputed_soon_after(world: World) -> None:
    charge = await world.paid(number=DISPUTED)
    await world.later(1)
    opened = [event.data.object for event in await world.events("charge.dispute.created")]
    assert [(one.charge, one.reason, one.amount) for one in opened] == [
        (charge.id, "fraudulent", 50_000)
    ]


async def test_a_refund_that_waits_fails_where_the_bank_takes_the_money_first(
    world: World,
) -> None:
    charge = await world.paid(number=REFUND_WAITS)
    refund = await world.stripe.v1.refunds.create_async({"charge": charge.id})
    await world.act(f"charges/{charge.id}/dispute")
    await world.later()
    failed = await world.stripe.v1.refunds.retrieve_async(refund.id)
    assert failed.failure_reason == "charge_for_pending_refund_disputed"


@pytest.mark.parametrize(
    "wish", [{"reason": "sulking"}, {"amount": 50_001}, {"amount": 0}, {"colour": "red"}]
)
async def test_a_dispute_that_cannot_be_is_refused(world: World, wish: dict[str, Any]) -> None:
    charge = await world.paid()
    answer = await world.control(f"/sandbox/charges/{charge.id}/dispute", wish)
    assert answer.status_code == 400
    assert await world.events("charge.dispute.created") == []


# -- payouts ---------------------------------------------------------------------------------------


async def test_a_payout_is_the_sum_of_what_it_consists_of(world: World) -> None:
    first, second = await world.paid(900_000), await world.paid(100_000)
    await world.stripe.v1.refunds.create_async({"charge": second.id, "amount": 30_000})
    made = await world.act(f"charges/{second.id}/dispute", amount=20_000)
    await world.act(f"disputes/{made['id']}/close", outcome="won")
    early = await world.control("/sandbox/payouts")
    assert early.json()["error"]["code"] == "balance_insufficient"  # the charges still wait

    world.time += 2 * 86_400
    seen = await count_events(world)
    payout = await world.stripe.v1.payouts.retrieve_async((await world.act("payouts"))["id"])
    parts = await entries(world, payout=payout.id)
    assert [one.type for one in parts] == [
        "charge",
        "charge",
        "refund",
        "adjustment",
        "adjustment",
        "payout",
    ]
    assert sum(one.net for one in parts if one.type != "payout") == payout.amount
    assert payout.amount == 1_000_000 - 29_000 - 30_000 - DISPUTE_FEE
    assert parts[-1].id == payout.balance_transaction
    assert (payout.status, payout.automatic) == ("in_transit", True)
    assert parts[0].source == first.id
    await world.later()
    done = await world.stripe.v1.payouts.retrieve_async(payout.id)
    assert (done.status, done.reconciliation_status) == ("paid", "completed")
    assert await new_events(world, seen) == [
        "payout.created",
        "payout.paid",
        "payout.reconciliation_completed",
    ]
    balance = await world.stripe.v1.balance.retrieve_async()
    assert [one.amount for one in (*balance.available, *balance.pending)] == [0, 0]
    assert (await world.control("/sandbox/payouts")).status_code == 400


async def test_a_payout_that_fails_comes_back_and_goes_out_with_the_next(world: World) -> None:
    await world.paid()
    payout = await world.act("payouts", everything=True)
    await world.act(f"payouts/{payout['id']}/settle", outcome="succeed")
    await world.act(f"payouts/{payout['id']}/settle", outcome="fail")
    failed = await world.stripe.v1.payouts.retrieve_async(
        payout["id"], {"expand": ["failure_balance_transaction"]}
    )
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert failed.failure_balance_transaction.amount == 50_000 - FEE
    again = await world.act("payouts")
    assert again["amount"] == 50_000 - FEE
    assert [event.type for event in await world.events("payout.failed")] == ["payout.failed"]


async def test_a_payout_is_of_one_account(world: World) -> None:
    await world.paid()
    other = world.client("sk_test_other")
    await other.v1.customers.list_async()
    assert (await world.control("/sandbox/payouts", {"everything": True})).status_code == 400
    mine, _ = world.sandbox.store.accounts()[0]
    payout = await world.act("payouts", everything=True, account=mine)
    with pytest.raises(stripe.InvalidRequestError):
        await other.v1.payouts.retrieve_async(payout["id"])


# -- the sum, always -------------------------------------------------------------------------------

ACTS = st.one_of(
    st.tuples(st.just("pay"), st.sampled_from([GOOD, DECLINED, REFUND_WAITS, REFUND_FAILS])),
    st.tuples(st.just("debit"), st.sampled_from([IBAN_PAYS, IBAN_FAILS])),
    st.tuples(st.just("refund"), st.integers(1, 60_000)),
    st.tuples(st.just("dispute"), st.integers(1, 60_000)),
    st.tuples(st.just("close"), st.sampled_from(["won", "lost"])),
    st.tuples(st.just("payout"), st.booleans()),
    st.tuples(st.just("payout ends"), st.sampled_from(["succeed", "fail"])),
    st.tuples(st.just("switch"), st.sampled_from(["by_card", "wait", "fail", "wait_then_fail"])),
    st.tuples(st.just("fees"), st.booleans()),
    st.tuples(st.just("currency"), st.sampled_from(["", "usd"])),
    st.tuples(st.just("time"), st.sampled_from([1, 200, 200_000])),
)


async def play(world: World, act: str, value: Any) -> None:
    """One thing that somebody does; what cannot be is refused and changes nothing."""
    store = world.sandbox.store
    account = store.accounts()[0][0]

    def newest(kind: str) -> str:
        found = store.select(account, kind, limit=1)
        return str(found[0]["id"]) if found else "nothing"

    match act:
        case "pay":
            await world.pay(await world.single(50_000), value)
        case "debit":
            await world.debit(await world.single(50_000), value)
        case "refund":
            await world.stripe.v1.refunds.create_async(
                {"charge": newest("charge"), "amount": value}
            )
        case "dispute":
            await world.control(f"/sandbox/charges/{newest('charge')}/dispute", {"amount": value})
        case "close":
            await world.control(f"/sandbox/disputes/{newest('dispute')}/close", {"outcome": value})
        case "payout":
            wish = {"everything": value, "currency": world.sandbox.switches.currency or "vnd"}
            await world.control("/sandbox/payouts", wish)
        case "payout ends":
            await world.control(f"/sandbox/payouts/{newest('payout')}/settle", {"outcome": value})
        case "switch":
            await world.switch(refunds=value)
        case "fees":
            await world.switch(late_fees=value)
        case "currency":
            await world.switch(currency=value)
        case "time":
            await world.later(value)


@settings(max_examples=20)
@given(acts=st.lists(ACTS, max_size=12))
async def test_whatever_happens_the_transactions_add_up_to_the_balance(
    acts: list[tuple[str, Any]],
) -> None:
    world = World()
    await world.switch(bank_debits=True)
    await world.paid()
    for act, value in acts:
        try:
            await play(world, act, value)
        except stripe.InvalidRequestError:
            assert act == "refund"
        await must_add_up(world)
    for charge in (await world.stripe.v1.charges.list_async({"limit": 100})).data:
        refunds = (await world.stripe.v1.refunds.list_async({"charge": charge.id})).data
        counted = sum(one.amount for one in refunds if one.status != "failed")
        assert charge.amount_refunded == counted <= charge.amount_captured
    for payout in (await world.stripe.v1.payouts.list_async()).data:
        parts = await entries(world, payout=payout.id)
        assert sum(one.net for one in parts) == 0
    await world.close()
