"""The sandbox as a process of its own: a phone pays on the hosted page, webhooks arrive.

Here the SDK runs with its own HTTP client and Chromium with its own eyes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stripe
import uvicorn
from playwright.async_api import BrowserContext, Page, expect
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from infra.local.ports import free_port

from .sandbox_process import sandbox_process
from .stripe_sandbox_fixtures import (
    DECLINED,
    GOOD,
    KEY,
    SECRET,
    SECURE,
    TOKEN,
    Receiver,
)

# The SDK's own HTTPX client hands text to httpx the old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@dataclass
class Shop:
    """The running sandbox, and the website that sells through it."""

    sandbox: str
    website: str
    receiver: Receiver
    stripe: stripe.StripeClient

    async def session(self, **extra: Any) -> Any:
        params: dict[str, Any] = {
            "mode": "payment",
            "success_url": f"{self.website}/cam-on?phien={{CHECKOUT_SESSION_ID}}",
            "cancel_url": f"{self.website}/goi",
            **extra,
        }
        if params["mode"] != "setup":
            price: dict[str, Any] = {
                "currency": "vnd",
                "unit_amount": 59_000,
                "product_data": {"name": "Gói đọc báo tháng"},
            }
            params["line_items"] = [{"quantity": 1, "price_data": price}]
        return await self.stripe.v1.checkout.sessions.create_async(params)

    async def until(self, event: str) -> Any:
        """The event of this type, once it has arrived."""
        await self.receiver.until(lambda: event in self.receiver.types())
        return next(one for one in self.receiver.events() if one.type == event)


@asynccontextmanager
async def website(receiver: Receiver, port: int) -> AsyncIterator[str]:
    """The shop's own pages and webhook address, served from this event loop."""

    async def landing(request: Request) -> Response:
        return HTMLResponse(f"<h1>Cảm ơn</h1><p>{request.query_params.get('phien', '')}</p>")

    receiver.app.router.routes.append(Route("/{page}", landing))
    server = uvicorn.Server(
        uvicorn.Config(receiver.app, host="127.0.0.1", port=port, log_level="warning", ws="none")
    )
    serving = asyncio.create_task(server._serve())
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    receiver = Receiver()
    async with (
        website(receiver, free_port()) as site,
        sandbox_process(
            STRIPE_SANDBOX_STATE_FILE=str(tmp_path / "sandbox.db"),
            STRIPE_SANDBOX_CONTROL_TOKEN=TOKEN,
            STRIPE_SANDBOX_WEBHOOK_URL=f"{site}/webhooks/stripe",
            STRIPE_SANDBOX_WEBHOOK_SECRET=SECRET,
        ) as sandbox,
    ):
        client = stripe.StripeClient(
            KEY,
            base_addresses={
                "api": sandbox,
                "files": sandbox,
                "connect": sandbox,
                "meter_events": sandbox,
            },
            http_client=stripe.HTTPXClient(),
        )
        yield Shop(sandbox, site, receiver, client)
        await client._requestor._get_http_client().close_async()


async def fill(page: Page, number: str) -> None:
    email = page.get_by_label("Thư điện tử")
    if await email.evaluate("node => node.tagName") == "INPUT":
        await email.fill("doc.gia@example.vn")
    await page.get_by_label("Số thẻ").fill(number)
    await page.get_by_label("Ngày hết hạn").fill("1234")
    await page.get_by_label("Mã bảo mật").fill("123")
    await page.get_by_role("button", name="Thanh toán").click()


async def test_on_a_phone_a_declined_reader_tries_another_card_and_pays(
    shop: Shop, phone: BrowserContext
) -> None:
    session = await shop.session()
    page = await phone.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await page.goto(session.url)
    await expect(page.get_by_role("note")).to_contain_text("Môi trường thử")
    await expect(page.get_by_role("button")).to_contain_text("59.000 ₫")
    assert await page.evaluate("document.documentElement.scrollWidth") == 390

    await fill(page, DECLINED)
    await expect(page.get_by_role("alert")).to_contain_text("Thẻ của bạn đã bị từ chối")
    await expect(page.get_by_label("Số thẻ")).to_have_value("")

    await fill(page, GOOD)
    await expect(page.get_by_role("heading", name="Cảm ơn")).to_be_visible()
    assert page.url == f"{shop.website}/cam-on?phien={session.id}"
    assert complaints == []

    completed = await shop.until("checkout.session.completed")
    assert completed.data.object.id == session.id
    types = shop.receiver.types()
    assert types.index("charge.failed") < types.index("charge.succeeded")
    assert completed.data.object.payment_status == "paid"

    await page.goto(session.url)
    await expect(page.get_by_role("heading", name="Đã thanh toán xong")).to_be_visible()


