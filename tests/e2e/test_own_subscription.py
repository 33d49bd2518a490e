"""A reader and their subscription, on a phone and at a desk: pay by card, decline and retry, another card, another plan with its
preview, a pause, and a cancellation from a letter without signing in."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from infra.local import processes as data
from infra.local.assets import ensure_assets
from infra.local.databases import owner_of
from infra.local.ports import free_block
from infra.local.stack import LocalStack

WANTED = ("stripe-sandbox", "identity-web", "billing-web", "billing-worker")
STEPS = ("billing migrate", "billing seed", "identity migrate", "identity seed", "streams")
AGENCY = "bao-hung-yen"
SHOTS = os.environ.get("PRESS_SCREENSHOTS", "")
GOOD, DECLINED, FAILS_LATER = "4242424242424242", "4000000000000002", "4000000000000341"
DAY = timedelta(days=1)


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


async def outbox(stack: LocalStack) -> str:
    async with httpx.AsyncClient() as client:
        return unescape((await client.get(f"{stack.url('billing-web')}/dev/mail")).text)


async def sign_in(page: Page, stack: LocalStack, email: str) -> None:
    await page.get_by_label("Địa chỉ e-mail").fill(email)
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    await expect(page.get_by_role("heading", name="Nhập mã đăng nhập")).to_be_visible()
    code = re.search(r"(\d{6}) là mã đăng nhập", await outbox(stack))
    assert code is not None
    await page.get_by_label("Mã", exact=True).fill(code.group(1))
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()


async def give(page: Page, number: str) -> None:
    """Fill in the provider's page."""
    await page.locator("#number").fill(number)
    await page.locator("#expiry").fill("12/34")
    await page.locator("#cvc").fill("123")
    await page.locator("#pay-form button[type=submit]").click()


async def subscribe(page: Page, stack: LocalStack, email: str, card: str, screen: str) -> None:
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/plans")
    await shot(page, f"{screen}-1-plans")
    month = page.locator("form.plan", has_text="59.000").first
    await month.get_by_role("button", name="Trả bằng thẻ").click()
    await sign_in(page, stack, email)
    await give(page, DECLINED)
    await expect(page.get_by_role("alert")).to_be_visible()
    await give(page, card)
    await expect(page.get_by_text("Chúng tôi đã nhận được thanh toán")).to_be_visible()
    await shot(page, f"{screen}-2-receipt")


async def begins_earlier(stack: LocalStack, email: str, by: timedelta) -> None:
    """The reader's paid period began, and ends, earlier: what time would do."""
    url = stack.surroundings.database_url("billing", owner_of("billing"))
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        async with connection.transaction():
            await connection.execute("ALTER TABLE payment DISABLE TRIGGER USER")
            chosen = "reader_id = (SELECT id FROM reader WHERE email = $2)"
            await connection.execute(
                f"""UPDATE payment SET paid_at = paid_at - $1::interval, period_start = period_start - $1::interval,
                    period_end = period_end - $1::interval WHERE {chosen}""",
                by,
                email,
            )
            await connection.execute(
                f"""UPDATE subscription SET period_start = period_start - $1::interval,
                    period_end = period_end - $1::interval, review_at = review_at - $1::interval
                    WHERE {chosen}""",
                by,
                email,
            )
            await connection.execute("ALTER TABLE payment ENABLE TRIGGER USER")
    finally:
        await connection.close()


def account(stack: LocalStack) -> str:
    return f"{stack.url('billing-web')}/r/{AGENCY}/account"


async def change_card(page: Page, stack: LocalStack, screen: str) -> None:
    await page.goto(account(stack))
    await expect(page.get_by_text("Lần thu tiếp theo")).to_be_visible()
    await shot(page, f"{screen}-3-account")
    await page.get_by_role("button", name="Đổi thẻ").click()
    await give(page, GOOD)
    await expect(page.get_by_text("Đã lưu thẻ mới.")).to_be_visible()
    await expect(page.get_by_text("Visa •••• 4242")).to_be_visible()
    await shot(page, f"{screen}-4-new-card")


async def pause_and_back(page: Page, stack: LocalStack, screen: str) -> None:
    await page.get_by_text("Tạm dừng gói").first.click()
    field = page.get_by_label("Đọc lại từ ngày")
    words = await page.get_by_text("Chọn một ngày từ").inner_text()
    await field.fill(re.findall(r"\d\d/\d\d/\d{4}", words)[1])
    await shot(page, f"{screen}-5-pause")
    await page.get_by_role("button", name="Dừng đến ngày đó").click()
    await expect(page.get_by_text("Đã đặt lịch tạm dừng.")).to_be_visible()
    await shot(page, f"{screen}-6-paused")
    await page.get_by_role("button", name="Không tạm dừng nữa").click()
    await expect(page.get_by_text("Gói của bạn sẽ tiếp tục được gia hạn")).to_be_visible()


