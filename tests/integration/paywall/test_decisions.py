"""Decisions over HTTP, on a real database: one process and two."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from services.paywall.meters.rules import new_meter_id
from tests.integration.paywall.conftest import (
    AGENCY,
    KEY,
    NOW,
    OTHER,
    OTHER_KEY,
    OTHER_SITE,
    POWERLESS_KEY,
    SITE,
    cookie_of,
    new_reader,
    running,
    until,
)


async def test_a_new_reader_reads_three_articles_and_meets_the_wall_at_the_fourth(paywall):
    first = await paywall.ask("a3")
    assert first.status_code == 200
    assert first.json()["granted"] is True
    assert first.json()["reason"] == "METERING"
    assert first.json()["meter"] == {
        "limit": 3,
        "used": 1,
        "left": 2,
        "resets_at": "2026-07-31T17:00:00Z",
    }
    cookie = cookie_of(first)
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=Lax" in first.headers["set-cookie"]
    lefts = [(await paywall.ask(f"a{n}", cookie=cookie)).json()["meter"]["left"] for n in (4, 5)]
    assert lefts == [1, 0]
    wall = (await paywall.ask("a6", cookie=cookie)).json()
    assert (wall["granted"], wall["reason"], wall["action"]) == (
        False,
        "METER_EXHAUSTED",
        "register",
    )
    assert wall["grant"] is None
    assert [offer["kind"] for offer in wall["offers"]] == ["register", "subscribe"]
    assert wall["offers"][1]["url"] == f"http://billing.test/r/{AGENCY}/plans"


async def test_rereading_costs_nothing_and_needs_no_query(paywall, monkeypatch):
    cookie = cookie_of(await paywall.ask("a3"))

    async def refuse(*_):
        raise AssertionError("re-reading asked the database")

    monkeypatch.setattr(paywall.parts.meter._store, "count", refuse)
    for _ in range(3):
        again = await paywall.ask("a3", cookie=cookie)
        assert again.json()["granted"] is True
        assert again.json()["meter"]["used"] == 1
        assert "set-cookie" not in again.headers


async def test_rereading_is_free_in_another_process_too(house):
    one, two = await house.start(), await house.start()
    cookie = cookie_of(await one.ask("a3"))
    for article in ("a4", "a5"):
        await two.ask(article, cookie=cookie)
    assert (await two.ask("a3", cookie=cookie)).json()["granted"] is True
    assert (await one.ask("a6", cookie=cookie)).json()["granted"] is False


async def test_fifty_parallel_requests_for_the_last_view_in_two_processes_grant_exactly_one(house):
    await house.set_policy(anonymous=3, registered=3)
    for turn in range(5):
        one, two = await house.start(), await house.start()
        cookie = one.parts.ids.sign(new_meter_id(bytes([turn]) * 16))
        for article in ("a3", "a4"):
            assert (await one.ask(article, cookie=cookie)).json()["granted"] is True
        asked = [(one if n % 2 else two).ask(f"a{5 + n % 8}", cookie=cookie) for n in range(50)]
        answers = [answer.json() for answer in await asyncio.gather(*asked)]
        granted = {answer["article_id"] for answer in answers if answer["granted"]}
        assert len(granted) == 1
        assert {answer["meter"]["used"] for answer in answers} == {3}
        async with house.database.transaction() as session:
            from sqlalchemy import text

            rows = await session.execute(
                text(
                    "SELECT used, (SELECT count(*) FROM meter_view v WHERE v.meter_key = w.meter_key) FROM meter_window w"
                )
            )
            assert all(tuple(row) == (3, 3) for row in rows)


async def test_two_on_the_device_and_three_in_the_account_with_one_shared_make_four(paywall, house):
    cookie = cookie_of(await paywall.ask("a3"))
    await paywall.ask("a4", cookie=cookie)
    reader = new_reader()
    for article in ("a4", "a5", "a6"):
        await paywall.ask(article, token=house.token(reader))
    merged = await paywall.ask("a3", cookie=cookie, token=house.token(reader))
    assert merged.json()["granted"] is True
    assert (merged.json()["meter"]["used"], merged.json()["meter"]["limit"]) == (4, 5)
    fifth = await paywall.ask("a7", cookie=cookie, token=house.token(reader))
    assert fifth.json()["meter"]["left"] == 0
    sixth = await paywall.ask("a8", cookie=cookie, token=house.token(reader))
    assert (sixth.json()["granted"], sixth.json()["action"]) == (False, "subscribe")


async def test_views_on_the_device_after_signing_out_merge_at_the_next_sign_in(paywall, house):
    reader = new_reader()
    cookie = cookie_of(await paywall.ask("a3"))
    await paywall.ask("a3", cookie=cookie, token=house.token(reader))
    await paywall.ask("a4", cookie=cookie)
    answer = await paywall.ask("a5", cookie=cookie, token=house.token(reader))
    assert answer.json()["meter"]["used"] == 3


async def test_an_edited_cookie_is_not_accepted_and_does_not_touch_its_owners_meter(paywall):
    cookie = cookie_of(await paywall.ask("a3"))
    for edited in (cookie[:-1] + ("A" if cookie[-1] != "A" else "B"), "A" + cookie[1:], "x", "."):
        answer = await paywall.ask("a4", cookie=edited)
        assert answer.json()["meter"]["used"] == 1
        assert cookie_of(answer) not in (edited, cookie)
    assert (await paywall.ask("a4", cookie=cookie)).json()["meter"]["used"] == 2


async def test_a_replayed_cookie_restores_nothing(paywall):
    cookie = cookie_of(await paywall.ask("a3"))
    for article in ("a4", "a5"):
        await paywall.ask(article, cookie=cookie)
    assert (await paywall.ask("a6", cookie=cookie)).json()["granted"] is False


async def test_a_rotated_secret_still_accepts_the_old_cookie(house):
    old, new = "o" * 32, "n" * 32
    before = await house.start(cookie_secret=old)
    cookie = cookie_of(await before.ask("a3"))
    after = await house.start(cookie_secret=f"{new},{old}")
    assert (await after.ask("a4", cookie=cookie)).json()["meter"]["used"] == 2
    later = await house.start(cookie_secret=new)
    assert (await later.ask("a5", cookie=cookie)).json()["meter"]["used"] == 1


async def test_throwing_the_cookie_away_is_worth_only_as_much_as_the_network_may_bring(house):
    paywall = await house.start(new_readers_per_network_per_hour=2)
    answers = [(await paywall.ask("a3")).json() for _ in range(3)]
    assert [answer["granted"] for answer in answers] == [True, True, False]
    assert (answers[2]["reason"], answers[2]["action"]) == ("NETWORK_EXHAUSTED", "register")
    assert (await paywall.ask("a1")).json()["granted"] is True
    house.clock.advance(timedelta(hours=1))
    assert (await paywall.ask("a3")).json()["granted"] is True


async def test_free_and_premium_articles_need_no_meter_and_set_no_cookie(paywall):
    free, premium = await paywall.ask("a1"), await paywall.ask("a2")
    assert (free.json()["reason"], free.json()["meter"]) == ("FREE", None)
    assert (premium.json()["reason"], premium.json()["action"]) == (
        "SUBSCRIPTION_REQUIRED",
        "subscribe",
    )
    assert "set-cookie" not in free.headers
    assert "set-cookie" not in premium.headers


async def test_the_tokens_entitlement_opens_premium_at_once_until_it_ends(paywall, house):
    reader = new_reader()
    until_ = NOW + timedelta(seconds=60)
    answer = await paywall.ask("a2", token=house.token(reader, until=until_))
    assert (answer.json()["granted"], answer.json()["reason"]) == (True, "SUBSCRIBER")
    house.clock.advance(timedelta(seconds=60))
    answer = await paywall.ask("a2", token=house.token(reader, until=until_))
    assert answer.json()["granted"] is False


async def test_an_article_that_was_bought_opens_alone(paywall, house):
    reader = new_reader()
    until_ = (NOW + timedelta(days=1)).timestamp()
    token = house.token(reader, ent=[{"scope": "article:a2", "until": until_}])
    answer = (await paywall.ask("a2", token=token)).json()
    assert (answer["granted"], answer["reason"]) == (True, "PURCHASE")
    other = (await paywall.ask("a4", token=token)).json()
    assert other["reason"] != "PURCHASE"
    dry = (await paywall.ask("a2", token=token, count=False)).json()
    assert dry["granted"] is True


async def test_a_reader_token_of_another_agency_expired_or_forged_is_refused(paywall, house):
    reader = new_reader()
    good = house.token(reader)
    other = house.token(reader, agency=OTHER)
    forged = good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB")
    for token in (other, forged, "x.y.z", "nonsense"):
        answer = await paywall.ask("a3", token=token)
        assert answer.status_code == 401
        assert answer.json()["type"].endswith("reader-token-invalid")
        assert answer.headers["access-control-allow-origin"]
    assert (await paywall.ask("a3", token=good)).status_code == 200
    house.clock.advance(timedelta(seconds=301))
    assert (await paywall.ask("a3", token=good)).status_code == 401


async def test_the_allowance_resets_with_the_publishers_month_not_the_browsers(paywall, house):
    house.clock.set(datetime(2026, 7, 31, 16, 59, 59, tzinfo=UTC))
    cookie = cookie_of(await paywall.ask("a3"))
    for article in ("a4", "a5"):
        await paywall.ask(article, cookie=cookie)
    assert (await paywall.ask("a6", cookie=cookie)).json()["granted"] is False
    house.clock.set(datetime(2026, 7, 31, 17, 0, tzinfo=UTC))  # midnight in Hưng Yên
    answer = (await paywall.ask("a6", cookie=cookie)).json()
    assert (answer["granted"], answer["meter"]["used"]) == (True, 1)
    assert answer["meter"]["resets_at"] == "2026-08-31T17:00:00Z"
    house.clock.set(datetime(2026, 8, 1, 12, tzinfo=UTC))
    assert (await paywall.ask("a6", cookie=cookie)).json()["meter"]["used"] == 1


async def test_a_dry_run_and_a_front_page_count_nothing_and_carry_no_grant(paywall):
    cookie = cookie_of(await paywall.ask("a3"))
    dry = (await paywall.ask("a4", cookie=cookie, count=False)).json()
    assert (dry["granted"], dry["grant"], dry["meter"]["used"]) == (True, None, 1)
    for article in ("a4", "a5"):
        await paywall.ask(article, cookie=cookie)
    front = await paywall.client.post(
        "/v1/decisions",
        json={"agency": AGENCY, "articles": ["a1", "a2", "a3", "a6"]},
        headers={"Cookie": f"pr_meter={cookie}", "Origin": SITE},
    )
    decisions = front.json()["decisions"]
    assert [answer["granted"] for answer in decisions] == [True, False, True, False]
    assert [answer["grant"] for answer in decisions] == [None] * 4


async def test_a_grant_is_for_the_article_the_reader_and_the_site_and_verifies_by_the_published_keys(
    paywall, house
):
    import jwt
    from jwt import PyJWK

    answer = await paywall.ask("a3")
    keys = (await paywall.client.get("/.well-known/jwks.json")).json()["keys"]
    claims = jwt.decode(
        answer.json()["grant"],
        PyJWK(keys[0]).key,
        algorithms=["EdDSA"],
        audience=f"site:{AGENCY}",
        issuer="press-paywall",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["article"] == "a3"
    assert claims["reason"] == "METERING"
    assert claims["exp"] - claims["iat"] == 300
    assert claims["sub"] == cookie_of(answer).split(".")[0]


async def test_a_back_end_asks_with_its_key_and_the_id_it_keeps(paywall, house):
    async def ask(key: str, **body):
        return await paywall.client.post(
            "/v1/decisions",
            json={"agency": AGENCY, "article_id": "a3"} | body,
            headers={"Authorization": f"Bearer {key}"},
        )

    answer = await ask(KEY, meter_id="visitor-0001")
    assert (answer.json()["granted"], answer.json()["grant"]) == (True, None)
    assert "set-cookie" not in answer.headers
    assert (await ask(KEY, reader_token=house.token(new_reader()))).json()["meter"]["limit"] == 5
    assert (await ask(KEY)).json()["errors"][0]["field"] == "meter_id"
    assert (await ask(KEY, count=False)).json()["granted"] is True
    assert (await ask(OTHER_KEY, meter_id="visitor-0001")).status_code == 404
    assert (await ask(POWERLESS_KEY, meter_id="visitor-0001")).status_code == 403
    assert (await ask("prk_unknown", meter_id="visitor-0001")).status_code == 401


async def test_a_browser_may_not_bring_the_facts_of_a_back_end(paywall):
    answer = await paywall.ask("a3", meter_id="somebody-else")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "meter_id")


async def test_only_the_agencys_own_website_may_ask_with_cookies(paywall):
    ours = await paywall.ask("a3")
    assert ours.headers["access-control-allow-origin"] == "https://baohungyen.test"
    assert ours.headers["access-control-allow-credentials"] == "true"
    foreign = await paywall.ask("a3", origin="https://evil.test")
    assert foreign.status_code == 403
    assert "access-control-allow-origin" not in foreign.headers
    another = await paywall.ask("a3", origin=OTHER_SITE)
    assert another.status_code == 403
    assert "access-control-allow-origin" not in another.headers
    assert (await paywall.ask("a3", origin=OTHER_SITE, agency=OTHER)).status_code == 200


async def test_the_preflight_is_answered_for_known_websites_only(paywall):
    async def preflight(origin: str):
        return await paywall.client.options(
            "/v1/decisions",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )

    known, unknown = await preflight(OTHER_SITE), await preflight("https://evil.test")
    assert known.status_code == 204
    assert known.headers["access-control-allow-origin"] == OTHER_SITE
    assert "authorization" in known.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in unknown.headers


async def test_unknown_articles_and_agencies_are_404(paywall):
    assert (await paywall.ask("nowhere")).json()["type"].endswith("article-unknown")
    unknown = await paywall.ask("a3", agency="no-such-agency")
    assert (unknown.status_code, unknown.json()["type"][-14:]) == (404, "agency-unknown")


async def test_an_article_registered_in_one_process_is_known_in_the_other_a_moment_later(house):
    one, two = await house.start(), await house.start()
    body = {
        "title": "Bài mới",
        "url": "https://baohungyen.test/moi",
        "access": "free",
        "published_at": "2026-07-15T07:00:00+07:00",
    }
    path, key = f"/v1/agencies/{AGENCY}/articles/moi", {"Authorization": f"Bearer {KEY}"}
    assert (await one.client.put(path, json=body, headers=key)).status_code == 204
    assert (await one.ask("moi")).json()["reason"] == "FREE"
    await until(lambda: two.parts.articles.access(AGENCY, "moi") == "free")
    await one.client.put(path, json=body | {"access": "premium"}, headers=key)
    await until(lambda: two.parts.articles.access(AGENCY, "moi") == "premium")
    assert (await two.ask("moi")).json()["reason"] == "SUBSCRIPTION_REQUIRED"


async def test_decisions_are_published_as_counts_by_kind(paywall, house):
    cookie = cookie_of(await paywall.ask("a3"))
    await paywall.ask("a3", cookie=cookie)
    await paywall.ask("a1", cookie=cookie)
    await paywall.parts.counts.flush()
    from shared.contracts import decode

    pool = await house.database.pool()
    events = [decode(row["payload"]) for row in await pool.fetch("SELECT payload FROM outbox")]
    found = {
        (event.agency, event.data.reason, event.data.granted): event.data.count for event in events
    }
    assert found == {(AGENCY, "METERING", True): 2, (AGENCY, "FREE", True): 1}


async def test_what_has_been_decided_is_told_when_a_process_stops(house):
    async with running(house.url, house.clock, house.billing) as paywall:
        await paywall.ask("a1")
    pool = await house.database.pool()
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 1
