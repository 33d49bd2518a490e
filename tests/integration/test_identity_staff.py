"""Staff sign in, are locked out, change passwords and leave, against a real database."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from datetime import timedelta
from itertools import pairwise

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import text

from services.identity.app import web
from services.identity.process import IDENTITY
from services.identity.tables import METADATA
from shared.database.migrations import migrate, schema_differences
from shared.passwords.hasher import Argon2Hasher
from shared.process import application
from tests.fixtures.identity import (
    ADMIN,
    FINANCE,
    PASSWORD,
    PROVINCE,
    SELLER,
    STRANGER,
    URL,
    running_identity,
)
from tests.fixtures.roles import assert_never


@pytest.fixture
async def identity(create_database, template_database):
    async with running_identity(create_database, template_database) as running:
        yield running


def without_form_token(page: str) -> str:
    """What is told, without the form's token and what was typed oneself."""
    return re.sub(r'value="[^"]*"', "", page)


async def kinds(identity, **where) -> list[str]:
    condition = " AND ".join(f"{name} = :{name}" for name in where) or "true"
    async with identity.database.read() as session:
        rows = await session.execute(
            text(f"SELECT action FROM audit_entry WHERE {condition} ORDER BY id"), where
        )
        return list(rows.scalars())


async def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


async def housekept(identity) -> bool:
    return "account-disabled" in await kinds(identity)


async def test_migrations_match_the_models(create_database):
    url = create_database("identity_schema")
    assert await migrate(url, "services.identity") == ["0001"]
    assert await migrate(url, "services.identity") == []
    assert await schema_differences(url, METADATA) == []


async def test_a_member_of_staff_signs_in_and_sees_what_their_roles_open(identity):
    seller = await identity.signed_in(SELLER)
    home = await seller.http.get("/")
    assert home.status_code == 200
    assert "Báo và Phát thanh, Truyền hình Hưng Yên" in home.text
    assert f"{identity.settings.ads_url}/" in home.text
    assert identity.settings.metrics_url not in home.text
    assert "/keys/" not in home.text
    assert home.headers["cache-control"] == "private, no-store"


