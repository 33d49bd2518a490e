"""``paywall.js`` in a real browser, on a website with a strict content security policy."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from playwright.async_api import BrowserContext, Page, expect

from infra.local.ports import free_port
from services.paywall.app import web
from services.paywall.entitlements.service import apply_events
from services.paywall.process import PAYWALL
from shared.agencies import save_agencies
from shared.audit import Actor
from shared.auth import InvalidTokenError, RemoteKeySet
from shared.clock import SystemClock
from shared.contracts import new_event
from shared.contracts.billing import EntitlementGranted
from shared.process import application
from tests.integration.paywall.conftest import AGENCY, House, fake_identity, house, settings_for

__all__ = ["house"]

PAID = "Phần trả phí: giá nhãn lồng năm nay tăng 20 phần trăm."
PAGE = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Bài {id}</title>
<link rel="stylesheet" href="/site.css">
<script src="{paywall}/paywall.js" defer data-agency="{agency}" data-article="{id}"
  data-content="/content/{id}" data-billing="{site}"></script></head>
<body><main><h1>Mùa nhãn lồng Hưng Yên</h1><p><a href="/">Trang chủ</a></p>
<div data-paywall-content><p>Những ngày này, các nhà vườn ở Hưng Yên tất bật vào vụ thu hoạch.</p></div>
<noscript>Hãy bật JavaScript để đọc bài viết này.</noscript></main></body></html>"""


@dataclass
class Site:
    """A newspaper's website, and billing's session endpoint beside it."""

    origin: str
    paywall: str
    paywall_from_here: str
    token: str | None = None
    left: int = 0  # articles of the reader's bundle
    use: Callable[[str], Awaitable[None]] | None = None
    sent: list[str] = field(default_factory=list)
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    def __post_init__(self) -> None:
        self._keys = RemoteKeySet(
            "press-paywall", f"{self.paywall_from_here}/.well-known/jwks.json", self.http
        )

    async def __call__(self, scope, receive, send) -> None:
        assert scope["type"] == "http"
        if scope["path"] == "/v1/bundle-uses" and self.use is not None:
            await self.use((await receive())["body"].decode())
            status, kind, body = 200, "application/json", '{"used": true}'
        else:
            status, kind, body = await self.answer(scope)
        policy = (
            f"default-src 'none'; style-src 'self' {self.paywall}; script-src {self.paywall}; "
            f"connect-src 'self' {self.paywall}; img-src 'self'; base-uri 'none'"
        )
        headers = [
            (b"content-type", f"{kind}; charset=utf-8".encode()),
            (b"content-security-policy", policy.encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})

    async def answer(self, scope) -> tuple[int, str, str]:
        path = scope["path"]
        if path.startswith("/bai/"):
            lang = "en" if b"en" in scope["query_string"] else "vi"
            return (
                200,
                "text/html",
                PAGE.format(
                    lang=lang, id=path[5:], paywall=self.paywall, site=self.origin, agency=AGENCY
                ),
            )
        if path == "/site.css":
            return (
                200,
                "text/css",
                "body{font-family:Georgia,serif;margin:1rem auto;max-width:44rem;padding:0 1rem;line-height:1.6}",
            )
        if path.endswith("/session"):
            return (
                200,
                "application/json",
                json.dumps(
                    {
                        "signed_in": bool(self.token),
                        "token": self.token,
                        "bundle": {
                            "uses": 10,
                            "left": self.left,
                            "use_url": f"{self.origin}/v1/bundle-uses",
                        }
                        if self.left
                        else None,
                    }
                ),
            )
        if path == "/favicon.ico":
            return 200, "image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"
        if path.startswith("/content/"):
            return await self.content(path[9:], dict(scope["headers"]))
        return 404, "text/plain", "không có"

    async def content(self, article: str, headers: dict[bytes, bytes]) -> tuple[int, str, str]:
        grant = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
        try:
            claims = await self._keys.verify(
                grant, audience=f"site:{AGENCY}", now=SystemClock().now()
            )
        except InvalidTokenError:
            return 403, "text/plain", "không được đọc"
        if claims["article"] != article:
            return 403, "text/plain", "không được đọc"
        self.sent.append(article)
        return 200, "text/html", f"<p>{PAID}</p><p>Bài {article}.</p>"


@asynccontextmanager
async def serving(app, port: int, lifespan: str = "off") -> AsyncIterator[None]:
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan=lifespan)
    )
    task = asyncio.create_task(server._serve())
    async with asyncio.timeout(15):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    """The website and a paywall process, each with a name of its own below one domain, as a newspaper has them.

    Browsers take every name below ``localhost`` for this machine.
    """
    site_port, paywall_port = free_port(), free_port()
    site = Site(
        f"http://www.bao.localhost:{site_port}",
        f"http://doc.bao.localhost:{paywall_port}",
        f"http://127.0.0.1:{paywall_port}",
    )
    async with house.database.transaction() as session:
        agency = {"id": AGENCY, "name": "Báo Hưng Yên", "time_zone": "Asia/Ho_Chi_Minh"}
        await save_agencies(
            session, [agency | {"website": site.origin}], actor=Actor.command("test")
        )
    house.clock.set(SystemClock().now())
    http = httpx.AsyncClient(transport=fake_identity(house.billing))
    process = PAYWALL.process("web", settings_for(house.url), clock=house.clock, http=http)
    async with (
        serving(site, site_port),
        serving(application(process, web(process)), paywall_port, lifespan="on"),
    ):
        yield site
    await site.http.aclose()


