"""Many renewals at once leave what one by one leaves."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.billing.batches.service import Batches
from services.billing.charges.apply import apply
from services.billing.composition import Billing, build
from services.billing.ledger.rules import payment_lines
from services.billing.ledger.service import Posting, post
from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer
from services.billing.payments.adapters.port import Failed
from services.billing.payments.adapters.stripe_shapes import API_VERSION
from services.billing.process import BILLING
from services.billing.renewals.service import Renewals
from services.billing.webhooks.repository import Incoming
from shared.audit import Actor, acting
from shared.clock import MovableClock
from tests.fixtures.servers import PostgresServer
from tests.fixtures.waiting import eventually
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.paying import person
from tests.integration.billing.renewing import Due, arrive, due, subscribe, told
from tests.integration.billing.rows import ids, rows
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World
from tests.integration.billing.world import settings as make_settings

DAY = timedelta(days=1)


class Twin(Protocol):
    async def __call__(self, of: Billing | None = None) -> Billing: ...


async def one_by_one(billing: Billing) -> int:
    done = 0
    while await billing.applier.apply_one():
        done += 1
    return done


async def value(billing: Billing, sql: str) -> object:
    async with billing.database.read() as session:
        return await session.scalar(text(sql))


@asynccontextmanager
async def twins(world: World, server: PostgresServer, folder: Path) -> AsyncIterator[Twin]:
    """Copies of the world as it stands; the world itself is not to be used any more."""
    config = world.billing.settings
    await world.billing.database.close()
    source = config.database_url.rsplit("/", 1)[1]
    made: list[tuple[Billing, str]] = []

    async def twin(of: Billing | None = None) -> Billing:
        known = of.database.url.rsplit("/", 1)[1] if of else source
        url = server.create_database(f"twin_{uuid4().hex[:6]}", known)
        clock = MovableClock(world.clock.now())
        process = BILLING.process("test", make_settings(url, folder / "keys.pem"), clock=clock)
        billing = build(process, provider=world.billing.provider)
        made.append((billing, url))
        return billing

    try:
        yield twin
    finally:
        for billing, url in made:
            await billing.database.close()
            server.drop_database(url)


async def readers(world: World, taxed: bool = False) -> None:
    """Subscriptions of all periods and both agencies, bought on the same day; their first periods end one after the other."""
    billing = world.billing
    if taxed:
        async with billing.database.transaction() as session:
            await session.execute(
                text("UPDATE vat_rate SET treatment = 'rate', rate_basis_points = 800")
            )
    for period in ("week", "month"):  # of two periods: the second is at the offer, the third is not
        sold = [one for one in await billing.plans.offers(AGENCY) if one.period == period]
        with acting(Actor.system("test")):
            await billing.offers.make(
                AGENCY, NewOffer(sold[0].price_id, Kind.INTRO, sold[0].amount_vnd // 2, 2)
            )
    for number in range(4):
        await subscribe(billing, f"week-{number}@example.vn", "week", AGENCY)
        await subscribe(billing, f"month-{number}@example.vn", "month", AGENCY, "en")
        await subscribe(billing, f"song-{number}@example.vn", "month", OTHER_AGENCY)
    await billing.recognition.run_due()


@pytest.mark.parametrize("taxed", [False, True], ids=["exempt", "taxed"])
@pytest.mark.parametrize(
    ("after", "late"),
    [(timedelta(days=30, minutes=1), timedelta()), (30 * DAY, 2 * DAY), (29 * DAY, timedelta())],
    ids=["on the day", "two days late", "weeks have lapsed"],
)
async def test_a_batch_writes_row_by_row_what_one_by_one_writes(
    world: World, postgres_server: PostgresServer, tmp_path: Path, after, late, taxed
):
    await readers(world, taxed)
    if after > 29 * DAY:
        world.clock.advance(7 * DAY)
        await Renewals(world.billing.database, world.clock).run_due()
        events = [told(world.billing, one) for one in await due(world.billing)]
        await arrive(world.billing, events)
        await one_by_one(world.billing)
        world.clock.advance(after - 7 * DAY)
    else:
        world.clock.advance(after - 23 * DAY + 2 * DAY)
    await world.billing.renewals.run_due()
    world.clock.advance(late)
    events = [told(world.billing, one) for one in await due(world.billing)]
    assert len(events) >= 4
    await arrive(world.billing, events)
    before = await ids(world.billing)
    async with twins(world, postgres_server, tmp_path) as twin:
        slow, fast = await twin(), await twin()
        assert await one_by_one(slow) == len(events)
        applied, left = await fast.applier._batch()
        assert (applied, left) == (len(events), [])
        expected, found = await rows(slow, before), await rows(fast, before)
        assert found.keys() == expected.keys()
        for table in expected:
            assert found[table] == expected[table], table
        assert await broken(slow) == await broken(fast) == {}


async def test_a_readers_own_act_waits_for_the_batch_that_is_about_them(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """What a reader starts is decided on what a batch has left, not on what it found."""
    billing = world.billing
    for name in ("lan", "the"):
        await subscribe(billing, f"{name}@example.vn", "week", AGENCY)
    world.clock.advance(7 * DAY)
    await billing.renewals.run_due()
    await arrive(billing, [told(billing, one) for one in await due(billing)])
    written, go_on = asyncio.Event(), asyncio.Event()

    async def point(name: str) -> None:
        if name == "payment.before_commit":
            written.set()
            await go_on.wait()

    monkeypatch.setattr("services.billing.batches.service.fault_point", point)
    batch = asyncio.create_task(billing.applier._batch())
    await written.wait()
    lan, offers = await person(world, "lan@example.vn"), await billing.plans.offers(AGENCY)
    week = next(one.price_id for one in offers if one.period == "week")
    act = asyncio.create_task(billing.orders.start(lan, week, "", "vi", gift=True))
    waiting = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    await eventually(lambda: act.done() or value(billing, waiting))
    assert not act.done()
    go_on.set()
    assert (await batch) == (2, [])
    assert (await act).state == "open"
    await world.assert_sound()


#: What may be told of a reader's charge, and how it differs from the plain word.
KINDS = (
    "plain",
    "plain",
    "plain",
    "twice",
    "paid twice",
    "other amount, then plain",
    "dollars",
    "other amount",
    "nobody's charge",
    "by a page",
    "another version",
    "no JSON",
    "known",
    "failed before",
    "canceled",
    "paused",
    "other price",
    "owed to somebody else",
    "posted before",
)


async def change(billing: Billing, one: Due, kind: str) -> None:
    """What was so of a reader's subscription before the word came."""
    statements = {
        "canceled": "UPDATE subscription SET cancel_at_period_end = true",
        "paused": "UPDATE subscription SET paused_until = period_end + interval '9 days'",
        "other price": "UPDATE subscription SET next_price_id = price_id, next_seats = seats",
    }
    async with billing.database.transaction() as session:
        row = (
            await session.execute(
                text(
                    """SELECT o.id, o.code, o.agency, o.subscription_id FROM charge c JOIN sales_order o ON o.id = c.order_id
                       WHERE c.id = :id"""
                ),
                {"id": one.charge},
            )
        ).one()
        if kind in statements:
            await session.execute(text(f"{statements[kind]} WHERE id = :id"), {"id": row[3]})
        if kind == "failed before":
            failed = Failed(one.charge, "", "insufficient_funds")
            assert await apply(session, "stripe", failed, billing.clock.now())
        if kind == "owed to somebody else":
            await session.execute(
                text("UPDATE sales_order SET state = 'closed' WHERE id = :id"), {"id": row[0]}
            )
        if kind == "posted before":
            lines = payment_lines("subscription", one.amount_vnd, 0)
            at = billing.clock.now()
            posting = Posting(
                row[2], f"order:{row[1]}:paid", "payment", row[0], at.date(), at, lines
            )
            assert await post(session, posting, at)
    if kind == "known":
        await arrive(billing, [told(billing, one, one.charge.hex)])
        await one_by_one(billing)


