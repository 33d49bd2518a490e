"""With each service's own NATS credential: what it may and may not publish, read and administer, tried."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
import psutil
import pytest
import yaml
from nats.aio.client import Client

from infra.local.child import Child
from infra.local.nats import Nats, server_binary
from infra.local.ports import answers, free_port
from infra.nats.permissions import SETUP, password_variable, user_names, users
from infra.nats.server import DEPLOYED_FILE, deployed_config
from infra.nats.streams import apply, make_missing
from infra.nats.topology import load
from shared.bus import (
    BusUnavailableError,
    MessageRefusedError,
    NotPermittedError,
    OutboundMessage,
    connect,
)
from shared.bus.access import sign_in_options
from shared.contracts.asyncapi import house_types
from shared.contracts.envelope import TYPE_PREFIX, bus_subject, publishers_of
from tests.fixtures.command_line import REPOSITORY, command
from tests.fixtures.documented import documented
from tests.fixtures.waiting import eventually

NO_DATABASE = "postgresql://paywall:p@127.0.0.1:1/paywall"
AGENCY = "bao-hung-yen"
EVENTS = sorted(name.removeprefix(TYPE_PREFIX) for name in house_types())
TOPOLOGY = load()
STREAMS = [str(stream["name"]) for stream in TOPOLOGY.streams]
CONSUMERS = [(str(one["stream"]), str(one["name"])) for one in TOPOLOGY.consumers]
ADMINISTER = (
    *(
        f"$JS.API.STREAM.{call}.{stream}"
        for stream in STREAMS
        for call in ("CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "MSG.DELETE")
    ),
    *(f"$JS.API.CONSUMER.CREATE.{stream}" for stream in STREAMS),
    *(f"$JS.API.CONSUMER.CREATE.{stream}.{name}" for stream, name in CONSUMERS),
    *(f"$JS.API.CONSUMER.CREATE.{stream}.thief" for stream in STREAMS),
    *(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.thief" for stream in STREAMS),
    *(f"$JS.API.CONSUMER.DELETE.{stream}.{name}" for stream, name in CONSUMERS),
    *(f"$JS.API.CONSUMER.PAUSE.{stream}.{name}" for stream, name in CONSUMERS),
    "$JS.API.STREAM.CREATE.THIEF",
    "$JS.API.STREAM.RESTORE.BILLING",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.INFO",
    "$SYS.REQ.SERVER.PING",
)
KEEPER = "streams-keeper"
MAKING = {
    *(f"$JS.API.STREAM.CREATE.{stream}" for stream in STREAMS),
    *(f"$JS.API.CONSUMER.CREATE.{stream}.{name}" for stream, name in CONSUMERS),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    passwords = {user: f"p_{user}" for user in user_names()}
    store = tmp_path_factory.mktemp("bus") / "store"
    running = Nats(store, free_port(), passwords=passwords).start()
    yield running
    running.stop()


@pytest.fixture
async def bus(server: Nats) -> Nats:
    """The server with the product's streams and consumers, made by the set-up's user."""
    await apply(server.url)
    return server


class Raw:
    """A client without our manners: it sends what it likes and remembers what the server refused."""

    def __init__(self, client: Client, errors: list[str], heard: asyncio.Event) -> None:
        self.client, self._errors, self._heard = client, errors, heard

    async def refused(self, subject: str, reply: str = "") -> bool:
        await self.client.publish(subject, b"{}", reply=reply)
        return await self._said(f'publish to "{subject.lower()}"')

    async def refused_to_hear(self, subject: str) -> bool:
        subscription = await self.client.subscribe(subject)
        said = await self._said(f'subscription to "{subject.lower()}"')
        if not said:
            await subscription.unsubscribe()
        return said

    async def _said(self, what: str) -> bool:
        # Refusals come in the order of what was sent: once that of a subject nobody may use is here, so is ours.
        await self.client.publish("nobody.may", b"")
        async with asyncio.timeout(10):
            while not any("nobody.may" in error for error in self._errors):
                self._heard.clear()
                await self._heard.wait()
        said = any(what in error for error in self._errors)
        self._errors.clear()
        return said


@asynccontextmanager
async def raw(bus: Nats, user: str) -> AsyncIterator[Raw]:
    errors: list[str] = []
    heard = asyncio.Event()

    async def remember(error: Exception) -> None:
        errors.append(str(error).lower())
        heard.set()

    client = await nats.connect(bus.url_of(user), error_cb=remember, allow_reconnect=False)
    try:
        yield Raw(client, errors, heard)
    finally:
        await client.close()


def subjects(event: str) -> dict[str, str]:
    """Publisher → the subject on which it publishes the event."""
    type_ = TYPE_PREFIX + event
    return {one: bus_subject(type_, AGENCY, one) for one in publishers_of(type_)}


def service_of(user: str) -> str:
    return user.removesuffix("-worker")


async def tried(bus: Nats, user: str) -> tuple[list[str], list[str], list[str]]:
    """What it may publish, read and look into, by trying everything there is."""
    ours = await connect(bus.url_of(user), user)
    publishes, reads = [], []
    try:
        for event in EVENTS:
            for publisher, subject in subjects(event).items():
                try:
                    await ours.publish([OutboundMessage(subject, b"{}", f"try {subject}")])
                except MessageRefusedError as error:
                    assert "may not" in str(error)
                else:
                    assert publisher == service_of(user), f"{user} publishes as {publisher}"
                    publishes.append(event)
        for stream, consumer in CONSUMERS:
            subscription = await ours.bind(stream, consumer)
            try:
                await subscription.fetch(1, 0.3)
                await subscription.pending()
                reads.append(f"{stream}/{consumer}")
            except NotPermittedError:
                pass
            await subscription.close()
    finally:
        await ours.close()
    looks = []
    async with raw(bus, user) as client:
        inbox = f"_INBOX.{user}.probe"
        for stream in STREAMS:
            calls = [f"$JS.API.STREAM.{call}.{stream}" for call in ("INFO", "MSG.GET")]
            refused = [await client.refused(call, inbox) for call in calls]
            assert len(set(refused)) == 1 or user == KEEPER, "information and messages go together"
            if not refused[1]:
                looks.append(stream)
        for subject in ADMINISTER:
            refusal = await client.refused(subject, inbox)
            assert refusal != (user == KEEPER and subject in MAKING), f"{user}: {subject}"
        others = [f"_INBOX.{other}.>" for other in user_names() if other != user]
        for subject in (
            ">",
            "billing.>",
            f"{EVENTS[0]}.>",
            "_INBOX.>",
            "_INBOX.*",
            "$JS.>",
            *others,
        ):
            assert await client.refused_to_hear(subject), f"{user} hears {subject}"
        nobodys = [f"{event}.{AGENCY}" for event in EVENTS if event.startswith("metrics.")]
        for subject in (
            "billing.anything",
            "metrics.revenue.recorded.v2.x",
            "unheard.of",
            *nobodys,
        ):
            assert await client.refused(subject), f"{user} publishes {subject}"
        for stream, consumer in CONSUMERS:
            if f"{stream}/{consumer}" not in reads:
                assert await client.refused(f"$JS.ACK.{stream}.{consumer}.1.1.1.1.1"), (
                    "another's ack"
                )
    return publishes, reads, looks


async def test_each_credential_does_its_own_work_and_nothing_else(bus: Nats):
    lines = [
        "| user | publishes | pulls and acknowledges | looks into |",
        "|---|---|---|---|",
    ]
    for user in users():
        publishes, reads, looks = await tried(bus, user.name)
        assert tuple(publishes) == user.events
        cells = [
            ", ".join(f"`{word}`" for word in words) or "–" for words in (publishes, reads, looks)
        ]
        if user.makes:
            cells[-1] = "what is there; makes streams and consumers that are missing"
        lines.append(f"| `{user.name}` | " + " | ".join(cells) + " |")
    lines += [
        f"| `{SETUP}` | everything | everything | makes, changes and purges streams and consumers |",
        "",
        "Refused to every user but the last, on every stream and consumer (`CREATE` of those of the topology not to "
        "`streams-keeper`): "
        + ", ".join(
            sorted(
                {"`" + ".".join(one.split(".")[2:4]) + "`" for one in ADMINISTER if "API" in one}
            )
        )
        + "; listening to any subject but its own inbox.",
    ]
    print("\n".join(lines))
    documented("docs/security/least-privilege.md", "bus users", lines)


async def test_a_consumer_that_somebody_changed_is_named_and_put_back(bus: Nats):
    """The server cannot tell making a consumer from changing it: whoever has the keeper's credential can."""
    url, (stream, consumer) = bus.url_of(KEEPER), CONSUMERS[0]
    thief = await nats.connect(**sign_in_options(url))
    js = thief.jetstream()
    kept = (await js.consumer_info(stream, consumer)).config
    changes: list[dict[str, Any]] = [
        {"filter_subjects": ["billing.nothing.>"]},
        {"max_deliver": 1},
        {"max_ack_pending": 1},
        {"ack_wait": 3600},
        {"inactive_threshold": 3600},
    ]
    for change in changes:
        await js.add_consumer(stream, kept.evolve(name=consumer, **change))
        assert await make_missing(url, dry_run=True) == [f"{stream}/{consumer}"], change
        assert await make_missing(url) == [f"{stream}/{consumer}"]
        assert await make_missing(url) == []
        assert (await js.consumer_info(stream, consumer)).config == kept
    await thief.close()


