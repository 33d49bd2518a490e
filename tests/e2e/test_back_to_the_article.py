"""Signing in, paying and signing out end where the reader was: in the article, as it is for them now.

Chromium runs with its back/forward cache on, as people have it (Playwright turns it off by default).
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from infra.local import processes as data
from infra.local.assets import ensure_assets
from infra.local.ports import free_block
from infra.local.stack import LocalStack
from infra.news_site.articles import Article, read_articles
from tests.e2e.story.reading import paid_sentence
from tests.faults.readers import PayingReader
from tests.fixtures.browser import CHROMIUM_FLAGS, VIETNAM, chromium_executable
from tests.fixtures.waiting import eventually

WANTED = {"stripe-sandbox", "identity-web", "billing-web", "billing-worker", "paywall-web", "news-site"}  # fmt: skip
DATABASES = ("billing", "identity", "paywall")
AGENCY = "bao-hung-yen"
# PayingReader's first two: one mailbox is sent five codes in a quarter of an hour.
SUBSCRIBER, OTHER_SUBSCRIBER = "reader-1@example.vn", "reader-2@example.vn"
SHOTS = os.environ.get("PRESS_SCREENSHOTS", "")
ARTICLES = list(read_articles().values())
METERED = [article for article in ARTICLES if article.access == "metered"]
PREMIUM = [article for article in ARTICLES if article.access == "premium"]
SCREENS = {
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
    "desktop": {"viewport": {"width": 1280, "height": 800}},
}
REMEMBER = "addEventListener('pageshow', (event) => { window.restored = event.persisted; });"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """What a reader meets, and one who has paid."""
    ensure_assets()
    with LocalStack(
        tmp_path_factory.mktemp("stack"),
        free_block(data.PORTS_USED),
        durable=False,
        processes=[spec for spec in data.PROCESSES if spec.name in WANTED],
        steps=[step for step in data.STEPS if step.name.split()[0] in (*DATABASES, "streams")],
        databases=DATABASES,
    ) as running:
        for number in (1, 2):
            subscriber = PayingReader(running, number)
            subscriber.choose()
            subscriber.pay()
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_executable(),
            args=CHROMIUM_FLAGS,
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield chromium
        await chromium.close()


@pytest.fixture(params=list(SCREENS))
async def screen(browser: Browser, request: pytest.FixtureRequest) -> BrowserContext:
    context = await browser.new_context(**SCREENS[request.param], **VIETNAM)
    await context.add_init_script(REMEMBER)
    return context


@pytest.fixture
async def desktop(browser: Browser) -> BrowserContext:
    context = await browser.new_context(**SCREENS["desktop"], **VIETNAM)
    await context.add_init_script(REMEMBER)
    return context


def address(stack: LocalStack, article: Article) -> str:
    return stack.url("news-site") + article.path


async def shot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png")


async def newest_code(stack: LocalStack, email: str) -> str:
    async with httpx.AsyncClient() as client:
        outbox = (await client.get(f"{stack.url('billing-web')}/dev/mail")).text
    found = re.search(rf"{re.escape(email)}.*?\b(\d{{6,8}}) là mã đăng nhập", outbox, re.DOTALL)
    assert found is not None, f"no mail to {email}"
    return found[1]


async def sign_in(stack: LocalStack, page: Page, email: str) -> None:
    await page.get_by_label("Địa chỉ e-mail").fill(email)
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    await expect(page.get_by_text(f"Chúng tôi đã gửi mã đến {email}")).to_be_visible()
    await shot(page, f"code-{page.viewport_size['width']}")  # type: ignore[index]
    await page.get_by_label("Mã", exact=True).fill(await newest_code(stack, email))
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()


async def pay(page: Page) -> None:
    await page.locator("#number").fill("4242424242424242")
    await page.locator("#expiry").fill("12/34")
    await page.locator("#cvc").fill("123")
    await page.locator("#pay-form button[type=submit]").click()


async def is_open(page: Page, article: Article) -> None:
    text = page.locator("[data-paywall-content]")
    await expect(text).to_contain_text(paid_sentence(article)[:40])
    await expect(text).to_be_visible()
    await expect(page.locator(".pr-wall")).to_have_count(0)
    await expect(page.locator(".checking")).to_be_hidden()


async def shows_the_wall(page: Page, article: Article) -> None:
    await expect(page.locator(".pr-wall")).to_be_visible()
    assert paid_sentence(article) not in await page.content()
    await expect(page.locator("[data-paywall-content]")).to_be_visible()


async def subscribed(stack: LocalStack) -> None:
    """The subscriber's payment has been applied."""
    connection = await asyncpg.connect(stack.database_url("billing"))
    try:

        async def applied() -> bool:
            return bool(await connection.fetchval("SELECT count(*) FROM entitlement"))

        await eventually(applied, "the subscriber's entitlement", seconds=60)
    finally:
        await connection.close()


