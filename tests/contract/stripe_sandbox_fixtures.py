"""A sandbox in this process, driven through the unmodified SDK, every answer checked."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.stripe_sandbox.app import create_app
from infra.stripe_sandbox.inprocess import ADDRESSES, BASE, InProcessClient
from infra.stripe_sandbox.settings import SandboxSettings

from .stripe_shapes import must_fit

KEY = "sk_test_contract"
SECRET = "whsec_contract"
TOKEN = "control-token-of-the-tests"
HOOK = "http://billing.example/webhooks/stripe"

GOOD, DECLINED, NO_FUNDS = "4242424242424242", "4000000000000002", "4000000000009995"
SECURE, FAILS_LATER = "4000002500003155", "4000000000000341"
ALWAYS_SECURE, DISPUTED = "4000002760003184", "4000000000000259"
REFUND_WAITS, REFUND_FAILS = "4000000000007726", "4000000000005126"
IBAN_PAYS, IBAN_FAILS = "AT321904300235473204", "AT051904300235473205"


class CheckedClient(InProcessClient):
    """The in-process transport; every 2xx body must be what the SDK's classes say."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        answer = await super().request_async(method, url, headers, post_data)
        if answer[1] < 300:
            must_fit(json.loads(answer[0]))
        return answer


class Receiver:
    """Billing's side of a webhook: keeps what arrives, answers what it is told to."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[bytes] = []
        self.signatures: list[str] = []
        self.changed = asyncio.Condition()
        self.app = Starlette(routes=[Route("/webhooks/stripe", self.receive, methods=["POST"])])

    async def receive(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        self.signatures.append(request.headers["stripe-signature"])
        async with self.changed:
            self.changed.notify_all()
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for deliveries until something holds."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(holds)

    def events(self) -> list[Any]:
        """What arrived, verified and read by the SDK itself."""
        pairs = zip(self.bodies, self.signatures, strict=True)
        found = [stripe.Webhook.construct_event(body, sign, SECRET) for body, sign in pairs]
        for body in self.bodies:
            must_fit(json.loads(body))
        return found

    def types(self) -> list[str]:
        return [event.type for event in self.events()]


class World:
    """One sandbox with its client, its receiver and a clock that tests move."""

    def __init__(self, **settings: Any) -> None:
        self.time = 1_767_225_600.0  # 1 January 2026, 00:00 UTC
        self.receiver = Receiver()
        self.settings = SandboxSettings(
            **{
                "public_url": BASE,
                "webhook_url": HOOK,
                "webhook_secret": SECRET,
                "control_token": TOKEN,
                **settings,
            }
        )
        self.app = create_app(
            self.settings,
            clock=lambda: self.time,
            webhook_transport=httpx.ASGITransport(app=self.receiver.app),
        )
        self.sandbox = self.app.state.sandbox
        self.sandbox.outbox.chance = random.Random(7)
        self.stripe = self.client(KEY)
        self.browser = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=BASE)

    def client(self, key: str) -> stripe.StripeClient:
        return stripe.StripeClient(
            key, base_addresses=ADDRESSES, http_client=CheckedClient(self.app)
        )

    async def deliver(self) -> int:
        made: int = await self.app.state.deliverer.deliver_due()
        return made

    async def control(self, path: str, body: Any = None) -> httpx.Response:
        return await self.browser.post(
            path, json=body or {}, headers={"Sandbox-Control-Token": TOKEN}
        )

    async def switch(self, **switches: Any) -> None:
        """Set switches of the control page."""
        answer = await self.control("/sandbox/control", switches)
        assert answer.status_code == 200, answer.text

    async def act(self, path: str, **body: Any) -> Any:
        """Let a bank do something to an object; gives the object as the control call shows it."""
        answer = await self.control(f"/sandbox/{path}", body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def later(self, seconds: int = 181) -> None:
        """Time passes, and what is due happens."""
        self.time += seconds
        await self.act("due")

    async def price(self, amount: int = 59_000, every: str = "month", count: int = 1) -> Any:
        return await self.stripe.v1.prices.create_async(
            {
                "currency": "vnd",
                "unit_amount": amount,
                "recurring": {"interval": every, "interval_count": count},
                "product_data": {"name": "Gói đọc báo"},
            }
        )

    async def session(self, **extra: Any) -> Any:
        """A session for a month, unless told otherwise."""
        params: dict[str, Any] = {
            "mode": "payment",
            "success_url": "http://bao.example/cam-on?phien={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://bao.example/goi",
            **extra,
        }
        if "line_items" not in params and params["mode"] != "setup":
            params["line_items"] = [self.line(59_000, "Gói đọc báo")]
        if not {"customer", "customer_email"} & params.keys():
            params["customer_email"] = "doc.gia@example.vn"
        return await self.stripe.v1.checkout.sessions.create_async(params)

    async def single(self, amount: int = 12_000, **extra: Any) -> Any:
        """A session for one article."""
        return await self.session(line_items=[self.line(amount, "Bài viết")], **extra)

    def line(self, amount: int, name: str) -> dict[str, Any]:
        """A line of a session."""
        price = {"currency": "vnd", "unit_amount": amount, "product_data": {"name": name}}
        return {"price_data": price, "quantity": 1}

    async def pay(self, session: Any, number: str = GOOD, **form: str) -> httpx.Response:
        """Fill the hosted page in and send it."""
        return await self.browser.post(
            f"/c/pay/{session.id}",
            data={"number": number, "expiry": "12 / 34", "cvc": "123", "name": "BẠN ĐỌC", **form},
        )

    async def debit(self, session: Any, iban: str = IBAN_PAYS) -> httpx.Response:
        """Fill the hosted page in with a bank account and send it."""
        return await self.browser.post(
            f"/c/pay/{session.id}", data={"method": "sepa_debit", "iban": iban, "name": "BẠN ĐỌC"}
        )

    async def setup(self, **extra: Any) -> Any:
        """A session that saves a card and charges nothing."""
        return await self.session(**{"mode": "setup", "currency": "vnd", **extra})

    async def saved(self, number: str = GOOD, **extra: Any) -> tuple[str, str]:
        """A customer with a card saved on the hosted page: both ids."""
        session = await self.setup(customer_creation="always", **extra)
        answer = await self.pay(session, number)
        if answer.headers["location"].endswith("/3ds"):
            await self.browser.post(answer.headers["location"], data={"answer": "approve"})
        done = await self.reread(session, "setup_intent")
        assert done.setup_intent.status == "succeeded", done.setup_intent
        return done.customer, done.setup_intent.payment_method

    async def charge_saved(self, owner: str, method: str, key: str = "", **extra: Any) -> Any:
        """Charge a saved card, its holder away."""
        return await self.stripe.v1.payment_intents.create_async(
            {
                "amount": 59_000,
                "currency": "vnd",
                "customer": owner,
                "payment_method": method,
                "confirm": True,
                "off_session": True,
                **extra,
            },
            {"idempotency_key": key} if key else {},
        )

    async def paid(self, amount: int = 50_000, number: str = GOOD, **extra: Any) -> Any:
        """A charge that was paid for on the hosted page."""
        session = await self.single(amount, **extra)
        await self.pay(session, number)
        done = await self.reread(session, "payment_intent.latest_charge")
        return done.payment_intent.latest_charge

    async def reread(self, session: Any, *expand: str) -> Any:
        return await self.stripe.v1.checkout.sessions.retrieve_async(
            session.id, {"expand": list(expand)} if expand else {}
        )

    async def subscribed(
        self, card: str = "pm_card_visa", every: str = "month", count: int = 1, customer: str = ""
    ) -> Any:
        """A subscription that Stripe collects by itself, from the default card of its customer."""
        if not customer:
            owner = await self.stripe.v1.customers.create_async({"email": "doc.gia@example.vn"})
            customer = owner.id
        method = await self.stripe.v1.payment_methods.attach_async(card, {"customer": customer})
        await self.stripe.v1.customers.update_async(
            customer, {"invoice_settings": {"default_payment_method": method.id}}
        )
        price = await self.price(every=every, count=count)
        return await self.stripe.v1.subscriptions.create_async(
            {"customer": customer, "items": [{"price": price.id}]}
        )

    async def events(self, *types: str) -> list[Any]:
        """Every event so far, oldest first."""
        found = [
            event
            async for event in (
                await self.stripe.v1.events.list_async(
                    {"limit": 100, **({"types": list(types)} if types else {})}
                )
            ).auto_paging_iter()
        ]
        return found[::-1]

    async def close(self) -> None:
        await self.browser.aclose()
        self.sandbox.store.close()
