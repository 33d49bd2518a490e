"""The local run sees which streams and consumers NATS has lost."""

from __future__ import annotations

import nats

from infra.local.nats import Nats
from infra.local.streams import missing
from infra.nats.streams import apply
from infra.nats.topology import load


async def test_what_the_server_has_lost_is_named(nats_url, nats_server: Nats):
    topology, port = load(), nats_server.monitoring_port
    assert port is not None
    names = [stream["name"] for stream in topology.streams]
    consumers = [f"{one['stream']}/{one['name']}" for one in topology.consumers]
    assert missing(port, topology) == [*names, *consumers]
    await apply(nats_url)
    assert missing(port, topology) == []
    client = await nats.connect(nats_url)
    await client.jetstream().delete_consumer("METRICS", "metrics-recorder")
    await client.jetstream().delete_stream("BILLING")
    await client.close()
    assert missing(port, topology) == ["BILLING", *consumers]
    await apply(nats_url)
    assert missing(port, topology) == []


def test_a_server_that_does_not_answer_has_lost_nothing():
    assert missing(9, load()) == []