async def test_the_cookie_is_for_servers_only_and_for_this_site_only(identity):
    browser = identity.browser()
    cookie = (await browser.sign_in(SELLER)).headers["set-cookie"]
    assert cookie.startswith("press_staff=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # plain http, environment test


async def test_in_production_the_cookie_travels_over_tls_only(create_database, template_database):
    async with running_identity(
        create_database, template_database, environment="production"
    ) as identity:
        answer = await identity.browser().sign_in(SELLER)
        assert "Secure" in answer.headers["set-cookie"].split("; ")


async def test_the_database_keeps_neither_token_nor_password(identity):
    seller = await identity.signed_in(SELLER)
    async with identity.database.read() as session:
        rows = (await session.execute(text("SELECT s::text FROM staff_session s"))).scalars().all()
        hashes = (await session.execute(text("SELECT password_hash FROM account"))).scalars()
        assert all(one.startswith("$argon2id$v=19$m=64,t=1,p=1$") for one in hashes)
    assert len(rows) == 1
    assert seller.token not in rows[0]
    assert seller.token.encode().hex() not in rows[0]


async def test_sign_in_gives_a_new_session_and_ends_the_browsers_old_one(identity):
    browser = identity.browser()
    await browser.sign_in(SELLER)
    first = browser.token
    await browser.sign_in(FINANCE)  # the sign-in page redirects; the form is sent all the same
    assert browser.token != first
    assert (await identity.session_of(first))["active"] is False
    assert (await identity.session_of(browser.token))["email"] == FINANCE


async def test_unknown_wrong_disabled_and_dormant_get_one_and_the_same_answer(identity):
    async with identity.database.transaction() as session:
        await session.execute(
            text(
                """UPDATE account SET disabled_at = now(), disabled_reason = 'administrator'
                   WHERE email = :email"""
            ),
            {"email": FINANCE},
        )
        await session.execute(
            text("UPDATE account SET last_active_at = :then WHERE email = :email"),
            {"email": PROVINCE, "then": identity.clock.now() - timedelta(days=45)},
        )
    answers = [
        await identity.browser().sign_in("nobody@bao-hung-yen.example", "whatever it may be"),
        await identity.browser().sign_in("not an address", PASSWORD),
        await identity.browser().sign_in(SELLER, "a wrong password here"),
        await identity.browser().sign_in(FINANCE, PASSWORD),
        await identity.browser().sign_in(PROVINCE, PASSWORD),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({without_form_token(answer.text) for answer in answers}) == 1
    assert all("set-cookie" not in answer.headers for answer in answers)


async def test_nobodys_password_is_verified_like_everybodys():
    """What stands in for a hash where there is no account has its parameters and lengths: an answer told apart by its time
    would tell who has an account."""
    hasher = Argon2Hasher(time_cost=2, memory_kib=1_024, parallelism=3, concurrency=2)
    somebody = extract_parameters(await hasher.hash("a password"))
    assert extract_parameters(hasher.nobody) == somebody
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(hasher.nobody, "a password")
    assert (
        hasher.nobody
        != Argon2Hasher(time_cost=2, memory_kib=1_024, parallelism=3, concurrency=2).nobody
    )
    assert not await hasher.verify(None, "a password")


async def test_unknown_takes_as_long_as_wrong():
    hasher = Argon2Hasher(time_cost=2, memory_kib=19_456, parallelism=1, concurrency=2)
    known = await hasher.hash(PASSWORD)

    async def seconds(password_hash: str | None) -> float:
        begun = time.perf_counter()
        assert not await hasher.verify(password_hash, "wrong")
        return time.perf_counter() - begun

    pairs = [(await seconds(known), await seconds(None)) for _ in range(15)]
    wrong, unknown = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert 0.5 < unknown / wrong < 2


async def test_thirty_parallel_guesses_get_five_tries_and_then_even_the_right_one_waits(identity):
    browsers = [identity.browser("203.0.113.9") for _ in range(30)]
    token = await browsers[0].form_token()
    answers = await asyncio.gather(
        *(
            browser.http.post(
                "/sign-in",
                data={
                    "csrf_token": token,
                    "email": SELLER,
                    "password": f"a guess, number {n}",
                },
            )
            for n, browser in enumerate(browsers)
        )
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 5 + [429] * 25
    locked = await identity.browser("203.0.113.9").sign_in(SELLER)
    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) == 15 * 60
    assert "15 phút" in locked.text
    assert (await kinds(identity)).count("sign-in-failed") == 5
    assert "locked-out" in await kinds(identity)
    identity.clock.advance(timedelta(minutes=15))
    assert (await identity.browser("203.0.113.9").sign_in(SELLER)).status_code == 303


async def test_an_unknown_address_is_locked_like_a_known_one(identity):
    statuses = [
        (await identity.browser().sign_in("nobody@bao.example", f"guess number {n}")).status_code
        for n in range(6)
    ]
    assert statuses == [401] * 5 + [429]


async def test_a_success_forgets_the_failures_before_it(identity):
    for n in range(4):
        await identity.browser().sign_in(SELLER, f"wrong password {n}")
    assert (await identity.browser().sign_in(SELLER)).status_code == 303
    for n in range(4):
        answer = await identity.browser().sign_in(SELLER, f"wrong password {n}")
        assert answer.status_code == 401


async def test_a_network_that_has_failed_often_is_slowed_down_and_others_go_on(
    create_database, template_database
):
    async with running_identity(
        create_database, template_database, network_failures_allowed=8
    ) as identity:
        attacker = identity.browser("203.0.113.66")
        for n in range(8):
            answer = await attacker.sign_in(f"guess{n}@bao.example", "sprayed password")
            assert answer.status_code == 401
        slowed = await attacker.sign_in(SELLER)
        assert slowed.status_code == 429
        assert int(slowed.headers["retry-after"]) == 5
        assert (await identity.browser("198.51.100.7").sign_in(SELLER)).status_code == 303
        identity.clock.advance(timedelta(seconds=5))
        assert (await attacker.sign_in(SELLER)).status_code == 303, "slowed, never shut"
        assert "network-limited" in await kinds(identity)


async def test_successful_sign_ins_do_not_use_up_a_networks_failures(
    create_database, template_database
):
    async with running_identity(
        create_database, template_database, network_failures_allowed=5
    ) as identity:
        for _ in range(12):
            await identity.signed_in(SELLER)


async def test_a_session_ends_at_once_on_sign_out_and_the_cookie_goes(identity):
    seller = await identity.signed_in(SELLER)
    token = seller.token
    answer = await seller.sign_out()
    assert answer.status_code == 303
    assert seller.token == ""
    assert (await identity.session_of(token))["active"] is False
    again = await seller.http.get("/", headers={"Cookie": f"press_staff={token}"})
    assert again.status_code == 303
    assert again.headers["location"].startswith("/sign-in?next=")


async def test_an_idle_session_ends_after_fifteen_minutes_and_activity_keeps_it(identity):
    seller = await identity.signed_in(SELLER)
    for _ in range(4):
        identity.clock.advance(timedelta(minutes=14))
        assert (await identity.session_of(seller.token))["active"] is True
    identity.clock.advance(timedelta(minutes=15))
    assert (await identity.session_of(seller.token))["active"] is False


async def test_an_administrators_session_ends_after_five_idle_minutes(identity):
    admin = await identity.signed_in(ADMIN)
    identity.clock.advance(timedelta(minutes=4))
    assert (await identity.session_of(admin.token))["active"] is True
    identity.clock.advance(timedelta(minutes=5))
    assert (await identity.session_of(admin.token))["active"] is False


async def test_no_session_outlives_twelve_hours_however_active(identity):
    seller = await identity.signed_in(SELLER)
    for _ in range(71):
        identity.clock.advance(timedelta(minutes=10))
        assert (await identity.session_of(seller.token))["active"] is True
    identity.clock.advance(timedelta(minutes=10))
    assert (await identity.session_of(seller.token))["active"] is False


async def test_activity_is_written_at_most_once_in_thirty_seconds(identity):
    seller = await identity.signed_in(SELLER)
    seen = []
    for _ in range(12):
        identity.clock.advance(timedelta(seconds=10))
        await identity.session_of(seller.token)
        async with identity.database.read() as session:
            seen.append(
                (await session.execute(text("SELECT last_seen_at FROM staff_session"))).scalar_one()
            )
    writes = sum(before != after for before, after in pairwise(seen))
    assert writes == 4, "twelve looks in two minutes: written at 30, 60, 90 and 120 s"


async def test_changing_the_password_ends_every_other_session_and_keeps_this_browser(identity):
    other, this = await identity.signed_in(SELLER), await identity.signed_in(SELLER)
    old_token = this.token
    answer = await this.post(
        "/account/password", old=PASSWORD, new="sen tháng sáu thơm", repeat="sen tháng sáu thơm"
    )
    assert answer.status_code == 303, answer.text
    assert this.token != old_token
    assert (await identity.session_of(this.token))["active"] is True
    assert (await identity.session_of(other.token))["active"] is False
    assert (await identity.session_of(old_token))["active"] is False
    assert (await identity.browser().sign_in(SELLER)).status_code == 401
    assert (await identity.browser().sign_in(SELLER, "sen tháng sáu thơm")).status_code == 303
    assert "password-changed" in await kinds(identity)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"old": "wrong password"}, "Mật khẩu hiện tại không đúng"),
        ({"new": "quá ngắn", "repeat": "quá ngắn"}, "từ 12 ký tự"),
        ({"new": SELLER, "repeat": SELLER}, "trùng với địa chỉ e-mail"),
        ({"new": PASSWORD, "repeat": PASSWORD}, "đã dùng mật khẩu này"),
        ({"repeat": "another password"}, "không giống nhau"),
        ({"new": "x" * 200, "repeat": "x" * 200}, "tối đa 128"),
    ],
)
async def test_a_password_that_will_not_do_is_refused_with_the_reason(identity, fields, words):
    seller = await identity.signed_in(SELLER)
    proper = {"old": PASSWORD, "new": "sen tháng sáu thơm", "repeat": "sen tháng sáu thơm"}
    answer = await seller.post("/account/password", **(proper | fields))
    assert answer.status_code == 422
    assert words in answer.text
    assert (await identity.browser().sign_in(SELLER)).status_code == 303


