"""From the wall by bank transfer into the article: a plan, one article, a day, a gift, and a transfer that is too small."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, expect

from infra.local import processes as data
from infra.local.assets import ensure_assets
from infra.local.ports import free_block
from infra.local.stack import LocalStack
from infra.news_site.articles import read_articles
from tests.e2e.story.reading import paid_sentence

WANTED = {"stripe-sandbox", "identity-web", "billing-web", "billing-worker", "paywall-web", "paywall-worker", "news-site"}  # fmt: skip
DATABASES = ("billing", "identity", "paywall")
AGENCY = "bao-hung-yen"
SHOTS = os.environ.get("PRESS_SCREENSHOTS", "")
PREMIUM = [article for article in read_articles().values() if article.access == "premium"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    ensure_assets()
    with LocalStack(
        tmp_path_factory.mktemp("stack"),
        free_block(data.PORTS_USED),
        durable=False,
        processes=[spec for spec in data.PROCESSES if spec.name in WANTED],
        steps=[step for step in data.STEPS if step.name.split()[0] in (*DATABASES, "streams")],
        databases=DATABASES,
    ) as running:
        yield running


async def shot(page: Page, name: str) -> None:
    """A picture for whoever wants to look (PRESS_SCREENSHOTS names the folder)."""
    wide = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide, f"{name}: the page is wider than the screen"
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def sign_in(page: Page, stack: LocalStack, email: str) -> None:
    base = stack.url("billing-web")
    await page.get_by_label("Địa chỉ e-mail").fill(email)
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    await expect(page.get_by_role("heading", name="Nhập mã đăng nhập")).to_be_visible()
    async with httpx.AsyncClient() as client:
        outbox = (await client.get(f"{base}/dev/mail")).text
    code = re.search(r"(\d{6}) là mã đăng nhập", outbox)
    assert code is not None
    await page.get_by_label("Mã", exact=True).fill(code.group(1))
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()


async def to_the_plans(page: Page, stack: LocalStack, number: int) -> str:
    """From the wall of a premium article to the plans; the article's address."""
    article = PREMIUM[number]
    address = f"{stack.surroundings.url(0)}/bai/{article.id}"
    await page.goto(address)
    await expect(page.locator(".pr-wall")).to_be_visible()
    assert paid_sentence(article) not in await page.content()
    await page.locator(".pr-wall a[data-offer=subscribe]").click()
    await expect(page.get_by_role("heading", name="Chọn gói đọc báo")).to_be_visible()
    return address


async def transfer(page: Page, *, amount: str = "") -> float:
    """Transfer at the test bank, in its own tab as from the order's page; the moment it was sent."""
    async with page.context.expect_page() as opening:
        await page.locator("#demo-bank").click()
    bank = await opening.value
    if amount:
        await bank.locator("[name=amount]").fill(amount)
    await shot(bank, f"bank-{await page.evaluate('innerWidth')}")
    sent = time.perf_counter()
    await bank.locator("form button[type=submit]").last.click()
    await bank.locator(".receipt").wait_for()  # a tab that is closed on its way may hang
    await bank.close()
    await page.bring_to_front()
    return sent


async def test_a_reader_pays_by_transfer_from_the_wall_and_reads_on(
    stack: LocalStack, phone: BrowserContext, desktop: BrowserContext
) -> None:
    await pay_from_the_wall(stack, phone, "phone")
    await pay_from_the_wall(stack, desktop, "desktop")


async def pay_from_the_wall(stack: LocalStack, context: BrowserContext, screen: str) -> None:
    page = await context.new_page()
    address = await to_the_plans(page, stack, 0)
    await shot(page, f"plans-{screen}")
    month = page.locator("form.plan", has_text="59.000").first
    await month.get_by_role("button", name="Chuyển khoản (VietQR)").click()
    await sign_in(page, stack, f"lan.{screen}@example.vn")
    await expect(page.get_by_role("heading", name="Thanh toán chuyển khoản")).to_be_visible()
    await shot(page, f"order-{screen}")
    sent = await transfer(page)
    read_on = page.locator("#read-on")
    await expect(read_on).to_be_visible(timeout=15_000)
    seconds = time.perf_counter() - sent
    print(f"{screen}: the receipt {seconds:.2f} s after the transfer")
    await shot(page, f"paid-{screen}")
    await read_on.click()
    await expect(page.get_by_text(paid_sentence(PREMIUM[0]))).to_be_visible()
    assert page.url.split("#")[0].split("?")[0] == address


async def test_too_little_is_told_and_the_rest_completes_it(
    stack: LocalStack, phone: BrowserContext
) -> None:
    page = await phone.new_page()
    await to_the_plans(page, stack, 0)
    week = page.locator("form.plan", has_text="19.000").first
    await week.get_by_role("button", name="Chuyển khoản (VietQR)").click()
    await sign_in(page, stack, "thieu@example.vn")
    await transfer(page, amount="9000")
    await expect(page.get_by_text("còn thiếu")).to_be_visible(timeout=15_000)
    await shot(page, "order-short")
    await transfer(page)
    await expect(page.locator("#read-on")).to_be_visible(timeout=15_000)
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/account")
    await expect(page.get_by_role("button", name="Gia hạn thêm một tuần")).to_be_visible()
    await shot(page, "account-term")