async def test_the_keeper_makes_what_is_lost_and_takes_nothing_away(bus: Nats):
    url = bus.url_of(KEEPER)
    assert await make_missing(url) == []
    admin = await nats.connect(bus.url)
    stream, consumer = CONSUMERS[0]
    await admin.jetstream().delete_consumer(stream, consumer)
    other = next(one for one in STREAMS if one != stream)
    await admin.jetstream().delete_stream(other)
    lost = [other, *(f"{s}/{c}" for s, c in CONSUMERS if s == other or (s, c) == CONSUMERS[0])]
    assert sorted(await make_missing(url, dry_run=True)) == sorted(lost)
    both = await asyncio.gather(make_missing(url), make_missing(url))  # two keepers at once
    assert sorted(lost) in [sorted(made) for made in both]
    assert await make_missing(url) == []
    for name in STREAMS:
        config = (await admin.jetstream().stream_info(name)).config
        assert config.deny_delete, name
    await admin.close()


async def test_only_the_set_up_may_make_and_purge(bus: Nats):
    assert any("BILLING" in line for line in await apply(bus.url))
    client = await nats.connect(bus.url)
    await client.jetstream().publish(f"ads.line.booked.v1.{AGENCY}", b"{}")
    assert await client.jetstream().purge_stream("ADS")
    await client.close()


