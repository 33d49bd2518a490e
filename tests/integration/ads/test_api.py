"""The API and the pages: who may do what, repeated requests, older versions."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from uuid import uuid4

import pytest

from services.ads.bookings.rules import Action
from shared.clock import VIETNAM, SystemClock, local_date
from tests.fixtures.ads import AGENCY, OTHER, WORDS, as_key, as_staff, book, running_ads
from tests.fixtures.images import png

V1 = f"/v1/agencies/{AGENCY}"
CONSOLE = f"/console/{AGENCY}"
PUBLIC = {
    "/v1/ad-decisions",
    "/v1/impressions",
    "/v1/clicks/{token}",
    "/v1/creatives/{creative_id}/image/{digest}",
}
OPEN_PAGES = {"/", "/ads.js", "/ads.css", "/healthz", "/readyz", "/metrics", "/openapi.json"}


def day(ahead: int) -> str:
    today = local_date(SystemClock().now(), VIETNAM)  # the agency's day, not the machine's
    return (today + timedelta(days=ahead)).isoformat()


def line_body(**changes):
    return {
        "product": "all",
        "starts_on": day(2),
        "ends_on": day(3),
        "quantity": 100,
        "pacing": "asap",
    } | changes


async def new_order(ads, headers=None, **changes):
    brand = (await ads.client.get(f"{V1}/advertisers", headers=as_key())).json()[0]["id"]
    return await ads.client.post(
        f"{V1}/orders",
        json={"advertiser_id": brand, "lines": [line_body(**changes)]},
        headers=headers or as_key(),
    )


async def new_line(ads, **changes) -> dict:
    answer = await new_order(ads, **changes)
    assert answer.status_code == 201, answer.text
    return answer.json()["lines"][0]


def concrete(path: str, agency: str, line: str = "", creative: str = "") -> str:
    values = {
        "agency": agency,
        "line_id": line or str(uuid4()),
        "order_id": str(uuid4()),
        "creative_id": creative or str(uuid4()),
        "action": "reserve",
        "code": "all",
    }
    return re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], path)


def api_routes(ads) -> list[tuple[str, str]]:
    paths = ads.app.openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def page_routes(ads) -> list[tuple[str, str]]:
    from fastapi.routing import APIRoute

    def walk(routes):
        for route in routes:
            if isinstance(route, APIRoute):
                yield from ((method, route.path) for method in route.methods)
            elif hasattr(route, "original_router"):
                yield from walk(route.original_router.routes)

    found = [(m, p) for m, p in walk(ads.app.routes) if p.startswith("/console")]
    assert found
    return found


async def test_every_route_that_is_not_public_is_closed_without_credentials(ads):
    checked = 0
    for method, path in api_routes(ads):
        if path in PUBLIC:
            continue
        answer = await ads.client.request(method, concrete(path, AGENCY), json={})
        assert answer.status_code == 401, (method, path, answer.text)
        checked += 1
    for method, path in page_routes(ads):
        answer = await ads.client.request(method, concrete(path, AGENCY))
        assert answer.status_code == 303, (method, path)
        assert answer.headers["location"].startswith("http://identity.test/sign-in?next="), path
        checked += 1
    assert checked > 25


def body_for(path: str) -> dict:
    """A body that the route accepts, so that what answers is the guard."""
    bodies = (
        (r"/orders$", {"advertiser_id": str(uuid4()), "lines": [line_body()]}),
        (r"/avails$|/lines/\{line_id\}$", line_body()),
        (r"/rates$", {"valid_from": "2026-01-01", "cpm_vnd": 1}),
        (
            "/placements",
            {"code": "x", "name": "x", "width": 1, "height": 1, "daily_capacity": 1},
        ),
        ("/products", {"code": "x", "name": "x", "placements": ["top"]}),
        ("/creatives", {"headline": "x", "click_url": "https://example.com/"}),
    )
    return next((body for pattern, body in bodies if re.search(pattern, path)), {"name": "x"})


@pytest.mark.parametrize("who", ["stranger", "key"])
async def test_another_agencys_anything_is_404_on_every_route(ads, database, who):
    line = str(await book(database))
    creative = str((await ads.sql("SELECT id FROM creative"))[0]["id"])
    headers = as_key("prk_other") if who == "key" else as_staff("stranger")
    for method, path in api_routes(ads):
        if "{agency}" not in path:
            continue
        for agency in (AGENCY, OTHER):
            names_nothing = "{line_id}" not in path and "{creative_id}" not in path
            if agency == OTHER and (names_nothing or "{order_id}" in path):
                continue  # that is their own agency
            answer = await ads.client.request(
                method,
                concrete(path, agency, line, creative),
                json=body_for(path),
                headers=headers | {"if-match": '"2"'},
            )
            assert answer.status_code == 404, (method, path, agency, answer.text)
    if who == "key":
        return
    for method, path in page_routes(ads):
        if "{agency}" in path:
            answer = await ads.client.request(
                method, concrete(path, AGENCY, line, creative), headers=headers
            )
            assert answer.status_code == 404, (method, path)


@pytest.mark.parametrize(
    ("who", "action", "status"),
    [
        ("seller", "reserve", 200),
        ("approver", "reserve", 200),
        ("admin", "reserve", 200),
        ("traffic", "reserve", 403),
        ("finance", "reserve", 403),
        ("seller", "decline", 403),
        ("seller", "pause", 403),
        ("traffic", "pause", 409),
        ("approver", "decline", 409),
    ],
)
async def test_each_step_needs_its_role(ads, who, action, status):
    line = await new_line(ads)
    answer = await ads.client.post(f"{V1}/lines/{line['id']}/{action}", headers=as_staff(who))
    assert answer.status_code == status, answer.text


async def test_a_key_needs_the_scope(ads):
    answer = await ads.client.get(f"{V1}/products", headers=as_key("prk_read"))
    assert answer.status_code == 403
    assert (await ads.client.get(f"{V1}/products", headers=as_key("prk_no"))).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/placements/top"),
        ("PUT", "/products/all"),
        ("POST", "/products/all/rates"),
        ("POST", "/lines/{line_id}/decline"),
        ("POST", "/lines/{line_id}/pause"),
        ("POST", "/lines/{line_id}/resume"),
        ("POST", "/lines/{line_id}/stop"),
    ],
)
async def test_a_key_may_do_no_more_than_a_seller(ads, method, path):
    line = (await new_line(ads))["id"]
    url = f"{V1}{path}".replace("{line_id}", line)
    body = body_for(path)
    kept = "SELECT code, name FROM placement UNION SELECT code, name FROM product ORDER BY 1, 2"
    before = await ads.sql(kept)
    for headers, slug in ((as_key(), "scope-missing"), (as_staff("seller"), "role-missing")):
        answer = await ads.client.request(method, url, json=body, headers=headers)
        assert answer.status_code == 403, answer.text
        assert answer.json()["type"].split(":")[-1] == slug
    assert before == await ads.sql(kept)


async def test_an_order_is_quoted_held_and_booked_through_the_api(ads):
    avails = await ads.client.post(f"{V1}/avails", json=line_body(), headers=as_key())
    body = avails.json()
    assert (body["fits"], body["available"], body["amount_vnd"], body["vat_vnd"]) == (
        True,
        4000,
        6000,
        600,
    )
    assert [d["capacity"] for d in body["days"]] == [2000, 2000]
    line = await new_line(ads)
    assert (line["status"], line["version"], line["amount_vnd"]) == ("Draft", 1, 6000)
    url = f"{V1}/lines/{line['id']}"
    held = await ads.client.post(f"{url}/reserve", headers=as_key())
    assert held.json()["status"] == "Reserved"
    assert held.json()["hold_expires_at"]
    assert held.headers["etag"] == '"2"'
    booked = await ads.client.post(f"{url}/book", headers=as_key())
    assert (booked.json()["status"], booked.json()["hold_expires_at"]) == ("Booked", None)
    again = await ads.client.post(f"{url}/book", headers=as_key())
    assert (again.status_code, again.json()["type"].split(":")[-1]) == (409, "line-state")


@pytest.mark.parametrize("action", ["reserve", "book"])
async def test_a_draft_is_not_sold_at_a_price_that_has_changed_and_a_hold_keeps_its_price(
    ads, action
):
    line, held = await new_line(ads), await new_line(ads)
    await ads.client.post(f"{V1}/lines/{held['id']}/reserve", headers=as_key())
    rate = {"valid_from": day(2), "cpm_vnd": 90_000, "vat_percent": 10}
    await ads.client.post(f"{V1}/products/all/rates", json=rate, headers=as_staff("approver"))
    url = f"{V1}/lines/{line['id']}"
    refused = await ads.client.post(f"{url}/{action}", headers=as_key())
    body = refused.json()
    assert (refused.status_code, body["type"].split(":")[-1]) == (409, "price-changed")
    assert (body["old"]["amount_vnd"], body["new"]["amount_vnd"]) == (6000, 9000)
    await ads.client.patch(url, json=line_body(), headers=as_key() | {"if-match": '"1"'})
    sold = await ads.client.post(f"{url}/{action}", headers=as_key())
    assert (sold.status_code, sold.json()["amount_vnd"]) == (200, 9000)
    kept = await ads.client.post(f"{V1}/lines/{held['id']}/book", headers=as_key())
    assert (kept.status_code, kept.json()["amount_vnd"]) == (200, 6000)


async def test_a_refusal_tells_the_free_units_the_days_and_the_contending_lines(ads, database):
    rival = await book(database, "all", 1950, starts_in=5)
    line = await new_line(ads, starts_on=day(5), ends_on=day(5))
    answer = await ads.client.post(f"{V1}/lines/{line['id']}/book", headers=as_key())
    body = answer.json()
    assert (answer.status_code, body["status"], body["type"].split(":")[-1]) == (
        409,
        409,
        "not-available",
    )
    assert (body["available"], body["requested"]) == (50, 100)
    assert [c["line_id"] for c in body["contending"]] == [str(rival)]


async def test_a_request_repeated_with_its_key_has_one_effect_and_one_answer(ads):
    headers = as_key() | {"idempotency-key": "order-1"}
    answers = await asyncio.gather(*(new_order(ads, headers) for _ in range(8)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert sum("idempotent-replay" in a.headers for a in answers) == 7
    assert len((await ads.client.get(f"{V1}/lines", headers=as_key())).json()) == 1
    other = await new_order(ads, headers, quantity=7)
    assert (other.status_code, other.json()["type"].split(":")[-1]) == (
        409,
        "idempotency-key-reused",
    )


async def test_a_refused_request_may_be_repeated_with_its_key_once_there_is_room(ads, database):
    rival = await book(database, "all", 2000, starts_in=2, days=2)
    rival_2 = await book(database, "all", 2000, starts_in=2, days=2)
    line = await new_line(ads)
    headers = as_key() | {"idempotency-key": "hold-1"}
    url = f"{V1}/lines/{line['id']}/reserve"
    assert (await ads.client.post(url, headers=headers)).status_code == 409
    for one in (rival, rival_2):
        await ads.client.post(f"{V1}/lines/{one}/cancel", headers=as_key())
    first = await ads.client.post(url, headers=headers)
    second = await ads.client.post(url, headers=headers)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert second.headers["etag"] == first.headers["etag"]


async def test_an_older_version_is_412_and_a_draft_is_changed_with_the_right_one(ads):
    line = await new_line(ads)
    url = f"{V1}/lines/{line['id']}"
    read = await ads.client.get(url, headers=as_key())
    body = line_body(quantity=250)
    assert (await ads.client.patch(url, json=body, headers=as_key())).status_code == 412
    fresh = as_key() | {"if-match": read.headers["etag"]}
    changed = await ads.client.patch(url, json=body, headers=fresh)
    assert (changed.status_code, changed.json()["quantity"]) == (200, 250)
    assert changed.json()["amount_vnd"] == 15_000
    stale = await ads.client.post(f"{url}/reserve", headers=fresh)
    assert (stale.status_code, stale.headers["etag"]) == (412, '"2"')
    assert (
        await ads.client.post(f"{url}/reserve", headers=as_key() | {"if-match": '"2"'})
    ).is_success
    late = await ads.client.patch(url, json=body, headers=as_key() | {"if-match": '"3"'})
    assert (late.status_code, late.json()["type"].split(":")[-1]) == (409, "line-not-draft")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": 0}, "lines.0.quantity"),
        ({"starts_on": "2020-01-01", "ends_on": "2020-01-02"}, "starts_on"),
        ({"ends_on": day(1)}, "ends_on"),
        ({"pacing": "slow"}, "lines.0.pacing"),
        ({"name": "a\u0000b"}, "lines.0.name"),
    ],
)
async def test_a_wrong_line_is_422_and_names_the_field(ads, changes, field):
    answer = await new_order(ads, **changes)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_lines_are_found_without_diacritics(ads, database):
    line = await new_line(ads, name="Đặc sản Tết")
    found = await ads.client.get(f"{V1}/lines", params={"search": "dac SAN"}, headers=as_key())
    assert [row["id"] for row in found.json()] == [line["id"]]
    none = await ads.client.get(f"{V1}/lines", params={"search": "%"}, headers=as_key())
    assert none.json() == []


async def test_an_image_is_kept_only_when_its_bytes_are_one_and_is_served_inert(ads, database):
    line = await book(database)
    creative = str((await ads.sql("SELECT id FROM creative WHERE line_id = $1", line))[0]["id"])
    url = f"{V1}/creatives/{creative}/image"
    wrong = await ads.client.put(url, content=b"<svg onload=alert(1)>", headers=as_key())
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "image")
    assert (await ads.client.put(url, content=b"", headers=as_key())).status_code == 422
    assert (await ads.client.put(url, content=png(), headers=as_key())).is_success
    digest = (await ads.sql("SELECT digest FROM creative_image"))[0]["digest"]
    served = await ads.client.get(f"/v1/creatives/{creative}/image/{digest}")
    assert served.headers["content-type"] == "image/png" and served.content[:4] == b"\x89PNG"
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in served.headers["content-security-policy"]
    assert (await ads.client.get(f"/v1/creatives/{creative}/image/{'0' * 32}")).status_code == 404


async def test_a_creative_may_not_link_to_a_script(ads, database):
    line = await book(database)
    answer = await ads.client.post(
        f"{V1}/lines/{line}/creatives",
        json={"headline": "x", "click_url": "javascript:alert(1)"},
        headers=as_key(),
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "click_url")


async def form_token(ads, who: str) -> str:
    page = await ads.client.get(f"{CONSOLE}/book", headers=as_staff(who))
    found = re.search(r'name="csrf_token" value="([0-9a-f]+)"', page.text)
    assert found, page.text
    return found.group(1)


async def test_a_form_without_its_token_or_from_another_site_changes_nothing(ads):
    form = {
        "product": "all",
        "starts_on": day(2),
        "ends_on": day(2),
        "units": "100",
        "advertiser": "Khách",
    }
    bare = await ads.client.post(f"{CONSOLE}/book", data=form, headers=as_staff("seller"))
    assert bare.status_code == 403
    token = await form_token(ads, "seller")
    foreign = as_staff("seller") | {"origin": "http://evil.test"}
    form["csrf_token"] = token
    assert (await ads.client.post(f"{CONSOLE}/book", data=form, headers=foreign)).status_code == 403
    stolen = await ads.client.post(f"{CONSOLE}/book", data=form, headers=as_staff("approver"))
    assert stolen.status_code == 403
    assert await ads.sql("SELECT 1 FROM line") == []
    good = await ads.client.post(f"{CONSOLE}/book", data=form, headers=as_staff("seller"))
    assert good.status_code == 303


async def test_a_booking_refused_in_the_console_says_why_and_keeps_what_was_typed(ads, database):
    await book(database, "all", 1950, starts_in=5, days=1)
    form = {
        "csrf_token": await form_token(ads, "seller"),
        "product": "all",
        "starts_on": day(5),
        "ends_on": day(5),
        "units": "1.000",
        "advertiser": "Nhà may Phố Hiến",
        "action": "book",
    }
    answer = await ads.client.post(f"{CONSOLE}/book", data=form, headers=as_staff("seller"))
    assert answer.status_code == 409
    assert "Chỉ còn trống 50 trên 1.000 lượt hiển thị" in answer.text
    assert 'value="Nhà may Phố Hiến"' in answer.text
    english = await ads.client.get(
        f"{CONSOLE}/book/quote", params={**form, "lang": "en"}, headers=as_staff("seller")
    )
    assert "Only 50 of 1,000 impressions are free" in english.text


@pytest.mark.parametrize("who", ["finance", "traffic"])
async def test_whoever_may_not_book_does_not_get_the_form_but_may_look(ads, who):
    assert (await ads.client.get(f"{CONSOLE}/book", headers=as_staff(who))).status_code == 403
    assert (await ads.client.get(CONSOLE, headers=as_staff(who))).status_code == 200
    assert (await ads.client.get(f"{CONSOLE}/lines", headers=as_staff(who))).status_code == 200


async def test_pages_need_no_inline_style_or_script(ads, database):
    line = await book(database, action=Action.RESERVE)
    for path in ("", "/book", "/lines", f"/lines/{line}", f"/lines/{line}/creatives/new"):
        page = await ads.client.get(f"{CONSOLE}{path}", headers=as_staff("seller"))
        assert page.status_code == 200, path
        assert "unsafe-inline" not in page.headers["content-security-policy"]
        assert not re.search(r'\sstyle=|\son\w+="|<style|<script(?![^>]*src=)', page.text), path
        assert WORDS.headline in page.text or path != f"/lines/{line}"


async def test_forms_of_the_console_work_behind_a_proxy_that_ends_tls(ads_url, database):
    """The proxy speaks plain HTTP to us, so the scheme we see is not the one in the browser's ``Origin``."""
    async with running_ads(ads_url, ads_url="https://ads.example") as behind:
        for origin, slug in (
            ("https://ads.example", "form-token-invalid"),  # past the guard; this form has no token
            ("https://evil.example", "cross-site-request"),
        ):
            headers = {"cookie": "press_staff=seller", "origin": origin, "host": "ads.example"}
            answer = await behind.client.post(f"{CONSOLE}/book", data={}, headers=headers)
            assert answer.json()["type"].endswith(slug)


