"""Webhook delivery and the control endpoints; the receiver verifies with the SDK itself."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import stripe

from infra.stripe_sandbox.app import create_app
from infra.stripe_sandbox.settings import SandboxSettings

from .stripe_sandbox_fixtures import BASE, SECRET, TOKEN, World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    # Signatures are checked against the SDK's own clock, so these tests live in the present.
    made.time = float(int(time.time()))
    yield made
    await made.close()


async def some_events(world: World, count: int = 5) -> list[str]:
    return [
        (await world.stripe.v1.customers.create_async({"name": str(number)})).id
        for number in range(count)
    ]


def arrived(world: World) -> list[str]:
    return [event.data.object.id for event in world.receiver.events()]


async def test_events_arrive_signed_and_in_the_order_they_happened(world: World) -> None:
    await world.subscribed()
    await world.deliver()
    assert world.receiver.types() == [event.type for event in await world.events()]
    assert {event.pending_webhooks for event in await world.events()} == {0}


async def test_a_wrong_secret_does_not_verify(world: World) -> None:
    await some_events(world, 1)
    await world.deliver()
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            world.receiver.bodies[0], world.receiver.signatures[0], "whsec_other"
        )


async def test_during_a_rotation_both_secrets_verify() -> None:
    world = World(webhook_secret=f"whsec_new, {SECRET}")
    world.time = time.time()
    await some_events(world, 1)
    await world.deliver()
    for secret in ("whsec_new", SECRET):
        stripe.Webhook.construct_event(
            world.receiver.bodies[0], world.receiver.signatures[0], secret
        )
    await world.close()


async def test_a_refused_event_is_tried_again_with_growing_pauses(world: World) -> None:
    made = await some_events(world, 2)
    world.receiver.answers = [500, 200, 503]
    await world.deliver()
    assert arrived(world) == made
    assert [event.pending_webhooks for event in await world.events()] == [1, 0]
    world.time += 0.5
    assert await world.deliver() == 0
    world.time += 0.5
    await world.deliver()
    assert arrived(world) == [*made, made[0]]
    world.time += 1.5
    assert await world.deliver() == 0
    world.time += 0.5
    assert await world.deliver() == 1
    assert [event.pending_webhooks for event in await world.events()] == [0, 0]


async def test_tries_end_after_the_last_one() -> None:
    world = World(webhook_max_attempts=3)
    await some_events(world, 1)
    world.receiver.answers = [500] * 10
    for _ in range(6):
        await world.deliver()
        world.time += 3600
    assert len(world.receiver.bodies) == 3
    await world.close()


async def test_a_receiver_that_cannot_be_reached_is_tried_again() -> None:
    world = World()
    broken = httpx.MockTransport(lambda request: (_ for _ in ()).throw(httpx.ConnectError("no")))
    deliverer = world.app.state.deliverer
    good, deliverer.transport = deliverer.transport, broken
    await some_events(world, 1)
    assert await world.deliver() == 1
    deliverer.transport = good
    world.time += 1
    assert await world.deliver() == 1
    assert len(world.receiver.bodies) == 1
    await world.close()


async def test_the_delay_switch_holds_events_back(world: World) -> None:
    await world.control("/sandbox/control", {"delay_seconds": 30})
    await some_events(world, 1)
    assert await world.deliver() == 0
    world.time += 30
    assert await world.deliver() == 1


async def test_the_duplicate_switch_sends_the_same_event_more_than_once(world: World) -> None:
    await world.control("/sandbox/control", {"duplicates": 2})
    made = await some_events(world, 2)
    await world.deliver()
    assert sorted(arrived(world)) == sorted(made * 3)
    assert len({event.id for event in world.receiver.events()}) == 2


async def test_the_reorder_switch_shuffles_but_loses_nothing(world: World) -> None:
    await world.control("/sandbox/control", {"reorder": True})
    made = await some_events(world, 20)
    await world.deliver()
    assert arrived(world) != made
    assert sorted(arrived(world)) == sorted(made)


async def test_a_dropped_event_never_arrives_but_a_sweep_finds_it(world: World) -> None:
    await world.control("/sandbox/control", {"drop": 1})
    made = await some_events(world, 3)
    await world.deliver()
    assert world.receiver.bodies == []
    found = [event.data.object.id for event in await world.events("customer.created")]
    assert found == made


async def test_resending_sends_one_more_copy_whatever_the_switches_say(world: World) -> None:
    await world.control("/sandbox/control", {"drop": 1})
    made = await some_events(world, 1)
    event = (await world.events())[0]
    answer = await world.control(f"/sandbox/events/{event.id}/resend")
    assert answer.json() == {"id": event.id, "resent": True}
    await world.deliver()
    assert arrived(world) == made


CHANGES = ["/sandbox/control", "/sandbox/events/evt_x/resend"]


@pytest.mark.parametrize("path", CHANGES)
async def test_nothing_that_changes_things_is_open(world: World, path: str) -> None:
    for headers in ({}, {"Sandbox-Control-Token": "wrong"}, {"Sandbox-Control-Token": ""}):
        answer = await world.browser.post(path, json={"drop": 1}, headers=headers)
        assert answer.status_code == 403
    assert (await world.browser.post(path, data={"drop": "1", "token": "x"})).status_code == 403
    assert world.settings.webhook_drop == 0


async def test_the_control_page_changes_switches_by_its_own_form(world: World) -> None:
    page = await world.browser.get("/")
    token = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
    assert token is not None
    form = {"token": token[1], "form": "1", "delay_seconds": "0", "duplicates": "1", "drop": "0"}
    foreign = await world.browser.post(
        "/sandbox/control", data=form, headers={"Origin": "http://evil.example"}
    )
    assert foreign.status_code == 403
    own = await world.browser.post("/sandbox/control", data=form, headers={"Origin": BASE})
    assert own.status_code == 303
    assert world.settings.webhook_duplicates == 1
    world.browser.cookies.clear()
    assert (await world.browser.post("/sandbox/control", data=form)).status_code == 403


async def test_a_wrong_switch_is_named(world: World) -> None:
    for body, name in (({"drop": 2}, "drop"), ({"colour": "red"}, "colour")):
        answer = await world.control("/sandbox/control", body)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == name


async def test_the_control_page_lists_what_there_is_and_no_key(world: World) -> None:
    subscription = await world.subscribed()
    await world.deliver()
    page = (await world.browser.get("/")).text
    for expected in (subscription.id, subscription.customer, "invoice.paid", "delivered"):
        assert expected in page
    assert "sk_test_contract" not in page


async def test_a_foreign_host_name_is_not_served(world: World) -> None:
    answer = await world.browser.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400


@asynccontextmanager
async def served(settings: SandboxSettings, url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as http:
        yield http
    app.state.sandbox.store.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_where_others_reach_it_the_control_page_is_closed_and_names_are_its_own(host):
    settings = SandboxSettings(host=host, names="stripe-sandbox", control_token=TOKEN)
    async with served(settings, "http://stripe-sandbox:8006") as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/")).status_code == (200 if host == "127.0.0.1" else 403)
        assert (await http.get("/", headers={"Host": "evil.example"})).status_code == 400


async def test_one_key_has_an_account_and_a_body_is_read_no_further_than_its_limit():
    settings = SandboxSettings(account_key="sk_test_mine", control_token=TOKEN)
    read = 0

    async def endless():
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 100_000

    async with served(settings, "http://127.0.0.1") as http:
        other = await http.get("/v1/customers", headers={"Authorization": "Bearer sk_test_other"})
        assert other.status_code == 401
        mine = {"Authorization": "Bearer sk_test_mine"}
        assert (await http.get("/v1/customers", headers=mine)).status_code == 200
        large = await http.post("/v1/customers", headers=mine, content=endless())
        assert large.status_code == 413 and large.json()["error"]