@pytest.mark.parametrize("user", [user.name for user in users()])
async def test_a_confirmation_cannot_be_turned_into_an_order(bus: Nats, user: str):
    """The server answers a publish on its reply subject: that one may not be the administration's."""
    admin = await nats.connect(bus.url)
    js = admin.jetstream()
    await js.publish(f"paywall.decision.counted.v1.{AGENCY}", b"kept")
    before = (await js.stream_info("PAYWALL")).state.messages
    mine = next((one.events[0] for one in users() if one.name == user and one.events), None)
    async with raw(bus, user) as client:
        for target in ("$JS.API.STREAM.PURGE.PAYWALL", "$JS.API.STREAM.DELETE.PAYWALL"):
            if mine is not None:
                await client.client.publish(subjects(mine)[service_of(user)], b"{}", reply=target)
            for stream, consumer in CONSUMERS:
                await client.client.publish(
                    f"$JS.API.CONSUMER.INFO.{stream}.{consumer}", b"", reply=target
                )
        await client.client.flush()
    own = 2 if mine is not None and mine.startswith("paywall.") else 0

    async def all_are_kept() -> bool:
        return (await js.stream_info("PAYWALL")).state.messages == before + own

    await eventually(all_are_kept, "what is taken is kept a moment later, and nothing is purged")
    await admin.close()


async def test_a_wrong_password_and_a_stranger_are_refused(bus: Nats):
    address = bus.url.rpartition("@")[2]
    for url in (
        f"nats://{address}",
        f"nats://billing-worker:wrong@{address}",
        f"nats://press:p@{address}",
    ):
        with pytest.raises(BusUnavailableError):
            await connect(url, "stranger", wait_seconds=2)


async def test_a_replay_needs_the_set_up_and_says_so(bus: Nats):
    ours = await connect(bus.url_of("paywall-worker"), "paywall-rebuild")
    with pytest.raises(NotPermittedError, match="set-up"):
        await ours.replay("BILLING", ["billing.entitlement.*.v1.>"])
    await ours.close()


