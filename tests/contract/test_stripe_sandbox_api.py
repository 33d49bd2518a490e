"""Keys, errors, idempotency, lists, expansion and refunds, through the SDK."""

import time
from collections.abc import AsyncIterator

import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st

from .stripe_sandbox_fixtures import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc", "sk_test_", "anything"])
async def test_a_key_that_is_no_test_key_is_refused(world: World, key: str) -> None:
    with pytest.raises(stripe.AuthenticationError) as refused:
        await world.client(key).v1.customers.list_async()
    assert refused.value.http_status == 401
    if "live" in key:
        assert "refuses live keys" in str(refused.value)
        assert key not in str(refused.value)


async def test_a_request_without_a_key_is_refused(world: World) -> None:
    answer = await world.browser.get("/v1/customers")
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_another_api_version_is_refused(world: World) -> None:
    other = {"stripe_version": "2020-08-27"}
    with pytest.raises(stripe.InvalidRequestError, match="version"):
        await world.stripe.v1.customers.list_async(options=other)


async def test_each_key_sees_only_its_own(world: World) -> None:
    mine = await world.stripe.v1.customers.create_async({"email": "a@example.vn"})
    other = world.client("sk_test_other")
    assert (await other.v1.customers.list_async()).data == []
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await other.v1.customers.retrieve_async(mine.id)
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")


async def test_every_answer_names_its_request_and_version(world: World) -> None:
    made = await world.stripe.v1.customers.create_async({"email": "a@example.vn"})
    assert made.last_response is not None
    headers = made.last_response.headers
    assert headers["request-id"].startswith("req_")
    assert headers["stripe-version"] == stripe.api_version
    event = (await world.events("customer.created"))[0]
    assert event.request.id == headers["request-id"]