async def test_one_article_is_bought_and_opens_alone(
    stack: LocalStack, phone: BrowserContext
) -> None:
    page = await phone.new_page()
    await to_the_plans(page, stack, 0)
    one = page.locator("form.plan", has_text="Chỉ bài này")
    await one.get_by_role("button").click()
    await sign_in(page, stack, "mot.bai@example.vn")
    await transfer(page)
    await expect(page.get_by_text("Bài này đã mở cho bạn.")).to_be_visible(timeout=15_000)
    await shot(page, "paid-article")
    await page.locator("#read-on").click()
    await expect(page.get_by_text(paid_sentence(PREMIUM[0]))).to_be_visible()
    await page.goto(f"{stack.surroundings.url(0)}/bai/{PREMIUM[1].id}")
    await expect(page.locator(".pr-wall")).to_be_visible()


async def test_a_day_is_bought_and_everything_opens(
    stack: LocalStack, desktop: BrowserContext
) -> None:
    page = await desktop.new_page()
    await to_the_plans(page, stack, 1)
    await page.locator("form.plan", has_text="Thẻ ngày").get_by_role("button").click()
    await sign_in(page, stack, "mot.ngay@example.vn")
    await transfer(page)
    await expect(page.locator("#read-on")).to_be_visible(timeout=15_000)
    await page.goto(f"{stack.surroundings.url(0)}/bai/{PREMIUM[0].id}")
    await expect(page.get_by_text(paid_sentence(PREMIUM[0]))).to_be_visible()


async def test_a_gift_is_bought_by_one_and_read_by_another(
    stack: LocalStack, desktop: BrowserContext, phone: BrowserContext
) -> None:
    base = stack.url("billing-web")
    giver = await desktop.new_page()
    await giver.goto(f"{base}/r/{AGENCY}/gifts")
    await shot(giver, "gifts")
    await giver.locator("form.plan", has_text="59.000").get_by_role("button").click()
    await sign_in(giver, stack, "nguoi.tang@example.vn")
    await transfer(giver)
    code = giver.locator("code.big")
    await expect(code).to_be_visible(timeout=15_000)
    await shot(giver, "paid-gift")
    link = await giver.locator(".gift a.address").get_attribute("href")
    friend = await phone.new_page()
    await friend.goto(link or "")
    await friend.get_by_role("button", name="Dùng mã").click()
    await sign_in(friend, stack, "nguoi.nhan@example.vn")
    await expect(friend.get_by_label("Mã quà tặng")).to_have_value(await code.inner_text())
    await shot(friend, "redeem")
    await friend.get_by_role("button", name="Dùng mã").click()
    await expect(friend.get_by_text("Quà tặng đã bắt đầu.")).to_be_visible()
    await shot(friend, "account-gift")
    await friend.goto(f"{stack.surroundings.url(0)}/bai/{PREMIUM[0].id}")
    await expect(friend.get_by_text(paid_sentence(PREMIUM[0]))).to_be_visible()


async def test_a_term_becomes_a_year_for_the_difference(
    stack: LocalStack, phone: BrowserContext, desktop: BrowserContext
) -> None:
    base = stack.url("billing-web")
    page = await phone.new_page()
    await to_the_plans(page, stack, 0)
    month = page.locator("form.plan", has_text="59.000").first
    await month.get_by_role("button", name="Chuyển khoản (VietQR)").click()
    await sign_in(page, stack, "doi.goi@example.vn")
    await transfer(page)
    await expect(page.locator("#read-on")).to_be_visible(timeout=15_000)
    await page.goto(f"{base}/r/{AGENCY}/account")
    await page.locator("details.choice summary", has_text="Đổi gói").click()
    await shot(page, "account-change")
    await page.locator("ul.others a", has_text="590.000").first.click()
    await expect(page.get_by_text("Phần còn lại của kỳ đang đọc")).to_be_visible()
    await shot(page, "change-phone")
    wide = await desktop.new_page()
    await desktop.add_cookies(await phone.cookies())  # type: ignore[arg-type]
    await wide.goto(page.url)
    await shot(wide, "change-desktop")
    await page.get_by_role("button", name="Tiếp tục thanh toán").click()
    await expect(page.get_by_role("heading", name="Thanh toán gói mới")).to_be_visible()
    asked = await page.locator("dl.by-hand strong").first.inner_text()
    assert int(re.sub(r"\D", "", asked)) in range(590_000 - 59_000, 590_000)
    await shot(page, "order-change-phone")
    await wide.goto(page.url)
    await shot(wide, "order-change-desktop")
    await transfer(page)
    await expect(page.get_by_text("Gói mới của bạn đã bắt đầu.")).to_be_visible(timeout=15_000)
    await shot(page, "paid-change-phone")
    await page.goto(f"{base}/r/{AGENCY}/account")
    await expect(page.get_by_text("590.000 ₫ / năm")).to_be_visible()
    await page.locator("details.choice summary", has_text="Đổi gói").click()
    await page.locator("ul.others a", has_text="59.000").first.click()
    await expect(page.get_by_role("button", name="Đặt để nối tiếp từ")).to_be_visible()
    await shot(page, "change-follows-phone")