@dataclass
class Watched:
    """A page of which every response and console error is kept."""

    page: Page
    responses: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    reading: set[asyncio.Task] = field(default_factory=set)

    async def told(self) -> str:
        await asyncio.gather(*self.reading)
        return "\n".join(body for _, body in self.responses)


async def watch(context: BrowserContext) -> Watched:
    watched = Watched(await context.new_page())

    async def keep(response) -> None:
        body = "" if response.request.method == "OPTIONS" else await response.text()
        watched.responses.append((response.url, body))

    def on_response(response) -> None:
        task = asyncio.ensure_future(keep(response))
        watched.reading.add(task)
        task.add_done_callback(watched.reading.discard)

    watched.page.on("response", on_response)
    watched.page.on(
        "console", lambda m: watched.errors.append(m.text) if m.type == "error" else None
    )
    watched.page.on("pageerror", lambda e: watched.errors.append(str(e)))
    return watched


@pytest.fixture(params=["phone", "desktop"])
def screen(request, phone, desktop) -> BrowserContext:
    return {"phone": phone, "desktop": desktop}[request.param]


async def test_a_reader_reads_what_is_free_and_meets_the_wall_without_a_word_of_the_paid_text(
    site, screen, tmp_path
):
    watched = await watch(screen)
    page = watched.page
    for number, left in ((3, 2), (4, 1), (5, 0)):
        await page.goto(f"{site.origin}/bai/a{number}")
        await expect(page.locator("[data-paywall-content]")).to_contain_text(PAID)
        status = page.get_by_role("status")
        await expect(status).to_contain_text(f"còn {left} bài đọc miễn phí")
    await page.reload()
    await expect(page.get_by_role("status")).to_contain_text("còn 0 bài đọc miễn phí")
    await watched.told()
    watched.responses.clear()
    sent = list(site.sent)
    await page.goto(f"{site.origin}/bai/a6")
    wall = page.get_by_role("region", name="Bạn đã đọc hết số bài miễn phí trong tháng này")
    await expect(wall).to_be_visible()
    first = wall.get_by_role("link").first
    await expect(first).to_have_text("Đăng nhập để đọc tiếp")
    href = await first.get_attribute("href")
    assert href.startswith(f"http://billing.test/r/{AGENCY}/sign-in?return_to=")
    assert href.endswith("%2Fbai%2Fa6")
    assert site.sent == sent
    assert PAID not in await watched.told()
    assert PAID not in await page.content()
    assert await page.evaluate("document.activeElement === document.body"), "the focus was moved"
    overflow = "document.documentElement.scrollWidth <= innerWidth"
    assert await page.evaluate(overflow), "the page scrolls sideways"
    background = "getComputedStyle(document.querySelector('.pr-button')).backgroundColor"
    assert await page.evaluate(background) == "rgb(155, 28, 31)", "the style sheet did not load"
    await page.screenshot(path=tmp_path / "wall.png", full_page=True)
    assert watched.errors == []


async def test_two_tabs_racing_for_the_last_view_open_one_article(site, desktop):
    first = await watch(desktop)
    for number in (3, 4):
        await first.page.goto(f"{site.origin}/bai/a{number}")
        await expect(first.page.get_by_role("status")).to_contain_text("bài đọc")
    second = await watch(desktop)
    await asyncio.gather(
        first.page.goto(f"{site.origin}/bai/a6"), second.page.goto(f"{site.origin}/bai/a7")
    )
    for watched in (first, second):
        await expect(watched.page.locator(".pr-wall, .pr-meter").first).to_be_visible()
    walls = [await watched.page.locator(".pr-wall").count() for watched in (first, second)]
    assert sorted(walls) == [0, 1]
    assert len({"a6", "a7"} & set(site.sent)) == 1


async def test_a_subscriber_reads_premium_and_signing_in_brings_the_larger_allowance(
    site, desktop, house
):
    watched = await watch(desktop)
    page, reader = watched.page, uuid4()
    await page.goto(f"{site.origin}/bai/a2")
    wall = page.get_by_role("region", name="Bài viết dành cho người đăng ký")
    await expect(wall.get_by_role("link", name="Xem các gói đọc báo")).to_be_visible()
    site.token = house.token(reader)
    for number in (3, 4, 5, 6, 7):
        await page.goto(f"{site.origin}/bai/a{number}")
        await expect(page.locator("[data-paywall-content]")).to_contain_text(PAID)
    await expect(page.get_by_role("status")).to_contain_text("còn 0 bài")
    now = house.clock.now()
    right = EntitlementGranted(
        entitlement_id=uuid4(),
        reader_id=reader,
        plan_code="thang",
        scope="site",
        valid_from=now,
        valid_until=now.replace(year=now.year + 1),
    )
    async with house.database.transaction() as session:
        event = new_event(right, agency=AGENCY, subject=str(right.entitlement_id), now=now)
        await apply_events(session, [event])
    await page.goto(f"{site.origin}/bai/a2")
    await expect(page.locator("[data-paywall-content]")).to_contain_text(PAID)
    await expect(page.locator(".pr-wall")).to_have_count(0)
    assert watched.errors == []


