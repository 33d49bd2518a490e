"""Any order, any delay, any duplicates, any losses with a sweep, while the clock moves and readers act: the same end."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.billing.webhooks import repository
from services.billing.webhooks.repository import Incoming
from services.billing.webhooks.rules import ALLOWED_TYPES
from shared.clock import VIETNAM, local_date
from tests.fixtures.servers import PostgresServer
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import SECRETS, tell, told
from tests.integration.billing.world import FAILS_ON_RENEWAL, World, make_world

TICK = timedelta(hours=6)
TICKS = 4 * 34
CHARGED = (28, 42)
Act = Callable[[Lives], Awaitable[Any]]


def script() -> dict[int, list[Act]]:
    """By tick, what readers do: at awkward moments of weekly and monthly subscriptions (28 ticks are a week)."""
    acts: dict[int, list[Act]] = {}

    def do(tick: int, act: Act) -> None:
        acts.setdefault(tick, []).append(act)

    do(0, lambda one: one.buys("goes-on@example.vn", "week"))
    do(0, lambda one: one.buys("recovers@example.vn", "week", FAILS_ON_RENEWAL))
    do(37, lambda one: one.gives_card("recovers@example.vn"))
    do(0, lambda one: one.buys("never-pays@example.vn", "week", FAILS_ON_RENEWAL))
    do(0, lambda one: one.buys("cancels-in-grace@example.vn", "week", FAILS_ON_RENEWAL))
    do(36, lambda one: one.cancels("cancels-in-grace@example.vn"))
    do(0, lambda one: one.buys("cancels-as-it-renews@example.vn", "week"))
    do(29, lambda one: one.cancels("cancels-as-it-renews@example.vn"))
    do(1, lambda one: one.buys("cancels-and-resumes@example.vn", "week"))
    do(9, lambda one: one.cancels("cancels-and-resumes@example.vn"))
    do(17, lambda one: one.resumes("cancels-and-resumes@example.vn"))
    do(2, lambda one: one.buys("upgrades@example.vn", "month"))
    do(42, lambda one: one.changes("upgrades@example.vn", "year"))
    do(2, lambda one: one.buys("goes-down@example.vn", "month"))
    do(43, lambda one: one.changes("goes-down@example.vn", "week"))
    do(3, lambda one: one.buys("pauses@example.vn", "week"))
    do(
        13,
        lambda one: one.pauses(
            "pauses@example.vn", local_date(one.world.clock.now(), VIETNAM) + timedelta(days=14)
        ),
    )
    return acts


class Chaos:
    """What goes wrong on the way of what the provider tells: nothing, for ``seed`` None."""

    def __init__(self, seed: int | None) -> None:
        self.random = random.Random(seed)
        self.calm = seed is None
        self.waiting: list[Incoming] = []
        self.seen: list[Incoming] = []

    def arrivals(self, fresh: list[Incoming]) -> list[Incoming]:
        self.seen += fresh
        if self.calm:
            return fresh
        self.waiting += [one for one in fresh if self.random.random() < 0.7]  # others never come
        self.random.shuffle(self.waiting)
        count = self.random.randint(0, len(self.waiting))
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        again = self.random.sample(self.seen, min(len(self.seen), self.random.randint(0, 3)))
        return now + again

    def works(self, share: float) -> bool:
        return self.calm or self.random.random() < share


async def run(world: World, chaos: Chaos) -> dict[str, Any]:
    """All of the script, tick by tick; then everything that is late is made up for."""
    lives, acts = Lives(world), script()
    world.sandbox.state.sandbox.settings.webhook_drop = 1.0
    since, known = world.clock.now() - timedelta(hours=1), set[str]()
    code, paid_at = "", world.clock.now()
    for tick in range(TICKS):
        for act in acts.get(tick, []):
            await act(lives)
        if tick == 4:
            code = (await lives.chooses("by-transfer@example.vn", "month", renews=False)).code
            paid_at = world.clock.now()
        if code and (tick == 4 or not chaos.works(0.9)):  # told once, or again and again
            await tell(world, told(world, code, id_=1, at=paid_at))
            if tick == 4:
                await world.billing.applier.apply_due()
        fresh = await _told(world, since, known)
        await _store(world, chaos.arrivals(fresh))
        await _work(world, chaos, tick)
        world.clock.advance(TICK)
    for _ in range(4):
        await world.billing.webhooks.sweep()
        await world.billing.applier.apply_due()
        await world.billing.renewals.run_due()
        await world.billing.charges.run_due()
        world.clock.advance(timedelta(minutes=6))
    assert (await world.billing.webhooks.state()).waiting == 0
    assert (await world.billing.webhooks.state()).parked == 0
    await world.billing.recognition.run_due()
    return await picture(world)


async def _work(world: World, chaos: Chaos, tick: int) -> None:
    """What the worker does in a tick; a part of it is off now and then, and the provider's answers are lost."""
    billing = world.billing
    switches = world.sandbox.state.sandbox.switches
    await billing.renewals.run_due()
    charged = tick in CHARGED  # before the cancellation: whether it was is not for chance to say
    if chaos.works(0.7) or charged:
        if not chaos.works(0.7):
            switches.no_answer = chaos.random.randint(1, 2)
            switches.no_answer_after_effect = charged or chaos.random.random() < 0.7
        await billing.charges.run_due()
        switches.no_answer = 0
    if tick % 3 == 0 or chaos.calm:
        await billing.webhooks.sweep()
    if chaos.works(0.9):
        await billing.applier.apply_due()


