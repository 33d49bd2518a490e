"""Staff use identity in a real browser, on a phone and on a desktop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp
import pytest
import uvicorn
from playwright.async_api import BrowserContext, Page, expect

from infra.local.ports import LOOPBACK, free_port
from services.identity.app import web
from services.identity.process import IDENTITY
from services.identity.seed import seed
from shared.database import Database
from shared.process import application
from tests.fixtures.identity import (
    ADMIN,
    PASSWORD,
    TOTP_SECRET,
    prepare_template,
    settings_for,
)

KEEP = os.environ.get("PRESS_SCREENSHOTS")


@asynccontextmanager
async def served(database_url: str, port: int = 0, **changes: object) -> AsyncIterator[str]:
    """Identity on a real port."""
    port = port or free_port()
    settings = settings_for(
        database_url,
        identity_url=f"http://{LOOPBACK}:{port}",
        assets_dir=os.environ.get("ASSETS_DIR", ".local/assets"),
        **changes,
    )
    database = Database(database_url, application_name="identity-e2e")
    await seed(database, settings)
    await database.close()
    process = IDENTITY.process("web", settings)
    server = uvicorn.Server(
        uvicorn.Config(
            application(process, web(process)), host=LOOPBACK, port=port, log_config=None, ws="none"
        )
    )
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.02)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def url(create_database, template_database) -> AsyncIterator[str]:
    template = template_database("identity", prepare_template)
    async with served(create_database("identity", template)) as address:
        yield address


async def shot(page: Page, name: str) -> None:
    if KEEP:
        await page.screenshot(path=str(Path(KEEP) / f"{name}.png"), full_page=True)


async def open_menu(page: Page) -> None:
    """On a narrow screen the bar's tools stand behind a button."""
    button = page.locator(".staff-open")
    if await button.is_visible():
        await button.click()


async def fits(page: Page) -> None:
    """Nothing sticks out to the side."""
    width, inner = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner, f"{page.url} is {width} wide on {inner}"


async def walk_through(context: BrowserContext, url: str, device: str) -> None:
    """Sign in wrongly, then rightly, make a key, add an account, sign out."""
    page = await context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if "Content Security" in m.text else None
    )
    await page.goto(f"{url}/keys/bao-hung-yen")
    await expect(page.get_by_role("heading", name="Đăng nhập cán bộ")).to_be_visible()
    await shot(page, f"{device}-sign-in")
    await fits(page)
    await page.get_by_label("Địa chỉ e-mail").fill(ADMIN)
    await page.get_by_label("Mật khẩu").fill("không phải mật khẩu")
    await page.get_by_role("button", name="Đăng nhập").click()
    await expect(page.get_by_role("alert")).to_contain_text("không đúng")
    await page.get_by_label("Địa chỉ e-mail").fill(ADMIN)
    await page.get_by_label("Mật khẩu").fill(PASSWORD)
    await page.get_by_role("button", name="Đăng nhập").click()
    await expect(page.get_by_role("heading", name="Bước thứ hai")).to_be_visible()
    await shot(page, f"{device}-second-step")
    await fits(page)
    await page.get_by_label("Mã").fill(pyotp.TOTP(TOTP_SECRET).now())
    await page.get_by_role("button", name="Đăng nhập").click()
    await expect(page).to_have_url(f"{url}/keys/bao-hung-yen")
    await page.get_by_label("Tên").fill("Máy chủ trang báo")
    await page.get_by_label("Lấy quảng cáo").check()
    await page.get_by_role("button", name="Tạo khóa").click()
    await expect(page.locator(".secret code")).to_contain_text("prk_")
    await shot(page, f"{device}-keys")
    await fits(page)
    await page.goto(f"{url}/accounts/bao-hung-yen")
    await page.locator("summary").first.click()
    await shot(page, f"{device}-accounts")
    await fits(page)
    await page.goto(url)
    await expect(page.get_by_role("heading", name="Xin chào, Quản trị (ví dụ)")).to_be_visible()
    await shot(page, f"{device}-home")
    await fits(page)
    await page.goto(f"{url}/account")
    await expect(page.get_by_text("phiên này")).to_be_visible()
    await shot(page, f"{device}-account")
    await fits(page)
    await open_menu(page)
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("heading", name="My account")).to_be_visible()
    await open_menu(page)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Staff sign-in")).to_be_visible()
    await page.goto(url)
    await expect(page.get_by_role("heading", name="Staff sign-in")).to_be_visible()
    assert complaints == []


