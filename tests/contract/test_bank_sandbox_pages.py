"""The demo bank in the sandbox's own process: a phone follows the link beside a QR, billing is told over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.fixtures.serving import served

from .bank_sandbox_fixtures import NUMBER, TOKEN, WRITTEN, Billing, vietqr
from .sandbox_process import sandbox_process


@dataclass
class Town:
    """The running bank, and billing."""

    bank: str
    billing: Billing

    def link(self, qr: str) -> str:
        """What billing's page leads to."""
        return f"{self.bank}/transfer?qr={quote(qr, safe='')}"


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    billing = Billing()
    async with (
        served(billing.app) as address,
        sandbox_process(
            STRIPE_SANDBOX_STATE_FILE=str(tmp_path / "sandbox.db"),
            STRIPE_SANDBOX_CONTROL_TOKEN=TOKEN,
            BANK_SANDBOX_BILLING_URL=address,
            BANK_SANDBOX_WEBHOOK_SECRETS=WRITTEN,
            BANK_SANDBOX_WEBHOOK_RETRY_SECONDS="0.05",
        ) as sandbox,
    ):
        yield Town(f"{sandbox}/bank", billing)


async def fits(page: Page) -> None:
    width = page.viewport_size
    assert width is not None
    assert await page.evaluate("document.documentElement.scrollWidth") == width["width"]


async def test_on_a_phone_a_reader_pays_too_little_and_billing_is_told(
    town: Town, phone: BrowserContext
) -> None:
    page = await phone.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await page.goto(town.link(vietqr(59_000)))
    await expect(page.get_by_role("note")).to_contain_text("không có tiền thật")
    await expect(page.get_by_label("Số tài khoản")).to_have_value(NUMBER)
    await expect(page.get_by_label("Số tiền")).to_have_value("59.000")
    await fits(page)
    town.billing.answers = [500]
    await page.get_by_label("Số tiền").fill("58000")
    await expect(page.get_by_label("Số tiền")).to_have_value("58.000")
    await page.get_by_role("button", name="Chuyển tiền").click()
    await expect(page.get_by_role("heading", name="Chuyển tiền thành công")).to_be_visible()
    await expect(page.get_by_text("58.000 ₫")).to_be_visible()
    await fits(page)
    await town.billing.until(lambda: len(town.billing.arrived) == 2)
    first, again = town.billing.bodies()
    assert first == again and first["transferAmount"] == 58_000
    assert ".BHY7K2Q9.CT tu" in first["content"]
    await page.get_by_role("link", name="Bảng điều khiển").click()
    await expect(page.get_by_text(first["referenceCode"])).to_be_visible()
    await fits(page)
    assert complaints == []


async def test_on_a_desktop_a_dropped_notice_is_sent_again_as_payos(
    town: Town, desktop: BrowserContext
) -> None:
    page = await desktop.new_page()
    await page.goto(f"{town.bank}?lang=en")
    await page.get_by_label("Share dropped").fill("1")
    await page.get_by_label("Kind of notice").select_option("payos")
    await page.get_by_role("button", name="Set").click()
    await expect(page.get_by_label("Kind of notice")).to_have_value("payos")
    async with httpx.AsyncClient(headers={"Sandbox-Control-Token": TOKEN}) as http:
        body = {"account": NUMBER, "amount": 590_000, "note": "BHY7K2Q9"}
        made = await http.post(f"{town.bank}/api/transfers", json=body)
    await page.reload()
    await fits(page)
    row = page.get_by_role("row").filter(has_text=made.json()["reference"])
    await expect(row).to_contain_text("dropped")
    await row.get_by_role("button", name="Send again").click()
    await town.billing.until(lambda: len(town.billing.arrived) == 1)
    assert town.billing.bodies()[0]["data"]["amount"] == 590_000


async def test_the_pages_work_without_scripts_and_in_english(town: Town, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(town.link(vietqr(None, "")))
    await page.get_by_role("link", name="English").click()
    await page.get_by_label("Amount").fill("none")
    await page.get_by_role("button", name="Transfer").click()
    await expect(page.get_by_role("alert")).to_contain_text("whole đồng")
    await page.get_by_label("Amount").fill("1000")
    await page.get_by_role("button", name="Transfer").click()
    await expect(page.get_by_role("heading", name="Money sent")).to_be_visible()
    await page.goto(town.link("xin chào"))
    await expect(page.get_by_role("heading", name="Mã QR không đọc được")).to_be_visible()
    await context.close()
