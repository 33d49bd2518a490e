"""A seller books in the console on a desktop; the ad shows on a website on a phone; it counts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.async_api import BrowserContext, Page, expect

from infra.local.ports import free_port
from services.ads.app import web
from services.ads.process import ADS
from services.ads.seed import seed_database
from shared.database import Database
from shared.process import application
from tests.fixtures import ads as fixture
from tests.fixtures.ads import BROWSER, identity, migrate_template, settings_for, until

AGENCY = "bao-hung-yen"
ASSETS = Path(__file__).parents[3] / ".local" / "assets"


@asynccontextmanager
async def serving(app: Any, port: int) -> AsyncIterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
    )
    task = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def site_page(ads_url: str) -> bytes:
    """A small article with two places, the second far below."""
    filler = "<p>Chuyện quê mình, mỗi sáng một bài.</p>" * 60
    return f"""<!doctype html><html lang="vi"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Báo thử</title>
<link rel="stylesheet" href="{ads_url}/ads.css">
<h1>Nhãn lồng vào mùa</h1><div id="first" data-ad-placement="home-top" data-ad-size="728x90"></div>
<p id="after">Đoạn mở đầu.</p>{filler}
<div id="second" data-ad-placement="sidebar" data-ad-size="300x250"></div><p>Hết.</p>
<script src="{ads_url}/ads.js" data-agency="{AGENCY}" data-section="home" defer></script></html>""".encode()


class Site:
    """The agency's website, on an origin of its own, with a policy that allows nothing inline."""

    def __init__(self, ads_url: str) -> None:
        self.page = site_page(ads_url)
        self.policy = (
            f"default-src 'none'; script-src {ads_url}; style-src {ads_url}; img-src {ads_url}; "
            f"connect-src {ads_url}"
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", self.policy.encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.page})


@pytest.fixture
async def stack(create_database, template_database, monkeypatch) -> AsyncIterator[dict[str, Any]]:
    url = create_database("ads", template_database("ads", migrate_template))
    monkeypatch.setitem(fixture.SESSIONS, "chi-lan", {AGENCY: ["seller", "traffic"]})
    ports = [free_port() for _ in range(3)]
    ads_url, identity_url, site_url = (f"http://127.0.0.1:{port}" for port in ports)
    settings = settings_for(
        url,
        ads_url=ads_url,
        identity_url=identity_url,
        news_site_url=site_url,
        assets_dir=str(ASSETS),
    )
    database = Database(url, application_name="test")
    await seed_database(database, settings)
    process = ADS.process("web", settings)
    async with (
        serving(identity, ports[1]),
        serving(application(process, web(process)), ports[0]),
        serving(Site(ads_url), ports[2]),
    ):
        yield {"ads": ads_url, "site": site_url, "database": database}
    await database.close()


async def sign_in(context: BrowserContext, ads_url: str) -> Page:
    await context.add_cookies([{"name": "press_staff", "value": "chi-lan", "url": ads_url}])
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    page.on(
        "console",
        lambda message: pytest.fail(message.text) if "Content Security" in message.text else None,
    )
    return page


async def fits_the_screen(page: Page) -> bool:
    return bool(
        await page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


async def test_a_seller_holds_and_books_a_line_and_sees_it_run(stack, desktop, phone, tmp_path):
    page = await sign_in(desktop, stack["ads"])
    console = f"{stack['ads']}/console/{AGENCY}"
    await page.goto(f"{stack['ads']}/console")
    await expect(page.get_by_role("heading", name="Lượng quảng cáo còn trống")).to_be_visible()
    await page.screenshot(path=tmp_path / "calendar-1280.png", full_page=True)
    await page.locator("table.calendar tbody tr").first.locator("a").first.click()

    await page.get_by_label("Khách hàng quảng cáo").fill("Nội thất Sông Hồng")
    await page.get_by_label("Sản phẩm").select_option("run-of-site")
    today = await page.get_by_label("Ngày đầu").input_value()
    await page.get_by_label("Ngày cuối").fill(today)
    await page.get_by_label("Lượt hiển thị").fill("9.000.000")
    await expect(page.locator("#does-not-fit")).to_contain_text("Chỉ còn trống")
    await expect(page.locator("#does-not-fit")).to_contain_text("Nhãn lồng Hồng Nam")
    await page.screenshot(path=tmp_path / "refused-1280.png", full_page=True)
    await page.get_by_label("Sản phẩm").select_option("home-premium")
    await page.get_by_label("Lượt hiển thị").fill("1000")
    await page.get_by_label("Nhịp phân phối").select_option("asap")
    await expect(page.locator("#fits")).to_be_visible()
    await expect(page.locator("#quote")).to_contain_text("97.200")  # 90,000 and 10 % VAT
    await page.screenshot(path=tmp_path / "book-1280.png", full_page=True)
    await page.get_by_role("button", name="Giữ chỗ").click()

    await expect(page.locator("#state")).to_have_text("Đang giữ chỗ")
    countdown = page.locator("#hold [data-countdown]")
    first = await countdown.inner_text()
    await expect(countdown).not_to_have_text(first)
    assert first.startswith(("59:", "1:00:"))
    await page.screenshot(path=tmp_path / "held-1280.png", full_page=True)
    await page.get_by_role("button", name="Đặt", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Đã đặt")
    await page.get_by_role("button", name="Thêm mẫu").click()
    await page.get_by_label("Tiêu đề").fill("Bàn ghế gỗ gụ")
    await page.get_by_label("Nội dung").fill("Đóng theo số đo, bảo hành mười năm.")
    await page.get_by_label("Nút bấm").fill("Xem mẫu")
    await page.get_by_label("Địa chỉ khi bấm vào").fill("https://example.com/ban-ghe")
    await page.get_by_role("button", name="Lưu").click()
    await expect(page.locator(".creative .pr-ad-headline")).to_have_text("Bàn ghế gỗ gụ")
    line_url = page.url
    await page.screenshot(path=tmp_path / "line-1280.png", full_page=True)

    small = await sign_in(phone, stack["ads"])
    for name, path in {"calendar": "", "book": "/book", "lines": "/lines"}.items():
        await small.goto(f"{console}{path}")
        assert await fits_the_screen(small), name
        await small.screenshot(path=tmp_path / f"{name}-390.png", full_page=True)
    await small.get_by_placeholder("Tìm, có dấu hoặc không dấu").fill("noi that song hong")
    await expect(small.locator("ul.lines > li")).to_have_count(1)
    await small.goto(line_url)
    assert await fits_the_screen(small)
    await small.screenshot(path=tmp_path / "line-390.png", full_page=True)
    await small.goto(f"{line_url}?lang=en")
    await expect(small.locator("#state")).to_have_text("Booked")


async def test_an_ad_shows_on_a_phone_without_moving_the_page_and_counts_once(
    stack, phone, tmp_path
):
    pool = await stack["database"].pool()
    await phone.set_extra_http_headers({"user-agent": BROWSER})  # a headless one is a declared bot
    page = await phone.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script error: {error}"))
    requests: list[str] = []
    page.on(
        "request", lambda request: requests.append(f"{request.method} {urlsplit(request.url).path}")
    )
    await page.add_init_script(
        """window.shift = 0; new PerformanceObserver(list => {
             for (const entry of list.getEntries()) window.shift += entry.value;
           }).observe({type: 'layout-shift', buffered: true});"""
    )
    async with asyncio.timeout(20):
        while True:  # until this process has units in hand
            await page.goto(stack["site"])
            await expect(page.locator("#first[data-ad-state]")).to_be_visible()
            shown = page.locator("#first a.pr-ad")
            await page.wait_for_selector("#first:not([data-ad-state=waiting])")
            if await shown.count():
                break
    await expect(page.locator("#first .pr-ad-label")).to_have_text("Quảng cáo")
    assert await shown.get_attribute("rel") == "sponsored noopener"
    assert await page.evaluate("window.shift") == 0
    assert await page.locator("#second").get_attribute("data-ad-state") == "waiting", "lazy"
    await page.screenshot(path=tmp_path / "site-390.png")
    await expect(page.locator("#first[data-ad-counted='200']")).to_be_visible()
    await expect(page.locator("#first[data-ad-state=viewed]")).to_be_visible()
    await page.locator("#second").scroll_into_view_if_needed()
    await expect(page.locator("#second[data-ad-counted='200']")).to_be_visible()
    await page.screenshot(path=tmp_path / "site-second-390.png")
    assert await phone.cookies() == []

    href = str(await shown.get_attribute("href"))
    assert href.startswith(f"{stack['ads']}/v1/clicks/")
    for _ in range(2):
        answer = await phone.request.get(href, max_redirects=0)
        assert answer.status == 302
        assert answer.headers["location"].startswith("https://example.com/")

    async def counted() -> bool:
        row = await pool.fetchrow(
            "SELECT sum(impressions)::int AS i, sum(viewables)::int AS v, sum(clicks)::int AS c FROM line_day"
        )
        return tuple(row) == (2, 2, 1)

    await until(counted)

    async def told() -> bool:
        return requests.count("POST /v1/impressions") == 4

    await until(told)
