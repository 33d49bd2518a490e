"""A provider that is slow, gone or says nonsense: a page in every case, and soon."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import text

from tests.fixtures.identity import ADMIN, SELLER, running_identity
from tests.fixtures.provider import leads_to, running_provider
from tests.fixtures.signing import REDIRECT_URI, answered, entered, go, linked
from tests.fixtures.waiting import eventually

PROVES_NOTHING = "không chứng minh được gì"
AWAY = "hiện không phản hồi"


@pytest.fixture
async def poor(create_database, template_database):
    """A provider of this test's own, and an identity that waits a second for it."""
    with running_provider(REDIRECT_URI) as provider:
        async with running_identity(
            create_database,
            template_database,
            start=datetime.now(UTC),
            **provider.settings,
            oidc_timeout_seconds=1.0,
        ) as identity:
            yield identity, provider


async def timed(call) -> tuple[httpx.Response, float]:
    begun = time.monotonic()
    answer = await call
    return answer, time.monotonic() - begun


async def test_a_provider_that_stands_still_costs_a_second_and_no_connection(poor, there):
    identity, provider = poor
    provider.stand_still()
    answer, seconds = await timed(identity.browser().post("/sign-in/provider"))
    assert answer.status_code == 503 and AWAY in answer.text and seconds < 5
    # Nobody waits for what has just not answered; passwords go on meanwhile.
    answers = await asyncio.gather(
        *(timed(identity.browser().post("/sign-in/provider")) for _ in range(12))
    )
    assert {answer.status_code for answer, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 5
    assert await entered(identity, await identity.signed_in(SELLER))
    provider.go_on()
    identity_again = await recovered(identity)
    subject = await linked(identity, provider, there)
    assert identity_again.status_code == 200

    browser = identity.browser()
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    provider.stand_still()
    answer, seconds = await timed(browser.http.get(back))
    assert answer.status_code == 503 and AWAY in answer.text and seconds < 5
    assert 'href="/sign-in?next=' in answer.text and not browser.token


async def recovered(identity) -> httpx.Response:
    """The first page that leads on again."""

    async def leads_on() -> httpx.Response | None:
        answer = await identity.browser().post("/sign-in/provider")
        return answer if answer.status_code == 200 else None

    found: httpx.Response = await eventually(leads_on, "the provider is back")
    return found


async def test_a_provider_that_is_gone_is_a_page(poor, there):
    identity, provider = poor
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    provider.end()
    answer = await browser.http.get(back)
    assert answer.status_code == 503 and AWAY in answer.text


async def test_a_provider_that_fails_or_answers_nonsense_is_a_page(identity, provider, there):
    subject = await linked(identity, provider, there)
    for status, expected in (
        (500, 503),
        (503, 503),
        (429, 503),
        (302, 503),
        (200, 502),
        ("flood", 503),
    ):
        provider.control(fail=status)
        answer = await go(identity.browser(), there, subject)
        assert answer.status_code == expected, status
    provider.control(fail=None)
    browser = identity.browser()
    for error in ("server_error", "login_required", "x" * 3000, "<script>alert(1)</script>"):
        state = httpx.URL(leads_to(await browser.post("/sign-in/provider"))).params["state"]
        answer = await browser.http.get(
            "/sign-in/provider/callback", params={"state": state, "error": error}
        )
        assert answer.status_code == 503 and "alert(1)" not in answer.text


async def test_a_document_that_names_another_issuer_is_not_believed(
    create_database, template_database, provider
):
    settings = provider.settings | {"oidc_issuer": f"{provider.issuer}/"}
    async with running_identity(create_database, template_database, **settings) as identity:
        answer = await identity.browser().post("/sign-in/provider")
        assert answer.status_code == 502 and PROVES_NOTHING in answer.text


async def test_the_trail_and_the_pages_know_no_secret(identity, provider, there):
    """Neither code nor token nor the client's secret is kept or shown."""
    subject = await linked(identity, provider, there, ADMIN)
    browser = identity.browser()
    page = await browser.post("/sign-in/provider")
    back = await answered(page, there, subject)
    code = httpx.URL(back).params["code"]
    await browser.http.get(back)
    async with identity.database.read() as session:
        rows = await session.execute(text("SELECT to_jsonb(audit_entry) FROM audit_entry"))
        kept = json.dumps([row[0] for row in rows])
    secret = provider.settings["oidc_client_secret"]
    for hidden in (code, secret, base64.b64encode(secret.encode()).decode()):
        assert hidden not in kept and hidden not in page.text
