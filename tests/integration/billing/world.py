"""A whole billing in one process: real database, the Stripe sandbox behind the unmodified SDK, a clock that moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import text

from infra.stripe_sandbox.app import create_app as create_sandbox
from infra.stripe_sandbox.inprocess import BASE, InProcessClient
from infra.stripe_sandbox.settings import SandboxSettings
from services.billing.app import routed
from services.billing.composition import Billing, build
from services.billing.payments.adapters.stripe import StripeProvider
from services.billing.process import BILLING
from services.billing.settings import BillingSettings
from services.billing.subscriptions.rules import State, may_become
from shared.clock import MovableClock
from shared.mail.outbox import recent_mail
from shared.process import application
from tests.integration.billing.invariants_read import broken

AGENCY = "bao-hung-yen"
OTHER_AGENCY = "dai-song-hong"
OWN = "http://billing.test"
SITE = "http://site.test"
SECRET = "whsec_test_0123456789"
GOOD_CARD, DECLINED_CARD, FAILS_ON_RENEWAL = (
    "4242424242424242",
    "4000000000000002",
    "4000000000000341",
)
STAFF: dict[str, dict[str, list[str]]] = {
    "finance-token": {AGENCY: ["finance"]},
    "tired-token": {AGENCY: ["finance"]},
    "chief-token": {AGENCY: ["finance"]},
    "support-token": {AGENCY: ["support"]},
    "seller-token": {AGENCY: ["seller"]},
    "other-token": {OTHER_AGENCY: ["finance", "admin"]},
}


#: How long ago these have proved who they are; the others just now.
PROVED_AGO = {"tired-token": timedelta(minutes=11)}


def identity_answers(request: httpx.Request, now: datetime) -> httpx.Response:
    """Identity's introspection, by its contract (ARCHITECTURE.md), for the tokens above."""
    import json

    token = json.loads(request.content)["token"]
    if request.url.path.endswith("/keys/introspect") or token not in STAFF:
        return httpx.Response(200, json={"active": False})
    body = {
        "active": True,
        "account_id": f"018f0000-0000-7000-8000-{list(STAFF).index(token) + 1:012}",
        "email": f"{token}@example.vn",
        "name": token,
        "roles": STAFF[token],
        "authenticated_at": (now - PROVED_AGO.get(token, timedelta())).isoformat(),
    }
    return httpx.Response(200, json=body)


@dataclass
class Browser:
    """Cookies and a form token, as a browser would have them."""

    client: httpx.AsyncClient

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def submit(
        self, page: str, action: str, data: dict[str, Any], address: str | None = None
    ) -> httpx.Response:
        """Load a page, take its form token, send a form."""
        shown = await self.client.get(page)
        token = form_token(shown.text)
        return await self.client.post(
            action, data={"csrf_token": token, **data}, headers={"Origin": OWN}
        )


def form_token(html: str) -> str:
    return html.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]