async def test_one_press_opens_an_article_of_the_readers_bundle_where_they_are(
    site, screen, house, tmp_path
):
    watched = await watch(screen)
    page, reader, sent = watched.page, uuid4(), list[dict[str, str]]()
    site.token, site.left = house.token(reader), 7

    async def use(body: str) -> None:
        sent.append(json.loads(body))
        site.left -= 1
        now = house.clock.now()
        right = EntitlementGranted(
            entitlement_id=uuid4(),
            reader_id=reader,
            plan_code="muoi-bai",
            scope=f"article:{sent[-1]['article_id']}",
            valid_from=now,
            valid_until=now.replace(year=now.year + 1),
        )
        async with house.database.transaction() as session:
            event = new_event(right, agency=AGENCY, subject=str(right.entitlement_id), now=now)
            await apply_events(session, [event])
        # As billing's next token has it: the right is there before its event need be.
        until = int(right.valid_until.timestamp())
        site.token = house.token(reader, ent=[{"scope": right.scope, "until": until}])

    site.use = use
    await page.goto(f"{site.origin}/bai/a2")
    wall = page.get_by_role("region", name="Bài viết dành cho người đăng ký")
    await expect(wall).to_contain_text("dùng một bài để mở bài này")
    button = wall.get_by_role("button", name="Dùng 1 trong 10 bài (còn 7)")
    folder = Path(os.environ.get("PRESS_SCREENSHOTS") or tmp_path)
    width = await page.evaluate("innerWidth")
    await page.screenshot(path=folder / f"wall-bundle-{width}.png", full_page=True)
    await button.click()
    await expect(page.locator("[data-paywall-content]")).to_contain_text(PAID)
    await expect(page.locator(".pr-wall")).to_have_count(0)
    assert sent == [{"agency": AGENCY, "article_id": "a2"}]
    assert page.url == f"{site.origin}/bai/a2" and watched.errors == []


async def test_who_is_signed_in_is_not_told_to_sign_in(site, screen, house, tmp_path):
    watched = await watch(screen)
    page = watched.page
    site.token = house.token(uuid4())
    for query, name, said, sign_in, plans in (
        (
            "",
            "Bài viết dành cho người đăng ký",
            "Bạn đã đăng nhập",
            "hoặc đăng nhập",
            "Xem các gói",
        ),
        (
            "?en",
            "This article is for subscribers",
            "You are signed in",
            "or sign in",
            "See the plans",
        ),
    ):
        await page.goto(f"{site.origin}/bai/a2{query}")
        wall = page.get_by_role("region", name=name)
        await expect(wall).to_contain_text(said)
        assert sign_in not in await wall.inner_text()
        await expect(wall.get_by_role("link")).to_have_count(1)
        await expect(wall.get_by_role("link")).to_contain_text(plans)
        folder = Path(os.environ.get("PRESS_SCREENSHOTS") or tmp_path)
        width = await page.evaluate("innerWidth")
        await page.screenshot(path=folder / f"wall-known-{width}{query[1:]}.png", full_page=True)
    assert watched.errors == []


async def test_the_wall_speaks_english_on_an_english_page(site, phone):
    page = (await watch(phone)).page
    await page.goto(f"{site.origin}/bai/a2?en")
    await expect(page.get_by_role("region", name="This article is for subscribers")).to_be_visible()
    await expect(page.get_by_role("link", name="See the plans")).to_be_visible()


async def test_without_the_paywall_the_reader_can_try_again(site, desktop):
    page = (await watch(desktop)).page
    await page.route("**/v1/decisions", lambda route: route.abort())
    await page.goto(f"{site.origin}/bai/a3")
    button = page.get_by_role("button", name="Thử lại")
    await expect(button).to_be_visible()
    await page.unroute("**/v1/decisions")
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-paywall-content]")).to_contain_text(PAID)
    await expect(page.locator(".pr-wall")).to_have_count(0)


async def test_a_page_prepared_in_advance_is_not_counted_until_it_is_shown(site, desktop):
    page = (await watch(desktop)).page
    await page.add_init_script(
        "Object.defineProperty(document, 'prerendering', {get: () => !window.shown})"
    )
    await page.goto(f"{site.origin}/bai/a3")
    await page.wait_for_load_state("networkidle")
    assert site.sent == []
    await page.evaluate(
        "window.shown = true; document.dispatchEvent(new Event('prerenderingchange'))"
    )
    await expect(page.locator("[data-paywall-content]")).to_contain_text(PAID)