@pytest.mark.parametrize(
    ("params", "param", "code"),
    [
        (
            {"unit_amount": 1000, "product_data": {"name": "x"}},
            "currency",
            "parameter_missing",
        ),
        ({"currency": "usd", "unit_amount": 5, "product_data": {"name": "x"}}, "currency", None),
        (
            {"currency": "vnd", "product_data": {"name": "x"}},
            "unit_amount",
            "parameter_missing",
        ),
        (
            {"currency": "vnd", "unit_amount": -1, "product_data": {"name": "x"}},
            "unit_amount",
            "parameter_invalid_integer",
        ),
        (
            {"currency": "vnd", "unit_amount": "12.5", "product_data": {"name": "x"}},
            "unit_amount",
            "parameter_invalid_integer",
        ),
        (
            {"currency": "vnd", "unit_amount": 5, "product_data": {"name": "x", "colour": "red"}},
            "product_data[colour]",
            "parameter_unknown",
        ),
        (
            {
                "currency": "vnd",
                "unit_amount": 5,
                "product_data": {"name": "x"},
                "recurring": {"interval": "fortnight"},
            },
            "recurring[interval]",
            None,
        ),
        (
            {"currency": "vnd", "unit_amount": 5, "product": "prod_nowhere"},
            "product_data",
            "parameter_missing",
        ),
    ],
)
async def test_a_wrong_parameter_is_named(
    world: World, params: dict[str, object], param: str, code: str | None
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as wrong:
        await world.stripe.v1.prices.create_async(params)  # type: ignore[arg-type]
    assert (wrong.value.param, wrong.value.code) == (param, code)
    # Refused whole: nothing of the request stayed.
    account = world.sandbox.store.accounts()[0][0]
    for kind in ("price", "product"):
        assert world.sandbox.store.select(account, kind) == []


async def test_the_same_idempotency_key_plays_the_same_answer_again(world: World) -> None:
    options = {"idempotency_key": "order-1"}
    first = await world.stripe.v1.customers.create_async({"email": "a@example.vn"}, options)
    second = await world.stripe.v1.customers.create_async({"email": "a@example.vn"}, options)
    assert first.id == second.id
    assert first.last_response is not None
    assert second.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers
    assert second.last_response.headers["idempotent-replayed"] == "true"
    assert len((await world.stripe.v1.customers.list_async()).data) == 1


async def test_the_same_idempotency_key_with_another_request_is_refused(world: World) -> None:
    options = {"idempotency_key": "order-1"}
    await world.stripe.v1.customers.create_async({"email": "a@example.vn"}, options)
    with pytest.raises(stripe.IdempotencyError):
        await world.stripe.v1.customers.create_async({"email": "b@example.vn"}, options)
    with pytest.raises(stripe.IdempotencyError):
        await world.stripe.v1.prices.create_async(
            {"currency": "vnd", "unit_amount": 5, "product_data": {"name": "x"}}, options
        )


async def test_a_request_that_failed_validation_leaves_its_key_free(world: World) -> None:
    options = {"idempotency_key": "order-1"}
    with pytest.raises(stripe.InvalidRequestError):
        await world.stripe.v1.customers.create_async({"email": "nobody"}, options)
    made = await world.stripe.v1.customers.create_async({"email": "a@example.vn"}, options)
    assert made.email == "a@example.vn"


async def test_a_key_is_forgotten_after_a_day(world: World) -> None:
    options = {"idempotency_key": "order-1"}
    first = await world.stripe.v1.customers.create_async({"email": "a@example.vn"}, options)
    world.time += 86_401
    second = await world.stripe.v1.customers.create_async({"email": "a@example.vn"}, options)
    assert first.id != second.id


async def test_pages_of_a_list_meet_without_gap_or_overlap(world: World) -> None:
    made = [
        (await world.stripe.v1.customers.create_async({"name": str(number)})).id
        for number in range(7)
    ]
    newest = made[::-1]
    page = await world.stripe.v1.customers.list_async({"limit": 3})
    assert [one.id for one in page.data] == newest[:3]
    assert page.has_more
    found = [one.id async for one in page.auto_paging_iter()]
    assert found == newest
    back = await world.stripe.v1.customers.list_async({"limit": 2, "ending_before": newest[4]})
    assert [one.id for one in back.data] == newest[2:4]
    assert back.has_more
    last = await world.stripe.v1.customers.list_async({"limit": 5, "starting_after": newest[2]})
    assert [one.id for one in last.data] == newest[3:]
    assert not last.has_more


async def test_a_sweep_finds_events_by_time_and_type(world: World) -> None:
    await world.stripe.v1.customers.create_async({"name": "before"})
    seen = int(world.time)
    world.time += 60
    await world.price()
    await world.stripe.v1.customers.create_async({"name": "after"})
    found = await world.stripe.v1.events.list_async(
        {"created": {"gt": seen}, "types": ["customer.created", "invoice.paid"]}
    )
    assert [event.data.object.name for event in found.data] == ["after"]
    starred = await world.stripe.v1.events.list_async({"type": "customer.*"})
    assert len(starred.data) == 2


async def test_only_what_is_an_object_can_be_expanded(world: World) -> None:
    await world.paid()
    full = await world.stripe.v1.payment_intents.list_async({"expand": ["data.latest_charge"]})
    assert full.data[0].latest_charge.amount == 50_000
    for path in ("currency", "nothing", "latest_charge.amount", "id"):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            await world.stripe.v1.payment_intents.retrieve_async(
                full.data[0].id, {"expand": [path]}
            )


async def test_a_refund_in_parts_stops_at_what_was_paid(world: World) -> None:
    session = await world.single(10_000)
    await world.pay(session)
    charge = (await world.stripe.v1.charges.list_async()).data[0]
    part = await world.stripe.v1.refunds.create_async(
        {"charge": charge.id, "amount": 4_000, "expand": ["balance_transaction"]}
    )
    assert (part.amount, part.status) == (4_000, "succeeded")
    with pytest.raises(stripe.InvalidRequestError) as more:
        await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": 6_001})
    assert more.value.param == "amount"
    rest = await world.stripe.v1.refunds.create_async({"payment_intent": charge.payment_intent})
    assert rest.amount == 6_000
    with pytest.raises(stripe.InvalidRequestError) as over:
        await world.stripe.v1.refunds.create_async({"charge": charge.id})
    assert over.value.code == "charge_already_refunded"

    again = await world.stripe.v1.charges.retrieve_async(charge.id)
    assert (again.amount_refunded, again.refunded) == (10_000, True)
    listed = await world.stripe.v1.refunds.list_async({"charge": charge.id})
    assert [one.amount for one in listed.data] == [6_000, 4_000]
    told = [event.data.object.amount_refunded for event in await world.events("charge.refunded")]
    assert told == [4_000, 10_000]
    entry = part.balance_transaction
    assert (entry.amount, entry.fee, entry.type, entry.source) == (-4_000, 0, "refund", part.id)


async def test_a_declined_charge_has_nothing_to_refund(world: World) -> None:
    session = await world.single()
    await world.pay(session, "4000000000000002")
    charge = (await world.stripe.v1.charges.list_async()).data[0]
    with pytest.raises(stripe.InvalidRequestError):
        await world.stripe.v1.refunds.create_async({"charge": charge.id})


@settings(max_examples=25)
@given(parts=st.lists(st.integers(min_value=1, max_value=9_000), max_size=8))
async def test_refunds_never_exceed_the_charge(parts: list[int]) -> None:
    world = World()
    await world.pay(await world.single(10_000))
    charge = (await world.stripe.v1.charges.list_async()).data[0]
    left = 10_000
    for part in parts:
        try:
            await world.stripe.v1.refunds.create_async({"charge": charge.id, "amount": part})
        except stripe.InvalidRequestError:
            assert part > left
        else:
            left -= part
            assert left >= 0
    again = await world.stripe.v1.charges.retrieve_async(charge.id)
    assert again.amount_refunded == 10_000 - left
    await world.close()


async def test_state_survives_a_restart(tmp_path: object) -> None:
    file = f"{tmp_path}/sandbox.db"
    first = World(state_file=file)
    subscription = await first.subscribed()
    await first.close()
    second = World(state_file=file)
    # Signatures are checked against the SDK's own clock.
    second.time = time.time()
    again = await second.stripe.v1.subscriptions.retrieve_async(subscription.id)
    assert again.to_dict() == subscription.to_dict()
    await second.deliver()
    assert "customer.subscription.created" in second.receiver.types()
    await second.close()
