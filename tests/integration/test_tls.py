"""PostgreSQL and NATS over TLS: our processes work over both, and take no server that is not the one they mean."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from infra.local.ports import LOOPBACK, free_port
from infra.nats.__main__ import app as nats_commands
from shared.bus import BusUnavailableError, connect
from shared.clock import SystemClock
from shared.contracts import new_event
from shared.contracts.billing import EntitlementGranted
from shared.database import Database
from shared.database.migrations import migrate
from shared.outbox import record
from shared.startup import EXIT_CONFIGURATION
from tests.faults.harness import Part
from tests.fixtures.command_line import command
from tests.fixtures.production import random_looking
from tests.fixtures.servers import PostgresServer
from tests.fixtures.tls import TlsServers, tls_servers
from tests.fixtures.waiting import eventually

__all__ = ["tls_servers"]

AGENCY = "bao-hung-yen"
WAIT_SECONDS = 3.0


def environment(servers: TlsServers, role: str, bus_user: str = "") -> dict[str, str]:
    return {
        "ENVIRONMENT": "local",
        "FORM_TOKEN_SECRET": random_looking("form"),
        "COOKIE_SECRET": random_looking("cookie"),
        "DATABASE_URL": servers.database_url(role),
        "NATS_URL": servers.nats.url_of(bus_user) if bus_user else "",
        "NATS_CA_FILE": str(servers.ca) if bus_user else "",
    }


def said(env: dict[str, str], package: str, *words: str) -> str:
    """What a command prints; it must succeed."""
    done = command(package, *words, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def grant(database: Database) -> None:
    """What billing does when somebody has paid, as far as others see it."""
    now = SystemClock().now()
    reader, entitlement = uuid4(), uuid4()
    event = new_event(
        EntitlementGranted(
            entitlement_id=entitlement,
            reader_id=reader,
            plan_code="month",
            scope="site",
            valid_from=now,
            valid_until=now + timedelta(days=30),
        ),
        agency=AGENCY,
        subject=str(entitlement),
        version=1,
        now=now,
    )
    async with database.transaction() as session:
        await record(session, event)


async def test_our_processes_and_commands_work_over_tls(tls_servers: TlsServers, tmp_path: Path):
    servers = tls_servers
    for service in ("billing", "paywall"):
        assert "0001" in said(
            environment(servers, f"{service}_owner"), f"services.{service}", "migrate"
        )
    assert "stream BILLING created" in said(
        environment(servers, "billing", "setup"), "infra.nats", "apply"
    )
    port = free_port()
    parts = [
        Part(
            name,
            [f"services.{service}", duty],
            environment(servers, service, name if duty == "worker" else "")
            | {"PORT": str(port if duty == "web" else free_port())},
            tmp_path,
        )
        for name, service, duty in (
            ("billing-worker", "billing", "worker"),
            ("paywall-worker", "paywall", "worker"),
            ("paywall-web", "paywall", "web"),
        )
    ]
    database = Database(servers.database_url("billing"), application_name="test")
    try:
        for part in parts:
            part.start()
        for expected in (1, 2):
            await grant(database)
            await eventually(
                lambda wanted=expected: (
                    servers.postgres.execute("SELECT count(*) FROM entitlement", "paywall")
                    == str(wanted)
                ),
                f"{expected} entitlements at the paywall",
                seconds=40,
            )
            if expected == 1:
                servers.nats.kill()  # once more, over connections that are made again
                servers.nats.start()
        async with httpx.AsyncClient() as http:
            await eventually(lambda: _answers(http, port), "paywall's web process is ready")
        seen = servers.connections()
        assert {"billing-worker", "paywall-worker", "paywall-web"} <= {name for name, _ in seen}
        assert {encrypted for _, encrypted in seen} == {"t"}
        said(environment(servers, "paywall", "setup"), "services.paywall", "dead-letters")
        said(environment(servers, "billing", "setup"), "infra.nats", "check")
    finally:
        await database.close()
        for part in parts:
            part.kill()


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"NATS_URL": "nats://setup:the-password@10.0.0.9:4222"}, "NATS_URL"),
        ({"NATS_URL": "tls://setup:the-password@n1.bao.vn,nats://n2.bao.vn"}, "NATS_URL"),
        ({"NATS_CA_FILE": "/nowhere.pem"}, "NATS_CA_FILE"),
    ],
)
@pytest.mark.parametrize("name", ["apply", "check"])
def test_the_set_ups_password_does_not_leave_the_machine_in_the_clear(
    monkeypatch: pytest.MonkeyPatch, name: str, changes: dict[str, str], variable: str
):
    for key, value in changes.items():
        monkeypatch.setenv(key, value)
    ended = CliRunner().invoke(nats_commands, [name])
    assert ended.exit_code == EXIT_CONFIGURATION
    assert variable in ended.output and "the-password" not in ended.output


async def _answers(http: httpx.AsyncClient, port: int) -> bool:
    try:
        answer = await http.get(f"http://{LOOPBACK}:{port}/readyz")
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


async def _engine(url: str) -> None:
    database = Database(url, application_name="test")
    try:
        await database.ping()
    finally:
        await database.close()


async def _pool(url: str) -> None:
    database = Database(url, application_name="test")
    try:
        await database.pool()
    finally:
        await database.close()


async def _raw(url: str) -> None:
    await (await Database(url, application_name="test").connect_raw()).close()


async def _migrate(url: str) -> None:
    await migrate(url, "services.billing")


@pytest.mark.parametrize("way", [_engine, _pool, _raw, _migrate])
async def test_only_the_database_that_is_meant_is_believed(
    way: Callable[[str], Awaitable[None]],
    tls_servers: TlsServers,
    postgres_server: PostgresServer,
):
    right = tls_servers.database_url("billing_owner")
    await way(right)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        await way(tls_servers.database_url("billing_owner", ca=tls_servers.strange_ca))
    with pytest.raises(ssl.SSLCertVerificationError, match=r"Hostname mismatch.*'localhost'"):
        await way(tls_servers.database_url("billing_owner", host="localhost"))
    plain = f"{postgres_server.url()}?sslmode=verify-full&sslrootcert={tls_servers.ca}"
    with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
        await way(plain)
    with pytest.raises((asyncpg.PostgresError, DBAPIError), match="no encryption"):
        await way(right.replace("verify-full", "disable"))


async def test_only_the_bus_that_is_meant_is_believed(tls_servers: TlsServers, nats_url: str):
    url, ca = tls_servers.nats.url_of("paywall-worker"), str(tls_servers.ca)

    async def why_not(address: str, ca_file: str) -> str:
        with pytest.raises(BusUnavailableError) as refused:
            await connect(address, "test", ca_file=ca_file, wait_seconds=WAIT_SECONDS)
        return str(refused.value)

    strange, unknown, misnamed, plain, clear = await asyncio.gather(
        why_not(url, str(tls_servers.strange_ca)),
        why_not(url, ""),
        why_not(url.replace(LOOPBACK, "localhost"), ca),
        why_not(nats_url.replace("nats://", "tls://worker:password@"), ""),
        why_not(url.replace("tls://", "nats://"), ""),
    )
    assert "unable to get local issuer" in strange and "unable to get local issuer" in unknown
    assert "Hostname mismatch" in misnamed and "'localhost'" in misnamed
    assert "handshake_first" in plain
    assert "handshake_first" not in strange + misnamed
    assert "no NATS server takes this process" in clear


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_who_stands_in_the_bus_place_without_tls_is_told_nothing(
    scheme: str, tls_servers: TlsServers
):
    heard = bytearray()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A greeting that does not speak of TLS: it is not protected, so anybody on the way can write it.
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","max_payload":1048576}\r\n')
        while data := await reader.read(4096):
            heard.extend(data)
            writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(greet, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BusUnavailableError):
            await connect(
                f"{scheme}://worker:the-password@{LOOPBACK}:{port}",
                "test",
                ca_file=str(tls_servers.ca),
                wait_seconds=1.0,
            )
    assert heard and b"the-password" not in heard