async def test_none_of_the_last_ten_passwords_comes_back_and_the_eleventh_may(identity):
    seller = await identity.signed_in(SELLER)
    present = PASSWORD
    for n in range(9):
        new = f"mật khẩu thứ {n} của tôi"
        assert (
            await seller.post("/account/password", old=present, new=new, repeat=new)
        ).status_code == 303
        present = new
    refused = await seller.post("/account/password", old=present, new=PASSWORD, repeat=PASSWORD)
    assert refused.status_code == 422
    new = "mật khẩu thứ mười của tôi"
    await seller.post("/account/password", old=present, new=new, repeat=new)
    allowed = await seller.post("/account/password", old=new, new=PASSWORD, repeat=PASSWORD)
    assert allowed.status_code == 303


async def test_a_stolen_session_is_no_way_to_guess_the_password(identity):
    seller = await identity.signed_in(SELLER)
    fields = {"new": "sen tháng sáu thơm", "repeat": "sen tháng sáu thơm"}
    statuses = [
        (await seller.post("/account/password", old=f"guess {n}", **fields)).status_code
        for n in range(6)
    ]
    assert statuses == [422] * 5 + [429]
    assert (await seller.post("/account/password", old=PASSWORD, **fields)).status_code == 429, (
        "locked: even the right one waits"
    )


