"""Any order, any duplicates, any losses followed by a sweep: the same end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.billing.composition import Billing, build
from services.billing.process import BILLING
from services.billing.webhooks import repository
from services.billing.webhooks.repository import Incoming
from services.billing.webhooks.rules import ALLOWED_TYPES
from tests.fixtures.servers import PostgresServer
from tests.integration.billing.world import (
    FAILS_ON_RENEWAL,
    World,
)
from tests.integration.billing.world import (
    settings as make_settings,
)

API = {"Authorization": "Bearer sk_test_world"}


async def history(world: World) -> list[Incoming]:
    """Three readers' lives at the provider, of which nothing has reached billing."""
    world.sandbox.state.sandbox.settings.webhook_drop = 1.0
    await world.subscribed("renews-and-is-refunded@example.vn", period="week")
    await world.subscribed("fails-on-renewal@example.vn", period="week", card=FAILS_ON_RENEWAL)
    await world.subscribed("cancels@example.vn", period="year")
    await world.subscribed("leaves-at-once@example.vn", period="week")
    leaving = (await world.payer.get("/v1/subscriptions?limit=1", headers=API)).json()["data"][0]
    answer = await world.payer.delete(f"/v1/subscriptions/{leaving['id']}", headers=API)
    assert answer.status_code == 200, answer.text
    await world.advance(timedelta(days=8))
    charges = (await world.payer.get("/v1/charges?limit=100", headers=API)).json()["data"]
    good = [charge for charge in charges if charge["status"] == "succeeded"]
    newest_week = max(
        (charge for charge in good if charge["amount"] == 19_000), key=lambda one: one["created"]
    )
    year = next(charge for charge in good if charge["amount"] == 590_000)
    for charge, amount in (
        (newest_week, {}),
        (year, {"amount": "100000"}),
        (year, {"amount": "7"}),
    ):
        answer = await world.payer.post(
            "/v1/refunds", data={"charge": charge["id"], **amount}, headers=API
        )
        assert answer.status_code == 200, answer.text
    subscriptions = (await world.payer.get("/v1/subscriptions", headers=API)).json()["data"]
    yearly = next(
        one for one in subscriptions if one["items"]["data"][0]["price"]["unit_amount"] == 590_000
    )
    answer = await world.payer.post(
        f"/v1/subscriptions/{yearly['id']}", data={"cancel_at_period_end": "true"}, headers=API
    )
    assert answer.status_code == 200, answer.text
    since = world.clock.now() - timedelta(days=60)
    found = [
        Incoming("stripe", event.id, event.type, event.created_at, event.payload, None)
        async for event in world.billing.provider.notifications_since(since, sorted(ALLOWED_TYPES))
    ]
    return found[::-1]


async def arrive(billing: Billing, event: Incoming) -> None:
    """One webhook comes in and is applied as far as that is possible now."""
    pool = await billing.database.pool()
    async with pool.acquire() as connection:
        await repository.store(connection, "webhook", billing.clock.now(), [event])
    await billing.applier.apply_due()


async def settle(world: World, billing: Billing) -> None:
    """The sweep fills what never came, and what waited is tried again."""
    await billing.webhooks.sweep()
    for _ in range(12):
        await billing.applier.apply_due()
        state = await billing.webhooks.state()
        if not state.waiting:
            break
        world.clock.advance(timedelta(minutes=6))
    state = await billing.webhooks.state()
    assert (state.waiting, state.parked) == (0, 0)
    await billing.recognition.run_due()


async def picture(billing: Billing) -> dict[str, Any]:
    """What must come out the same: money, states, rights, recurring revenue."""
    from sqlalchemy import text

    queries = {
        "subscriptions": """SELECT r.email, s.state, s.cancel_at_period_end, s.period_end, s.mrr_vnd
            FROM subscription s JOIN reader r ON r.id = s.reader_id ORDER BY 1""",
        "payments": """SELECT reference, amount_vnd, refunded_vnd, period_end FROM payment
            ORDER BY 1""",
        "refunds": "SELECT provider_refund, amount_vnd, deferred_vnd FROM refund ORDER BY 1",
        "ledger": """SELECT agency, account, sum(amount_vnd)::bigint FROM journal_line
            GROUP BY 1, 2 ORDER BY 1, 2""",
        "schedules": """SELECT sum(total_vnd - reversed_vnd - carried_vnd)::bigint FROM recognition_schedule""",
        "entries": "SELECT count(*) FROM journal_entry WHERE kind <> 'recognition'",
        "mrr": "SELECT sum(amount_vnd)::bigint FROM mrr_movement",
    }
    async with billing.database.read() as session:
        found: dict[str, Any] = {
            name: [tuple(row) for row in await session.execute(text(sql))]
            for name, sql in queries.items()
        }
        found["rights"] = [
            tuple(row)
            for row in await session.execute(
                text(
                    """SELECT r.email, e.scope, e.valid_until FROM entitlement e
                       JOIN reader r ON r.id = e.reader_id
                       WHERE NOT e.revoked AND e.valid_until > :now ORDER BY 1"""
                ),
                {"now": billing.clock.now()},
            )
        ]
    wrong = [one for one in await billing.invariants.check() if one.violations]
    assert wrong == []
    return found


@pytest.mark.timeout(300)
async def test_any_permutation_duplication_and_loss_with_a_sweep_ends_the_same(
    world: World, postgres_server: PostgresServer, tmp_path
):
    events = await history(world)
    assert {event.type for event in events} == ALLOWED_TYPES, "the history shows every type"
    start = world.clock.now()
    config = world.billing.settings
    await world.billing.database.close()
    source = config.database_url.rsplit("/", 1)[1]

    async def run(arrivals: list[Incoming]) -> dict[str, Any]:
        world.clock.set(start)
        url = postgres_server.create_database(f"order_{uuid4().hex[:6]}", source)
        process = BILLING.process(
            "test", make_settings(url, tmp_path / "keys.pem"), clock=world.clock
        )
        billing = build(process, provider=world.billing.provider)
        try:
            for event in arrivals:
                await arrive(billing, event)
            await settle(world, billing)
            return await picture(billing)
        finally:
            await billing.database.close()
            postgres_server.drop_database(url)

    expected = await run(events)
    assert [row[1] for row in expected["subscriptions"]] == [
        "active",
        "grace",
        "canceled",
        "expired",
    ]
    assert [row[0] for row in expected["rights"]] == [
        "cancels@example.vn",
        "fails-on-renewal@example.vn",
    ]
    assert await run([]) == expected, "the sweep alone brings everything"

    import asyncio

    loop = asyncio.get_running_loop()

    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(
        st.lists(st.sampled_from(range(len(events))), max_size=len(events) + 6),
    )
    def check(order: list[int]) -> None:
        arrivals = [events[index] for index in order]
        found = asyncio.run_coroutine_threadsafe(run(arrivals), loop).result(60)
        assert found == expected

    await asyncio.to_thread(check)