async def test_on_a_phone_a_reader_refuses_and_then_approves_3d_secure(
    shop: Shop, phone: BrowserContext
) -> None:
    session = await shop.session(customer_email="co.san@example.vn")
    page = await phone.new_page()
    await page.goto(session.url)
    await fill(page, SECURE)
    await expect(page.get_by_role("heading", name="Xác thực 3-D Secure")).to_be_visible()
    await page.get_by_role("button", name="Từ chối").click()
    await expect(page.get_by_role("alert")).to_contain_text("Ngân hàng chưa xác thực được")

    await fill(page, SECURE)
    await page.get_by_role("button", name="Xác nhận thanh toán").click()
    await expect(page.get_by_role("heading", name="Cảm ơn")).to_be_visible()
    done = await shop.stripe.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.status, done.customer_details.email) == ("complete", "co.san@example.vn")


async def test_the_page_works_without_scripts_and_switches_its_language(
    shop: Shop, browser: Any
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    session = await shop.session(customer_email="co.san@example.vn")
    page = await context.new_page()
    await page.goto(session.url)
    await page.get_by_role("link", name="English").click()
    await page.get_by_label("Card number").fill(DECLINED)
    await page.get_by_label("Expiry").fill("12/34")
    await page.get_by_label("Security code").fill("123")
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_role("alert")).to_contain_text("Your card was declined")
    await context.close()


async def test_on_the_control_page_an_event_is_sent_again(
    shop: Shop, desktop: BrowserContext
) -> None:
    await shop.stripe.v1.customers.create_async({"email": "a@example.vn"})
    await shop.until("customer.created")
    page = await desktop.new_page()
    await page.goto(shop.sandbox)
    await page.get_by_role("button", name="Gửi lại").click()
    await shop.receiver.until(lambda: len(shop.receiver.bodies) == 2)
    assert {event.id for event in shop.receiver.events()} == {shop.receiver.events()[0].id}

    await page.get_by_label("Gửi sai thứ tự").check()
    await page.get_by_label("Số bản gửi thừa").fill("3")
    await page.get_by_role("button", name="Đặt").click()
    await page.goto(shop.sandbox)
    await expect(page.get_by_label("Gửi sai thứ tự")).to_be_checked()
    await expect(page.get_by_label("Số bản gửi thừa")).to_have_value("3")


async def test_on_a_phone_a_bank_debit_is_chosen_and_the_control_page_answers_for_the_bank(
    shop: Shop, phone: BrowserContext
) -> None:
    page = await phone.new_page()
    await page.goto(shop.sandbox)
    await page.get_by_label("Cho ghi nợ ngân hàng").check()
    await page.get_by_role("button", name="Áp dụng").click()
    session = await shop.session()
    await page.goto(session.url)
    await page.get_by_label("Thư điện tử").fill("doc.gia@example.vn")
    await page.get_by_label("Ghi nợ tài khoản ngân hàng").check()
    await expect(page.get_by_label("Số thẻ")).to_be_hidden()
    await page.get_by_label("Số tài khoản").fill("AT32 1904 3002 3547 3204")
    await page.get_by_role("button", name="Thanh toán").click()
    await expect(page.get_by_role("heading", name="Cảm ơn")).to_be_visible()
    assert (await shop.until("checkout.session.completed")).data.object.payment_status == "unpaid"

    await page.goto(shop.sandbox)
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    await page.get_by_role("button", name="Thành công").click()
    paid = await shop.until("checkout.session.async_payment_succeeded")
    assert (paid.data.object.id, paid.data.object.payment_status) == (session.id, "paid")

    await page.get_by_role("button", name="Khiếu nại").click()
    await shop.until("charge.dispute.funds_withdrawn")
    await page.get_by_role("button", name="Thắng").click()
    await shop.until("charge.dispute.funds_reinstated")
    await page.get_by_role("button", name="Chuyển tất cả").click()
    # The fee of the dispute is more than what was taken: nothing can be paid out.
    await expect(page.get_by_role("heading", name="Không làm được")).to_be_visible()
    await page.get_by_role("link", name="Quay lại").click()
    await expect(page.get_by_role("heading", name="Stripe thử")).to_be_visible()
