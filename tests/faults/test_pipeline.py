"""Outbox → bus → inbox, broken at each of its points: nothing lost, nothing doubled."""

from __future__ import annotations

import signal

import pytest

from shared.faults import PAYMENT_FLOW
from tests.faults.conftest import Pipeline
from tests.faults.harness import wait_for
from tests.fixtures.flow import CONSUMER, STREAM
from tests.fixtures.waiting import eventually

POINTS = [point for point in PAYMENT_FLOW if point.startswith(("relay.", "consumer."))]


def both(pipeline: Pipeline, point: str):
    """The process with the point, and the other one."""
    if point.startswith("relay."):
        return pipeline.relay, pipeline.consumer
    return pipeline.consumer, pipeline.relay


def test_the_points_of_relay_and_consumer_are_all_walked():
    assert POINTS == [
        "relay.after_fetch",
        "relay.after_publish",
        "relay.after_mark",
        "consumer.after_fetch",
        "consumer.before_commit",
        "consumer.after_commit",
        "consumer.after_ack",
    ]


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_killed_at_a_point_loses_and_doubles_nothing(pipeline, point):
    victim, other = both(pipeline, point)
    await pipeline.record(3)
    other.start()
    victim.start(fault=point)
    victim.wait_killed()
    await pipeline.record(2)
    victim.start()
    pipeline.settled()
    victim.stop()
    other.stop()


@pytest.mark.parametrize("point", POINTS)
async def test_a_bus_killed_at_a_point_loses_and_doubles_nothing(pipeline, point):
    victim, other = both(pipeline, point)
    await pipeline.record(3)
    other.start()
    victim.start(fault=point, action="pause")
    victim.wait_reached()
    pipeline.nats.kill()
    victim.release()
    await pipeline.record(2)
    pipeline.nats.start()
    pipeline.settled()
    victim.stop()
    other.stop()


async def test_both_processes_and_the_bus_killed_together_lose_and_double_nothing(pipeline):
    pipeline.relay.start()
    pipeline.consumer.start()
    for round_ in range(3):
        await pipeline.record(50)
        wait_for(
            lambda: len(pipeline.flow.effects()) > 0 or pipeline.flow.unpublished() == 0,
            "work is under way",
            logs=[pipeline.relay.log, pipeline.consumer.log],
        )
        pipeline.relay.kill()
        pipeline.consumer.kill()
        if round_ != 1:
            pipeline.nats.kill()
            pipeline.nats.start()
        pipeline.relay.start()
        pipeline.consumer.start()
    pipeline.settled()
    pipeline.relay.stop()
    pipeline.consumer.stop()


async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_fetched(pipeline):
    await pipeline.record(5)
    pipeline.relay.start()
    pipeline.consumer.start(fault="consumer.before_commit", action="pause")
    pipeline.consumer.wait_reached()
    assert pipeline.flow.effects() == []
    pipeline.consumer.signal(signal.SIGTERM)
    pipeline.consumer.release()
    wait_for(lambda: not pipeline.consumer.alive, "the consumer ends by itself")
    assert pipeline.consumer.returncode == 0
    finished = len(pipeline.flow.effects())
    assert finished >= 1
    subscription = await (await pipeline.flow.open_bus()).bind(STREAM, CONSUMER)

    async def the_rest_is_owed() -> bool:
        return await subscription.pending() == 5 - finished

    await eventually(the_rest_is_owed, "what was finished is acknowledged")
    await pipeline.record(
        1
    )  # also when nothing was owed, the new one has work before it is stopped
    pipeline.consumer.start()
    pipeline.settled()
    pipeline.consumer.stop()
    pipeline.relay.stop()
