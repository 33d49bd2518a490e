"""Fixtures of the fault tier: a money path in small, its processes, and its balance at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.nats import Nats
from tests.faults.harness import Part, wait_for
from tests.fixtures.flow import Flow, made, prepare_database, prepare_stream


@dataclass
class Pipeline:
    """A flow, its nats-server, and the two processes between the outbox and the effects."""

    flow: Flow
    nats: Nats
    folder: Path
    recorded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        env = {"DATABASE_URL": self.flow.url, "NATS_URL": self.flow.nats_url}
        self.relay, self.consumer = (
            Part(role, ["tests.faults.relay_and_consumer", role], env, self.folder)
            for role in ("relay", "consumer")
        )

    async def record(self, count: int) -> None:
        names = [f"item-{len(self.recorded) + number}" for number in range(count)]
        await self.flow.record(*(made(name) for name in names))
        self.recorded += names

    def settled(self) -> None:
        """Everything recorded has taken effect exactly once, and nothing was given up."""
        logs = [self.relay.log, self.consumer.log]
        wait_for(
            lambda: len(self.flow.effects()) >= len(self.recorded),
            f"{len(self.recorded)} effects",
            logs=logs,
        )
        wait_for(lambda: self.flow.unpublished() == 0, "an empty outbox", logs=logs)
        assert sorted(self.flow.effects()) == sorted(self.recorded)
        assert self.flow.letters() == []


@pytest.fixture
async def pipeline(
    create_database, template_database, nats_url, nats_server: Nats, tmp_path
) -> AsyncIterator[Pipeline]:
    url = create_database("faults", template_database("flow", prepare_database))
    await prepare_stream(nats_url, ack_wait_seconds=1.5)
    flow = Flow(url, nats_url)
    flow.open_database()
    pipeline = Pipeline(flow, nats_server, tmp_path)
    yield pipeline
    pipeline.relay.kill()
    pipeline.consumer.kill()
    await flow.close()
