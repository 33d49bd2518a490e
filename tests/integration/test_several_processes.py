"""``PROCESSES=2``: every service logs without secrets, counts as one, brings back who dies, keeps its limits, and ends in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from infra.local.child import Child
from infra.local.child import Running as Started
from infra.local.forks import ForkedChild, ForkParent, can_fork
from infra.local.ports import answers, free_port
from infra.local.postgres import PostgresError
from infra.local.processes import PACKAGES
from shared.database.migrations import migrate
from tests.fixtures.servers import REPOSITORY, PostgresServer
from tests.fixtures.standin import identity_standin
from tests.fixtures.waiting import sync_eventually

AGENCY = "bao-hung-yen"
SCRAPE_TOKEN = "scrape-token-that-nobody-reads"
SESSION = "staff-session-that-nobody-reads"
METER = "meter-cookie-that-nobody-reads"
PASSWORD = "mat-khau-that-nobody-reads"
KEY = "prk_demosite_that-nobody-reads-0123456789"
DATABASE_PASSWORD = "database-password-that-nobody-reads"
FORM_SECRET = "form-secret-that-nobody-reads"
COOKIE_SECRET = "cookie-secret-that-nobody-reads-0123456789"
SECRETS = (
    SCRAPE_TOKEN,
    SESSION,
    METER,
    PASSWORD,
    KEY,
    DATABASE_PASSWORD,
    FORM_SECRET,
    COOKIE_SECRET,
    "sk_test_nobodyreads",
    "whsec_nobodyreads",
)


@dataclass
class Running:
    """A service's web processes."""

    child: Started
    url: str
    database: str

    @property
    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.child.pid).children()
        return [child for child in children if not has_ended(child)]

    def scrape(self) -> str:
        """Each on a connection of its own: any of the processes may answer."""
        answer = httpx.get(
            f"{self.url}/metrics", headers={"Authorization": f"Bearer {SCRAPE_TOKEN}"}
        )
        assert answer.status_code == 200, answer.text
        return answer.text


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Iterator[ForkParent | None]:
    """All services imported once, as in `make run`: what one of them tells must not have what another declares."""
    inherited = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    one = ForkParent(
        list(PACKAGES.values()), log=tmp_path_factory.mktemp("forks") / "parent.log", env=inherited
    )
    yield one if can_fork() else None
    one.stop()


@contextmanager
def running(
    postgres_server: PostgresServer,
    parent: ForkParent | None,
    folder: Path,
    package: str,
    identity_url: str = "",
    **settings: str,
) -> Iterator[Running]:
    name = package.rpartition(".")[2]
    template = postgres_server.template_database(
        name, lambda url: asyncio.run(migrate(url, package))
    )
    database = postgres_server.create_database(f"two_{name}", template)
    port = free_port()
    env = {
        **{key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ},
        "ENVIRONMENT": "local",
        "PROCESSES": "2",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATABASE_URL": re.sub(r"//(\w+)(:[^@]*)?@", rf"//\1:{DATABASE_PASSWORD}@", database),
        "IDENTITY_URL": identity_url or "http://127.0.0.1:9",
        "IDENTITY_INTERNAL_KEY": "internal-key-that-nobody-reads",
        "SCRAPE_TOKEN": SCRAPE_TOKEN,
        "FORM_TOKEN_SECRET": FORM_SECRET,
        "COOKIE_SECRET": COOKIE_SECRET,
        "STRIPE_SECRET_KEY": "sk_test_nobodyreads",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
        "STRIPE_WEBHOOK_SECRET": "whsec_nobodyreads",
        "SIGNING_KEYS_FILE": str(folder / "keys.pem"),
        "ARGON2_MEMORY_KIB": "64",
        "ARGON2_TIME_COST": "1",
        **settings,
    }
    log = folder / f"{name}.log"
    child: Started
    if parent is not None:
        child = ForkedChild(name, parent, [package, "web"], log=log, env=env)
    else:
        command = [sys.executable, "-m", package, "web"]
        child = Child(name, command, log=log, cwd=REPOSITORY, env=env)
    child.start()
    try:
        child.wait_until(lambda: answers(port, "/readyz"), 60)
        yield Running(child, f"http://127.0.0.1:{port}", database)
    finally:
        child.stop(30)
        postgres_server.drop_database(database)