OF_LINE = "SELECT status, version FROM line WHERE id = $1"


async def test_what_cannot_be_undone_says_its_consequences_in_figures_first(ads, database):
    held = await book(database, quantity=700, action=Action.RESERVE)
    other = await book(database, quantity=700, action=Action.RESERVE)
    running = await book(database, quantity=300)
    await ads.sql("UPDATE line SET status = 'InFlight' WHERE id = $1", running)
    for line, act, figures in (
        (held, "cancel", "700 lượt"),
        (running, "stop", "300 trong 300 lượt"),
    ):
        before = await ads.sql(OF_LINE, line)
        page = (await ads.client.get(f"{CONSOLE}/lines/{line}", headers=as_staff("admin"))).text
        action = f'action="{CONSOLE}/lines/{line}/{act}"'
        assert page.count(action) == 1
        around = page.partition(action)[0].rpartition("<details")[2]
        assert "</details>" not in around, "the button stands inside of what has to be opened"
        told = page.partition(action)[2].partition("</form>")[0]
        assert figures in told and "₫" in told and "Không thể hoàn tác" in told
        first = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', told))
        assert first.pop("confirmed") == "true"
        asked = await ads.client.post(
            f"{CONSOLE}/lines/{line}/{act}", data=first, headers=as_staff("admin")
        )
        assert asked.status_code == 200
        opened = asked.text.partition('<details class="confirm" open>')[2]
        assert figures in opened.partition("</details>")[0]
        assert await ads.sql(OF_LINE, line) == before, "the first press does nothing"
        done = await ads.client.post(
            f"{CONSOLE}/lines/{line}/{act}",
            data=first | {"confirmed": "true"},
            headers=as_staff("admin"),
        )
        assert done.status_code == 303
        assert await ads.sql(OF_LINE, line) != before
    english = await ads.client.get(f"{CONSOLE}/lines/{other}?lang=en", headers=as_staff("admin"))
    assert "700 impressions" in english.text and "cannot be undone" in english.text


async def test_the_asked_language_is_kept_on_the_way_to_the_only_agency(ads):
    for path, leads_to in (("/", "/console"), ("/console", CONSOLE)):
        answer = await ads.client.get(f"{path}?lang=en", headers=as_staff("seller"))
        assert answer.headers["location"] == f"{leads_to}?lang=en"
    shown = await ads.client.get(answer.headers["location"], headers=as_staff("seller"))
    assert '<html lang="en"' in shown.text
