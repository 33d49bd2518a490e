"""Makes a server's streams and consumers equal to the topology."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from infra.nats.topology import TOPOLOGY_FILE, load
from shared.bus import BusUnavailableError
from shared.bus.access import explained, sign_in_options

#: What decides which events a consumer is given, and how often.
KEPT = (
    "ack_policy",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "filter_subjects",
    "inactive_threshold",
    "pause_until",
)


def stream_config(stream: dict[str, Any], replicas: int | None = None) -> StreamConfig:
    return StreamConfig(
        name=stream["name"],
        subjects=list(stream["subjects"]),
        storage=StorageType.FILE,
        max_age=stream["max_age_seconds"],
        duplicate_window=stream["duplicate_window_seconds"],
        num_replicas=replicas or stream["replicas"],
        deny_delete=True,
    )


def consumer_config(consumer: dict[str, Any]) -> ConsumerConfig:
    return ConsumerConfig(
        name=consumer["name"],
        durable_name=consumer["name"],
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=consumer["ack_wait_seconds"],
        max_deliver=consumer["max_deliver"],
        max_ack_pending=consumer["max_ack_pending"],
        filter_subjects=list(consumer["filter_subjects"]),
    )


@asynccontextmanager
async def _jetstream(url: str, ca_file: str) -> AsyncIterator[JetStreamContext]:
    """For set-up's calls. Raises :class:`BusUnavailableError`."""
    client, last_error = Client(), ""
    options = sign_in_options(url, ca_file)

    async def on_error(error: Exception) -> None:
        nonlocal last_error
        last_error = str(error) or repr(error)

    try:
        await client.connect(
            **options, connect_timeout=5, max_reconnect_attempts=3, error_cb=on_error
        )
        yield client.jetstream(timeout=10)
    except (NatsError, OSError, TimeoutError) as error:
        said = explained(last_error or str(error) or repr(error), options)
        raise BusUnavailableError(
            f"NATS does not answer or refuses: {said}; NATS_URL says where it is"
        ) from error
    finally:
        await client.close()


async def apply(
    url: str, *, ca_file: str = "", replicas: int | None = None, path: Path = TOPOLOGY_FILE
) -> list[str]:
    """Create or update every stream and consumer. Returns one line per thing done. Idempotent."""
    topology = load(path)
    done: list[str] = []
    async with _jetstream(url, ca_file) as js:
        for stream in topology.streams:
            done.append(await _apply_stream(js, stream_config(stream, replicas)))
        for consumer in topology.consumers:
            # add_consumer creates, or updates the durable when its configuration differs
            await js.add_consumer(consumer["stream"], consumer_config(consumer))
            done.append(f"consumer {consumer['stream']}/{consumer['name']}")
    return done


async def make_missing(
    url: str,
    *,
    ca_file: str = "",
    replicas: int | None = None,
    dry_run: bool = False,
    path: Path = TOPOLOGY_FILE,
) -> list[str]:
    """Create what the server does not have, and put back a consumer that somebody has changed.

    Returns names (``STREAM`` or ``STREAM/consumer``). ``dry_run``: only name them. Needs the rights of the user
    ``streams-keeper``.
    """
    topology = load(path)
    made: list[str] = []
    async with _jetstream(url, ca_file) as js:
        for stream in topology.streams:
            try:
                await js.stream_info(stream["name"])
            except NotFoundError:
                made.append(stream["name"])
                if not dry_run:
                    await js.add_stream(stream_config(stream, replicas))
        for consumer in topology.consumers:
            wanted = consumer_config(consumer)
            try:
                there = (await js.consumer_info(consumer["stream"], consumer["name"])).config
            except NotFoundError:
                pass
            else:
                if all(getattr(there, name) == getattr(wanted, name) for name in KEPT):
                    continue
            made.append(f"{consumer['stream']}/{consumer['name']}")
            if not dry_run:
                await js.add_consumer(consumer["stream"], wanted)
    return made


async def _apply_stream(js: JetStreamContext, config: StreamConfig) -> str:
    try:
        await js.stream_info(config.name or "")
    except NotFoundError:
        await js.add_stream(config)
        return f"stream {config.name} created"
    await js.update_stream(config)
    return f"stream {config.name} up to date"
