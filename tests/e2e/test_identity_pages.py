"""Staff use identity in a real browser, on a phone and on a desktop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import BrowserContext, Page, expect

from infra.local.ports import LOOPBACK, free_port
from services.identity.app import web
from services.identity.process import IDENTITY
from services.identity.seed import seed
from shared.database import Database
from shared.process import application
from tests.fixtures.identity import ADMIN, PASSWORD, prepare_template, settings_for

KEEP = os.environ.get("PRESS_SCREENSHOTS")


@asynccontextmanager
async def served(database_url: str) -> AsyncIterator[str]:
    """Identity on a real port."""
    port = free_port()
    settings = settings_for(
        database_url,
        identity_url=f"http://{LOOPBACK}:{port}",
        assets_dir=os.environ.get("ASSETS_DIR", ".local/assets"),
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
    await page.get_by_role("link", name="English").click()
    await expect(page.get_by_role("heading", name="My account")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Staff sign-in")).to_be_visible()
    await page.goto(url)
    await expect(page.get_by_role("heading", name="Staff sign-in")).to_be_visible()
    assert complaints == []


async def test_staff_sign_in_make_a_key_and_leave_on_a_phone(url, phone):
    await walk_through(phone, url, "phone")


async def test_staff_sign_in_make_a_key_and_leave_on_a_desktop(url, desktop):
    await walk_through(desktop, url, "desktop")
