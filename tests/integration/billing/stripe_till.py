"""A sandbox of Stripe's, the adapter on it, and a reader who fills pages in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from infra.stripe_sandbox.app import create_app
from infra.stripe_sandbox.inprocess import BASE, InProcessClient
from infra.stripe_sandbox.settings import SandboxSettings
from services.billing.payments.adapters.port import (
    Captured,
    Fact,
    Look,
    MandateCharge,
    MethodSaved,
    Page,
    PageSpec,
)
from services.billing.payments.adapters.stripe import StripeProvider
from services.billing.payments.adapters.stripe_shapes import LISTENED
from services.billing.payments.method import Method

START = datetime(2026, 11, 23, 3, tzinfo=UTC)
AGENCY, HOOK = "bao-hung-yen", "http://billing.test/v1/webhooks/stripe"
CHARGE = UUID(int=7)
GOOD, MASTERCARD, DECLINED = "4242424242424242", "5555555555554444", "4000000000000002"
FAILS_LATER, ALWAYS_SECURE = "4000000000000341", "4000002760003184"
REFUND_WAITS, REFUND_FAILS = "4000000000007726", "4000000000005126"
IBAN_PAYS, IBAN_FAILS = "AT321904300235473204", "AT051904300235473205"


class Till:
    """A sandbox, the adapter on it, and a reader who fills pages in."""

    def __init__(self) -> None:
        self.now = START
        settings = SandboxSettings(
            public_url=BASE,
            webhook_url=HOOK,
            webhook_secret="whsec_test",
            control_token="control-token",
            later_seconds=0,
        )
        self.app = create_app(settings, clock=self.seconds)
        self.provider = self.as_who("sk_test_till")
        self.reader = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE)

    def seconds(self) -> float:
        return self.now.timestamp()

    def as_who(self, key: str) -> StripeProvider:
        client = InProcessClient(self.app)
        return StripeProvider(key, api_base=BASE, max_retries=0, http_client=client)

    def spec(self, **changes: Any) -> PageSpec:
        plain = PageSpec(
            charge_id=CHARGE,
            agency=AGENCY,
            description="Gói tháng",
            amount_vnd=59_000,
            keeps=True,
            customer="",
            email="lan@example.vn",
            success_url="http://billing.test/done",
            cancel_url="http://billing.test/plans",
            language="vi",
            expires_at=self.now + timedelta(hours=1),
            key=f"page:{uuid4()}",
        )
        return replace(plain, **changes)

    async def open(self, **changes: Any) -> Page:
        return await self.provider.open_page(self.spec(**changes))

    async def pay(self, page: Page, number: str = GOOD) -> None:
        form = {"number": number, "expiry": "12/34", "cvc": "123", "name": "Nguyễn Thị Lan"}
        answer = await self.reader.post(urlsplit(page.url).path, data=form)
        if answer.headers["location"].endswith("/3ds"):
            await self.reader.post(answer.headers["location"], data={"answer": "approve"})

    async def debit(self, page: Page, iban: str) -> None:
        form = {"method": "sepa_debit", "iban": iban, "name": "Nguyễn Thị Lan"}
        answer = await self.reader.post(urlsplit(page.url).path, data=form)
        assert answer.status_code == 303, answer.text

    async def bank(self, path: str, **body: Any) -> Any:
        headers = {"Sandbox-Control-Token": "control-token"}
        answer = await self.reader.post(f"/sandbox/{path}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def switch(self, **switches: Any) -> None:
        await self.bank("control", **switches)

    async def paid(self, number: str = GOOD, **changes: Any) -> Captured:
        """What became of a page that was paid with a card."""
        page = await self.open(**changes)
        await self.pay(page, number)
        fact = await self.provider.page_facts(page.id)
        assert isinstance(fact, Captured)
        return fact

    async def saved(self, number: str = GOOD) -> Method:
        page = await self.open(amount_vnd=0)
        await self.pay(page, number)
        fact = await self.provider.page_facts(page.id)
        assert isinstance(fact, MethodSaved)
        return fact.method

    def mandate(self, method: Method, **changes: Any) -> MandateCharge:
        plain = MandateCharge(
            charge_id=CHARGE,
            agency=AGENCY,
            description="Gói tháng",
            amount_vnd=59_000,
            customer=method.customer,
            method=method.id,
            key=f"charge:{uuid4()}",
        )
        return replace(plain, **changes)

    async def charge_of(self, reference: str) -> str:
        """Stripe's own object of a payment."""
        body = await self.provider._call("get", f"/v1/payment_intents/{reference}")
        return str(body["latest_charge"])

    async def told(self, *types: str) -> list[Fact | Look]:
        """What the notifications of these types say, oldest first."""
        wanted = types or LISTENED
        found = [
            self.provider.interpret(one.payload)
            async for one in self.provider.notifications_since(START - timedelta(days=1), wanted)
        ]
        return found[::-1]

    async def seen(self, *types: str) -> list[Fact]:
        """The same, where needed with a look."""
        found = await self.told(*types)
        return [await self.provider.look(f) if isinstance(f, Look) else f for f in found]

    async def close(self) -> None:
        await self.provider.close()
        await self.reader.aclose()
        self.app.state.sandbox.store.close()
