"""The checker that holds the sandbox to the SDK's annotations must itself be able to fail."""

import copy
from typing import Any

import pytest

from tests.contract.stripe_sandbox_fixtures import World
from tests.contract.stripe_shapes import problems


@pytest.fixture
async def invoice() -> dict[str, Any]:
    world = World()
    subscription = await world.subscribed()
    doc = world.sandbox.store.get(
        world.sandbox.store.owner(subscription.id), subscription.latest_invoice
    )
    await world.close()
    assert problems(doc) == []
    found: dict[str, Any] = doc
    return found


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["colour"], "red", "no such field"),
        (["amount_due"], "59000", "expected"),
        (["amount_due"], True, "expected"),
        (["amount_due"], None, "expected"),
        (["amount_due"], 590.5, "expected"),
        (["status"], "settled", "not one of the words"),
        (["parent", "type"], "nobody", "not one of the words"),
        (["parent", "subscription_details", "colour"], "red", "no such field"),
        (["status_transitions", "paid_at"], "today", "expected"),
        (["lines", "data", 0, "period", "end"], None, "expected"),
        (["lines", "data", 0, "pricing", "unit_amount_decimal"], 59000, "expected"),
        (["lines", "data", 0, "object"], "item", "expected InvoiceLineItem"),
        (["lines", "total"], 1, "a list has no total"),
        (["lines", "has_more"], None, "expected bool"),
        (["metadata", "a"], 1, "expected"),
        (["discounts"], None, "expected a list"),
        (["customer"], 7, "expected"),
        (["object"], "bill", "no class"),
    ],
)
async def test_a_wrong_value_is_found(
    invoice: dict[str, Any], path: list[Any], value: Any, told: str
) -> None:
    broken = copy.deepcopy(invoice)
    node: Any = broken
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    found = problems(broken)
    assert found
    assert told in " ".join(found)


@pytest.mark.parametrize(
    "path", [["amount_due"], ["lines"], ["issuer", "type"], ["lines", "data", 0, "period", "end"]]
)
async def test_a_missing_promise_is_found(invoice: dict[str, Any], path: list[Any]) -> None:
    broken = copy.deepcopy(invoice)
    node: Any = broken
    for part in path[:-1]:
        node = node[part]
    del node[path[-1]]
    assert "required" in " ".join(problems(broken))


async def test_a_wrong_object_inside_an_event_is_found(invoice: dict[str, Any]) -> None:
    event = {
        "id": "evt_1",
        "object": "event",
        "api_version": None,
        "created": 1,
        "data": {"object": {**invoice, "amount_due": "x"}},
        "livemode": False,
        "pending_webhooks": 0,
        "request": None,
        "type": "invoice.paid",
    }
    assert problems(event) != []
    event["data"] = {"object": invoice}
    assert problems(event) == []
    event["type"] = "invoice.eaten"
    assert problems(event) != []
