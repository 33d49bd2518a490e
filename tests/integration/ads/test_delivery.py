"""Decisions, leases, counting and revenue against a real database."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from services.ads.bookings import service as bookings
from services.ads.bookings.rules import Action
from services.ads.bookings.service import Step
from services.ads.creatives import service as creatives
from services.ads.delivery import repository
from services.ads.delivery.revenue import RevenuePoster
from services.ads.delivery.tokens import TokenKeys, subject
from services.ads.seed import HUNG_YEN
from shared.agencies import get_agency
from shared.clock import SystemClock
from shared.contracts import decode
from tests.fixtures.ads import AGENCY, OTHER, WORDS, book, running_ads, until


async def tokens(ads, count: int, placement: str = "top") -> list[str]:
    """That many tokens of guaranteed lines."""
    found: list[str] = []

    async def some() -> bool:
        while len(found) < count:
            decision = (await ads.decide(placement))[0]
            if decision["line_id"] is None:
                return False
            found.append(decision["token"])
        return True

    await until(some)
    return found


async def test_thirty_tokens_fired_eight_times_each_in_parallel_count_thirty(ads, database):
    line = await book(database, quantity=1000)
    thirty = await tokens(ads, 30)
    shots = thirty * 8
    random.Random(1).shuffle(shots)
    answers = [a.json() for a in await asyncio.gather(*(ads.fire(t) for t in shots))]
    assert Counter(answer["counted"] for answer in answers) == {True: 30, False: 210}
    assert await ads.impressions(line) == 30
    assert (await ads.sql("SELECT count(*) AS n FROM delivery_event"))[0]["n"] == 30


async def test_the_same_tokens_fired_at_two_processes_at_once_count_once(ads_url, ads, database):
    line = await book(database, quantity=1000)
    thirty = await tokens(ads, 30)
    async with running_ads(ads_url) as second:
        answers = await asyncio.gather(
            *(place.fire(t) for t in thirty for place in (ads, second) for _ in range(3))
        )
    assert sum(answer.json()["counted"] for answer in answers) == 30
    assert await ads.impressions(line) == 30


async def test_viewable_and_click_count_once_each_beside_the_impression(ads, database):
    line = await book(database, quantity=100)
    token = (await tokens(ads, 1))[0]
    for _ in range(3):
        await ads.fire(token)
        await ads.fire(token, event="viewable")
        answer = await ads.client.get(f"/v1/clicks/{token}")
        assert (answer.status_code, answer.headers["location"]) == (302, WORDS.click_url)
    rows = await ads.sql(
        "SELECT impressions, viewables, clicks FROM line_day WHERE line_id = $1", line
    )
    assert [tuple(row) for row in rows] == [(1, 1, 1)]


async def test_a_line_of_fifty_never_counts_more_with_three_processes_firing_everything(
    ads_url, ads, database
):
    line = await book(database, quantity=50)
    async with running_ads(ads_url) as second, running_ads(ads_url) as third:
        served: list[str] = []

        async def drain(process) -> None:
            while len(served) < 50:
                decision = (await process.decide("top"))[0]
                if decision["token"]:
                    served.append(decision["token"])
                    assert (await process.fire(decision["token"])).json() == {"counted": True}
                await asyncio.sleep(0.005)

        async with asyncio.timeout(30):
            await asyncio.gather(drain(ads), drain(second), drain(third))
        await until(lambda: _no_units_anywhere(ads, second, third))
        for process in (ads, second, third):
            assert (await process.decide("top"))[0]["token"] is None
        assert await ads.impressions(line) == len(served) == len(set(served)) == 50


async def _no_units_anywhere(*processes) -> bool:
    """Every process has asked once more, and been refused."""
    return all(line.refusals for p in processes for line in p.delivery.plan.lines.values())


async def test_units_that_were_leased_but_never_shown_come_back_when_a_process_stops(
    ads_url, ads, database
):
    line = await book(database, quantity=40)
    async with running_ads(ads_url) as second:
        await until(
            lambda: second.delivery.plan.lines.get(line) and second.delivery.plan.lines[line].units
        )
    await until(lambda: line in ads.delivery.plan.lines)
    shown = set()

    async def all_of_them() -> bool:
        decision = (await ads.decide("top"))[0]
        if decision["token"]:
            shown.add(decision["token"])
            await ads.fire(decision["token"])
        return len(shown) == 40

    await until(all_of_them)
    assert await ads.impressions(line) == 40


async def test_an_unreported_unit_returns_only_after_its_token_can_no_longer_count(
    ads_url, database
):
    line = await book(database, quantity=1)
    async with running_ads(ads_url, ads_impression_seconds=10) as ads:
        token = (await tokens(ads, 1))[0]
        assert (await ads.decide("top"))[0]["token"] is None
        ends = await ads.sql(
            "SELECT extract(epoch FROM expires_at - granted_at)::int AS s FROM lease WHERE line_id = $1",
            line,
        )
        assert ends[0]["s"] >= 60 + 10 + 60
        await ads.sql("UPDATE lease SET expires_at = clock_timestamp()")
        again = (await tokens(ads, 1))[0]
        assert again != token


async def test_an_expired_token_is_refused_and_a_forged_one_too(ads_url, database):
    line = await book(database, quantity=100)
    async with running_ads(ads_url) as ads:
        await until(lambda: line in ads.delivery.plan.lines)
        shown = next(iter(ads.delivery.plan.lines[line].shown.values()))[0]
        now = int(SystemClock().now().timestamp())
        old = ads.delivery.keys.sign(shown.about, nonce=b"0" * 16, lease_id=0, issued_at=now - 301)
        answer = await ads.fire(old)
        assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (410, "token-expired")
        assert (await ads.client.get(f"/v1/clicks/{old}")).status_code == 302
        foreign = TokenKeys.parse("0:another-secret-16-ch").sign(
            shown.about, nonce=b"1" * 16, lease_id=0, issued_at=now
        )
        for bad in (foreign, "x", "", old[:-6] + "AAAAAA"):
            answer = await ads.fire(bad)
            assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (
                400,
                "token-forged",
            )
        assert (await ads.client.get(f"/v1/clicks/{foreign}")).status_code == 400
        assert await ads.impressions(line) == 0


async def test_declared_bots_are_answered_but_not_counted(ads, database):
    line = await book(database, quantity=100)
    token = (await tokens(ads, 1))[0]
    bot = {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
    answer = await ads.client.post("/v1/impressions", json={"token": token}, headers=bot)
    assert (answer.status_code, answer.json()["counted"]) == (200, False)
    assert (await ads.client.get(f"/v1/clicks/{token}", headers=bot)).status_code == 302
    assert await ads.sql("SELECT 1 FROM line_day WHERE line_id = $1", line) == []
    assert (await ads.fire(token)).json() == {"counted": True}


async def test_a_guaranteed_line_comes_before_the_house_and_the_house_before_nothing(ads, database):
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        today = SystemClock().now().astimezone(agency.zone).date()
        from services.ads.catalogue import service as catalogue

        brand = await catalogue.add_advertiser(session, AGENCY, "Nhà")
        house = await bookings.create_house_line(
            session,
            agency,
            advertiser_id=brand,
            product="top-only",
            starts_on=today,
            ends_on=today + timedelta(days=9),
            actor="x",
        )
        await creatives.add(session, AGENCY, house, HUNG_YEN.lines[2].words)
    await until(lambda: house in ads.delivery.plan.lines)
    assert (await ads.decide("top"))[0]["line_id"] == str(house)
    assert (await ads.decide("side"))[0]["line_id"] is None
    line = await book(database, quantity=3)
    seen: list[str] = []

    async def paid_first() -> bool:
        decision = (await ads.decide("top"))[0]
        seen.append(decision["line_id"])
        return seen.count(str(line)) == 3

    await until(paid_first)
    assert (await ads.decide("top"))[0]["line_id"] == str(house)
    token = (await ads.decide("top"))[0]["token"]
    assert (await ads.fire(token)).json() == {"counted": True}


async def test_a_running_process_learns_of_a_new_line_a_pause_and_a_new_creative(ads, database):
    line = await book(database, quantity=1000)
    await until(lambda: _shows(ads, str(line)))
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        await bookings.act(session, agency, line, Step(Action.START, "x"))
        await bookings.act(session, agency, line, Step(Action.PAUSE, "x"))
    await until(lambda: _shows(ads, None))
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        await bookings.act(session, agency, line, Step(Action.RESUME, "x"))
        creative = (await creatives.of_line(session, AGENCY, line))[0]
        words = creatives.CreativeText("Mới", "", "", "https://example.com/new", "red")
        await creatives.change(session, AGENCY, creative.id, words)

    async def new_words() -> bool:
        found = (await ads.decide("top"))[0]["creative"]
        return bool(found) and found["headline"] == "Mới"

    await until(new_words)


async def _shows(ads, line: str | None) -> bool:
    return (await ads.decide("top"))[0]["line_id"] == line


async def test_an_even_line_is_paced_over_its_days(ads, database):
    """A thousand a day: at a quarter past six some 260 of them, and 100 that may run ahead."""
    utc = datetime.now(UTC)
    hours = (6 - utc.hour + 12) % 24 - 12  # where it is between six and seven in the morning
    zone = f"Etc/GMT{-hours:+d}"
    await ads.sql("UPDATE agency SET time_zone = $2 WHERE id = $1", AGENCY, zone)
    line = await book(database, quantity=14_000, days=14, pacing="even")
    await until(lambda: line in ads.delivery.plan.lines)

    def due() -> int:
        local = datetime.now(ZoneInfo(zone))
        assert local.hour in {6, 7}
        seconds = local.hour * 3600 + local.minute * 60 + local.second
        return 1_000 * seconds // 86_400 + 100

    taken, least = 0, due()

    async def until_dry() -> bool:
        nonlocal taken
        while (await ads.decide("top"))[0]["token"]:
            taken += 1
        held = ads.delivery.plan.lines[line]
        return held.refusals > 0

    await until(until_dry)
    assert least <= taken <= due()


async def test_revenue_is_posted_as_delivered_and_sums_to_the_amount_to_the_dong(ads, database):
    line = await book(database, "all", 37, starts_in=0)
    await ads.sql("UPDATE line SET amount_vnd = 100003, vat_vnd = 0 WHERE id = $1", line)
    poster = RevenuePoster(database, SystemClock())
    amounts: list[int] = []
    for batch in (1, 5, 31):
        fired = await tokens(ads, batch)
        await asyncio.gather(*(ads.fire(t) for t in fired))
        await asyncio.gather(poster.post(), poster.post())
        rows = await ads.sql("SELECT payload FROM outbox ORDER BY id")
        found = [decode(row["payload"]) for row in rows]
        revenue = [e for e in found if e.type == "vn.press.metrics.revenue.recorded.v1"]
        amounts = [e.data.amount for e in revenue]
        counted = await ads.impressions(line)
        assert sum(amounts) == 100_003 * counted // 37
    assert sum(amounts) == 100_003
    assert [e.data.source_reference for e in revenue] == [
        f"ads:line:{line}:delivered:{n}" for n in (1, 6, 37)
    ]
    data = revenue[0].data
    assert (data.segment, data.stream, data.payer, data.law_source) == (
        "online",
        "advertising",
        "business",
        "advertising",
    )
    assert await poster.post() == 0


async def test_rebuilding_finds_no_difference_and_mends_one_that_was_made(ads, database):
    """What was earned by then stays as it is, and nothing is earned twice."""
    line = await book(database, quantity=100)
    await ads.sql("UPDATE line SET amount_vnd = 100003, vat_vnd = 0 WHERE id = $1", line)
    poster = RevenuePoster(database, SystemClock())
    columns = (
        "SELECT impressions, clicks, recognised, recognised_vnd FROM line_day WHERE line_id = $1"
    )

    async def books() -> list[tuple[int, ...]]:
        return [tuple(row) for row in await ads.sql(columns, line)]

    for token in await tokens(ads, 7):
        await ads.fire(token)
    await poster.post()
    earned = 100_003 * 7 // 100
    assert await books() == [(7, 0, 7, earned)]
    async with database.transaction() as session:
        assert await repository.rebuild(session) == []
    await ads.sql("UPDATE line_day SET impressions = 9, clicks = 4 WHERE line_id = $1", line)
    async with database.transaction() as session:
        assert len(await repository.rebuild(session)) == 1
    await poster.post()
    assert await books() == [(7, 0, 7, earned)]
    for token in await tokens(ads, 3):
        await ads.fire(token)
    await poster.post()
    assert await books() == [(10, 0, 10, 100_003 * 10 // 100)]


RAW = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"{}",
    b'{"token":5}',
    b'{"agency":"x","placements":[]}',
]


@pytest.mark.parametrize("path", ["/v1/ad-decisions", "/v1/impressions"])
async def test_random_bytes_never_make_a_server_error_and_problems_name_the_field(ads, path):
    noise = random.Random(7)
    bodies = [*RAW, b"x" * 20_000, *(noise.randbytes(noise.randrange(200)) for _ in range(200))]
    for body in bodies:
        answer = await ads.client.post(path, content=body)
        assert 400 <= answer.status_code < 500, body
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    answer = await ads.client.post(path, content=b'{"agency":1,"token":2,"placements":[]}')
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in {"agency", "token"}


async def test_only_the_agencies_websites_may_read_answers_across_origins(ads):
    async def allowed(origin: str) -> str | None:
        answer = await ads.client.request("OPTIONS", "/v1/ad-decisions", headers={"origin": origin})
        assert answer.status_code == 204
        return answer.headers.get("access-control-allow-origin")

    await until(lambda: ads.delivery.plan.origins)
    assert await allowed("http://news.test") == "http://news.test"
    assert await allowed("https://evil.test") is None
    answer = await ads.client.post(
        "/v1/impressions", content=b"{}", headers={"origin": "http://news.test"}
    )
    assert answer.headers["access-control-allow-origin"] == "http://news.test"
    assert "set-cookie" not in answer.headers

    async def decided(agency: str) -> str | None:
        body = {"agency": agency, "placements": [{"slot": "a", "placement": "top"}]}
        answer = await ads.client.post(
            "/v1/ad-decisions", json=body, headers={"origin": "http://news.test"}
        )
        return answer.headers.get("access-control-allow-origin")

    assert await decided(AGENCY) == "http://news.test"
    assert await decided(OTHER) is None, "another agency's website"


async def test_without_its_database_impressions_are_shed_decisions_go_on_and_clicks_lead_on(
    ads, database, ads_url, postgres_server
):
    await book(database, quantity=1000)
    first, second = await tokens(ads, 2)
    with postgres_server.away(ads_url):
        for _ in range(3):  # also the first connections, which do not know of it yet
            answer = await ads.fire(first)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert (await ads.decide("top"))[0]["token"]
            assert (await ads.client.get(f"/v1/clicks/{second}")).status_code == 302

    async def counted() -> bool:
        answer = await ads.fire(first)
        return answer.status_code == 200 and answer.json() == {"counted": True}

    await until(counted)


def test_a_tokens_fixed_part_is_the_same_for_every_token_of_a_creative_at_a_place():
    ids = [UUID(int=n) for n in range(3)]
    assert subject(*ids, "a") == subject(*ids, "a") != subject(*ids, "b")


async def test_a_line_in_use_has_its_next_lease_before_the_present_one_ends(ads, database):
    line_id = await book(database, quantity=1_000)
    await tokens(ads, 1)
    line = ads.delivery.plan.lines[line_id]
    line.stock[-1].until = time.monotonic() + 5  # of 60 seconds

    def renewed() -> bool:
        return len(ads.delivery.plan.lines[line_id].stock) == 2

    await until(renewed)
    line.stock[0].until = time.monotonic()  # over, with units left
    answers = await ads.decide("top")
    assert answers[0]["line_id"] == str(line_id)
    await until(lambda: not line.over)  # given back
    rows = await ads.sql("SELECT sum(units)::int AS n FROM lease WHERE line_id = $1", line_id)
    assert rows[0]["n"] <= 1_000


@pytest.mark.parametrize("path", ["/v1/ad-decisions", "/v1/impressions"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"x":' + b"[" * 7_000 + b"]" * 7_000 + b"}",
        b'{"agency":"\xff\xfe","token":"\xff\xfe"}',
        b'{"token":"\xff\xfe"}',
    ],
)
async def test_bodies_no_parser_likes_are_the_senders_mistake(ads, path, body):
    answer = await ads.client.post(path, content=body)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_click_reaches_an_address_written_in_vietnamese(ads, database):
    line = await book(database, creative=False)
    words = replace(WORDS, click_url="https://nhãn.example.vn/đặt-hàng?q=nhãn%20lồng#mua")
    async with database.transaction() as session:
        await creatives.add(session, AGENCY, line, words)
    (token,) = await tokens(ads, 1)
    answer = await ads.client.get(f"/v1/clicks/{token}")
    assert answer.status_code == 302
    assert answer.headers["location"] == (
        "https://nh%C3%A3n.example.vn/%C4%91%E1%BA%B7t-h%C3%A0ng?q=nh%C3%A3n%20l%E1%BB%93ng#mua"
    )
