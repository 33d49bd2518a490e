"""One bar on every tool, on a phone and on a desktop: it fits, leads everywhere, and its way out counts everywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Browser, Page, expect

from infra.local.stack import LocalStack
from tests.fixtures.browser import VIETNAM

AGENCY = "bao-hung-yen"
KEEP = os.environ.get("PRESS_SCREENSHOTS")
SCREENS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
TOOLS = {
    "Quảng cáo": ("ads-web", f"/console/{AGENCY}"),
    "Tài chính": ("metrics-web", f"/finance/{AGENCY}"),
    "Sổ sách": ("billing-web", f"/staff/{AGENCY}"),
    "Tường phí": ("paywall-web", f"/policies/{AGENCY}"),
    "Tài khoản": ("identity-web", f"/accounts/{AGENCY}"),
    "Khóa": ("identity-web", f"/keys/{AGENCY}"),
}
HIGHEST_BAR = {"phone": 112, "desktop": 112}  # CSS pixels


async def signed_in(stack: LocalStack, browser: Browser, account: str) -> Page:
    """In the browser of an account of the demo, on its home page. An administrator's code works once in 30 seconds."""
    secrets = stack.surroundings.secrets
    context = await browser.new_context(viewport=SCREENS["desktop"], **VIETNAM)
    page = await context.new_page()
    await page.goto(stack.url("identity-web"))
    await page.locator("input[name=email]").fill(account)
    await page.locator("input[name=password]").fill(secrets.demo_password)
    await page.get_by_role("button", name="Đăng nhập").click()
    if account.startswith("admin@"):
        await page.get_by_label("Mã").fill(pyotp.TOTP(secrets.demo_totp_secret).now())
        await page.get_by_role("button", name="Đăng nhập").click()
    await expect(page.get_by_role("heading", name="Xin chào")).to_be_visible()
    return page


async def fits(page: Page, screen: str, name: str) -> None:
    """Nothing sticks out, the bar leaves the screen to the page, and says in which tool one is."""
    width, inner = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner, f"{page.url} is {width} wide on {inner}"
    box = await page.locator("header.staff-bar").bounding_box()
    assert box is not None and box["height"] <= HIGHEST_BAR[screen], (page.url, box)
    if KEEP:
        await page.screenshot(path=str(Path(KEEP) / f"bar-{screen}-{name}.png"))


async def open_menu(page: Page, screen: str) -> None:
    if screen == "phone":
        await page.locator(".staff-open").click()
    await expect(page.get_by_role("navigation", name="Công cụ")).to_be_visible()


async def walk(stack: LocalStack, page: Page, screen: str) -> None:
    """By the bar through every tool in Vietnamese, then each again in English."""
    await page.set_viewport_size(SCREENS[screen])
    for label, (process, path) in TOOLS.items():
        await open_menu(page, screen)
        await page.locator("#staff-menu").get_by_role("link", name=label, exact=True).click()
        await page.wait_for_url(f"{stack.url(process)}{path}")
        if screen == "phone":
            await expect(page.locator(".staff-open")).to_contain_text(label)
        else:
            await expect(page.locator("#staff-menu a[aria-current]")).to_have_text(label)
        await fits(page, screen, f"{process}{path.split('/')[1]}")
    await open_menu(page, screen)
    await expect(page.get_by_text("Quản trị (ví dụ)").first).to_be_visible()
    if KEEP:
        await page.screenshot(path=str(Path(KEEP) / f"bar-{screen}-menu.png"))
    await page.get_by_role("link", name="English").click()
    if screen == "phone":
        await page.locator(".staff-open").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    for label, (process, path) in TOOLS.items():
        await page.goto(stack.url(process) + path)
        await fits(page, screen, f"en-{process}{path.split('/')[1]}")
        text = await page.locator("header.staff-bar").inner_text()
        assert label not in text, f"half English: {text}"


async def test_one_bar_leads_through_every_tool_in_both_languages(
    local_stack: LocalStack, browser: Browser
) -> None:
    page = await signed_in(local_stack, browser, "admin@bao-hung-yen.example")
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if "Content Security" in m.text else None
    )
    home = page.url
    for screen in SCREENS:
        await page.goto(f"{home}?lang=vi")
        await walk(local_stack, page, screen)
    assert complaints == []
    await page.context.close()


async def known_at(stack: LocalStack, page: Page, process: str, path: str) -> bool:
    """Whether a tool knows the session, with or without a role for it, or sends the browser to sign in."""
    answer = await page.goto(stack.url(process) + path)
    assert answer is not None
    if "/sign-in?next=" in page.url:
        return False
    assert answer.status in (200, 403), (page.url, answer.status)
    return True


@pytest.mark.parametrize(
    ("tool", "account"),
    [
        ("Quảng cáo", "seller"),
        ("Tài chính", "finance"),
        ("Sổ sách", "finance"),
        ("Tường phí", "editor"),
    ],
)
async def test_signing_out_of_one_tool_is_signing_out_of_all(
    local_stack: LocalStack, browser: Browser, tool: str, account: str
) -> None:
    """From each tool's own page; the others have just been used and refuse at once, also for a form in an old tab."""
    page = await signed_in(local_stack, browser, f"{account}@bao-hung-yen.example")
    process, path = TOOLS[tool]
    old_tab = await page.context.new_page()
    await old_tab.goto(local_stack.url(process) + path)
    for one in TOOLS.values():
        assert await known_at(local_stack, page, *one)
    cookies = await page.context.cookies()
    await page.goto(local_stack.url(process) + path)
    await page.get_by_role("button", name="Đăng xuất").click()
    await expect(page.get_by_text("Bạn đã đăng xuất khỏi mọi công cụ.")).to_be_visible()
    left = [c for c in await page.context.cookies() if c["name"] == "press_staff"]
    assert left == [], "the browser has dropped the cookie"
    await page.context.add_cookies([c for c in cookies if c["name"] == "press_staff"])
    for one in TOOLS.values():
        assert not await known_at(local_stack, page, *one), f"{one[0]} still knows the session"
    if account == "editor":
        await old_tab.get_by_role("button", name="Lưu").click()
        await expect(old_tab.get_by_role("heading", name="Đăng nhập cán bộ")).to_be_visible()
    await page.context.close()
