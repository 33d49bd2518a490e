"""Chapter three: a seller sells, the site shows, every impression counts once."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import httpx
from playwright.async_api import Page, expect

from tests.e2e.story.teller import AGENCY, Story, eventually, phone_page, staff_page

SELLER = f"seller@{AGENCY}.example"
BOOKED = 1_000
LAST, RACERS = 100, 50
TOKENS, TIMES = 30, 8


async def tell(story: Story) -> None:
    page = await staff_page(story, SELLER, f"{story.url('ads-web')}/console/{AGENCY}")
    await _book(story, page)
    api = await _api(story, page)
    await _race(story, api)
    await _served(story)
    await _tokens(story)
    await _revenue(story)
    await api.aclose()
    await page.context.close()


async def _api(story: Story, page: Page) -> httpx.AsyncClient:
    """The booking API with the seller's own session."""
    cookies = {str(c["name"]): str(c["value"]) for c in await page.context.cookies()}
    base = story.url("ads-web")
    return httpx.AsyncClient(
        base_url=f"{base}/v1/agencies/{AGENCY}",
        cookies=cookies,
        headers={"Origin": base},
        timeout=60,
        limits=httpx.Limits(max_connections=RACERS),
    )


async def _book(story: Story, page: Page) -> None:
    async with story.step(f"A seller books {BOOKED} impressions on the console page") as facts:
        console = f"{story.url('ads-web')}/console/{AGENCY}"
        today = (await story.sql("ads", "SELECT (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date"))[0][
            0
        ]
        await page.goto(f"{console}/book")
        await page.fill("input[name=advertiser]", "Gốm Chu Đậu (ví dụ)")
        await page.select_option("select[name=product]", "home-premium")
        await page.fill("input[name=starts_on]", today.isoformat())
        await page.fill("input[name=ends_on]", today.isoformat())
        await page.fill("input[name=units]", str(BOOKED))
        await page.select_option("select[name=pacing]", "asap")
        await page.click("button[name=action][value=reserve]")
        await page.wait_for_url("**/lines/**")
        line = page.url.split("/lines/")[1].split("?")[0].split("/")[0]
        held = await story.sql("ads", "SELECT status, quantity FROM line WHERE id = $1::uuid", line)
        assert tuple(held[0]) == ("Reserved", BOOKED)
        await page.locator("form[action$='/book'] button").first.click()

        async def booked() -> bool:
            rows = await story.sql("ads", "SELECT status FROM line WHERE id = $1::uuid", line)
            return rows[0][0] in ("Booked", "InFlight")

        await eventually("the line is booked", booked)
        facts.append("held, then booked")
        await _creative(page, f"{console}/lines/{line}")


async def _creative(page: Page, line_page: str) -> None:
    await page.goto(f"{line_page}/creatives/new")
    await page.fill("[name=headline]", "Gốm Chu Đậu: men ngọc xứ Đông")
    await page.fill("[name=body]", "Bộ ấm trà vẽ tay, giao tận nơi.")
    await page.fill("[name=click_url]", "https://example.com/gom")
    await page.locator("main form button[type=submit], main form button:not([type])").last.click()
    await page.wait_for_load_state()


async def _race(story: Story, api: httpx.AsyncClient) -> None:
    async with story.step(f"{RACERS} parallel bookings of the last {LAST} units") as facts:
        day = (date.today() + timedelta(days=200)).isoformat()  # noqa: DTZ011 - any far day serves
        advertiser = (await api.get("/advertisers")).json()[0]["id"]

        async def draft(quantity: int) -> str:
            answer = await api.post(
                "/orders", json={"advertiser_id": advertiser, "lines": [_line(day, quantity)]}
            )
            answer.raise_for_status()
            return str(answer.json()["lines"][0]["id"])

        free = (await api.post("/avails", json=_line(day, 1))).json()["available"]
        filler = await draft(free - LAST)
        (await api.post(f"/lines/{filler}/book")).raise_for_status()
        left = (await api.post("/avails", json=_line(day, 1))).json()["available"]
        assert left == LAST, left
        drafts = [await draft(LAST) for _ in range(RACERS)]
        answers = await asyncio.gather(*(api.post(f"/lines/{line}/book") for line in drafts))
        won = [answer for answer in answers if answer.is_success]
        lost = [answer for answer in answers if answer.status_code == 409]
        assert (len(won), len(lost)) == (1, RACERS - 1), [a.status_code for a in answers]
        assert lost[0].headers["content-type"] == "application/problem+json"
        facts.append(f"1 won, {len(lost)} were told why not; {free:,} units that day")


def _line(day: str, quantity: int) -> dict[str, Any]:
    return {"product": "run-of-site", "starts_on": day, "ends_on": day, "quantity": quantity}


async def _served(story: Story) -> None:
    async with story.step("The site serves the ads, marked as advertising") as facts:
        page, _ = await phone_page(story)
        await page.goto(story.url("news-site"))
        placement = page.locator("[data-ad-placement=home-top]")
        await placement.scroll_into_view_if_needed()
        await expect(placement).to_contain_text("Quảng cáo")
        facts.append((await placement.inner_text()).replace("\n", " · ")[:60])

        async def counted() -> bool:
            return (
                await story.number("ads", "SELECT count(*) FROM delivery_event WHERE kind = 1") > 0
            )

        await eventually("the page's impressions are counted", counted)
        await page.context.close()


async def _tokens(story: Story) -> None:
    async with story.step(f"{TOKENS} impression tokens, each fired {TIMES} times at once") as facts:
        placements = [{"slot": f"s{number}", "placement": "article-inline"} for number in range(10)]
        tokens: list[str] = []
        ads = story.url("ads-web")
        while len(tokens) < TOKENS:
            answer = await story.http.post(
                f"{ads}/v1/ad-decisions",
                json={"agency": AGENCY, "page": {"section": "article"}, "placements": placements},
            )
            answer.raise_for_status()
            tokens += [d["token"] for d in answer.json()["decisions"] if d["token"]]
        tokens = tokens[:TOKENS]
        before = await _impressions(story)
        answers = await asyncio.gather(
            *(
                story.http.post(f"{ads}/v1/impressions", json={"token": token})
                for token in tokens
                for _ in range(TIMES)
            )
        )
        assert all(answer.is_success for answer in answers), {a.status_code for a in answers}
        counted = await _impressions(story) - before
        assert counted == TOKENS, counted
        facts.append(f"{len(answers)} requests, {counted} counted")


async def _impressions(story: Story) -> int:
    return await story.number("ads", "SELECT count(*) FROM delivery_event WHERE kind = 1")


async def _revenue(story: Story) -> None:
    async with story.step("What was delivered is earned, to the đồng") as facts:
        query = """SELECT coalesce(sum(amount), 0) FROM revenue_entry
                   WHERE agency = $1 AND stream = 'advertising' AND source_reference LIKE 'ads:%'"""
        earned = """SELECT coalesce(sum(amount_vnd * least(delivered, quantity) / quantity), 0)
                    FROM (SELECT l.*, (SELECT coalesce(sum(impressions), 0) FROM line_day d
                                       WHERE d.line_id = l.id) AS delivered FROM line l
                          WHERE l.quantity > 0) AS l WHERE agency_id = $1"""

        async def equal() -> bool:
            recorded = await story.number("metrics", query, AGENCY)
            return recorded > 0 and recorded == await story.number("ads", earned, AGENCY)

        await eventually("advertising revenue equals what was delivered", equal)
        facts.append(f"{await story.number('metrics', query, AGENCY)} ₫ recorded")
