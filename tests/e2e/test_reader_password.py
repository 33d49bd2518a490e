"""A reader on a phone sets a password, signs in by it where they were reading, and changes and removes it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, expect

from infra.local import processes as data
from infra.local.assets import ensure_assets
from infra.local.ports import free_block
from infra.local.stack import LocalStack

WANTED = ("billing-web", "billing-worker")
STEPS = ("billing migrate", "billing seed", "streams")
AGENCY = "bao-hung-yen"
SHOTS = os.environ.get("PRESS_SCREENSHOTS", "")
EMAIL, FIRST, SECOND = "lan.mk@example.vn", "nhãn lồng tháng tám", "sen nở muộn bên đê"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    ensure_assets()
    with LocalStack(
        tmp_path_factory.mktemp("stack"),
        free_block(data.PORTS_USED),
        durable=False,
        processes=[spec for spec in data.PROCESSES if spec.name in WANTED],
        steps=[step for step in data.STEPS if step.name in STEPS],
        databases=("billing",),
    ) as running:
        yield running


async def shot(page: Page, name: str) -> None:
    """A picture for whoever wants to look (PRESS_SCREENSHOTS names the folder)."""
    wide = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide, f"{name}: the page is wider than the screen"
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def code(base: str, says: str) -> str:
    """The newest one of its kind in the outbox."""
    async with httpx.AsyncClient() as client:
        found = re.search(rf"(\d{{6,8}}) {says}", (await client.get(f"{base}/dev/mail")).text)
    assert found is not None
    return found[1]


async def send_code(page: Page, base: str, name: str) -> str:
    await page.get_by_role("button", name=name, exact=True).click()
    await expect(page.get_by_label("Mã", exact=True)).to_be_visible()
    return await code(base, "là mã của bạn cho mật khẩu")


async def by_password(page: Page, password: str) -> None:
    await page.get_by_label("Địa chỉ e-mail").fill(EMAIL)
    await page.get_by_role("button", name="Đăng nhập bằng mật khẩu").click()
    await expect(page.get_by_label("Địa chỉ e-mail")).to_have_value(EMAIL)
    await page.get_by_label("Mật khẩu", exact=True).fill(password)
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()


async def test_a_password_from_setting_it_to_removing_it(stack: LocalStack, phone: BrowserContext):
    base = stack.url("billing-web")
    sign_in, account = f"{base}/r/{AGENCY}/sign-in", f"{base}/r/{AGENCY}/account"
    page = await phone.new_page()
    await page.goto(sign_in)
    await page.get_by_label("Địa chỉ e-mail").fill(EMAIL)
    await page.keyboard.press("Enter")  # the code is what is sent by default
    await expect(page.get_by_label("Mã", exact=True)).to_be_visible()
    await page.get_by_label("Mã", exact=True).fill(await code(base, "là mã đăng nhập"))
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()

    await page.get_by_role("link", name="Mật khẩu", exact=True).click()
    await shot(page, "password-1-none")
    sent = await send_code(page, base, "Gửi mã cho tôi")
    await page.get_by_label("Mã", exact=True).fill(sent)
    field = page.get_by_label("Mật khẩu mới", exact=True)
    await field.fill("123456789012345")
    await page.get_by_role("button", name="Hiện mật khẩu").click()
    await expect(field).to_have_attribute("type", "text")
    await shot(page, "password-2-code")
    await page.get_by_role("button", name="Đặt mật khẩu này").click()
    await expect(page.get_by_role("alert")).to_contain_text("Mật khẩu mới: mật khẩu này dễ đoán")
    await expect(page.get_by_label("Mã", exact=True)).to_have_value(sent)
    await expect(field).to_have_value("")
    await expect(field).to_have_attribute("type", "password")
    await shot(page, "password-3-refused")
    await field.fill(FIRST)
    await page.get_by_role("button", name="Đặt mật khẩu này").click()
    await expect(page.get_by_role("status")).to_contain_text("Đã lưu mật khẩu của bạn")
    await shot(page, "password-4-account")

    # Signed out, and in by the password: back to the page where one was.
    await page.locator("header").get_by_role("button", name="Đăng xuất").click()
    await page.goto(f"{sign_in}?return_to={quote(f'{base}/r/{AGENCY}/plans', safe='')}")
    await shot(page, "password-5-sign-in")
    await by_password(page, SECOND)
    await expect(page.get_by_role("alert")).to_contain_text("không khớp")
    await shot(page, "password-6-wrong")
    await page.get_by_label("Mật khẩu", exact=True).fill(FIRST)
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()
    await page.wait_for_url(f"{base}/r/{AGENCY}/plans")

    await page.goto(f"{account}/password")
    await page.get_by_label("Mật khẩu hiện tại").fill(FIRST)
    await page.get_by_label("Mật khẩu mới", exact=True).fill(SECOND)
    await shot(page, "password-7-change")
    await page.get_by_role("button", name="Đổi mật khẩu").click()
    await expect(page.get_by_role("status")).to_contain_text("Đã lưu mật khẩu của bạn")
    await page.goto(f"{account}/password")
    sent = await send_code(page, base, "Gửi mã cho tôi")
    await page.get_by_label("Mã", exact=True).fill(sent)
    await shot(page, "password-8-remove")
    await page.get_by_role("button", name="Bỏ mật khẩu").click()
    await expect(page.get_by_role("status")).to_contain_text("Đã bỏ mật khẩu")
    await page.locator("header").get_by_role("button", name="Đăng xuất").click()
    await page.goto(sign_in)
    await by_password(page, SECOND)
    await expect(page.get_by_role("alert")).to_contain_text("không khớp")
    # From here a code is one press away, with the address that was typed.
    await page.get_by_role("button", name="Gửi mã cho tôi thay vì mật khẩu").click()
    await expect(page.get_by_role("heading", name="Nhập mã đăng nhập")).to_be_visible()
    await expect(page.get_by_text(EMAIL)).to_be_visible()
