"""A real outage makes the expression of its alert true, in a real Prometheus that scrapes our process; its end makes it false.

What `for:` adds is promtool's to prove (infra/prometheus/tests): here it is whether anything can be seen at all in the outage.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from infra.local.nats import Nats
from infra.local.ports import LOOPBACK, free_port
from infra.nats.streams import apply
from shared.database.migrations import migrate
from tests.faults.harness import Part
from tests.fixtures.production import random_looking
from tests.fixtures.prometheus import alert_expression, query, running_prometheus, until_sampled
from tests.fixtures.waiting import eventually, sync_eventually

#: Longer than a readiness check may take that waits for a bus which does not answer (shared.health).
SCRAPE_SECONDS = 4
SECONDS = 60.0
OLD_EVENT = """INSERT INTO outbox (event_id, subject, payload, headers, created_at)
    VALUES (gen_random_uuid(), 'billing.entitlement.granted.v1.bao-hung-yen', '{}', '{}', now() - interval '2 minutes')"""


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """It is there and does nothing, as on a machine whose disk hangs."""
    process.send_signal(signal.SIGSTOP)
    # The kernel stops thread by thread: until the last stands, the process may still answer.
    tasks = Path(f"/proc/{process.pid}/task")
    sync_eventually(
        lambda: all("State:\tT" in (task / "status").read_text() for task in tasks.iterdir()),
        "every thread stands",
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.fixture
def worker_port() -> int:
    return free_port()


@pytest.fixture
async def worker(
    create_database: Callable[..., str],
    template_database: Callable[..., str],
    nats_url: str,
    worker_port: int,
    tmp_path: Path,
):
    """Billing's worker, with its database's address."""
    template = template_database(
        "billing", lambda url: asyncio.run(migrate(url, "services.billing"))
    )
    url = create_database("alerts", template)
    await apply(nats_url)
    environment = {
        "ENVIRONMENT": "local",
        "DATABASE_URL": url,
        "NATS_URL": nats_url,
        "PORT": str(worker_port),
        "SCRAPE_TOKEN": random_looking("scrape"),
        "FORM_TOKEN_SECRET": random_looking("form"),
    }
    part = Part("billing-worker", ["services.billing", "worker"], environment, tmp_path)
    part.start()
    yield part, url
    part.kill()


async def add_old_event(url: str) -> None:
    """What an outage of two minutes leaves behind."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(OLD_EVENT)
    finally:
        await connection.close()


async def until_it_is(http: httpx.AsyncClient, alert: str, firing: bool) -> None:
    async def as_wanted() -> bool:
        return bool(await query(http, alert_expression(alert))) is firing

    state = "true" if firing else "false"
    await eventually(as_wanted, f"the expression of {alert} is {state}", seconds=SECONDS)


@pytest.mark.timeout(240)
async def test_an_outage_is_seen_while_it_lasts_and_no_longer(
    worker: tuple[Part, str], worker_port: int, nats_server: Nats, tmp_path: Path
):
    part, url = worker
    targets = {"press-workers": [f"{LOOPBACK}:{worker_port}"]}
    async with running_prometheus(
        tmp_path, targets, random_looking("scrape"), interval_seconds=SCRAPE_SECONDS
    ) as http:
        await until_sampled(http, 'press_outbox_age_seconds{service="billing"} == 0')
        quiet = ("OutboxOld", "ProcessDown", "DependencyDown", "StreamMissing", "LoopFailing")
        for alert in quiet:
            await until_it_is(http, alert, firing=False)

        assert nats_server.pid is not None
        with frozen(psutil.Process(nats_server.pid)):
            await add_old_event(url)
            await until_it_is(http, "OutboxOld", firing=True)
            await until_it_is(http, "DependencyDown", firing=True)
            await until_it_is(http, "ProcessDown", firing=False)  # the worker itself is well
        for alert in ("OutboxOld", "DependencyDown"):
            await until_it_is(http, alert, firing=False)

        part.kill()
        await until_it_is(http, "ProcessDown", firing=True)
        part.start()
        for alert in quiet:
            await until_it_is(http, alert, firing=False)
