"""What each NATS user may do, made from ``users.toml``, the contracts and the topology.

A user publishes the events of its own service by their whole names (those that several services publish, only on the
subjects that name it), pulls from its own consumers, acknowledges what
those delivered, and hears answers below an inbox of its own (``_INBOX.<user>``). Of the JetStream API it reaches its
consumers' next message and state, and may look into the streams it publishes to (to find what a lost store forgot).
One user makes streams and consumers that are missing, by their names in the topology; changing, purging and deleting
them is :data:`SETUP`'s alone.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from infra.nats.topology import Topology
from infra.nats.topology import load as load_topology
from shared.contracts import published_types
from shared.contracts.envelope import TYPE_PREFIX, bus_subject

USERS_FILE = Path(__file__).with_name("users.toml")
SETUP = "setup"


@dataclass(frozen=True, slots=True)
class BusUser:
    """A user of the bus and the subjects it may publish to and subscribe to (NATS wildcards)."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    reads: tuple[tuple[str, str], ...]  # (stream, consumer)
    events: tuple[str, ...]  # event names it publishes, e.g. billing.entitlement.granted.v1
    makes: bool = False  # streams and consumers of the topology


def users(path: Path = USERS_FILE, topology: Topology | None = None) -> tuple[BusUser, ...]:
    """Every user but :data:`SETUP`, which may do everything. Raises ValueError for names nobody knows."""
    topology = topology or load_topology()
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(_user(entry, topology) for entry in data["users"])


def user_names(path: Path = USERS_FILE) -> tuple[str, ...]:
    """The set-up's first, then those of the table."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return (SETUP, *(str(entry["name"]) for entry in data["users"]))


def password_variable(user: str) -> str:
    """``billing-worker`` → ``NATS_BILLING_WORKER_PASSWORD``: where a deployment keeps its password."""
    return f"NATS_{user.upper().replace('-', '_')}_PASSWORD"


def _user(entry: dict[str, object], topology: Topology) -> BusUser:
    name, service = str(entry["name"]), str(entry["service"])
    published = published_types()
    contracts = {type_.removeprefix(TYPE_PREFIX) for type_ in published}
    own = {event for event in contracts if service and event.startswith(f"{service}.")}
    records = set(map(str, entry["records"]))  # type: ignore[call-overload]
    events = sorted(own | records)
    if unknown := records - contracts:
        raise ValueError(f"{name} records what no contract describes: {sorted(unknown)}")
    if foreign := {e for e in records if service not in published[TYPE_PREFIX + e].PUBLISHERS}:
        raise ValueError(f"{name} records what its service does not publish: {sorted(foreign)}")
    consumers = {one["name"]: one["stream"] for one in topology.consumers}
    reads = tuple((consumers[str(one)], str(one)) for one in entry["consumers"])  # type: ignore[attr-defined]
    into = sorted({_stream_of(event, topology) for event in events})
    publish = [
        *(bus_subject(TYPE_PREFIX + event, ">", service) for event in events),
        *(f"$JS.API.STREAM.{call}.{stream}" for stream in into for call in ("INFO", "MSG.GET")),
        *(
            subject
            for stream, consumer in reads
            for subject in (
                f"$JS.API.CONSUMER.INFO.{stream}.{consumer}",
                f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
                f"$JS.ACK.{stream}.{consumer}.>",
            )
        ),
    ]
    makes = bool(entry.get("makes"))
    if makes:
        publish += _making(topology)
    return BusUser(name, tuple(publish), (f"_INBOX.{name}.>",), reads, tuple(events), makes)


def _making(topology: Topology) -> list[str]:
    streams = [str(stream["name"]) for stream in topology.streams]
    consumers = [f"{one['stream']}.{one['name']}" for one in topology.consumers]
    return [
        f"$JS.API.{kind}.{call}.{name}"
        for kind, names in (("STREAM", streams), ("CONSUMER", consumers))
        for name in names
        for call in ("INFO", "CREATE")
    ]


def _stream_of(event: str, topology: Topology) -> str:
    first = event.split(".", 1)[0]
    return next(str(s["name"]) for s in topology.streams if f"{first}.>" in s["subjects"])