def words(billing: Billing, one: Due, kind: str) -> list[Incoming]:
    """What is told of a reader's charge."""
    number = one.charge.hex
    plain = told(billing, one, number)
    changes: dict[str, dict[str, Any]] = {
        "dollars": {"currency": "usd"},
        "other amount": {"amount_received": one.amount_vnd - 1},
        "nobody's charge": {"metadata": {"charge": str(UUID(int=7)), "kind": "mandate"}},
        "by a page": {"metadata": {"charge": str(one.charge)}},
    }
    others = {
        "twice": [plain, replace(plain, id=f"{plain.id}_again")],
        "known": [replace(plain, id=f"{plain.id}_again")],
        "paid twice": [plain, told(billing, one, f"{number}_other")],
        "other amount, then plain": [told(billing, one, f"{number}_0", amount_received=7), plain],
        "another version": [
            replace(plain, payload=plain.payload.replace(API_VERSION.encode(), b"2020-08-27"))
        ],
        "no JSON": [replace(plain, payload=b"{")],
    }
    return others.get(kind) or [told(billing, one, number, **changes.get(kind, {}))]


def unnumbered(picture: dict[str, list[str]]) -> dict[str, list[str]]:
    """Without what depends on who came first (the numbers of invoices, the order of events) and Stripe's own numbers of requests."""
    number = re.compile(r'"(number|document)": ("[^"]*"|\d+)')
    asked = re.compile(r"req_[0-9a-f]+")
    return {
        table: sorted(asked.sub("req_", number.sub(r'"\1": "n"', line)) for line in lines)
        for table, lines in picture.items()
    }