def watch(page: Page) -> list[str]:
    """Errors of the console: a refused redirect shows there and nowhere else."""
    errors: list[str] = []
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    return errors


async def back_to(page: Page, length: int) -> None:
    """Back over everything since ``history.length`` was ``length``, in one step as a long press of Back does."""
    here = await page.evaluate("history.length")
    await page.evaluate(f"setTimeout(() => history.go({length - here}), 0)")


# From the wall and the masthead


async def test_the_walls_first_button_leads_back_into_the_article(
    stack: LocalStack, screen: BrowserContext
):
    page = await screen.new_page()
    errors = watch(page)
    *read, walled = METERED[:4]
    for article in read:
        await page.goto(address(stack, article))
        await is_open(page, article)
    await page.goto(f"{address(stack, walled)}?tu=trang-nhat")
    await shows_the_wall(page, walled)
    await shot(page, f"wall-{page.viewport_size['width']}")  # type: ignore[index]
    button = page.get_by_role("link", name="Đăng nhập để đọc tiếp")
    await button.scroll_into_view_if_needed()
    place = "document.querySelector('[data-paywall-content]').getBoundingClientRect().top"
    before = await page.evaluate(place)
    assert await page.evaluate("scrollY") > 0
    await button.click()
    await sign_in(stack, page, f"moi-{uuid4().hex[:8]}@example.vn")
    await page.wait_for_url(f"{address(stack, walled)}?tu=trang-nhat")
    await is_open(page, walled)
    # The lines of an opened article break differently above: within a tenth of the screen.
    assert abs(await page.evaluate(place) - before) < 80, "at the same place"
    await expect(page.get_by_role("link", name="Tài khoản")).to_be_visible()
    assert errors == []
    # Pressing again, in a browser that is signed in already, ends in the article as well.
    target = quote(address(stack, walled), safe="")
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/sign-in?return_to={target}")
    await page.wait_for_url(address(stack, walled))
    await is_open(page, walled)


@pytest.mark.parametrize("way", ["wall", "masthead"])
async def test_who_has_a_plan_signs_in_and_reads_the_same_article(
    stack: LocalStack, screen: BrowserContext, way: str
):
    await subscribed(stack)
    page = await screen.new_page()
    errors, article = watch(page), PREMIUM[0]
    await page.goto(address(stack, article))
    await shows_the_wall(page, article)
    if way == "wall":
        await page.get_by_role("link", name="Tôi đã có gói: đăng nhập").click()
    else:
        await page.locator(".masthead").get_by_role("link", name="Đăng nhập").click()
    await sign_in(stack, page, SUBSCRIBER)
    await page.wait_for_url(address(stack, article))
    await is_open(page, article)
    assert errors == []


# Back


async def test_back_after_paying_shows_no_wall_and_the_chosen_plan_survives_signing_in(
    stack: LocalStack, screen: BrowserContext
):
    page = await screen.new_page()
    errors, article = watch(page), PREMIUM[1]
    await page.goto(address(stack, article))
    await shows_the_wall(page, article)
    length = await page.evaluate("history.length")
    await page.get_by_role("link", name="Xem các gói đọc báo").click()
    await page.locator("form.plan", has_text="59.000").locator("button[value=card]").click()
    await sign_in(stack, page, f"mua-{uuid4().hex[:8]}@example.vn")
    await page.wait_for_url(f"{stack.url('stripe-sandbox')}/**")
    await expect(page.locator("body")).to_contain_text("59.000")
    await pay(page)
    await expect(page.locator("#read-on")).to_be_visible()
    await back_to(page, length)
    await expect(page).to_have_url(address(stack, article))
    await is_open(page, article)
    assert await page.evaluate("window.restored"), "the page came from the back/forward cache"
    await expect(page.get_by_role("link", name="Tài khoản")).to_be_visible()
    assert errors == []


