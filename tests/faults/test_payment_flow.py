"""The payment flow, broken between every two of its steps: nothing is lost, nothing is doubled.

The real services run as `make run` runs them. At each fault point a reader pays; the process that stands at the point is
killed there, or stands still while nats-server is killed and comes back. Afterwards the books, the paywall's entitlements and
the metrics layer's entries must say the same again. So they must when the bus has lost its whole store, again and again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest

from infra.local.assets import ensure_assets
from infra.local.ports import free_block
from infra.local.processes import PORTS_USED, PROCESSES
from infra.local.stack import LocalStack
from infra.local.streams import ensure_streams
from shared.faults import PAYMENT_FLOW
from tests.faults.harness import wait_for
from tests.faults.readers import AGENCY, PRICE, PayingReader

NEEDED = (
    "identity-web", "stripe-sandbox", "billing-web", "billing-worker", "paywall-worker", "metrics-worker",
)  # fmt: skip
SETTLE_SECONDS = 40.0
#: Who stands at a point; the consumers' points are passed by two services.
HOSTS = {"webhook": ("billing-web",), "inbox": ("billing-worker",), "payment": ("billing-worker",),
         "relay": ("billing-worker",), "consumer": ("paywall-worker", "metrics-worker")}  # fmt: skip
CASES = [(point, host) for point in PAYMENT_FLOW for host in HOSTS[point.split(".")[0]]]


@dataclass(frozen=True, slots=True)
class Books:
    """What every store says about the payments so far."""

    payments: int
    invoices: int
    last_invoice: int
    ledger_imbalance: int
    recognised: int
    deferred: int
    entitlements: int
    revenue: int
    revenue_entries: int
    recognitions: int
    deferred_in_metrics: int
    mrr: int
    unfinished: int

    def problem(self, payments: int) -> str:
        """Empty when everything agrees on ``payments`` payments."""
        wanted = {
            "payments": (self.payments, payments),
            "invoices": (self.invoices, payments),
            "the last invoice's number": (self.last_invoice, payments),
            "ledger imbalance": (self.ledger_imbalance, 0),
            "recognised + deferred": (self.recognised + self.deferred, payments * PRICE),
            "entitlements": (self.entitlements, payments),
            "revenue in the metrics layer": (self.revenue, self.recognised),
            "revenue entries": (self.revenue_entries, self.recognitions),
            "deferred in the metrics layer": (self.deferred_in_metrics, self.deferred),
            "MRR": (self.mrr, payments * PRICE),
            "unfinished work": (self.unfinished, 0),
        }
        return "; ".join(
            f"{name}: {found} instead of {right}"
            for name, (found, right) in wanted.items()
            if found != right
        )


BILLING = f"""SELECT
    (SELECT count(*) FROM payment) AS payments,
    (SELECT count(*) FROM invoice) AS invoices,
    (SELECT coalesce(sum(last_number), 0) FROM invoice_series) AS last_invoice,
    (SELECT coalesce(sum(abs(s)), 0) FROM (SELECT sum(amount_vnd) AS s FROM journal_line
                                           GROUP BY entry_id) AS e) AS ledger_imbalance,
    (SELECT coalesce(-sum(amount_vnd), 0) FROM journal_line
     WHERE agency = '{AGENCY}' AND account = 'revenue_subscription') AS recognised,
    (SELECT coalesce(-sum(amount_vnd), 0) FROM journal_line
     WHERE agency = '{AGENCY}' AND account = 'deferred_subscription') AS deferred,
    (SELECT count(*) FROM journal_entry WHERE kind = 'recognition') AS recognitions,
    (SELECT count(*) FROM outbox WHERE published_at IS NULL)
      + (SELECT count(*) FROM webhook_event WHERE state <> 'handled')
      + (SELECT count(*) FROM dead_letter) AS unfinished"""
METRICS = f"""SELECT
    (SELECT coalesce(sum(amount), 0) FROM revenue_entry
     WHERE agency = '{AGENCY}' AND stream = 'subscription') AS revenue,
    (SELECT count(*) FROM revenue_entry
     WHERE agency = '{AGENCY}' AND stream = 'subscription') AS revenue_entries,
    (SELECT coalesce(sum(amount), 0) FROM deferred_entry WHERE agency = '{AGENCY}') AS deferred_in_metrics,
    (SELECT coalesce(sum(amount), 0) FROM mrr_movement WHERE agency = '{AGENCY}') AS mrr,
    (SELECT count(*) FROM dead_letter) AS unfinished"""
PAYWALL = f"""SELECT
    (SELECT count(*) FROM entitlement
     WHERE agency = '{AGENCY}' AND NOT revoked AND valid_until > now()) AS entitlements,
    (SELECT count(*) FROM dead_letter) AS unfinished"""


async def _read(stack: LocalStack) -> Books:
    found: dict[str, Any] = {}
    for database, query in (("billing", BILLING), ("metrics", METRICS), ("paywall", PAYWALL)):
        connection = await asyncpg.connect(stack.database_url(database))
        try:
            for key, value in (await connection.fetchrow(query)).items():
                found[key] = int(value) + (found.get(key, 0) if key == "unfinished" else 0)
        finally:
            await connection.close()
    return Books(**found)


class Scene:
    """The running stack and how many have paid."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.payments = 0
        self.kills = 0
        self.problem = ""

    def faults_of(self, host: str) -> Path:
        """The folder through which a process is armed."""
        return self.folder / f"faults-{host}"

    def arm(self, host: str, point: str, action: str) -> Path:
        """The next pass of the point in this process sets the fault off. Returns the latch."""
        latch = self.faults_of(host) / point
        for old in ("fired", "reached", "release"):
            Path(f"{latch}.{old}").unlink(missing_ok=True)
        draft = Path(f"{latch}.draft")
        draft.write_text(action, encoding="ascii")
        draft.replace(f"{latch}.armed")
        return latch

    def disarm(self, host: str, point: str) -> None:
        Path(f"{self.faults_of(host) / point}.armed").unlink()

    def new_reader(self) -> PayingReader:
        self.payments += 1
        reader = PayingReader(self.stack, self.payments)
        reader.choose()
        return reader

    def billing(self, query: str) -> int:
        """A number from billing's database."""

        async def read() -> int:
            connection = await asyncpg.connect(self.stack.database_url("billing"))
            try:
                return int(await connection.fetchval(query))
            finally:
                await connection.close()

        return asyncio.run(read())

    def wait_paid(self) -> None:
        """Billing's worker has taken every payment in; nothing is said of the others."""
        wait_for(
            lambda: self.billing("SELECT count(*) FROM payment") == self.payments,
            f"{self.payments} payments in the books",
        )

    def lose_store(self) -> list[str]:
        """The bus dies and its disk is empty afterwards. Returns what was made again, as `make run` does it."""
        self.stack.kill("nats")
        shutil.rmtree(self.stack.data_dir / "nats")
        self.stack.restart("nats")
        return ensure_streams(self.stack)

    def wait_settled(self) -> None:
        """All stores agree, within a deadline."""

        def settled() -> bool:
            self.problem = asyncio.run(_read(self.stack)).problem(self.payments)
            return not self.problem

        try:
            wait_for(settled, "the books agree", seconds=SETTLE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{self.problem}\n{error}") from None


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    ensure_assets()
    folder = tmp_path_factory.mktemp("payment-flow")
    stack = LocalStack(
        folder / "local",
        free_block(PORTS_USED),
        durable=False,
        processes=[
            replace(spec, env={"FAULT_FOLDER": str(folder / f"faults-{spec.name}")})
            for spec in PROCESSES
            if spec.name in NEEDED
        ],
    )
    told = Scene(stack, folder)
    for host in sorted({host for _, host in CASES}):
        told.faults_of(host).mkdir()
    with stack:
        told.new_reader().pay()
        told.wait_settled()
        yield told
        print(
            f"\npayments made {told.payments}, kills survived {told.kills}, lost 0, doubled 0",
            flush=True,
        )


def _exists(path: Path) -> bool:
    return path.exists()


@pytest.mark.parametrize(("point", "host"), CASES)
@pytest.mark.parametrize("action", ["kill", "pause"])
@pytest.mark.timeout(150)
def test_a_payment_survives(
    scene: Scene, point: str, host: str, action: Literal["kill", "pause"]
) -> None:
    stack = scene.stack
    reader = scene.new_reader()
    latch = scene.arm(host, point, action)
    reader.pay()
    scene.kills += 1
    if action == "kill":
        wait_for(lambda: not stack.alive(host), f"{host} dies at {point}")
        assert _exists(Path(f"{latch}.fired")), f"{host} died elsewhere"
        scene.disarm(host, point)
        stack.restart(host)
    else:
        wait_for(lambda: _exists(Path(f"{latch}.reached")), f"{host} stands at {point}")
        scene.disarm(host, point)
        stack.kill("nats")
        stack.restart("nats")
        os.close(os.open(f"{latch}.release", os.O_CREAT))
    scene.wait_settled()
    assert all(stack.alive(name) for name in NEEDED), stack.dead()


UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
READERS = ("paywall-worker", "metrics-worker")


@pytest.mark.timeout(150)
def test_a_store_lost_again_and_again_loses_and_doubles_no_payment(scene: Scene) -> None:
    """Lost with events that nobody has taken in, with events on their way, and with events still in the outbox."""
    stack, needed = scene.stack, []

    def converge(since: float) -> None:
        scene.wait_settled()
        needed.append(time.monotonic() - since)

    for name in READERS:
        stack.kill(name)
    for reader in [scene.new_reader() for _ in range(2)]:
        reader.pay()
    scene.wait_paid()
    wait_for(lambda: scene.billing(UNPUBLISHED) == 0, "the bus has confirmed every event")
    lost_at = time.monotonic()
    assert "BILLING" in scene.lose_store(), "only the outbox knows of them now"
    for name in READERS:
        stack.restart(name)
    converge(lost_at)

    for reader in [scene.new_reader() for _ in range(2)]:
        reader.pay()
    lost_at = time.monotonic()
    scene.lose_store()
    converge(lost_at)

    late = scene.new_reader()
    stack.kill("nats")
    late.pay()
    scene.wait_paid()
    assert scene.billing(UNPUBLISHED) > 0
    lost_at = time.monotonic()
    scene.lose_store()
    converge(lost_at)

    scene.kills += 3
    assert all(stack.alive(name) for name in NEEDED), stack.dead()
    print(
        f"\nstores lost 3, payments in flight 5, lost 0, doubled 0, converged after "
        f"{', '.join(f'{seconds:.1f}' for seconds in needed)} s",
        flush=True,
    )
