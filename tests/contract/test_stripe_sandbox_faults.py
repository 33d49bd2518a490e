"""What a caller has to live with: stored errors, silence, slowness, other versions and currencies."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import stripe

from infra.stripe_sandbox.inprocess import ADDRESSES, InProcessClient

from .sandbox_process import sandbox_process
from .stripe_sandbox_fixtures import KEY, TOKEN, World
from .stripe_shapes import PINNED_VERSION, SEEN, must_fit, problems

DAY = 86_400


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.stripe = client(made, 0)
    yield made
    await made.close()


def client(world: World, retries: int) -> stripe.StripeClient:
    """The SDK's client, which tries so many times again by itself."""
    return stripe.StripeClient(
        KEY,
        base_addresses=ADDRESSES,
        http_client=InProcessClient(world.app),
        max_network_retries=retries,
    )


async def make(world: World, key: str = "", email: str = "a@example.vn") -> Any:
    options = {"idempotency_key": key} if key else {}
    return await world.stripe.v1.customers.create_async({"email": email}, options)


async def customers(world: World) -> int:
    return len((await world.stripe.v1.customers.list_async()).data)


@pytest.mark.parametrize("works", [False, True])
async def test_a_500_stays_under_its_key_for_a_day_and_a_new_key_works(
    world: World, works: bool
) -> None:
    await world.switch(fail_creates=1, fail_after_effect=works)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await make(world, "order-1")
        assert failed.value.http_status == 500
        assert failed.value.headers["stripe-should-retry"] == "false"
    assert failed.value.headers["idempotent-replayed"] == "true"
    assert await customers(world) == int(works)
    with pytest.raises(stripe.IdempotencyError) as other:
        await make(world, "order-1", "b@example.vn")
    assert other.value.http_status == 400
    await make(world, "order-2")
    world.time += DAY + 1
    await make(world, "order-1")
    assert await customers(world) == 2 + int(works)


async def test_only_creating_calls_fail_and_only_so_many(world: World) -> None:
    await world.switch(fail_creates=2)
    assert await customers(world) == 0
    for key in ("a", "b"):
        with pytest.raises(stripe.APIError):
            await make(world, key)
    await make(world, "c")
    assert world.sandbox.switches.fail_creates == 0


@pytest.mark.parametrize("works", [False, True])
async def test_a_call_without_an_answer_is_asked_again_under_its_key(
    world: World, works: bool
) -> None:
    await world.switch(no_answer=1, no_answer_after_effect=works)
    with pytest.raises(stripe.APIConnectionError):
        await make(world, "order-1")
    assert await customers(world) == int(works)
    again = await make(world, "order-1")
    assert again.last_response.headers.get("idempotent-replayed") == ("true" if works else None)
    assert await customers(world) == 1


async def test_the_sdk_itself_gets_over_a_lost_answer(world: World) -> None:
    await world.switch(no_answer=1, no_answer_after_effect=True)
    world.stripe = client(world, 2)
    await make(world)
    assert await customers(world) == 1


async def test_two_calls_under_one_key_at_once_conflict(world: World) -> None:
    await world.switch(slow_seconds=0.2)
    first = asyncio.create_task(make(world, "order-1"))
    await asyncio.sleep(0.05)
    other = asyncio.create_task(make(world, "order-2"))
    with pytest.raises(stripe.APIError) as conflict:
        await make(world, "order-1")
    assert conflict.value.http_status == 409
    assert conflict.value.error.code == "idempotency_key_in_use"
    assert conflict.value.headers["stripe-should-retry"] == "true"
    assert (await first).id != (await other).id
    await world.switch(slow_seconds=0)
    assert (await make(world, "order-1")).id == (await first).id


# The SDK's own HTTPX client hands text to httpx the old way.
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
async def test_through_a_socket_silence_is_a_lost_connection_and_slowness_a_time_out() -> None:
    """Here the SDK runs with its own HTTP client against a process."""
    async with sandbox_process(STRIPE_SANDBOX_CONTROL_TOKEN=TOKEN) as address:
        http = stripe.HTTPXClient(timeout=4, allow_sync_methods=False)
        through = stripe.StripeClient(
            KEY,
            base_addresses=dict.fromkeys(ADDRESSES, address),  # type: ignore[arg-type]
            http_client=http,
            max_network_retries=0,
        )
        async with httpx.AsyncClient(base_url=address) as control:

            async def switch(**switches: Any) -> None:
                answer = await control.post(
                    "/sandbox/control", json=switches, headers={"Sandbox-Control-Token": TOKEN}
                )
                assert answer.status_code == 200

            for works, found in ((False, 0), (True, 1)):
                await switch(no_answer=1, no_answer_after_effect=works)
                with pytest.raises(stripe.APIConnectionError):
                    await through.v1.customers.create_async({"email": "a@example.vn"})
                assert len((await through.v1.customers.list_async()).data) == found
            await switch(slow_seconds=6)
            with pytest.raises(stripe.APIConnectionError):
                await through.v1.customers.list_async()
            await switch(slow_seconds=0)
            assert len((await through.v1.customers.list_async()).data) == 1
        await http.close_async()  # type: ignore[no-untyped-call]


# -- events of another version, objects in another currency -----------------------------------------


async def test_events_of_another_version_keep_their_shape_also_in_the_list(world: World) -> None:
    await world.switch(event_version="2020-08-27")
    charge = await world.paid()
    await world.switch(event_version="")
    await world.stripe.v1.refunds.create_async({"charge": charge.id})
    old, new = await world.events("payment_intent.succeeded", "refund.created")
    assert (old.api_version, new.api_version) == ("2020-08-27", PINNED_VERSION)
    shown = old.data.object
    assert (shown.object, shown.id) == ("payment_intent", charge.payment_intent)
    assert "latest_charge" not in shown and "amount" not in shown and "status" not in shown
    assert problems(shown.to_dict())
    must_fit(new.data.object.to_dict())
    again = await world.stripe.v1.payment_intents.retrieve_async(shown.id)
    assert (again.latest_charge, again.amount) == (charge.id, 50_000)
    await world.deliver()
    assert {one["api_version"] for one in map(json.loads, world.receiver.bodies)} == {
        "2020-08-27",
        PINNED_VERSION,
    }