async def test_back_after_signing_out_shows_no_paid_text(stack: LocalStack, screen: BrowserContext):
    await subscribed(stack)
    page = await screen.new_page()
    article = PREMIUM[2]
    target = quote(address(stack, article), safe="")
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/sign-in?return_to={target}")
    await sign_in(stack, page, OTHER_SUBSCRIBER)
    await page.wait_for_url(address(stack, article))
    await is_open(page, article)
    length = await page.evaluate("history.length")
    await page.get_by_role("link", name="Tài khoản").click()
    own = page.locator(".rows li", has_text="thiết bị này")
    await own.get_by_role("button", name="Đăng xuất").click()
    await expect(page.get_by_text("Bạn đã đăng xuất khỏi thiết bị này")).to_be_visible()
    await back_to(page, length)
    await expect(page).to_have_url(address(stack, article))
    await shows_the_wall(page, article)
    assert await page.evaluate("window.restored"), "the page came from the back/forward cache"
    await expect(page.locator(".masthead").get_by_role("link", name="Đăng nhập")).to_be_visible()
    # The front page, which has no paywall.js, asks again too.
    await page.goto(stack.url("news-site"))
    await expect(page.locator(".masthead").get_by_role("link", name="Gói đọc báo")).to_be_visible()


# Forms


async def test_an_old_form_keeps_what_was_typed_and_the_next_press_works(
    stack: LocalStack, screen: BrowserContext
):
    page = await screen.new_page()
    target = quote(address(stack, PREMIUM[0]), safe="")
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/sign-in?return_to={target}")
    await page.get_by_label("Địa chỉ e-mail").fill("cu@example.vn")
    await screen.clear_cookies()
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    await expect(page.get_by_role("alert")).to_contain_text("Trang đã cũ, hãy thử lại")
    await expect(page.get_by_label("Địa chỉ e-mail")).to_have_value("cu@example.vn")
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    await expect(page.get_by_text("Chúng tôi đã gửi mã đến cu@example.vn")).to_be_visible()


async def test_the_code_can_be_sent_again_without_javascript(stack: LocalStack, browser: Browser):
    context = await browser.new_context(java_script_enabled=False, **SCREENS["phone"], **VIETNAM)
    page = await context.new_page()
    await page.goto(f"{stack.url('billing-web')}/r/{AGENCY}/sign-in")
    await page.get_by_label("Địa chỉ e-mail").fill("khong-js@example.vn")
    await page.get_by_role("button", name="Gửi mã cho tôi").click()
    counter, again = page.locator(".countdown"), page.locator("button[name=again]")
    await expect(counter).to_be_visible()
    await expect(again).to_be_hidden()
    seconds = "getComputedStyle(document.querySelector('.countdown')).getPropertyValue('--seconds')"
    first = int(await page.evaluate(seconds))
    assert 20 < first <= 30

    async def fewer() -> bool:
        return int(await page.evaluate(seconds)) < first

    await eventually(fewer, "the seconds go down")
    await page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")
    await expect(again).to_be_visible()
    await expect(counter).to_be_hidden()


async def test_an_article_says_that_it_goes_on_when_the_script_is_blocked(
    stack: LocalStack, desktop: BrowserContext
):
    page = await desktop.new_page()
    await page.route("**/paywall.js", lambda route: route.abort())
    await page.goto(address(stack, PREMIUM[0]))
    await expect(page.get_by_text("Đang kiểm tra quyền đọc của bạn")).to_be_visible()
    stuck = page.get_by_text("Nếu bài viết không hiện ra")
    await page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")
    await expect(stuck).to_be_visible()
    plans = await stuck.get_by_role("link").get_attribute("href")
    assert plans is not None and quote(address(stack, PREMIUM[0]), safe="/").split("//")[1] in plans
