"""What Stripe's errors mean: no, gone, failed, or nobody knows."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from infra.stripe_sandbox.inprocess import BASE, InProcessClient
from services.billing.payments.adapters.port import (
    Failed,
    GoneError,
    Look,
    MandateCharge,
    MethodGone,
    ProviderFailedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.payments.adapters.stripe import StripeProvider

CHARGE = UUID(int=1)
SPEC = MandateCharge(CHARGE, "bao-thu", "Gói tháng", 59_000, "cus_1", "pm_1", "k")
Call = Callable[[StripeProvider], Awaitable[Any]]
CALLS: list[Call] = [
    lambda provider: provider.page_facts("cs_1"),
    lambda provider: provider.close_page("cs_1"),
    lambda provider: provider.charge(SPEC),
    lambda provider: provider.find_charge(CHARGE, "cus_1"),
    lambda provider: provider.charge_facts("pi_1"),
    lambda provider: provider.method("pm_1"),
    lambda provider: provider.revoke("pm_1"),
    lambda provider: provider.refund("pi_1", 1, key="k"),
    lambda provider: provider.refunds_of("pi_1"),
    lambda provider: provider.foreign_endpoints(),
    *[
        lambda provider, kind=kind: provider.look(Look(kind, "pi_1"))
        for kind in ("page", "payment", "refund", "dispute", "payout", "method", "customer")
    ],
]
REVOKES, REFUNDS = CALLS[6], CALLS[7]


def answering(status: int, body: bytes) -> StripeProvider:
    """The adapter on a Stripe that always answers the same."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(body, status, media_type="application/json")(scope, receive, send)

    return StripeProvider(
        "sk_test_x", api_base=BASE, max_retries=0, http_client=InProcessClient(app)
    )


def error(**details: Any) -> bytes:
    return json.dumps({"error": {"message": "no", **details}}).encode()


async def raised(call: Call, status: int, body: bytes) -> type[BaseException]:
    provider = answering(status, body)
    with pytest.raises((ProviderUnavailableError, ProviderRefusedError)) as found:
        await call(provider)
    await provider.close()
    return type(found.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, error()),
        (403, error()),
        (409, error(type="idempotency_error")),
        (424, error()),
        (429, error()),
        (400, error(code="rate_limit")),
        (404, b"<html>"),
        (200, b"<html>"),
        (200, b"7"),
        (302, b""),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_what_decides_nothing_is_asked_again(call: Call, status: int, body: bytes) -> None:
    assert await raised(call, status, body) is ProviderUnavailableError


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data": 7}'])
@pytest.mark.parametrize("call", [one for one in CALLS if one is not REVOKES])
async def test_an_answer_that_cannot_be_read_decides_nothing(call: Call, body: bytes) -> None:
    assert await raised(call, 200, body) is ProviderUnavailableError


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("call", CALLS)
async def test_a_failure_of_stripes_is_looked_at_first(call: Call, status: int) -> None:
    for body in (error(), b"<html>"):
        assert await raised(call, status, body) is ProviderFailedError


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, error(param="amount")), (400, error(type="idempotency_error")), (404, error())],
)
@pytest.mark.parametrize("call", CALLS)
async def test_a_no_is_a_no(call: Call, status: int, body: bytes) -> None:
    assert await raised(call, status, body) is ProviderRefusedError


@pytest.mark.parametrize("param", ["customer", "payment_method"])
async def test_a_customer_or_a_means_that_is_missing_is_gone(param: str) -> None:
    missing = error(code="resource_missing", param=param)
    assert await raised(REFUNDS, 400, missing) is GoneError
    assert await raised(REFUNDS, 400, error(code="other", param=param)) is ProviderRefusedError
    other = error(code="resource_missing", param="payment_intent")
    assert await raised(REFUNDS, 400, other) is ProviderRefusedError
    provider = answering(400, missing)
    assert await provider.charge(SPEC) == Failed(CHARGE, "", "resource_missing", method_gone=True)
    await provider.close()


async def test_a_means_asked_for_by_its_address_is_gone_whatever_the_parameter_is_called() -> None:
    provider = answering(404, error(code="resource_missing", param="id"))
    with pytest.raises(GoneError):
        await provider.method("pm_1")
    await provider.revoke("pm_1")
    assert await provider.look(Look("method", "pm_1")) == MethodGone(method="pm_1")
    assert await provider.look(Look("customer", "cus_1")) == MethodGone(customer="cus_1")
    with pytest.raises(ProviderRefusedError) as refused:
        await provider.charge_facts("pi_1")
    assert not isinstance(refused.value, GoneError)
    await provider.close()


async def test_a_decline_before_there_was_a_payment_has_no_reference() -> None:
    provider = answering(402, error(type="card_error", code="expired_card"))
    assert await provider.charge(SPEC) == Failed(CHARGE, "", "expired_card")
    await provider.close()
    unreadable = answering(402, error(type="card_error"))
    with pytest.raises(ProviderUnavailableError):
        await unreadable.charge(SPEC)
    await unreadable.close()