@pytest.fixture(scope="module")
def billing(postgres_server, parent, tmp_path_factory) -> Iterator[Running]:
    with running(
        postgres_server, parent, tmp_path_factory.mktemp("two"), "services.billing"
    ) as one:
        yield one


def counted(page: str, route: str) -> float:
    found = re.findall(
        rf'^press_http_requests_total{{[^}}]*route="{route}"[^}}]*}} (\S+)$', page, re.MULTILINE
    )
    return sum(float(value) for value in found)


def has_ended(process: psutil.Process) -> bool:
    """Gone, or waiting for whoever adopted it to take note."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def request_failing(service: str, http: httpx.Client) -> httpx.Response:
    """A request with secrets in it, to a route that reads the database."""
    staff = {"Cookie": f"press_staff={SESSION}"}
    if service == "identity":
        page = http.get("/sign-in").text
        token = re.search(r'name="csrf_token" value="([0-9a-f]{128})"', page)
        assert token, page
        return http.post(
            "/sign-in",
            data={
                "csrf_token": token[1],
                "email": "lan@bao-hung-yen.example",
                "password": PASSWORD,
                "next": "/",
            },
            headers={"Origin": str(http.base_url).rstrip("/")},
        )
    if service == "billing":
        return http.get(f"/staff/{AGENCY}", headers=staff)
    if service == "paywall":
        return http.put(
            f"/v1/agencies/{AGENCY}/articles/mua-nhan",
            json={
                "title": "Mùa nhãn",
                "url": "https://baohungyen.example/a",
                "section": "xa-hoi",
                "tags": [],
                "access": "metered",
                "published_at": "2026-11-01T00:00:00Z",
            },
            headers={"Authorization": f"Bearer {KEY}", "Origin": str(http.base_url).rstrip("/")},
        )
    if service == "ads":
        return http.get(f"/console/{AGENCY}", headers=staff)
    return http.get(f"/finance/{AGENCY}", headers=staff)


def lose_everything(server: PostgresServer, database: str) -> None:
    """The service works on meanwhile: PostgreSQL may end the one or the other for a deadlock."""
    for attempt in range(5):
        try:
            server.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database)
        except PostgresError as error:
            if "deadlock" not in str(error) or attempt == 4:
                raise
        else:
            return


@pytest.mark.parametrize("service", sorted(PACKAGES))
def test_no_secret_is_written_when_a_request_fails_in_one_of_two_processes(
    service, postgres_server, parent, tmp_path
):
    with (
        identity_standin(AGENCY) as identity_url,
        running(postgres_server, parent, tmp_path, PACKAGES[service], identity_url) as one,
    ):
        lose_everything(postgres_server, one.database.rpartition("/")[2])
        statuses = set()
        for _ in range(6):
            with httpx.Client(base_url=one.url, cookies={"pr_meter": METER}) as http:
                statuses.add(request_failing(service, http).status_code)
        assert statuses == {500}
        one.child.stop(30)
        written = one.child.log.read_text(encoding="utf-8")
    assert [secret for secret in SECRETS if secret in written] == []
    lines = [json.loads(line) for line in written.splitlines()]
    failures = [line for line in lines if line["event"] == "unexpected_error"]
    assert len(failures) == 6
    assert all("UndefinedTable" in line["exception"] for line in failures)
    assert {line["service"] for line in lines} == {service}


def test_every_scrape_tells_what_all_processes_counted(billing):
    before = counted(billing.scrape(), "/healthz")
    for _ in range(4):
        with httpx.Client(base_url=billing.url) as http:
            for _ in range(50):
                assert http.get("/healthz").status_code == 200
    told = {counted(billing.scrape(), "/healthz") - before for _ in range(12)}
    assert told == {200.0}


def test_a_service_tells_its_own_families_and_no_others(billing):
    page = billing.scrape()
    families = set(re.findall(r"^# TYPE (press_\w+)", page, re.MULTILINE))
    assert {"press_http_requests_total", "press_billing_inbox_waiting"} <= families
    others = {"press_ads", "press_paywall", "press_identity", "press_revenue"}
    assert not {name for name in families if name.startswith(tuple(others))}


def test_a_killed_process_is_brought_back_and_nothing_counted_is_lost(billing):
    httpx.get(f"{billing.url}/healthz")
    before = counted(billing.scrape(), "/healthz")
    victim, other = billing.workers
    victim.kill()
    sync_eventually(
        lambda: len(billing.workers) == 2 and victim.pid not in {w.pid for w in billing.workers},
        "a new process in its place",
    )
    assert other.pid in {worker.pid for worker in billing.workers}
    for _ in range(20):
        assert httpx.get(f"{billing.url}/healthz").status_code == 200
    assert counted(billing.scrape(), "/healthz") == before + 20


def test_sigterm_ends_all_in_order(postgres_server, parent, tmp_path):
    with running(postgres_server, parent, tmp_path, "services.billing") as one:
        workers = one.workers
        one.child.signal(signal.SIGTERM)
        assert one.child.wait(30) == 0
        assert all(has_ended(worker) for worker in workers)
        events = [json.loads(line)["event"] for line in one.child.log.read_text().splitlines()]
        assert events[-1] == "master_stopped"


def test_processes_do_not_outlive_a_killed_master(postgres_server, parent, tmp_path):
    with running(postgres_server, parent, tmp_path, "services.billing") as one:
        workers = one.workers
        one.child.kill()
        sync_eventually(lambda: all(has_ended(worker) for worker in workers), "all have ended")


HALF_HEAD = b"POST /v1/webhooks/stripe HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_BODY = b"POST /v1/webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def connected(stack: ExitStack, one: Running, sent: bytes) -> socket.socket:
    """A client that has sent this; it does not wait as long as the limits are by default."""
    address = ("127.0.0.1", httpx.URL(one.url).port or 0)
    client = stack.enter_context(socket.create_connection(address, timeout=6))
    client.sendall(sent)
    return client


def heard(client: socket.socket) -> bytes:
    """The first line of what it is answered before the connection is closed."""
    return b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n")[0]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_who_does_not_finish_a_request_is_cut_off_by_the_service_itself(
    processes, postgres_server, parent, tmp_path
):
    """With the times of its settings, whichever of its processes has the connection."""
    times = {"HEAD_SECONDS": "0.3", "BODY_SECONDS": "0.3", "PROCESSES": processes}
    with (
        running(postgres_server, parent, tmp_path, "services.billing", **times) as one,
        ExitStack() as stack,
    ):
        slow = [connected(stack, one, sent) for sent in (HALF_HEAD, HALF_BODY) * 3]
        assert {heard(client) for client in slow} == {b"HTTP/1.1 408 Request Timeout"}
        assert heard(connected(stack, one, WHOLE)) == b"HTTP/1.1 200 OK"


def test_connections_beyond_the_limit_are_told_so_by_the_service_itself(
    postgres_server, parent, tmp_path
):
    limit = {"MAX_CONNECTIONS": "2", "PROCESSES": "1"}
    with running(postgres_server, parent, tmp_path, "services.billing", **limit) as one:
        with ExitStack() as stack:
            for _ in range(2):
                connected(stack, one, HALF_HEAD)
            told = heard(connected(stack, one, WHOLE))
        assert told == b"HTTP/1.1 503 Service Unavailable"
        assert httpx.get(f"{one.url}/healthz").status_code == 200
