"""An act of weight asks who it is, in another tab, and then goes on with what was typed: in a real browser, in both languages."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect

from infra.local.assets import DEFAULT_FOLDER, ensure_assets
from infra.local.ports import free_port
from shared.metrics.baseline import service as baseline
from tests.fixtures.finance import DEMO, running_finance
from tests.fixtures.identity import FINANCE, PASSWORD
from tests.fixtures.serving import served

AGENCY = "bao-hung-yen"
WORDS = {
    "vi": ("Chốt bản này", "Đúng, chốt số liệu", "Hãy xác nhận đó là bạn", "Xác nhận (mở trong thẻ mới)",
           "Mật khẩu", "Xác nhận", "Đã xác nhận: tiếp tục", "Đăng nhập"),
    "en": ("Freeze this version", "Yes, freeze it", "Confirm that it is you", "Confirm (opens a new tab)",
           "Password", "Confirm", "Confirmed: go on", "Sign in"),
}  # fmt: skip


@pytest.mark.parametrize("language", WORDS)
async def test_freezing_asks_for_a_fresh_proof_and_then_goes_on(
    create_database, template_database, browser: Browser, language: str
):
    freeze, yes, question, first, password, confirm, second, sign_in = WORDS[language]
    ensure_assets()
    own, identity_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    urls = {
        "identity_url": identity_url,
        "metrics_url": own,
        "assets_dir": str(DEFAULT_FOLDER),
    }
    async with AsyncExitStack() as stack:
        finance = await stack.enter_async_context(
            running_finance(create_database, template_database, identity_changes=urls, **urls)
        )
        for app, url in ((finance.app, own), (finance.identity.app, identity_url)):
            await stack.enter_async_context(served(app, int(url.rpartition(":")[2])))
        draft = f"{own}/finance/{AGENCY}/baseline/2"
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{identity_url}/sign-in?lang={language}")
        await page.fill("input[name=email]", FINANCE)
        await page.fill("input[name=password]", PASSWORD)
        await page.get_by_role("button", name=sign_in, exact=True).click()
        await page.goto(f"{own}/finance/{AGENCY}/baseline?lang={language}")
        await page.set_input_files("input[type=file]", str(DEMO / "baseline" / "dai-song-hong.csv"))
        await page.locator("input[type=file]").evaluate("field => field.form.submit()")
        await page.wait_for_url(draft)
        for clock in (finance.clock, finance.identity.clock):
            clock.advance(timedelta(minutes=11))
        await page.get_by_text(freeze, exact=True).click()
        await page.get_by_role("button", name=yes).click()
        await expect(page.get_by_role("heading", name=question)).to_be_visible()
        assert not await frozen(finance)
        async with context.expect_page() as opened:
            await page.get_by_role("link", name=first).click()
        tab = await opened.value
        await tab.get_by_label(password).fill(PASSWORD)
        await tab.get_by_role("button", name=confirm, exact=True).click()
        await tab.wait_for_url(draft)
        await tab.close()
        assert not await frozen(finance), "who has proved to be himself has not pressed yet"
        await page.get_by_role("button", name=second).click()
        await expect(page.get_by_text(re.compile("SHA-256"))).to_be_visible()
        assert page.url == draft
        assert await frozen(finance)
        await context.close()


async def frozen(finance) -> bool:
    async with finance.database.read() as session:
        found = await baseline.get_baseline(session, AGENCY, 2)
    return found.version.frozen_at is not None
