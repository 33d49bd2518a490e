"""The worker dies in the middle of an import: the next one goes on at the same row, and the bus's events go on too."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from infra.local.ports import free_port
from infra.nats.streams import apply
from shared.agencies import save_agencies
from shared.audit import Actor, acting
from shared.bus import OutboundMessage, connect
from shared.contracts import encode
from shared.contracts.envelope import new_event
from shared.contracts.metrics import RevenueRecorded
from shared.database import Database
from shared.database.migrations import migrate
from shared.metrics.imports import service
from shared.metrics.imports.service import BATCH_ROWS
from shared.metrics.worker import check_invariants
from tests.faults.harness import Part
from tests.fixtures.imports import many_months, sum_of, uploaded
from tests.fixtures.waiting import eventually

NOW = datetime(2026, 7, 10, 3, 0, tzinfo=UTC)
AGENCY = {"id": "alpha", "name": "Alpha", "time_zone": "Asia/Ho_Chi_Minh"}
EVENTS = 20


@pytest.fixture
async def database(create_database, template_database):
    template = template_database("metrics", lambda url: asyncio.run(migrate(url, "shared.metrics")))
    found = Database(create_database("imports", template), application_name="test", pool_size=2)
    with acting(Actor.command("test")):
        async with found.transaction() as session:
            await save_agencies(session, [AGENCY])
        yield found
    await found.close()


def worker(database, nats_url, folder):
    env = {
        "ENVIRONMENT": "local",
        "DATABASE_URL": database.url,
        "NATS_URL": nats_url,
        "PORT": str(free_port()),
        "IDENTITY_URL": "http://127.0.0.1:9",
    }
    return Part("metrics", ["shared.metrics", "worker"], env, folder)


async def publish(nats_url, first, count):
    bus = await connect(nats_url, "test")
    for number in range(first, first + count):
        data = RevenueRecorded(
            source_reference=f"ads:fact-{number}",
            segment="online",
            stream="advertising",
            payer="business",
            law_source="advertising",
            account="ads",
            currency="VND",
            amount=100,
            recognised_on=NOW.date(),
        )
        event = new_event(
            data, agency="alpha", subject=data.source_reference, now=NOW, publisher="ads"
        )
        message = OutboundMessage(event.bus_subject, encode(event), str(event.id))
        await bus.publish([message])
    await bus.close()


async def facts(database):
    async with database.read() as session:
        found = await session.execute(
            text("SELECT count(*) FROM revenue_entry WHERE account = 'ads'")
        )
        return found.scalar_one()


async def test_a_worker_killed_between_two_batches_is_followed_by_one_that_ends_it_exactly(
    database, nats_url, tmp_path
):
    await apply(nats_url)
    file = await uploaded(database, many_months(8 * BATCH_ROWS), now=NOW)
    await service.confirm_revenue(database, agency="alpha", file_id=file.id, by="anh", now=NOW)

    async def shown():
        return (await service.show(database, agency="alpha", file_id=file.id)).file

    part = worker(database, nats_url, tmp_path)
    for done in (2, 3):
        part.start(fault="import.between_batches")
        part.wait_killed()
        assert (await shown()).recorded_rows == done * BATCH_ROWS
    await publish(nats_url, 0, EVENTS)
    part.start()
    try:
        await eventually(lambda: _applied(shown), "the import ends by itself", seconds=60)
        await eventually(lambda: _all(database), "the agency's own events are recorded")
    finally:
        part.stop()
    assert await sum_of(database, file.id) == file.total_vnd
    assert not any((await check_invariants(database)).values())


async def _applied(shown):
    return (await shown()).applied_at


async def _all(database):
    return await facts(database) == EVENTS