@pytest.mark.parametrize(
    ("words", "servers", "says"),
    [
        (["rebuild-entitlements"], {}, "only the set-up's credential may replay a stream"),
        (["rebuild-entitlements"], {"NATS_URL": "nats://x:y@127.0.0.1:1"}, "no NATS server takes"),
        (["dead-letters"], {}, "its database does not answer"),
        (["dead-letters", "--replay-all"], {}, "its database does not"),
    ],
)
async def test_a_command_says_in_one_line_which_server_does_not_serve_it(
    bus: Nats, words: list[str], servers: dict[str, str], says: str
):
    given = {"NATS_URL": bus.url_of("paywall-worker"), "LOG_LEVEL": "CRITICAL"} | servers
    given = {"DATABASE_URL": NO_DATABASE} | given
    done = await asyncio.to_thread(command, "services.paywall", *words, **given)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and says in lines[0], done.stderr


def test_every_service_that_records_revenue_may_say_so_and_no_other():
    """The table against the code: who calls the metrics layer's recorder."""
    from tests.fixtures.documented import ROOT

    calls: dict[str, str] = {
        "record_revenue(": "metrics.revenue.recorded.v1",
        "record_deferred(": "metrics.deferred.recorded.v1",
        "mrr_event(": "metrics.mrr.moved.v1",
    }
    by_service: dict[str, set[str]] = {}
    for path in (ROOT / "services").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        service = path.relative_to(ROOT / "services").parts[0]
        by_service.setdefault(service, set()).update(e for call, e in calls.items() if call in text)
    granted: dict[str, Any] = {
        user.name.removesuffix("-worker"): {e for e in user.events if e.startswith("metrics.")}
        for user in users()
    }
    for service, recorded in by_service.items():
        assert granted.get(service, set()) == recorded, service


def test_the_deployed_configuration_is_the_one_the_table_gives():
    assert DEPLOYED_FILE.read_text(encoding="utf-8") == deployed_config()


CLIENTS = "127.0.0.2"  # for the container's every address: monitoring that names none has it too


@contextmanager
def deployed(folder: Path) -> Iterator[tuple[Child, int, int, dict[str, str]]]:
    """The very file that compose mounts, its ports and folder moved to this machine: the server, its ports, passwords."""
    port, monitoring = free_port(), free_port()
    text = DEPLOYED_FILE.read_text(encoding="utf-8")
    text = text.replace("0.0.0.0:4222", f"{CLIENTS}:{port}").replace("8222", str(monitoring))
    (folder / "nats.conf").write_text(text.replace('"/data"', f'"{folder / "d"}"'))
    env = {password_variable(user): f"p{user.replace('-', '')}12e4" for user in user_names()}
    server = Child(
        "nats", [server_binary(), "-c", str(folder / "nats.conf")], log=folder / "log", env=env
    )
    server.start()
    try:
        yield server, port, monitoring, env
    finally:
        server.stop(5)


async def test_the_deployed_configuration_starts_a_server_with_passwords_from_its_environment(
    tmp_path,
):
    with deployed(tmp_path) as (server, port, _, env):
        password = env["NATS_SETUP_PASSWORD"]

        async def answers() -> bool:
            try:
                client = await nats.connect(
                    f"nats://{SETUP}:{password}@{CLIENTS}:{port}", allow_reconnect=False
                )
            except (OSError, nats.errors.Error):
                return False
            await client.close()
            return True

        await eventually(answers, "the server takes the set-up's password", seconds=15)
        assert password not in " ".join(psutil.Process(server.pid).cmdline())


def test_the_deployed_server_answers_without_a_password_its_own_container_only(tmp_path):
    """Its monitoring tells whoever asks of connections, accounts and subjects: it is there for the health check."""
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))
    asked = compose["services"]["nats"]["healthcheck"]["test"][-1]
    with deployed(tmp_path) as (server, port, monitoring, _):
        server.wait_until(lambda: answers(monitoring, "/healthz"), 15)
        assert httpx.get(asked.replace("8222", str(monitoring))).json() == {"status": "ok"}
        sockets = psutil.Process(server.pid).net_connections("inet")
        listening = {tuple(one.laddr) for one in sockets if one.status == psutil.CONN_LISTEN}
    assert listening == {(CLIENTS, port), ("127.0.0.1", monitoring)}