async def test_the_endpoint_says_which_version_its_events_have(world: World) -> None:
    world.stripe = world.client(KEY)
    api = world.stripe.v1.webhook_endpoints
    (found,) = (await api.list_async()).data
    assert (found.url, found.api_version) == (world.settings.webhook_url, PINNED_VERSION)
    await world.switch(event_version="2020-08-27")
    assert (await api.list_async()).data[0].api_version == "2020-08-27"


async def test_a_payment_may_come_in_another_currency(world: World) -> None:
    await world.switch(currency="usd")
    session = await world.single(59_000)
    assert session.currency == "usd"
    assert "US$590.00" in (await world.browser.get(f"/c/pay/{session.id}")).text
    await world.pay(session)
    done = await world.reread(session, "payment_intent.latest_charge.balance_transaction")
    charge = done.payment_intent.latest_charge
    assert (charge.currency, charge.balance_transaction.currency) == ("usd", "usd")
    refund = await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 100})
    assert refund.currency == "usd"
    await world.switch(currency="")
    assert (await world.paid()).currency == "vnd"
    balance = await world.stripe.v1.balance.retrieve_async()
    assert [one.currency for one in balance.pending] == ["usd", "vnd"]


async def test_a_sweep_asks_for_twenty_types_at_most(world: World) -> None:
    with pytest.raises(stripe.InvalidRequestError) as many:
        await world.stripe.v1.events.list_async({"types": [f"a.b{one}" for one in range(21)]})
    assert many.value.param == "types"


async def test_the_webhook_switches_hold_for_the_new_events(world: World) -> None:
    await world.switch(duplicates=1, reorder=True, delay_seconds=5)
    charge = await world.paid()
    await world.act(f"charges/{charge.id}/dispute")
    assert await world.deliver() == 0
    world.time += 5
    await world.deliver()
    types = [json.loads(body)["type"] for body in world.receiver.bodies]
    assert types.count("charge.dispute.funds_withdrawn") == 2


# -- the switches themselves -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"currency": "xxx"}, "currency"),
        ({"refunds": "never"}, "refunds"),
        ({"fail_creates": -1}, "fail_creates"),
        ({"slow_seconds": 301}, "slow_seconds"),
    ],
)
async def test_a_wrong_switch_of_the_api_is_named_and_changes_nothing(
    world: World, body: dict[str, Any], param: str
) -> None:
    answer = await world.control("/sandbox/control", {"drop": 1, **body})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert world.settings.webhook_drop == 0


@pytest.mark.parametrize(
    "path",
    ["due", "payouts", "payouts/po_x/settle", "charges/ch_x/dispute", "refunds/re_x/settle"],
)
async def test_nothing_that_moves_money_is_open(world: World, path: str) -> None:
    assert (await world.browser.post(f"/sandbox/{path}", json={})).status_code == 403
    assert (await world.browser.post(f"/sandbox/{path}", data={"token": "x"})).status_code == 403


async def test_an_act_needs_its_object(world: World) -> None:
    missing = await world.control("/sandbox/charges/ch_x/dispute")
    assert missing.status_code == 404
    charge = await world.paid()
    for path in (f"refunds/{charge.id}/settle", f"charges/{charge.id}/eat"):
        assert (await world.control(f"/sandbox/{path}", {"outcome": "fail"})).status_code == 404


# -- every object held to the SDK's own classes --------------------------------------------------------

KINDS = {
    "balance",
    "balance_transaction",
    "charge",
    "checkout.session",
    "customer",
    "dispute",
    "event",
    "invoice",
    "payment_intent",
    "payment_method",
    "payout",
    "price",
    "refund",
    "setup_intent",
    "subscription",
}


async def test_every_object_of_a_whole_story_is_what_the_sdk_expects() -> None:
    """Cards and debits, both modes, refunds, a dispute, a subscription, a payout: each answer and event is checked."""
    SEEN.clear()
    world = World()
    await world.switch(bank_debits=True)
    customer, method = await world.saved()
    await world.charge_saved(customer, method)
    await world.debit(await world.single(customer=customer))
    charge = await world.paid(990_000, number="4000000000007726")
    await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 1_000})
    disputed = await world.paid()
    dispute = await world.act(f"charges/{disputed.id}/dispute")
    await world.later()
    await world.subscribed()
    payout = await world.act("payouts", everything=True)
    api = world.stripe.v1
    for listed in (
        api.balance_transactions.list_async({"payout": payout["id"], "expand": ["data.source"]}),
        api.charges.list_async({"limit": 100}),
        api.payment_intents.list_async({"limit": 100, "expand": ["data.latest_charge"]}),
        api.payouts.list_async(),
        api.refunds.list_async({"expand": ["data.payment_intent"]}),
        api.subscriptions.list_async({"expand": ["data.latest_invoice"]}),
    ):
        assert (await listed).data
    await api.balance.retrieve_async()
    await api.payment_methods.retrieve_async(method)
    await api.disputes.retrieve_async(dispute["id"], {"expand": ["charge"]})
    assert len(await world.events()) > 20
    await world.deliver()
    for body in world.receiver.bodies:
        must_fit(json.loads(body))
    await world.close()
    print("objects held to the SDK's classes:", dict(sorted(SEEN.items())))
    assert SEEN.keys() >= KINDS