async def change_plan(page: Page, stack: LocalStack, screen: str) -> None:
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/plans")
    await shot(page, f"{screen}-7-plans-of-a-subscriber")
    year = page.locator("form.plan", has_text="590.000")
    await year.get_by_role("button", name="Đổi sang gói này").click()
    await expect(page.get_by_role("heading", name="Đổi gói")).to_be_visible()
    await expect(page.get_by_text("Cần trả bây giờ")).to_be_visible()
    await shot(page, f"{screen}-8-preview")
    await page.get_by_role("button", name="và đổi gói").click()
    await expect(page.get_by_text("Gói mới của bạn đã bắt đầu.")).to_be_visible()
    await shot(page, f"{screen}-9-changed")
    # The way back down: it comes with the next period, and is taken back.
    await page.goto(account(stack))
    await page.get_by_text("Đổi gói", exact=True).click()
    await page.get_by_role("link", name="59.000 ₫ / tháng").click()
    await expect(page.get_by_text("Hôm nay không thu tiền")).to_be_visible()
    await shot(page, f"{screen}-10-preview-later")
    await page.get_by_role("button", name="Đổi gói từ").click()
    await expect(page.get_by_text("Gói mới bắt đầu từ kỳ tiếp theo.")).to_be_visible()
    await shot(page, f"{screen}-11-change-comes")
    await page.get_by_role("button", name="Giữ gói hiện tại").click()
    await expect(page.get_by_text("Bạn giữ gói hiện tại.")).to_be_visible()


async def test_a_subscription_from_the_card_to_another_plan(
    stack: LocalStack, phone: BrowserContext, desktop: BrowserContext
) -> None:
    for context, screen in ((phone, "phone"), (desktop, "desktop")):
        page = await context.new_page()
        email = f"lan.{screen}@example.vn"
        await subscribe(page, stack, email, FAILS_LATER, screen)
        await change_card(page, stack, screen)
        await pause_and_back(page, stack, screen)
        await change_plan(page, stack, screen)
        await page.goto(f"{account(stack)}?lang=en")
        await expect(page.get_by_text("Next payment")).to_be_visible()
        await shot(page, f"{screen}-12-english")


async def letter_link(page: Page, stack: LocalStack, subject: str, seen: set[str]) -> str:
    """The link in a letter of this subject that was not there before."""
    for _ in range(60):
        mail = await outbox(stack)
        links = re.findall(r"https?://[^\s\"<>]+/s/[\w.-]+", mail) if subject in mail else []
        if new := [link for link in links if link not in seen]:
            return new[0]
        await page.wait_for_timeout(500)
    raise AssertionError(f"no letter came: {subject}")


async def test_what_is_owed_is_paid_and_the_plan_canceled_from_a_letter(
    stack: LocalStack, phone: BrowserContext, desktop: BrowserContext, browser: Browser
) -> None:
    for context, screen in ((phone, "phone"), (desktop, "desktop")):
        page = await context.new_page()
        email = f"no.{screen}@example.vn"
        await subscribe(page, stack, email, FAILS_LATER, f"{screen}-owed")
        before = set(re.findall(r"https?://[^\s\"<>]+/s/[\w.-]+", await outbox(stack)))
        await begins_earlier(stack, email, 32 * DAY)
        subject = "Chưa gia hạn được gói đọc báo của bạn"
        link = await letter_link(page, stack, subject, before)
        await page.goto(account(stack))
        await expect(page.get_by_text("quá hạn thanh toán")).to_be_visible()
        await shot(page, f"{screen}-13-owed")
        await page.get_by_role("button", name="Thanh toán ngay bằng").click()
        await expect(page.get_by_text("Chưa thu khoản nào")).to_be_visible()
        await shot(page, f"{screen}-14-refused")
        # Somebody who is not signed in opens the letter, without script.
        viewport = page.viewport_size
        assert viewport is not None
        letter = await browser.new_context(
            java_script_enabled=False, viewport={"width": viewport["width"], "height": 844}
        )
        opened = await letter.new_page()
        await opened.goto(link)
        await expect(opened.get_by_text("Chưa thanh toán 59.000 ₫")).to_be_visible()
        if SHOTS:
            await opened.screenshot(path=Path(SHOTS) / f"{screen}-15-letter.png", full_page=True)
        paying = await opened.context.request.post(
            f"{opened.url.split('?')[0]}/pay",
            headers={"Origin": stack.url("billing-web")},
            max_redirects=0,
        )
        assert paying.status == 303, "the payment page needs no signing in"
        await opened.get_by_text("Hủy gói", exact=True).click()
        if SHOTS:
            await opened.screenshot(path=Path(SHOTS) / f"{screen}-16-cancel.png", full_page=True)
        await opened.get_by_role("button", name="Đồng ý hủy gói").click()
        await expect(opened.get_by_text("Gói của bạn đã kết thúc.")).to_be_visible()
        if SHOTS:
            await opened.screenshot(path=Path(SHOTS) / f"{screen}-17-canceled.png", full_page=True)
        await opened.goto(account(stack))
        await expect(opened.get_by_label("Địa chỉ e-mail")).to_be_visible()
        await letter.close()
