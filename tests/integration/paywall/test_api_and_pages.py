"""Everything but the hot route: closed to strangers, versioned, audited, robust."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.paywall.models import METADATA
from services.paywall.policies.rules import month_window
from shared.database.migrations import schema_differences
from tests.fixtures.roles import assert_never
from tests.integration.paywall.conftest import (
    AGENCY,
    EDITOR,
    FINANCE,
    KEY,
    OTHER,
    OTHER_KEY,
    OUTSIDER,
    POWERLESS_KEY,
    until,
)

POLICY = f"/v1/agencies/{AGENCY}/policy"
PAGE = f"/policies/{AGENCY}"
OWN = "http://paywall.test"
PUBLIC = {"/v1/decisions", "/.well-known/jwks.json"}


def staff(session: str) -> dict[str, str]:
    return {"Cookie": f"press_staff={session}", "Origin": OWN}


async def test_migrations_match_the_models(house):
    assert await schema_differences(house.url, METADATA) == []


async def test_no_route_is_open_except_those_meant_to_be(paywall):
    document = (await paywall.client.get("/openapi.json")).json()
    asked = 0
    for path, methods in document["paths"].items():
        if path in PUBLIC:
            continue
        for method in methods:
            url = re.sub(r"\{agency\}", AGENCY, re.sub(r"\{article_id\}", "a3", path))
            for headers in ({}, {"Authorization": "Bearer nonsense"}, staff("nobody")):
                answer = await paywall.client.request(method, url, headers=headers, json={})
                assert answer.status_code in (401, 403, 404), (method, path, answer.status_code)
                asked += 1
    assert asked >= 12
    assert set(document["paths"]) >= PUBLIC
    for page in ("/", "/policies", PAGE):
        answer = await paywall.client.get(page)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("http://identity.test/sign-in?next=")
    assert (await paywall.client.post(PAGE, data={})).status_code in (303, 401, 403, 422)


@pytest.mark.parametrize(
    ("key", "status"), [(OTHER_KEY, 404), (POWERLESS_KEY, 403), ("prk_x", 401)]
)
async def test_articles_belong_to_their_agencys_key(paywall, key, status):
    headers = {"Authorization": f"Bearer {key}"}
    body = {
        "title": "x",
        "url": "https://x.vn/a",
        "access": "free",
        "published_at": "2026-07-15T00:00:00Z",
    }
    path = f"/v1/agencies/{AGENCY}/articles"
    assert (
        await paywall.client.put(f"{path}/a3", json=body, headers=headers)
    ).status_code == status
    assert (await paywall.client.get(path, headers=headers)).status_code == status
    assert paywall.parts.articles.access(AGENCY, "a3") == "metered"


async def test_articles_are_listed_page_by_page(paywall):
    path, headers = f"/v1/agencies/{AGENCY}/articles", {"Authorization": f"Bearer {KEY}"}
    first = (await paywall.client.get(f"{path}?limit=5", headers=headers)).json()
    rest = (await paywall.client.get(f"{path}?after={first[-1]['id']}", headers=headers)).json()
    assert len(first) == 5
    assert sorted(a["id"] for a in first + rest) == sorted(f"a{n}" for n in range(1, 13))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"access": "gold"}, "access"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"published_at": "2026-07-15T00:00:00"}, "published_at"),
        ({"title": "nul \x00"}, "title"),
        ({"body": "the paid text"}, "body"),
    ],
)
async def test_a_wrong_article_is_refused_with_the_fields_name(paywall, change, field):
    body = {
        "title": "x",
        "url": "https://x.vn/a",
        "access": "free",
        "published_at": "2026-07-15T00:00:00Z",
    }
    answer = await paywall.client.put(
        f"/v1/agencies/{AGENCY}/articles/a3",
        json=body | change,
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_a_policy_is_changed_by_version_and_every_process_follows(house):
    one, two = await house.start(), await house.start()
    seen = await one.client.get(POLICY, headers=staff(EDITOR))
    assert seen.headers["etag"] == '"1"'
    body = {
        k: v for k, v in seen.json().items() if k not in ("version", "changed_at", "changed_by")
    }
    body["allowance"] = {"anonymous": 1, "registered": 2}
    changed = await one.client.put(POLICY, json=body, headers=staff(EDITOR) | {"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    late = await two.client.put(POLICY, json=body, headers=staff(EDITOR) | {"If-Match": '"1"'})
    assert (late.status_code, late.json()["version"]) == (412, 2)
    missing = await two.client.put(POLICY, json=body, headers=staff(EDITOR))
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (400, "If-Match")
    await until(lambda: two.parts.book.get(AGENCY).policy.version == 2)
    answer = (await two.ask("a3")).json()
    assert (answer["policy_version"], answer["meter"]["limit"]) == (2, 1)


async def test_ten_editors_at_once_put_one_new_version_in_force(house, paywall):
    body = (await paywall.client.get(POLICY, headers=staff(EDITOR))).json()
    for name in ("version", "changed_at", "changed_by"):
        del body[name]
    headers = staff(EDITOR) | {"If-Match": "1"}
    answers = await asyncio.gather(
        *(paywall.client.put(POLICY, json=body, headers=headers) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


@pytest.mark.parametrize(("session", "status"), [(OUTSIDER, 404), (FINANCE, 403), ("nobody", 401)])
async def test_a_policy_is_for_editors_of_its_agency(paywall, session, status):
    assert (await paywall.client.get(POLICY, headers=staff(session))).status_code == status
    answer = await paywall.client.put(POLICY, json={}, headers=staff(session) | {"If-Match": "1"})
    assert answer.status_code == status
    if session != "nobody":
        assert (await paywall.client.get(PAGE, headers=staff(session))).status_code == status


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"allowance": {"anonymous": 5, "registered": 3}}, "allowance"),
        ({"allowance": {"anonymous": -1, "registered": 3}}, "allowance.anonymous"),
        ({"rules": [{"id": "a", "access": "free", "then": "free"}]}, ""),
        ({"window": "year"}, "window"),
        ({"failure": {"mode": "ajar", "timeout_ms": 100}}, "failure.mode"),
    ],
)
async def test_a_policy_that_cannot_decide_is_refused(paywall, change, field):
    body = (await paywall.client.get(POLICY, headers=staff(EDITOR))).json()
    for name in ("version", "changed_at", "changed_by"):
        del body[name]
    answer = await paywall.client.put(
        POLICY, json=body | change, headers=staff(EDITOR) | {"If-Match": "1"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] in (field, "body")


async def form(paywall) -> dict[str, str]:
    page = (await paywall.client.get(PAGE, headers=staff(EDITOR))).text
    return dict(re.findall(r'name="(csrf_token|version)" value="([^"]*)"', page))


async def test_the_page_changes_the_allowance_and_shows_who_did(paywall):
    fields = await form(paywall)
    data = fields | {"anonymous": "2", "registered": "6", "failure_mode": "closed"}
    data |= {"confirmed": "true"}
    answer = await paywall.client.post(PAGE, data=data, headers=staff(EDITOR))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?saved")
    page = (await paywall.client.get(answer.headers["location"], headers=staff(EDITOR))).text
    assert "Đã lưu" in page
    assert "editor-session@example.vn" in page
    assert "3 → 2" in page
    late = await paywall.client.post(PAGE, data=data, headers=staff(EDITOR))
    assert (late.status_code, "Người khác vừa thay đổi" in late.text) == (412, True)


async def test_what_takes_something_from_readers_says_so_in_figures_before_it_is_saved(
    house, paywall
):
    window = month_window(house.clock.now(), ZoneInfo("Asia/Ho_Chi_Minh"))
    read = [("a:x", 0), ("a:y", 1), ("k:z", 2), ("a:full", 3), ("r:1", 4), ("r:full", 5)]
    async with house.database.transaction() as session:
        for agency, start, end in (
            (AGENCY, window.start, window.end),
            (OTHER, window.start, window.end),
            (AGENCY, window.start - timedelta(days=30), window.start),
        ):
            await session.execute(
                text("INSERT INTO meter_window VALUES (:agency, :key, :start, :end, :used)"),
                [
                    {"agency": agency, "key": key, "start": start, "end": end, "used": used}
                    for key, used in read
                ],
            )
    wanted = {"anonymous": "1", "registered": "4", "failure_mode": "closed"}
    shown = await paywall.client.post(
        PAGE, data=await form(paywall) | wanted, headers=staff(EDITOR)
    )
    told = shown.text.partition('<details class="confirm" open>')[2].partition("</form>")[0]
    # Of the anonymous y and z have read one or two of three, of the others the first four of five.
    assert "Bạn đọc chưa đăng nhập: 3 → 1." in told and "2 người gặp tường phí" in told
    assert "Bạn đọc đã đăng nhập, chưa có gói: 5 → 4." in told and "1 người gặp tường phí" in told
    assert "Khi không hỏi được bộ đếm" in told and "miễn phí cho mọi" not in told
    assert (await paywall.client.get(POLICY, headers=staff(EDITOR))).json()["version"] == 1
    english = await paywall.client.post(
        f"{PAGE}?lang=en",
        data=await form(paywall) | wanted | {"anonymous": "0"},
        headers=staff(EDITOR),
    )
    assert "3 of them meet the paywall" in english.text
    assert "No metered article is free for them any more." in english.text
    # The second press sends what the first one did.
    kept = dict(re.findall(r'name="(\w+)" value="([^"]*)"', told))
    saved = await paywall.client.post(PAGE, data=kept, headers=staff(EDITOR))
    assert saved.status_code == 303, saved.text
    now = (await paywall.client.get(POLICY, headers=staff(EDITOR))).json()
    assert now["allowance"] == {"anonymous": 1, "registered": 4}
    assert now["failure"]["mode"] == "closed"
    for late in (
        kept | {"version": "1"},
        await form(paywall) | wanted | {"version": "1", "anonymous": "0"},
    ):
        assert (
            await paywall.client.post(PAGE, data=late, headers=staff(EDITOR))
        ).status_code == 412


async def test_what_gives_readers_more_is_saved_at_once(paywall):
    wanted = {"anonymous": "3", "registered": "6", "failure_mode": "open"}
    data = await form(paywall) | wanted
    assert (await paywall.client.post(PAGE, data=data, headers=staff(EDITOR))).status_code == 303


async def test_closing_the_door_of_a_failing_meter_alone_says_so_first_too(paywall):
    wanted = {"anonymous": "3", "registered": "5", "failure_mode": "closed"}
    data = await form(paywall) | wanted
    shown = await paywall.client.post(PAGE, data=data, headers=staff(EDITOR))
    assert "kể cả khi còn lượt miễn phí" in shown.text and "3 → 3" not in shown.text
    assert (await paywall.client.get(POLICY, headers=staff(EDITOR))).json()["version"] == 1


async def test_the_page_keeps_what_was_typed_when_a_number_is_wrong(paywall):
    data = await form(paywall) | {"anonymous": "ba", "registered": "6", "failure_mode": "open"}
    answer = await paywall.client.post(PAGE, data=data, headers=staff(EDITOR))
    assert answer.status_code == 422
    assert 'value="ba"' in answer.text
    assert "Hãy nhập số nguyên" in answer.text


async def test_a_form_without_its_token_or_from_another_site_changes_nothing(paywall):
    data = await form(paywall) | {"anonymous": "2", "registered": "6", "failure_mode": "open"}
    forged = await paywall.client.post(PAGE, data=data | {"csrf_token": "x"}, headers=staff(EDITOR))
    assert forged.status_code == 403
    cross = await paywall.client.post(
        PAGE, data=data, headers=staff(EDITOR) | {"Origin": "https://evil.test"}
    )
    assert cross.status_code == 403
    assert (await paywall.client.get(POLICY, headers=staff(EDITOR))).json()["version"] == 1


async def test_the_audit_trail_and_old_versions_cannot_be_changed(house):
    for statement in (
        "UPDATE audit_entry SET actor = 'nobody'",
        "DELETE FROM audit_entry",
        "TRUNCATE policy_version",
        "UPDATE policy_version SET document = document",
    ):
        await assert_never(house.url, statement)


async def test_every_text_of_the_pages_has_its_vietnamese(paywall):
    from services.paywall.app import FOLDER
    from shared.web.i18n import load_catalogues
    from shared.web.pages import SHARED_FOLDER

    words = load_catalogues([SHARED_FOLDER / "locale", FOLDER / "locale"])
    used = set()
    for template in (FOLDER / "templates").glob("*.html"):
        used |= set(re.findall(r'_\("([^"]+)"', template.read_text(encoding="utf-8")))
    assert used
    assert used - set(words) == set()


async def test_the_script_is_small_cached_and_revalidated(paywall):
    answer = await paywall.client.get("/paywall.js", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 10_000
    assert "max-age" in answer.headers["cache-control"]
    again = await paywall.client.get(
        "/paywall.js", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    style = await paywall.client.get("/paywall.css", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in style.headers
    assert style.headers["content-type"].startswith("text/css")


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(
    ["agency", "article_id", "articles", "count", "meter_id", "reader_token", "x"]
)


async def test_whatever_is_sent_to_decisions_the_answer_is_never_a_5xx(paywall):
    loop = asyncio.get_running_loop()

    async def send(body: bytes, headers: dict[str, str]) -> httpx.Response:
        paywall.client.cookies.clear()
        return await paywall.client.post("/v1/decisions", content=body, headers=headers)

    import json

    bodies = (
        st.binary(max_size=200)
        | st.dictionaries(fields, junk, max_size=6).map(lambda d: json.dumps(d).encode())
        | st.dictionaries(fields, junk, max_size=3).map(
            lambda d: json.dumps({"agency": AGENCY, "article_id": "a3"} | d).encode()
        )
        | st.just(b"[" * 30_000)
        | st.just(b'{"agency":' * 3_000)
    )
    header_values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
    heads = st.fixed_dictionaries(
        {},
        optional={
            "Cookie": header_values.map(lambda v: f"pr_meter={v}"),
            "Authorization": header_values | header_values.map(lambda v: f"Bearer {v}"),
            "Origin": header_values,
            "X-Forwarded-For": header_values,
        },
    )

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(bodies, heads)
    def fire(body: bytes, headers: dict[str, str]) -> None:
        answer = asyncio.run_coroutine_threadsafe(send(body, headers), loop).result(30)
        assert answer.status_code < 500, (body, headers, answer.text)
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            assert "Traceback" not in answer.text

    await asyncio.to_thread(fire)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"[]", 422, "body"),
        (b'{"article_id": "a3"}', 422, "agency"),
        (b'{"agency": "bao-hung-yen"}', 422, "article_id"),
        (b'{"agency": "bao-hung-yen", "article_id": 3}', 422, "article_id"),
        (b'{"agency": "Bao", "article_id": "a3"}', 422, "agency"),
        (b'{"agency": "bao-hung-yen", "article_id": "a3", "kount": true}', 422, "kount"),
        (b'{"agency": "bao-hung-yen", "articles": ["a3", 4]}', 422, "articles[1]"),
    ],
)
async def test_a_bad_question_is_answered_with_the_fields_name(paywall, body, status, field):
    answer = await paywall.client.post("/v1/decisions", content=body)
    assert answer.status_code == status
    assert answer.json()["errors"][0]["field"] == field


async def test_a_body_beyond_the_limit_is_refused_announced_or_not(paywall):
    async def chunks():
        for _ in range(10):
            yield b" " * 8_000

    for content in (b" " * 40_000, chunks()):
        answer = await paywall.client.post("/v1/decisions", content=content)
        assert answer.status_code == 413


async def test_views_of_ended_windows_are_deleted_a_week_later(house, paywall):
    from datetime import timedelta

    from services.paywall.meters.service import delete_ended_windows

    await paywall.ask("a3")
    window = paywall.parts.book.get(AGENCY).window(house.clock.now())
    house.clock.set(window.end + timedelta(days=7))
    assert await delete_ended_windows(house.database, house.clock) == 0
    house.clock.advance(timedelta(seconds=1))
    await paywall.ask("a3")
    assert await delete_ended_windows(house.database, house.clock) == 1
    async with house.database.read() as session:
        left = await session.execute(text("SELECT count(*) FROM meter_view"))
        assert left.scalar_one() == 1


async def test_the_example_agencies_get_their_policies_and_keep_what_staff_changed(paywall, house):
    from services.paywall import seed

    await house.set_policy(anonymous=1, registered=1)
    await seed.run(paywall.parts.process)
    await seed.run(paywall.parts.process)
    async with house.database.read() as session:
        found = await session.execute(
            text("SELECT agency, max(version) FROM policy_version GROUP BY 1 ORDER BY 1")
        )
        assert [tuple(row) for row in found] == [(AGENCY, 2), (OTHER, 1)]


async def test_the_form_works_behind_a_proxy_that_ends_tls(house):
    """The proxy speaks plain HTTP to us, so the scheme we see is not the one in the browser's ``Origin``."""
    behind = await house.start(paywall_url="https://paywall.example")
    for origin, slug in (
        ("https://paywall.example", "invalid-input"),  # past the guard; this form is empty
        ("https://evil.example", "cross-site-request"),
    ):
        headers = staff(EDITOR) | {"Origin": origin, "Host": "paywall.example"}
        answer = await behind.client.post(PAGE, data={}, headers=headers)
        assert answer.json()["type"].endswith(slug)