async def _told(world: World, since: datetime, known: set[str]) -> list[Incoming]:
    found = [
        Incoming("stripe", event.id, event.type, event.created_at, event.payload, None)
        async for event in world.billing.provider.notifications_since(since, sorted(ALLOWED_TYPES))
        if event.id not in known
    ]
    known.update(event.id for event in found)
    return found[::-1]


async def _store(world: World, events: list[Incoming]) -> None:
    if events:
        pool = await world.billing.database.pool()
        async with pool.acquire() as connection:
            await repository.store(connection, "webhook", world.clock.now(), events)


async def picture(world: World) -> dict[str, Any]:
    """What must come out the same: money, periods, states, rights, recurring revenue."""
    queries = {
        "subscriptions": """SELECT r.email, s.state, s.collection, s.cancel_at_period_end, s.period_end, s.mrr_vnd, p.period
            FROM subscription s JOIN reader r ON r.id = s.reader_id JOIN plan_price p ON p.id = s.price_id
            ORDER BY 1, 5""",
        "payments": """SELECT r.email, p.provider, p.amount_vnd, p.refunded_vnd, p.period_start, p.period_end, p.cut_at
            FROM payment p JOIN reader r ON r.id = p.reader_id ORDER BY 1, 5, 3""",
        "orders": """SELECT r.email, o.purpose, o.state, o.amount_vnd, o.credit_vnd FROM sales_order o
            JOIN reader r ON r.id = o.reader_id ORDER BY o.created_at, 1, 2, 3, 4""",
        "ledger": """SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1 ORDER BY 1""",
        "mrr": """SELECT r.email, m.movement, m.amount_vnd FROM mrr_movement m
            JOIN subscription s ON s.id = m.subscription_id JOIN reader r ON r.id = s.reader_id
            ORDER BY r.email, m.id""",
        "rights": """SELECT r.email, e.scope, e.valid_from, e.valid_until, e.revoked FROM entitlement e
            JOIN reader r ON r.id = e.reader_id ORDER BY 1, 3""",
        "letters": "SELECT kind, count(*) FROM letter WHERE kind <> 'renewal_reminder' GROUP BY 1 ORDER BY 1",
    }
    found = {name: await world.rows(sql) for name, sql in queries.items()}
    found["orders"].sort()
    await world.assert_sound()
    taken = sum(
        one["amount_received"]
        for one in await Lives(world).charges_at_provider()
        if one["status"] == "succeeded"
    )
    booked = await world.value("SELECT sum(amount_vnd) FROM payment WHERE provider = 'stripe'")
    assert taken == booked, "what was taken is in the books"
    return found


@pytest.mark.timeout(600)
async def test_any_order_delay_duplicate_and_loss_ends_the_same(
    postgres_server: PostgresServer, create_database: Any, billing_url: str, tmp_path: Path
):
    source = billing_url.rsplit("/", 1)[1]

    async def ends(name: str, chaos: Chaos) -> dict[str, Any]:
        url = postgres_server.create_database(name, source)
        (tmp_path / name).mkdir()
        try:
            async with make_world(url, tmp_path / name, bank_webhook_secrets=SECRETS) as world:
                return await run(world, chaos)
        finally:
            postgres_server.drop_database(url)

    calm = await ends("calm_order", Chaos(None))
    states = {row[0].split("@")[0]: row[1] for row in calm["subscriptions"]}
    assert states == {
        "by-transfer": "expired",
        "cancels-and-resumes": "active",
        "cancels-as-it-renews": "canceled",
        "cancels-in-grace": "canceled",
        "goes-down": "active",
        "goes-on": "active",
        "never-pays": "expired",
        "pauses": "active",
        "recovers": "active",
        "upgrades": "active",
    }
    for seed in range(1):
        found = await ends(f"order_{seed}", Chaos(seed))
        for name, expected in calm.items():
            assert found[name] == expected, f"seed {seed}: {name}"