class CrashError(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Story:
    """What happens to each reader, in which order the words come, how many are taken up at once, by how many appliers, and where the
    first batch crashes."""

    kinds: list[str]
    order: int
    most: int
    appliers: int
    crash: str


async def live(billing: Billing, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply all there is in batches."""
    crashes = [story.crash] if story.crash else []

    async def point(name: str) -> None:
        if name in crashes:
            crashes.remove(name)
            raise CrashError(name)

    batches = Batches(billing.database, billing.clock, "stripe", billing.provider)
    with monkeypatch.context() as patch:
        patch.setattr("services.billing.batches.service.fault_point", point)
        patch.setattr(billing.applier, "_batch", lambda: batches.apply(story.most))
        for _ in range(2):
            ended = await asyncio.gather(
                *(billing.applier.apply_due() for _ in range(story.appliers)),
                return_exceptions=True,
            )
            assert all(isinstance(one, int | CrashError) for one in ended), ended
    assert await billing.applier.apply_due() == 0


@pytest.mark.timeout(300)
async def test_a_batch_of_anything_ends_as_one_by_one(
    world: World, postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await readers(world)
    world.clock.advance(30 * DAY + timedelta(minutes=1))
    await world.billing.renewals.run_due()
    loop = asyncio.get_running_loop()
    async with twins(world, postgres_server, tmp_path) as twin:

        async def play(story: Story) -> None:
            first = await twin()
            charges = await due(first)
            events = []
            for one, kind in zip(charges, story.kinds, strict=False):
                await change(first, one, kind)
                events += [(one.charge, word) for word in words(first, one, kind)]
            by_reader = random.Random(story.order)
            turns = {charge: by_reader.random() for charge, _ in events}
            at = first.clock.now()
            told_ = [
                replace(word, created_at=at + timedelta(seconds=n))
                for n, (_, word) in enumerate(sorted(events, key=lambda one: turns[one[0]]))
            ]
            await arrive(first, told_)
            before = await ids(first)
            await first.database.close()
            slow, fast = await twin(first), await twin(first)
            await one_by_one(slow)
            await live(fast, story, monkeypatch)
            expected, found = (
                unnumbered(await rows(slow, before)),
                unnumbered(await rows(fast, before)),
            )
            for table in expected:
                assert found[table] == expected[table], table
            assert await broken(fast) == await broken(slow)

        @settings(
            max_examples=6,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        )
        @given(
            st.builds(
                Story,
                kinds=st.lists(st.sampled_from(KINDS), min_size=12, max_size=12),
                order=st.integers(0, 99),
                most=st.sampled_from([2, 5, 200]),
                appliers=st.integers(1, 3),
                crash=st.sampled_from(
                    ["", "inbox.claimed", "payment.before_commit", "payment.after_commit"]
                ),
            )
        )
        @example(Story([*dict.fromkeys(KINDS)][:12], 1, 200, 1, ""))
        @example(Story([*dict.fromkeys(KINDS)][5:], 2, 200, 2, "payment.before_commit"))
        @example(Story(["plain"] * 5 + ["posted before"] + ["plain"] * 6, 3, 200, 1, ""))
        def check(story: Story) -> None:
            asyncio.run_coroutine_threadsafe(play(story), loop).result(120)

        await asyncio.to_thread(check)


async def test_of_two_payments_of_a_charge_the_first_one_counts_also_where_a_batch_is_split(
    world: World,
):
    """The first one stands beside what makes the batch fail, and is left; the second one is not taken before it."""
    billing = world.billing
    for name in ("a", "b", "c"):
        await subscribe(billing, f"{name}@example.vn", "week", AGENCY)
    world.clock.advance(7 * DAY)
    await billing.renewals.run_due()
    one, broken_one, other = await due(billing)
    await change(billing, broken_one, "posted before")
    words_ = [
        told(billing, one, "first"),
        told(billing, broken_one, "broken"),
        told(billing, one, "second"),
        told(billing, other, "other"),
    ]
    at = billing.clock.now()
    await arrive(
        billing, [replace(w, created_at=at + timedelta(seconds=n)) for n, w in enumerate(words_)]
    )
    await billing.applier.apply_due()
    own = "SELECT reference FROM charge WHERE id = :charge"
    assert "first" in await world.value(own, charge=one.charge)
    surplus = "SELECT reference FROM payment WHERE surplus_of IS NOT NULL"
    assert "second" in await world.value(surplus)