async def test_one_sees_and_ends_only_ones_own_sessions(identity):
    here, there = await identity.signed_in(SELLER), await identity.signed_in(SELLER, "192.0.2.9")
    stranger = await identity.signed_in(STRANGER)
    page = (await here.http.get("/account")).text
    assert "192.0.2.9" in page
    [path] = re.findall(r'action="(/account/sessions/[^"]+/end)"', page)
    assert (await stranger.post(path)).status_code == 404
    assert (await identity.session_of(there.token))["active"] is True
    assert (await here.post(path)).status_code == 303
    assert (await identity.session_of(there.token))["active"] is False
    assert (await identity.session_of(here.token))["active"] is True


async def test_a_hash_with_old_parameters_is_renewed_at_the_next_sign_in(
    create_database, template_database
):
    async with running_identity(
        create_database, template_database, argon2_memory_kib=128
    ) as identity:
        await identity.signed_in(SELLER)
        async with identity.database.read() as session:
            rows = await session.execute(text("SELECT email, password_hash FROM account"))
            hashes = dict(rows.all())
        assert "$m=128,t=1,p=1$" in hashes[SELLER]
        assert "$m=64,t=1,p=1$" in hashes[FINANCE]
        await identity.signed_in(SELLER)


async def test_housekeeping_disables_accounts_that_nobody_used_for_45_days(
    create_database, template_database
):
    async with running_identity(create_database, template_database) as identity:
        async with identity.database.transaction() as session:
            await session.execute(
                text("UPDATE account SET last_active_at = :then WHERE email = :email"),
                {"email": SELLER, "then": identity.clock.now() - timedelta(days=45)},
            )
        # The loop runs once at start: a second process finds the sleeping account.
        process = IDENTITY.process("web", identity.settings, clock=identity.clock)
        second = application(process, web(process))
        async with second.router.lifespan_context(second):
            await until(lambda: housekept(identity))
        async with identity.database.read() as session:
            rows = await session.execute(
                text("SELECT email, disabled_reason FROM account WHERE disabled_at IS NOT NULL")
            )
            assert [tuple(row) for row in rows] == [(SELLER, "dormant")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET action = 'nothing'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
    ],
)
async def test_the_audit_trail_refuses_every_change(identity, statement):
    await identity.signed_in(SELLER)
    await assert_never(identity.settings.database_url, statement)
    assert "signed-in" in await kinds(identity)


async def test_sign_in_goes_back_where_one_came_from_and_never_elsewhere(identity):
    back = f"{identity.settings.ads_url}/console/bao-hung-yen?week=2"
    assert (await identity.browser().sign_in(SELLER, next=back)).headers["location"] == back
    for evil in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"):
        answer = await identity.browser().sign_in(SELLER, next=evil)
        assert answer.headers["location"] == "/"
        page = await identity.browser().http.get("/sign-in", params={"next": evil})
        assert '<input type="hidden" name="next" value="/">' in page.text
    seller = await identity.signed_in(SELLER)
    there = await seller.http.get("/sign-in", params={"next": back})
    assert there.headers["location"] == back


async def test_forms_without_their_token_or_from_elsewhere_are_refused(identity):
    browser = identity.browser()
    token = await browser.form_token()
    fields = {"email": SELLER, "password": PASSWORD}

    async def status(data: dict[str, str], **headers: str) -> int:
        return (await browser.http.post("/sign-in", data=data, headers=headers)).status_code

    assert await status(fields, Origin=URL) == 403
    assert await status(fields | {"csrf_token": "0" * 64}, Origin=URL) == 403
    assert await status(fields | {"csrf_token": token}, Origin="https://evil.example") == 403
    assert await status(fields | {"csrf_token": token}, Origin="null") == 403
    seller = await identity.signed_in(SELLER)
    # The token of the page before sign-in is not the token of the session.
    answer = await seller.http.post(
        "/sign-out", data={"csrf_token": token}, headers={"Origin": URL}
    )
    assert answer.status_code == 403
    assert (await identity.session_of(seller.token))["active"] is True


async def test_pages_speak_vietnamese_and_english_one_click_away(identity):
    seller = await identity.signed_in(SELLER)
    assert "Kinh doanh quảng cáo" in (await seller.http.get("/")).text
    english = (await seller.http.get("/?lang=en")).text
    assert "Ad sales" in english
    assert "Quản lý quảng cáo" not in english


async def test_readiness_asks_the_database(identity):
    http: httpx.AsyncClient = identity.browser().http
    assert (await http.get("/readyz")).json() == {"ok": True, "checks": {"database": "ok"}}
    assert (await http.get("/healthz")).json()["ok"] is True
