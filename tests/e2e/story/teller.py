"""What the chapters share: the stack, the browser, the numbers so far, and one printed line a step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from playwright.async_api import Browser, BrowserContext, Page, Response
from playwright.async_api import Error as PlaywrightError

from infra.local.stack import LocalStack

AGENCY = "bao-hung-yen"
OTHER_AGENCY = "dai-song-hong"
DEADLINE_SECONDS = 15.0
PHONE = (
    "Mozilla/5.0 (Linux; Android 14; SM-A155F) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Mobile Safari/537.36"
)


@dataclass(slots=True)
class Story:
    """One telling."""

    stack: LocalStack
    browser: Browser
    http: httpx.AsyncClient
    steps: int = 0
    figures: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def step(self, title: str) -> AsyncIterator[list[str]]:
        """A step: what is put into the list is printed beside its title, with its time."""
        self.steps += 1
        facts: list[str] = []
        started = time.perf_counter()
        try:
            yield facts
        except BaseException:
            print(f"✗ {self.steps:2}  {title}", flush=True)
            raise
        seconds = time.perf_counter() - started
        print(f"✓ {self.steps:2}  {title:<58} {'; '.join(facts)}  ({seconds:.1f} s)", flush=True)

    def url(self, process: str) -> str:
        return self.stack.url(process)

    async def sql(self, database: str, query: str, *values: Any) -> list[asyncpg.Record]:
        """Rows from a service's own database."""
        connection = await asyncpg.connect(self.stack.database_url(database))
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    async def number(self, database: str, query: str, *values: Any) -> int:
        """The one number a query gives."""
        value = (await self.sql(database, query, *values))[0][0]
        return int(value or 0)

    async def gauge(self, name: str, **labels: str) -> int:
        """The sum of a gauge's series that have these labels, as the exporter tells it now."""
        answer = await self.http.get(
            f"{self.url('metrics-web')}/metrics",
            headers={"Authorization": f"Bearer {self.stack.surroundings.secrets.scrape_token}"},
        )
        answer.raise_for_status()
        total = 0
        for line in answer.text.splitlines():
            if not line.startswith(name + "{"):
                continue
            if all(f'{label}="{value}"' in line for label, value in labels.items()):
                total += int(line.rsplit(" ", 1)[1])
        return total


async def eventually(
    what: str,
    condition: Callable[[], Awaitable[bool]],
    *,
    seconds: float = DEADLINE_SECONDS,
) -> float:
    """Wait until the condition holds; returns the seconds it took. Fails with ``what`` at the deadline."""
    started = time.perf_counter()
    while not await condition():
        assert time.perf_counter() - started < seconds, f"after {seconds} s still not: {what}"
        await asyncio.sleep(0.05)
    return time.perf_counter() - started


class Witness:
    """Keeps the text of every response a browser context gets, to prove what was never in one."""

    def __init__(self, context: BrowserContext) -> None:
        self._bodies: list[tuple[str, asyncio.Task[str | None]]] = []
        self.looked_at = 0
        context.on("response", self._note)

    def forget(self) -> None:
        """Begin anew, with the page that is opened next."""
        self._bodies.clear()

    def _note(self, response: Response) -> None:
        # What is sent with keepalive outlives its page, and the browser never hands its answer over.
        keepalive = response.url.endswith("/v1/impressions")
        if not keepalive and response.request.resource_type not in ("image", "font"):
            self._bodies.append((response.url, asyncio.ensure_future(self._read(response))))

    @staticmethod
    async def _read(response: Response) -> str | None:
        if response.status in (204, 301, 302, 303, 307, 308):
            return ""
        try:
            return await asyncio.wait_for(response.text(), DEADLINE_SECONDS)
        except (PlaywrightError, TimeoutError):
            return None

    async def assert_never_saw(self, sentence: str) -> None:
        """Every response since ``forget`` was read, and none contained the sentence."""
        for url, task in self._bodies:
            body = await task
            assert body is not None, f"{url} could not be read"
            assert sentence not in body, f"{url} contains paid text"
        self.looked_at += len(self._bodies)


async def phone_page(story: Story) -> tuple[Page, Witness]:
    """A new reader's phone."""
    context = await story.browser.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        locale="vi-VN",
        timezone_id="Asia/Ho_Chi_Minh",
        # A headless browser names itself, and ads rightly do not count it; this one plays a person.
        user_agent=PHONE,
    )
    witness = Witness(context)
    return await context.new_page(), witness


async def staff_page(story: Story, email: str, landing: str) -> Page:
    """A member of staff, signed in through identity, on a desktop, at ``landing``."""
    context = await story.browser.new_context(
        viewport={"width": 1280, "height": 900}, locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh"
    )
    page = await context.new_page()
    await page.goto(landing)
    assert "/sign-in" in page.url, f"{landing} should ask to sign in first, but is {page.url}"
    await page.fill("input[name=email]", email)
    await page.fill("input[name=password]", story.stack.surroundings.secrets.demo_password)
    await page.click("main form button[type=submit], main form button:not([type])")
    await page.wait_for_url(f"{landing}**")
    return page
