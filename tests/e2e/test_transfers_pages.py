"""Finance in a browser: a transfer that names its order wrongly is given to it, and the bank's statement is taken in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from infra.local.stack import LocalStack
from shared.web.i18n import LANGUAGE_COOKIE
from tests.e2e.test_billing_reader import sign_in
from tests.e2e.test_staff_bar import SCREENS, signed_in

AGENCY, ACCOUNT = "bao-hung-yen", "9900000001"
KEEP = os.environ.get("PRESS_SCREENSHOTS")
WORDS = {
    "vi": ("Gán cho đơn này", "đọc được ngay", "Đơn đã được trả", "Đọc tệp…", "Nhập…",
           "Nhập sao kê này", "Đã nhập xong", "Xem các khoản cần xử lý"),
    "en": ("Give it to this order", "can read at once", "The order is paid", "Read it…", "Take it in…",
           "Take it in", "Taken in and applied", "See what waits for somebody"),
}  # fmt: skip


async def look(page: Page, name: str) -> None:
    """On both screens nothing sticks out; a picture for whoever wants to look (PRESS_SCREENSHOTS)."""
    for screen, size in SCREENS.items():
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        width, inner = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= inner, f"{name}: {page.url} is {width} wide on {inner}"
        if KEEP:
            path = str(Path(KEEP) / f"transfers-{name}-{screen}.png")
            await page.screenshot(path=path, full_page=True)


async def ordered(stack: LocalStack, context: BrowserContext) -> str:
    """A reader chooses the usual way to pay; the code to transfer with."""
    base, page = stack.url("billing-web"), await context.new_page()
    await page.goto(f"{base}/r/{AGENCY}/plans")
    month = page.locator("form.plan", has_text="59.000")
    await month.locator("button[name=way]").first.click()
    await sign_in(page, base, f"ck-{uuid4().hex[:8]}@example.vn", "transfer")
    await page.wait_for_url(f"{base}/r/{AGENCY}/orders/*")
    return page.url.rsplit("/", 1)[1]


async def bank(stack: LocalStack, method: str, path: str, **options: Any) -> httpx.Response:
    token = stack.surroundings.secrets.stripe_control_token
    async with httpx.AsyncClient(headers={"Sandbox-Control-Token": token}) as client:
        url = f"{stack.url('stripe-sandbox')}/bank/api/{path}"
        answer = await client.request(method, url, **options)
    assert answer.is_success, answer.text
    return answer


@pytest.mark.parametrize("language", WORDS)
async def test_finance_settles_a_transfer_and_takes_in_the_statement(
    local_stack: LocalStack, browser: Browser, phone: BrowserContext, tmp_path: Path, language: str
):
    give, at_once, paid, read, first, take, done, queue = WORDS[language]
    code = await ordered(local_stack, phone)
    note = f"mua bao {code[:5]}O{code[6:]} thang 11"
    paying = {"account": ACCOUNT, "amount": 60_000, "note": note, "payer": "NGUYEN VAN ANH"}
    await bank(local_stack, "POST", "transfers", json=paying)
    page = await signed_in(local_stack, browser, f"finance@{AGENCY}.example")
    own = f"{local_stack.url('billing-web')}/staff/{AGENCY}"
    await page.context.add_cookies([{"name": LANGUAGE_COOKIE, "value": language, "url": own}])
    row = page.locator("table.credits tbody tr", has_text=code[6:])
    for _ in range(100):
        await page.goto(f"{own}/transfers")
        if await row.count():
            break
        await page.wait_for_timeout(100)
    await look(page, f"{language}-1-queue")
    await row.locator("a").click()
    await look(page, f"{language}-2-credit")
    # The order of the misread code stands first.
    await page.get_by_role("button", name=code).click()
    await expect(page.get_by_text(at_once)).to_be_visible()
    await look(page, f"{language}-3-asked")
    await page.locator("details.confirm input[name=why]").fill("gọi điện cho bạn đọc")
    await page.get_by_role("button", name=give).click()
    await expect(page.get_by_role("status").first).to_contain_text(paid)
    await page.locator("input[name=reference]").fill("x" * 100)
    await page.locator("form[action$='/return'] input[name=why]").fill(" ")
    await page.locator("form[action$='/return'] button").click()
    await expect(page.locator("[aria-invalid=true]")).to_have_count(1)
    await look(page, f"{language}-4-wrong")
    await page.goto(f"{own}/transfers?show=all")
    await look(page, f"{language}-5-all")

    await page.goto(f"{own}/transfers/statement")
    wrong = "Ngày giao dịch;Ghi có;Nội dung\n" + "31/02/2026;mot tram;x\n" * 3
    for name, raw in (
        ("sai.csv", wrong.encode()),
        (
            "sao-ke.csv",
            (await bank(local_stack, "GET", f"statement.csv?account={ACCOUNT}")).content,
        ),
    ):
        file = tmp_path / name
        file.write_bytes(raw)
        await page.set_input_files("input[type=file]", str(file))
        await page.get_by_role("button", name=read).click()
        await look(page, f"{language}-6-{name[:-4]}")
    await page.get_by_text(first, exact=True).click()
    await look(page, f"{language}-7-statement-asked")
    await page.get_by_role("button", name=take, exact=True).click()
    await expect(page.get_by_text(done)).to_be_visible(timeout=20_000)
    await look(page, f"{language}-8-taken")
    await page.get_by_role("link", name=queue).click()
    await expect(page.locator("#waiting")).to_be_visible()
    await page.goto(own)
    await look(page, f"{language}-9-overview")
