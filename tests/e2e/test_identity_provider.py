"""Staff sign in with a real OpenID provider in a real browser, on a phone and on a desktop."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import BrowserContext, Page, expect
from sqlalchemy import text

from infra.local.ports import LOOPBACK, free_port
from services.identity.provider.rules import CALLBACK
from shared.database import Database
from tests.e2e.test_identity_pages import fits, open_menu, served, shot
from tests.fixtures.identity import PASSWORD, SELLER, prepare_template
from tests.fixtures.provider import RunningProvider, running_provider

NAME = "Tòa soạn ID"
House = tuple[str, str, RunningProvider]


@pytest.fixture
async def house(create_database, template_database) -> AsyncIterator[House]:
    """Identity's address, its database, and the provider."""
    port = free_port()
    database_url = create_database("identity", template_database("identity", prepare_template))
    with running_provider(f"http://{LOOPBACK}:{port}{CALLBACK}") as provider:
        async with served(database_url, port, **provider.settings) as url:
            yield url, database_url, provider


async def at_provider(page: Page, subject: str, answer: str = "Sign in here") -> None:
    await expect(page.get_by_role("heading", name="Provider: login")).to_be_visible()
    await page.get_by_label("Account").fill(subject)
    await page.get_by_role("button", name=answer).click()


async def journey(context: BrowserContext, house: House, device: str) -> None:
    """Link after the password, sign out, come back to a deep link with the provider, step up there, unlink."""
    url, database_url, provider = house
    provider.account("seller", SELLER)
    page = await context.new_page()
    complaints: list[str] = []
    page.on(
        "console", lambda m: complaints.append(m.text) if "Content Security" in m.text else None
    )

    await page.goto(f"{url}/account")
    await expect(page.get_by_role("button", name=f"Đăng nhập bằng {NAME}")).to_be_visible()
    await shot(page, f"{device}-provider-sign-in")
    await fits(page)
    await page.get_by_label("Địa chỉ e-mail").fill(SELLER)
    await page.get_by_label("Mật khẩu").fill(PASSWORD)
    await page.get_by_role("button", name="Đăng nhập", exact=True).click()
    await page.get_by_role("button", name="Liên kết", exact=True).click()
    await at_provider(page, "seller", "Refuse")
    await expect(page.get_by_role("alert")).to_contain_text(f"Bạn đã không tiếp tục ở {NAME}")
    await shot(page, f"{device}-provider-declined")
    await fits(page)
    await page.get_by_role("button", name="Quay lại").click()
    await page.get_by_role("button", name="Liên kết", exact=True).click()
    await at_provider(page, "seller")
    await expect(page.get_by_role("status")).to_contain_text(
        f"Từ nay bạn có thể đăng nhập bằng {NAME}"
    )
    await shot(page, f"{device}-provider-linked")
    await fits(page)
    await open_menu(page)
    await page.get_by_role("button", name="Đăng xuất").click()
    await expect(page.get_by_text("Bạn đã đăng xuất khỏi mọi công cụ.")).to_be_visible()

    # Still signed in there: one press leads to the page that was wanted.
    deep = f"{url}/account?from=mail"
    await page.goto(deep)
    await page.get_by_role("button", name=f"Đăng nhập bằng {NAME}").click()
    await expect(page).to_have_url(deep)

    # Eleven minutes later an act asks for a fresh proof, and the provider asks again who it is.
    await grow_stale(database_url)
    await page.get_by_role("button", name="Bỏ liên kết").click()
    await expect(page.get_by_role("heading", name="Xác nhận đó là bạn")).to_be_visible()
    await shot(page, f"{device}-provider-confirm")
    await fits(page)
    await page.get_by_role("button", name=f"Xác nhận bằng {NAME}").click()
    await at_provider(page, "seller")
    await expect(page.get_by_role("heading", name="Đã xác nhận đúng là bạn")).to_be_visible()
    await shot(page, f"{device}-provider-confirmed")
    await fits(page)
    await page.get_by_role("button", name="Tiếp tục").click()
    await expect(page.get_by_role("status")).to_contain_text("không còn mở tài khoản của bạn")
    await open_menu(page)
    await page.get_by_role("button", name="Đăng xuất").click()
    await page.get_by_role("button", name=f"Đăng nhập bằng {NAME}").click()
    await expect(page.get_by_role("alert")).to_contain_text("chưa liên kết")
    await shot(page, f"{device}-provider-not-linked")
    await fits(page)
    assert complaints == []


async def grow_stale(database_url: str) -> None:
    database = Database(database_url, application_name="identity-e2e")
    async with database.transaction() as session:
        await session.execute(
            text(
                "UPDATE staff_session SET authenticated_at = authenticated_at - interval '11 minutes'"
            )
        )
    await database.close()


async def test_link_sign_in_step_up_and_unlink_on_a_phone(house, phone):
    await journey(phone, house, "phone")


async def test_link_sign_in_step_up_and_unlink_on_a_desktop(house, desktop):
    await journey(desktop, house, "desktop")
