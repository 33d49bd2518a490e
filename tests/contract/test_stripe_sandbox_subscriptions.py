"""Renewals, their failures, ends and test clocks, through the SDK."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from .stripe_sandbox_fixtures import FAILS_LATER, GOOD, World

DAY, HOUR = 86_400, 3_600


def moment(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def on_clock(world: World, start: int, **extra: Any) -> tuple[Any, Any]:
    """A clock, and a subscription of a customer who lives on it."""
    clock = await world.stripe.v1.test_helpers.test_clocks.create_async({"frozen_time": start})
    customer = await world.stripe.v1.customers.create_async(
        {"email": "dong.ho@example.vn", "test_clock": clock.id}
    )
    return clock, await world.subscribed(customer=customer.id, **extra)


async def advance(world: World, clock: Any, to: int) -> Any:
    return await world.stripe.v1.test_helpers.test_clocks.advance_async(
        clock.id, {"frozen_time": to}
    )


async def periods(world: World, subscription: Any) -> list[tuple[int, int]]:
    invoices = await world.stripe.v1.invoices.list_async({"subscription": subscription.id})
    return [
        (line.period.start, line.period.end)
        for invoice in reversed(invoices.data)
        for line in invoice.lines.data
    ]


async def test_month_ends_are_restored_after_a_short_month(world: World) -> None:
    clock, subscription = await on_clock(world, moment(2026, 1, 31, 9))
    moved = await advance(world, clock, moment(2026, 4, 1))
    assert (moved.status, moved.frozen_time) == ("ready", moment(2026, 4, 1))
    assert await periods(world, subscription) == [
        (moment(2026, 1, 31, 9), moment(2026, 2, 28, 9)),
        (moment(2026, 2, 28, 9), moment(2026, 3, 31, 9)),
        (moment(2026, 3, 31, 9), moment(2026, 4, 30, 9)),
    ]
    again = await world.stripe.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )
    assert again.status == "active"
    assert again["items"].data[0].current_period_end == moment(2026, 4, 30, 9)
    assert again.latest_invoice.billing_reason == "subscription_cycle"
    assert again.latest_invoice.created == moment(2026, 3, 31, 9)


@pytest.mark.parametrize(
    ("every", "count", "end"),
    [
        ("week", 1, moment(2026, 1, 8)),
        ("month", 3, moment(2026, 4, 1)),
        ("month", 6, moment(2026, 7, 1)),
        ("year", 1, moment(2027, 1, 1)),
    ],
)
async def test_each_period_of_the_price_list_renews_on_its_date(
    world: World, every: str, count: int, end: int
) -> None:
    price = await world.price(every=every, count=count)
    clock, subscription = await on_clock(
        world, moment(2026, 1, 1), line_items=[{"price": price.id, "quantity": 2}]
    )
    await advance(world, clock, end - 1)
    assert len(await periods(world, subscription)) == 1
    await advance(world, clock, end)
    drafted = await world.stripe.v1.invoices.list_async({"subscription": subscription.id})
    assert [invoice.status for invoice in drafted.data] == ["draft", "paid"]
    await advance(world, clock, end + HOUR)
    assert (await periods(world, subscription))[1][0] == end
    invoices = await world.stripe.v1.invoices.list_async({"subscription": subscription.id})
    assert [invoice.amount_paid for invoice in invoices.data] == [118_000, 118_000]


async def test_a_renewal_says_so_in_its_events(world: World) -> None:
    clock, _ = await on_clock(world, moment(2026, 1, 1))
    before = len(await world.events())
    await advance(world, clock, moment(2026, 2, 2))
    types = [event.type for event in (await world.events())[before:]]
    assert types == [
        "invoice.created",
        "customer.subscription.updated",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.paid",
        "invoice.payment_succeeded",
        "test_helpers.test_clock.ready",
    ]


async def test_a_card_that_fails_later_goes_past_due_and_ends_after_the_last_try(
    world: World,
) -> None:
    clock, subscription = await on_clock(world, moment(2026, 1, 1))
    failing = await world.session(customer=subscription.customer)
    await world.pay(failing, FAILS_LATER)
    failing_subscription = (await world.reread(failing, "subscription")).subscription
    due = failing_subscription["items"].data[0].current_period_end

    await advance(world, clock, due + HOUR)
    late = await world.stripe.v1.subscriptions.retrieve_async(
        failing_subscription.id, {"expand": ["latest_invoice"]}
    )
    assert late.status == "past_due"
    assert late.latest_invoice.status == "open"
    assert late.latest_invoice.attempt_count == 1
    assert late.latest_invoice.next_payment_attempt == due + HOUR + 3 * DAY

    await advance(world, clock, due + HOUR + 15 * DAY)
    ended = await world.stripe.v1.subscriptions.retrieve_async(failing_subscription.id)
    assert ended.status == "canceled"
    assert ended.ended_at == due + HOUR + 15 * DAY
    assert ended.cancellation_details.reason == "payment_failed"
    failures = await world.events("invoice.payment_failed")
    assert [event.data.object.attempt_count for event in failures] == [1, 2, 3, 4]
    # The other subscription of the same person is not touched.
    other = await world.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert other.status == "active"


async def test_a_subscription_begins_by_itself_with_a_saved_card(world: World) -> None:
    owner, method = await world.saved()
    price = await world.price()
    begun = await world.stripe.v1.subscriptions.create_async(
        {"customer": owner, "items": [{"price": price.id}], "default_payment_method": method}
    )
    assert begun.status == "active"
    no_card = await world.stripe.v1.customers.create_async({"email": "khong.the@example.vn"})
    waiting = await world.stripe.v1.subscriptions.create_async(
        {"customer": no_card.id, "items": [{"price": price.id, "quantity": 2}]}
    )
    full = await world.stripe.v1.subscriptions.retrieve_async(
        waiting.id, {"expand": ["latest_invoice", "customer"]}
    )
    assert (full.status, full.latest_invoice.status) == ("incomplete", "open")
    assert full.latest_invoice.amount_due == 118_000


async def test_a_subscription_told_to_stop_ends_with_its_period(world: World) -> None:
    clock, subscription = await on_clock(world, moment(2026, 1, 1))
    told = await world.stripe.v1.subscriptions.update_async(
        subscription.id,
        {"cancel_at_period_end": True, "cancellation_details": {"feedback": "too_expensive"}},
    )
    assert told.status == "active"
    assert told.cancel_at == moment(2026, 2, 1)
    assert told.cancellation_details.feedback == "too_expensive"
    await advance(world, clock, moment(2026, 2, 1))
    ended = await world.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", moment(2026, 2, 1))
    assert len(await periods(world, subscription)) == 1
    assert [one.data.object.id for one in await world.events("customer.subscription.deleted")] == [
        subscription.id
    ]


async def test_a_change_of_mind_keeps_the_subscription_going(world: World) -> None:
    clock, subscription = await on_clock(world, moment(2026, 1, 1))
    for stop in (True, False):
        await world.stripe.v1.subscriptions.update_async(
            subscription.id, {"cancel_at_period_end": stop}
        )
    await advance(world, clock, moment(2026, 2, 1))
    again = await world.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert (again.status, again.cancel_at, again.canceled_at) == ("active", None, None)
    updates = await world.events("customer.subscription.updated")
    assert updates[0].data.previous_attributes.cancel_at_period_end is False


async def test_a_cancelled_subscription_is_over_at_once(world: World) -> None:
    subscription = await world.subscribed()
    ended = await world.stripe.v1.subscriptions.cancel_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", int(world.time))
    assert (await world.stripe.v1.subscriptions.list_async()).data == []
    everything = await world.stripe.v1.subscriptions.list_async({"status": "all"})
    assert [one.id for one in everything.data] == [subscription.id]
    with pytest.raises(stripe.InvalidRequestError) as gone:
        await world.stripe.v1.subscriptions.cancel_async(subscription.id)
    assert (gone.value.http_status, gone.value.code) == (404, "resource_missing")


async def test_deleting_a_customer_ends_what_it_had(world: World) -> None:
    subscription = await world.subscribed()
    gone = await world.stripe.v1.customers.delete_async(subscription.customer)
    assert gone.deleted is True
    ended = await world.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert ended.status == "canceled"
    assert (await world.stripe.v1.customers.list_async()).data == []


async def test_control_moves_a_subscription_without_a_clock_to_its_next_date(world: World) -> None:
    subscription = await world.subscribed(GOOD)
    answer = await world.control(f"/sandbox/subscriptions/{subscription.id}/advance")
    assert answer.status_code == 200
    start, end = (await periods(world, subscription))[1]
    assert start == subscription["items"].data[0].current_period_end
    assert answer.json()["items"]["data"][0]["current_period_end"] == end


async def test_control_moves_the_clock_of_a_subscription_that_has_one(world: World) -> None:
    clock, subscription = await on_clock(world, moment(2026, 1, 1))
    await world.control(f"/sandbox/subscriptions/{subscription.id}/advance")
    moved = await world.stripe.v1.test_helpers.test_clocks.retrieve_async(clock.id)
    assert moved.frozen_time == moment(2026, 2, 1)


async def test_a_clock_does_not_run_backwards(world: World) -> None:
    clock, _ = await on_clock(world, moment(2026, 1, 1))
    with pytest.raises(stripe.InvalidRequestError, match="forward"):
        await advance(world, clock, moment(2025, 12, 1))
