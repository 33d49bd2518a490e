"""A file that is too large is told of where it is chosen, in the reader's language, and nothing is sent."""

from __future__ import annotations

import os
from pathlib import Path

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from infra.local.stack import REPOSITORY, LocalStack
from shared.web.i18n import LANGUAGE_COOKIE
from tests.e2e.test_staff_bar import SCREENS, signed_in

AGENCY = "bao-hung-yen"
KEEP = os.environ.get("PRESS_SCREENSHOTS")
#: Template with a field for a file → its process, who opens it, its page.
PAGES = {
    "services/ads/console/templates/creative.html": (
        "ads-web",
        f"seller@{AGENCY}.example",
        f"/console/{AGENCY}/lines/{{line}}/creatives/new",
    ),
    "services/billing/templates/staff_statement.html": (
        "billing-web",
        f"finance@{AGENCY}.example",
        f"/staff/{AGENCY}/transfers/statement",
    ),
    "shared/metrics/templates/finance_imports.html": (
        "metrics-web",
        f"finance@{AGENCY}.example",
        f"/finance/{AGENCY}/imports",
    ),
    "shared/metrics/templates/finance_baselines.html": (
        "metrics-web",
        f"finance@{AGENCY}.example",
        f"/finance/{AGENCY}/baseline",
    ),
}
SAYS = {"vi": "Tệp được tối đa {most} MB.", "en": "The file may have at most {most} MB."}
MOST = {
    "ads-web": {"vi": "1", "en": "1"},
    "billing-web": {"vi": "5", "en": "5"},
    "metrics-web": {"vi": "1,5", "en": "1.5"},
}


def test_these_are_all_pages_that_take_a_file():
    found = {
        str(path.relative_to(REPOSITORY))
        for folder in ("services", "shared")
        for path in (REPOSITORY / folder).rglob("*.html")
        if "file_input(" in (text := path.read_text(encoding="utf-8")) or 'type="file"' in text
    }
    assert found - {"shared/web/templates/file_input.html"} == set(PAGES)


async def any_line(stack: LocalStack) -> str:
    connection = await asyncpg.connect(stack.database_url("ads"))
    try:
        return str(await connection.fetchval("SELECT id FROM line WHERE agency_id = $1", AGENCY))
    finally:
        await connection.close()


@pytest.mark.parametrize("template", PAGES)
async def test_a_file_that_is_too_large_is_told_of_where_it_is_chosen(
    template: str, local_stack: LocalStack, browser: Browser
):
    process, account, path = PAGES[template]
    page = await signed_in(local_stack, browser, account)
    address = local_stack.url(process) + path.format(line=await any_line(local_stack))
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    for language, said in SAYS.items():
        for screen, size in SCREENS.items():
            await page.set_viewport_size(size)
            await page.context.add_cookies(
                [{"name": LANGUAGE_COOKIE, "value": language, "url": address}]
            )
            await page.goto(address)
            field = page.locator("input[type=file]")
            form = page.locator("form", has=field)
            for other in await form.locator("input[required]:not([type=file])").all():
                await other.fill("https://vi-du.vn")  # nothing else holds the form back
            limit = int(str(await field.get_attribute("data-max-bytes")))
            large = {"name": "l.csv", "mimeType": "text/csv", "buffer": b"x" * (limit + 1)}
            await field.set_input_files(large)  # type: ignore[arg-type]
            words = said.format(most=MOST[process][language])
            assert await field.evaluate("field => field.validationMessage") == words
            await form.locator("button").last.click()
            assert sent == [] and page.url == address
            if KEEP:
                name = f"file-{Path(template).stem}-{language}-{screen}.png"
                await page.screenshot(path=str(Path(KEEP) / name))
            await field.set_input_files(large | {"buffer": b"x" * limit})  # type: ignore[arg-type]
            assert await field.evaluate("field => field.validationMessage") == ""
            await expect(field).to_be_visible()
    await page.context.close()