async def test_staff_sign_in_make_a_key_and_leave_on_a_phone(url, phone):
    await walk_through(phone, url, "phone")


async def test_staff_sign_in_make_a_key_and_leave_on_a_desktop(url, desktop):
    await walk_through(desktop, url, "desktop")


async def sign_in_as_administrator(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_label("Địa chỉ e-mail").fill(ADMIN)
    await page.get_by_label("Mật khẩu").fill(PASSWORD)
    await page.get_by_role("button", name="Đăng nhập").click()
    await page.get_by_label("Mã").fill(pyotp.TOTP(TOTP_SECRET).now())
    await page.get_by_role("button", name="Đăng nhập").click()
    await expect(page).to_have_url(address)


async def test_from_an_invitation_to_password_app_and_the_page_one_wanted(url, desktop, phone):
    """An administrator invites a second one, who comes by the mail's link, on a phone."""
    admin = await desktop.new_page()
    accounts = f"{url}/accounts/bao-hung-yen"
    await sign_in_as_administrator(admin, accounts)
    form = admin.locator("section", has=admin.get_by_role("heading", name="Mời người mới"))
    await form.get_by_label("Địa chỉ e-mail").fill("lan.anh@bao-hung-yen.example")
    await form.get_by_label("Tên").fill("Lan Anh")
    await form.get_by_label("Quản trị viên").check()
    await form.get_by_role("button", name="Gửi lời mời").click()
    await expect(admin.get_by_role("status")).to_contain_text("Lời mời đã được gửi")
    await shot(admin, "desktop-invited")
    await admin.goto(f"{url}/dev/mail")
    await shot(admin, "desktop-mail")
    link = await admin.locator(".mail-body a").first.get_attribute("href")
    assert link is not None and link.startswith(f"{url}/invitation?token=")

    page = await phone.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if "Content Security" in m.text else None
    )
    await page.goto(link)
    await shot(page, "phone-invitation")
    await fits(page)
    await page.get_by_label("Mật khẩu mới", exact=True).fill("baohungyen2026")
    await page.get_by_label("Nhập lại mật khẩu mới").fill("baohungyen2026")
    await page.get_by_role("button", name="Chấp nhận").click()
    await expect(page.get_by_role("alert")).to_contain_text("dễ đoán")
    await shot(page, "phone-invitation-common")
    await page.get_by_label("Mật khẩu mới", exact=True).fill("nhãn lồng tháng tám")
    await page.get_by_label("Nhập lại mật khẩu mới").fill("nhãn lồng tháng tám")
    await page.get_by_role("button", name="Chấp nhận").click()
    await expect(page.get_by_role("heading", name="Cài ứng dụng xác thực")).to_be_visible()
    await shot(page, "phone-enrol")
    await fits(page)
    secret = (await page.locator(".secret code").inner_text()).replace("-", "").upper()
    await page.get_by_label("Mã").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Tiếp tục").click()
    await expect(page.get_by_role("heading", name="Mã khôi phục")).to_be_visible()
    recovery = await page.locator(".codes code").first.inner_text()
    await shot(page, "phone-recovery-codes")
    await fits(page)
    await page.get_by_role("button", name="Tôi đã cất giữ: tiếp tục").click()
    await expect(page.get_by_role("heading", name="Xin chào, Lan Anh")).to_be_visible()
    await page.goto(f"{url}/account")
    await shot(page, "phone-own-account")
    await fits(page)
    await page.goto(accounts)
    await shot(page, "phone-accounts-list")
    await fits(page)
    await open_menu(page)
    await page.get_by_role("button", name="Đăng xuất").click()
    await expect(page.get_by_text("Bạn đã đăng xuất khỏi mọi công cụ.")).to_be_visible()

    deep = f"{url}/keys/bao-hung-yen?from=mail"
    await page.goto(deep)
    await page.get_by_label("Địa chỉ e-mail").fill("lan.anh@bao-hung-yen.example")
    await page.get_by_label("Mật khẩu").fill("nhãn lồng tháng tám")
    await page.get_by_role("button", name="Đăng nhập").click()
    await page.get_by_label("Mã").fill(recovery)
    await page.get_by_role("button", name="Đăng nhập").click()
    await expect(page).to_have_url(deep)
    assert complaints == []