@dataclass
class World:
    billing: Billing
    sandbox: Any
    clock: MovableClock
    payer: httpx.AsyncClient
    _clients: list[httpx.AsyncClient] = field(default_factory=list)

    @cached_property
    def app(self) -> Any:
        """The web process, for who asks it: its routes cost a test more than its database."""
        return application(self.billing.process, routed(self.billing))

    def with_settings(self, **changes: Any) -> Any:
        """An application on the same parts, set up differently."""
        process = copy(self.billing.process)
        process.settings = process.settings.model_copy(update=changes)
        return application(process, routed(replace(self.billing, process=process)))

    def browser(self, address: str = "203.0.113.7", **cookies: str) -> Browser:
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, client=(address, 40000)),
            base_url=OWN,
            cookies=cookies,
        )
        self._clients.append(client)
        return Browser(client)

    async def last_code(self, email: str = "") -> str:
        """The newest code; of one mailbox where one is named (the clock stands: two mails may be of one moment)."""
        messages = await recent_mail(self.billing.database)
        return next(
            one.subject.split(" ", 1)[0]
            for one in messages
            if one.subject[:6].isdigit() and email in ("", one.recipient)
        )

    async def signed_in(
        self, email: str = "lan@example.vn", agency: str = AGENCY, address: str = "203.0.113.7"
    ) -> Browser:
        browser = self.browser(address)
        answer = await browser.submit(
            f"/r/{agency}/sign-in", f"/r/{agency}/sign-in", {"email": email}
        )
        assert answer.status_code == 303, answer.text
        page = f"/r/{agency}/sign-in/code"
        answer = await browser.submit(page, page, {"code": await self.last_code(email)})
        assert answer.status_code == 303, answer.text
        return browser

    async def start_checkout(
        self, browser: Browser, period: str = "month", return_to: str = "", agency: str = AGENCY
    ) -> str:
        """Choose a plan; the address of the payment page."""
        offers = await self.billing.plans.offers(agency)
        price = next(offer for offer in offers if offer.period == period)
        answer = await browser.submit(
            f"/r/{agency}/plans",
            f"/r/{agency}/checkout",
            {"price": str(price.price_id), "way": "card", "return_to": return_to},
        )
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def pay(self, page: str, card: str = GOOD_CARD) -> httpx.Response:
        """Fill in the payment page; its answer (303 back to billing when it went through)."""
        return await self.payer.post(
            urlsplit(page).path,
            data={"number": card, "expiry": "12/34", "cvc": "123", "name": "Nguyễn Thị Lan"},
            headers={"Origin": BASE},
        )

    async def subscribed(
        self, email: str = "lan@example.vn", period: str = "month", card: str = GOOD_CARD
    ) -> Browser:
        """Signed in and paid, without anything that came back from the provider."""
        browser = await self.signed_in(email)
        answer = await self.pay(await self.start_checkout(browser, period), card)
        assert answer.status_code == 303 and "/orders/" in answer.headers["location"]
        return browser

    async def deliver(self) -> None:
        """What is due here happens, the provider is asked, it sends what it has to tell, and that is applied."""
        await self.billing.renewals.run_due()
        await self.billing.charges.run_due()
        await self.sandbox.state.deliverer.deliver_due()
        await self.billing.applier.apply_due()
        await self.billing.recognition.run_due()

    async def advance(self, by: timedelta) -> None:
        """Time passes for both."""
        self.clock.advance(by)

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        async with self.billing.database.read() as session:
            return [tuple(row) for row in await session.execute(text(sql), values)]

    async def value(self, sql: str, **values: Any) -> Any:
        return (await self.rows(sql, **values))[0][0]

    async def assert_sound(self) -> None:
        """Every invariant holds, and no subscription took a step that the table does not know."""
        for whole in (False, True):  # a reading of what has changed cries no wolf
            found = await broken(self.billing, whole=whole)
            assert found == {}, (found, whole)
        steps = await self.rows("SELECT DISTINCT from_state, to_state FROM subscription_transition")
        unknown = [
            (before, after)
            for before, after in steps
            if before is not None and not may_become(State(before), State(after))
        ]
        assert unknown == []

    async def events(self) -> list[dict[str, Any]]:
        import json

        return [
            json.loads(row[0]) for row in await self.rows("SELECT payload FROM outbox ORDER BY id")
        ]


def settings(url: str, keys: Path, **more: Any) -> BillingSettings:
    values: dict[str, Any] = {
        "environment": "test",
        "database_url": url,
        "billing_url": OWN,
        "news_site_url": SITE,
        "identity_url": "http://identity.test",
        "stripe_secret_key": "sk_test_world",
        "stripe_webhook_secret": f"whsec_old_one, {SECRET}",
        "stripe_api_base": BASE,
        "signing_keys_file": str(keys),
        "text_transport": "outbox",
    }
    return BillingSettings(**values | more)


@asynccontextmanager
async def make_world(
    url: str,
    folder: Path,
    *,
    at: datetime = datetime(2026, 11, 23, 3, 0, tzinfo=UTC),
    on_create: Callable[[Billing], Awaitable[None]] | None = None,
    **more: Any,
) -> AsyncIterator[World]:
    """``on_create``: what an empty database is filled with (``seed.load``: the example agencies, plans and accounts)."""
    clock = MovableClock(at)
    door: list[World] = []

    async def late_bound(scope: Any, receive: Any, send: Any) -> None:
        await door[0].app(scope, receive, send)

    sandbox = create_sandbox(
        SandboxSettings(
            public_url=BASE,
            webhook_url=f"{OWN}/v1/webhooks/stripe",
            webhook_secret=SECRET,
            control_token="control-token",
        ),
        clock=lambda: clock.now().timestamp(),
        webhook_transport=httpx.ASGITransport(late_bound),
    )
    config = settings(url, folder / "keys.pem", **more)
    provider = StripeProvider(
        config.stripe_secret_key, api_base=BASE, http_client=InProcessClient(sandbox)
    )
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda request: identity_answers(request, clock.now()))
    )
    process = BILLING.process("web", config, clock=clock, http=http)
    billing = build(process, provider=provider)
    if on_create is not None:
        await on_create(billing)
    payer = httpx.AsyncClient(transport=httpx.ASGITransport(sandbox), base_url=BASE)
    world = World(billing, sandbox, clock, payer)
    door.append(world)
    try:
        yield world
    finally:
        for client in (payer, *world._clients):
            await client.aclose()
        await billing.close()
        await process.close()
        sandbox.state.sandbox.store.close()
