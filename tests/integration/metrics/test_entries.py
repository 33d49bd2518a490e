"""Entries: any order, any duplication, any batch gives the same sums; nothing is changed or lost."""

from __future__ import annotations

import asyncio
import random
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.bus import MemoryBus, OutboundMessage
from shared.contracts import encode
from shared.contracts.envelope import new_event
from shared.contracts.metrics import DeferredRecorded, MrrMoved, RevenueRecorded
from shared.inbox import ConsumerRunner, list_dead_letters
from shared.metrics.entries import service
from shared.metrics.entries.consumers import RECORDER
from shared.metrics.entries.rules import Entry
from shared.metrics.record import revenue_event
from shared.metrics.worker import check_invariants
from shared.money import Money
from tests.fixtures.roles import assert_never
from tests.integration.metrics.conftest import NOW

DAY = date(2026, 7, 10)


def entry(reference="ads:r1", **changes):
    return Entry(
        **{
            "agency": "alpha",
            "segment": "online",
            "stream": "advertising",
            "currency": "VND",
            "source_reference": reference,
            "payer": "business",
            "law_source": "advertising",
            "account": "ads",
            "amount": 100,
            "recognised_on": DAY,
        }
        | changes
    )


def events(seed):
    """Revenue, deferrals and movements of two agencies over some days."""
    rng = random.Random(seed)
    found = []
    for number in range(40):
        agency, day = rng.choice(["alpha", "beta"]), DAY - timedelta(days=rng.randrange(40))
        amount, reference = rng.randrange(-500, 5_000), f"fact-{number}"
        kind = rng.randrange(3)
        publisher = "billing" if kind else "ads"
        reference = f"{publisher}:{reference}"
        common = {
            "source_reference": reference,
            "segment": "online",
            "currency": "VND",
            "amount": amount,
        }
        if kind == 0:
            data = RevenueRecorded(
                **common,
                stream="advertising",
                payer="business",
                law_source="advertising",
                account="ads",
                recognised_on=day,
            )
        elif kind == 1:
            data = DeferredRecorded(**common, stream="subscription", occurred_on=day)
        else:
            data = MrrMoved(**common, stream="subscription", movement="new", occurred_on=day)
        found.append(
            new_event(data, agency=agency, subject=reference, now=NOW, publisher=publisher)
        )
    return found


async def bus_with(messages):
    bus = MemoryBus()
    bus.add_stream(RECORDER.stream, ["metrics.>"])
    bus.add_consumer(RECORDER.stream, RECORDER.name, ["metrics.*.*.v1.>"])
    for number, event in enumerate(messages):
        await bus.publish([OutboundMessage(event.bus_subject, encode(event), f"m{number}", {})])
    return bus


async def drain(database, bus, batch=500):
    runner = ConsumerRunner(database, bus, RECORDER, batch=batch)
    subscription = await bus.bind(RECORDER.stream, RECORDER.name)
    while await runner.run_once(subscription):
        pass


async def sums(database):
    async with database.read() as session:
        found = []
        for table in ("revenue_daily", "revenue_yearly", "deferred_total", "mrr_daily"):
            rows = await session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4, 5"))
            found.append(sorted(tuple(row) for row in rows))
        return found


async def test_the_same_facts_told_to_two_workers_in_other_orders_are_recorded_once(database):
    facts = [entry(f"ads:r{number}") for number in range(2_000)]

    async def record(told):
        async with database.transaction() as session:
            return await service.record_entries(session, told)

    assert sorted(await asyncio.gather(record(facts), record(facts[::-1]))) == [0, 2_000]


@pytest.mark.parametrize("seed", range(4))
async def test_duplicates_and_any_order_and_any_batch_give_the_sums_of_the_facts(
    create_database, template_database, seed
):
    from shared.agencies import save_agencies
    from shared.database import Database
    from tests.integration.metrics.conftest import AGENCIES, migrate_metrics

    facts, found, rng = events(seed), [], random.Random(seed)
    for shuffled in (False, True):
        url = create_database("metrics", template_database("metrics", migrate_metrics))
        database = Database(url, application_name="test")
        try:
            async with database.transaction() as session:
                await save_agencies(session, AGENCIES)
            told = list(facts)
            if shuffled:
                told += rng.choices(facts, k=25)
                rng.shuffle(told)
            await drain(database, await bus_with(told), batch=rng.choice([1, 7, 500]))
            found.append(await sums(database))
            assert await list_dead_letters(database) == []
            assert not any((await check_invariants(database)).values())
        finally:
            await database.close()
    assert found[0] == found[1]
    assert sum(row[5] for row in found[0][0]) == sum(
        event.data.amount for event in facts if isinstance(event.data, RevenueRecorded)
    )


async def test_the_same_fact_with_another_amount_becomes_a_dead_letter_and_the_rest_is_recorded(
    database,
):
    def told(amount, reference="ads:r1"):
        return revenue_event(
            agency="alpha",
            source_reference=reference,
            segment="online",
            stream="advertising",
            payer="business",
            law_source="advertising",
            account="ads",
            amount=Money(amount),
            recognised_on=DAY,
            now=NOW,
        )

    await drain(database, await bus_with([told(5), told(6), told(7, "ads:r2")]))
    letters = await list_dead_letters(database)
    assert [letter.reason for letter in letters] == ["permanent"]
    assert "'ads:r1'" in letters[0].error
    async with database.read() as session:
        rows = await session.execute(
            text("SELECT source_reference, amount FROM revenue_entry ORDER BY 1")
        )
        assert [tuple(row) for row in rows] == [("ads:r1", 5), ("ads:r2", 7)]


@pytest.mark.parametrize("table", ["revenue_entry", "deferred_entry", "mrr_movement"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET amount = 0", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_database_refuses_to_change_or_remove_entries(database, table, statement):
    await assert_never(database.url, statement.format(table))


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": "web"},
        {"stream": "ads"},
        {"payer": "nobody"},
        {"law_source": "tax"},
        {"law_source": "governing_body_funding"},
        {"currency": "vnd"},
        {"amount": 10**15 + 1},
        {"source_reference": ""},
    ],
)
async def test_the_database_refuses_what_no_entry_can_be(database, changes):
    from shared.metrics.entries import repository

    with pytest.raises(DBAPIError, match="violates check constraint"):
        async with database.transaction() as session:
            await repository.append(session, repository.REVENUE, [entry(**changes)])


async def test_a_sum_that_was_tampered_with_is_noticed(database):
    async with database.transaction() as session:
        await service.record_entries(session, [entry()])
    assert not any((await check_invariants(database)).values())
    async with database.transaction() as session:
        await session.execute(text("UPDATE revenue_daily SET amount = amount + 1"))
    assert (await check_invariants(database))["sums_revenue_daily"] == 1
