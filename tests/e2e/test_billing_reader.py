"""A reader on a phone: signs in, pays with a test card, reads on; looks at the account and cancels."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, expect

from infra.local import processes as data
from infra.local.assets import ensure_assets
from infra.local.ports import free_block
from infra.local.stack import LocalStack

WANTED = ("stripe-sandbox", "identity-web", "billing-web", "billing-worker")
STEPS = ("billing migrate", "billing seed", "identity migrate", "identity seed", "streams")
AGENCY = "bao-hung-yen"
SHOTS = os.environ.get("PRESS_SCREENSHOTS", "")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    ensure_assets()
    with LocalStack(
        tmp_path_factory.mktemp("stack"),
        free_block(data.PORTS_USED),
        durable=False,
        processes=[spec for spec in data.PROCESSES if spec.name in WANTED],
        steps=[step for step in data.STEPS if step.name in STEPS],
        databases=("billing", "identity"),
    ) as running:
        yield running


async def shot(page: Page, name: str) -> None:
    """A picture for whoever wants to look (PRESS_SCREENSHOTS names the folder)."""
    wide = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide, f"{name}: the page is wider than the screen"
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def sign_in(page: Page, base: str, email: str, name: str) -> None:
    await shot(page, f"{name}-1-sign-in")
    await page.get_by_label("Địa chỉ e-mail").fill(email)
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    await expect(page.get_by_role("heading", name="Nhập mã đăng nhập")).to_be_visible()
    for box in await page.get_by_role("checkbox").all():
        assert not await box.is_checked(), "a consent is never ticked beforehand"
    await shot(page, f"{name}-2-code")
    async with httpx.AsyncClient() as client:
        outbox = (await client.get(f"{base}/dev/mail")).text
    code = re.search(r"(\d{6}) là mã đăng nhập", outbox)
    assert code is not None
    await page.get_by_label("Mã", exact=True).fill(code.group(1))
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()


async def pay(page: Page, number: str) -> None:
    await page.locator("#number").fill(number)
    await page.locator("#expiry").fill("12/34")
    await page.locator("#cvc").fill("123")
    await page.locator("#pay-form button[type=submit]").click()


async def test_a_reader_on_a_phone_pays_after_a_declined_card_and_reads_on(
    stack: LocalStack, phone: BrowserContext
):
    base = stack.url("billing-web")
    article = f"{stack.surroundings.url(0)}/bai/mot-bai-viet"
    page = await phone.new_page()
    await page.goto(f"{base}/r/{AGENCY}/plans?return_to={article}")
    await shot(page, "phone-3-plans")
    month = page.locator("form.plan", has_text="59.000")
    await month.get_by_role("button", name="Trả bằng thẻ").click()
    await sign_in(page, base, "lan.phone@example.vn", "phone")
    await pay(page, "4000000000000002")
    await expect(page.get_by_role("alert")).to_be_visible()
    await pay(page, "4242424242424242")

    await expect(page.get_by_text("Chúng tôi đã nhận được thanh toán")).to_be_visible()
    await shot(page, "phone-4-receipt")
    assert await page.locator("#read-on").get_attribute("href") == article
    session = await (await page.request.get(f"{base}/v1/agencies/{AGENCY}/session")).json()
    assert session["signed_in"] and session["reader"]["email"] == "lan.phone@example.vn"

    await page.goto(f"{base}/r/{AGENCY}/plans")
    await expect(month.get_by_text("Gói của bạn", exact=True)).to_be_visible()
    await expect(page.get_by_text("Gói của bạn", exact=True)).to_have_count(1)
    await expect(page.locator("button[name=way]")).to_have_count(0)
    await shot(page, "phone-5-own-plan")
    await month.get_by_role("link", name="Xem tài khoản").click()
    await expect(page.get_by_role("heading", name="Tài khoản")).to_be_visible()
    await shot(page, "phone-5-account")
    paper = page.get_by_role("link", name=re.compile(r"\d\d-\d{6}"))
    invoice = await page.request.get(f"{base}{await paper.get_attribute('href')}")
    assert invoice.headers["content-type"] == "application/pdf"
    assert (await invoice.body()).startswith(b"%PDF-")
    await page.get_by_text("Hủy gói", exact=True).click()
    await page.get_by_role("button", name="Đồng ý hủy gói").click()
    await expect(page.get_by_text("Gói của bạn sẽ không gia hạn")).to_be_visible()
    await shot(page, "phone-6-canceled")
    await page.get_by_role("button", name="Giữ gói của tôi").click()
    await expect(page.get_by_text("Gói của bạn sẽ tiếp tục được gia hạn")).to_be_visible()


async def code_to(base: str, to: str) -> str:
    """The newest code that went to a mailbox or a number, as the outbox page shows it."""
    async with httpx.AsyncClient() as client:
        outbox = (await client.get(f"{base}/dev/mail")).text
    message = next(one for one in outbox.split("<article")[1:] if to in one)
    found = re.search(r"(\d{6}) (?:là mã|la ma|xác nhận) ", message)
    assert found is not None
    return found[1]


async def test_a_reader_on_a_phone_registers_with_a_number_and_comes_back_by_it(
    stack: LocalStack, phone: BrowserContext
):
    base, own = stack.url("billing-web"), f"/r/{AGENCY}"
    article = f"{stack.surroundings.url(0)}/bai/mot-bai-viet"
    page = await phone.new_page()
    await page.goto(f"{base}{own}/sign-in?return_to={base}{own}/plans?return_to={article}")
    field, send = page.locator("#email"), page.get_by_role("button", name="Gửi mã cho tôi")
    await field.fill("024 3825 1234")
    await send.click()
    await expect(page.get_by_role("alert")).to_contain_text("Số di động: đây là số cố định")
    await shot(page, "phone-7-number-landline")
    await field.fill("0382.345.678")
    await send.click()
    await expect(page.get_by_text("0382 345 678")).to_be_visible()
    await shot(page, "phone-7-number-code")
    await page.get_by_label("Mã", exact=True).fill(await code_to(base, "+84382345678"))
    await page.get_by_role("button", name="Tiếp tục").click()
    await expect(page.get_by_text("Số 0382 345 678 đã được xác nhận")).to_be_visible()
    await shot(page, "phone-7-number-address")
    await field.fill("so.moi@example.vn")
    await send.click()
    await expect(page.get_by_text("số 0382 345 678 sẽ đăng nhập được")).to_be_visible()
    await page.get_by_label("Mã", exact=True).fill(await code_to(base, "so.moi@example.vn"))
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()
    await expect(page).to_have_url(f"{base}{own}/plans?return_to={article}")
    await page.goto(f"{base}{own}/account")
    await expect(page.get_by_text("0382 345 678")).to_be_visible()
    await shot(page, "phone-7-number-account")

    await page.get_by_role("button", name="Đăng xuất").first.click()
    await page.goto(f"{base}{own}/sign-in")
    await field.fill("+84 382 345 678")
    await send.click()
    await expect(page.get_by_role("heading", name="Nhập mã đăng nhập")).to_be_visible()
    await page.get_by_label("Mã", exact=True).fill(await code_to(base, "+84382345678"))
    await page.get_by_role("button", name="Tiếp tục").click()
    await expect(page.get_by_text("so.moi@example.vn")).to_be_visible()
    await page.get_by_role("link", name="Đổi địa chỉ").click()
    await expect(page.get_by_role("heading", name="Xác nhận đây là tài khoản")).to_be_visible()
    await page.get_by_role("button", name="Gửi mã").click()
    await page.get_by_label("Mã", exact=True).fill(await code_to(base, "so.moi@example.vn"))
    await shot(page, "phone-7-number-confirm")
    await page.get_by_role("button", name="Tiếp tục").click()
    await expect(page.get_by_role("heading", name="Đổi địa chỉ")).to_be_visible()
    await page.goto(f"{base}{own}/account/phone")
    await page.get_by_text("Gỡ số", exact=True).click()
    await shot(page, "phone-7-number-remove")
    await page.get_by_role("button", name="Đồng ý gỡ số").click()
    await expect(page.get_by_text("Đã gỡ số di động")).to_be_visible()


async def test_the_pages_fit_a_desktop_and_speak_english_one_click_away(
    stack: LocalStack, desktop: BrowserContext
):
    base = stack.url("billing-web")
    page = await desktop.new_page()
    await page.goto(f"{base}/r/{AGENCY}/sign-in")
    await sign_in(page, base, "minh.desktop@example.vn", "desktop")
    await expect(page.get_by_role("heading", name="Tài khoản")).to_be_visible()
    await page.goto(f"{base}/r/{AGENCY}/plans")
    await shot(page, "desktop-3-plans")
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("heading", name="Choose a plan")).to_be_visible()
    await page.locator("form.plan", has_text="590,000").locator("button[value=card]").click()
    await pay(page, "4242424242424242")
    await expect(page.get_by_text("Your payment was received")).to_be_visible()
    await shot(page, "desktop-4-receipt")
    await page.goto(f"{base}/r/{AGENCY}/account")
    await shot(page, "desktop-5-account")
    await page.goto(f"{base}/dev/mail")
    await shot(page, "desktop-6-mail")


async def test_the_finance_officer_sees_books_that_balance(
    stack: LocalStack, desktop: BrowserContext
):
    base = stack.url("billing-web")
    page = await desktop.new_page()
    await page.goto(f"{base}/staff/{AGENCY}")
    await page.locator("input[name=email]").fill("finance@bao-hung-yen.example")
    await page.locator("input[name=password]").fill(stack.surroundings.secrets.demo_password)
    await page.locator("main form button[type=submit]").click()
    await expect(page.get_by_role("heading", name="Kiểm tra sổ sách")).to_be_visible()
    await expect(page.locator(".badge.bad")).to_have_count(0)
    await page.get_by_role("link", name="Bảng cân đối tài khoản").click()
    await expect(page.get_by_role("heading", name="Bảng cân đối tài khoản")).to_be_visible()
    opening, debit, credit, closing = await page.locator("tfoot th.number").all_inner_texts()
    assert debit == credit != "0 ₫"
    assert opening.startswith("0") and closing.startswith("0")
    await shot(page, "desktop-7-staff")
    await page.get_by_role("link", name="Doanh thu gói đọc báo").click()
    await expect(page.get_by_role("heading", name="Sổ nhật ký")).to_be_visible()
    await page.get_by_role("link", name="ghi nhận doanh thu").first.click()
    await expect(page.get_by_role("heading", name="Bút toán", exact=True)).to_be_visible()
    await shot(page, "desktop-8-entry")
    await page.get_by_role("link", name="Hóa đơn", exact=True).click()
    await expect(page.get_by_role("heading", name="Hóa đơn", exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name=re.compile(r"^\d\d-\d{6}$"))).to_have_count(2)
    await shot(page, "desktop-9-invoices")
    await page.set_viewport_size({"width": 390, "height": 844})
    await shot(page, "phone-9-invoices")
    answer = await page.goto(f"{base}/staff/dai-song-hong")
    assert answer is not None and answer.status == 404
