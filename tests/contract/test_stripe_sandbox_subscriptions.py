"""Subscriptions that Stripe collects by itself: their renewals, failures and ends, through the SDK."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from .stripe_sandbox_fixtures import World

DAY, HOUR = 86_400, 3_600


def moment(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def until(world: World, at: int) -> None:
    """Time passes, and what is due happens, each thing as of its own date."""
    await world.later(at - int(world.time))


async def invoices(world: World) -> list[Any]:
    """As each was when it was made, oldest first."""
    return [event.data.object for event in await world.events("invoice.created")]


async def now(world: World, subscription: Any) -> Any:
    return await world.stripe.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["latest_invoice"]}
    )


async def test_month_ends_are_restored_after_a_short_month(world: World) -> None:
    world.time = moment(2026, 1, 31, 9)
    subscription = await world.subscribed()
    await until(world, moment(2026, 4, 1))
    lines = [invoice.lines.data[0].period for invoice in await invoices(world)]
    assert [(line.start, line.end) for line in lines] == [
        (moment(2026, 1, 31, 9), moment(2026, 2, 28, 9)),
        (moment(2026, 2, 28, 9), moment(2026, 3, 31, 9)),
        (moment(2026, 3, 31, 9), moment(2026, 4, 30, 9)),
    ]
    again = await now(world, subscription)
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
async def test_each_period_renews_on_its_date_and_is_collected_an_hour_later(
    world: World, every: str, count: int, end: int
) -> None:
    subscription = await world.subscribed(every=every, count=count)
    await until(world, end - 1)
    assert len(await invoices(world)) == 1
    await until(world, end)
    drafted = (await now(world, subscription)).latest_invoice
    assert (drafted.status, drafted.lines.data[0].period.start) == ("draft", end)
    await until(world, end + HOUR)
    paid = (await now(world, subscription)).latest_invoice
    assert (paid.id, paid.status, paid.amount_paid) == (drafted.id, "paid", 59_000)


async def test_a_renewal_says_so_in_its_events(world: World) -> None:
    await world.subscribed()
    before = len(await world.events())
    await until(world, moment(2026, 2, 2))
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
    ]


async def test_a_card_that_fails_later_goes_past_due_and_ends_after_the_last_try(
    world: World,
) -> None:
    failing = await world.subscribed()
    other = await world.subscribed()
    method = await world.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": failing.customer}
    )
    await world.stripe.v1.customers.update_async(
        failing.customer, {"invoice_settings": {"default_payment_method": method.id}}
    )
    due = failing["items"].data[0].current_period_end

    await until(world, due + HOUR)
    late = await now(world, failing)
    assert late.status == "past_due"
    assert late.latest_invoice.status == "open"
    assert late.latest_invoice.attempt_count == 1
    assert late.latest_invoice.next_payment_attempt == due + HOUR + 3 * DAY

    await until(world, due + HOUR + 15 * DAY)
    ended = await now(world, failing)
    assert ended.status == "canceled"
    assert ended.ended_at == due + HOUR + 15 * DAY
    assert ended.cancellation_details.reason == "payment_failed"
    failures = await world.events("invoice.payment_failed")
    assert [event.data.object.attempt_count for event in failures] == [1, 2, 3, 4]
    assert (await now(world, other)).status == "active"


async def test_a_subscription_begins_by_itself_with_a_saved_card(world: World) -> None:
    owner, method = await world.saved()
    price = await world.price()
    begun = await world.stripe.v1.subscriptions.create_async(
        {"customer": owner, "items": [{"price": price.id}], "default_payment_method": method}
    )
    assert begun.status == "active"
    no_card = await world.stripe.v1.customers.create_async({"email": "khong.the@example.vn"})
    waiting = await world.stripe.v1.subscriptions.create_async(
        {"customer": no_card.id, "items": [{"price": price.id}]}
    )
    full = await now(world, waiting)
    assert (full.status, full.latest_invoice.status) == ("incomplete", "open")
    assert full.latest_invoice.amount_due == 59_000


async def test_a_subscription_told_to_stop_ends_with_its_period(world: World) -> None:
    subscription = await world.subscribed()
    told = await world.stripe.v1.subscriptions.update_async(
        subscription.id, {"cancel_at_period_end": True}
    )
    assert (told.status, told.cancel_at) == ("active", moment(2026, 2, 1))
    await until(world, moment(2026, 2, 1))
    ended = await now(world, subscription)
    assert (ended.status, ended.ended_at) == ("canceled", moment(2026, 2, 1))
    assert len(await invoices(world)) == 1
    assert [one.data.object.id for one in await world.events("customer.subscription.deleted")] == [
        subscription.id
    ]


async def test_a_change_of_mind_keeps_the_subscription_going(world: World) -> None:
    subscription = await world.subscribed()
    for stop in (True, False):
        await world.stripe.v1.subscriptions.update_async(
            subscription.id, {"cancel_at_period_end": stop}
        )
    await until(world, moment(2026, 2, 1))
    again = await now(world, subscription)
    assert (again.status, again.cancel_at, again.canceled_at) == ("active", None, None)
    updates = await world.events("customer.subscription.updated")
    assert updates[0].data.previous_attributes.cancel_at_period_end is False


async def test_a_cancelled_subscription_is_over_at_once(world: World) -> None:
    subscription = await world.subscribed()
    ended = await world.stripe.v1.subscriptions.cancel_async(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", int(world.time))
    assert (await world.stripe.v1.subscriptions.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as gone:
        await world.stripe.v1.subscriptions.cancel_async(subscription.id)
    assert (gone.value.http_status, gone.value.code) == (404, "resource_missing")


async def test_deleting_a_customer_ends_what_it_had(world: World) -> None:
    subscription = await world.subscribed()
    gone = await world.stripe.v1.customers.delete_async(subscription.customer)
    assert gone.deleted is True
    assert (await now(world, subscription)).status == "canceled"
    assert (await world.stripe.v1.customers.list_async()).data == []
