"""Answers that prove nothing: a page in every case, and nobody gets in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import httpx
from sqlalchemy import text

from services.identity.app import web
from services.identity.composition import assemble
from services.identity.process import IDENTITY
from services.identity.provider import rules
from shared.process import application
from shared.security.events import SecurityEvent
from shared.telemetry import metrics
from tests.fixtures.identity import ADMIN, FINANCE, SELLER, TOKEN_FIELD, running_identity
from tests.fixtures.provider import CLIENT_ID, leads_to
from tests.fixtures.signing import answered, entered, go, linked, trail, waiting_for_locks
from tests.fixtures.waiting import eventually

USED = "Lượt đăng nhập này"
PROVES_NOTHING = "không chứng minh được gì"
AWAY = "hiện không phản hồi"


async def visits(identity) -> int:
    async with identity.database.read() as session:
        return (await session.execute(text("SELECT count(*) FROM provider_visit"))).scalar_one()


def counted() -> Counter[str]:
    """How often identity has told of each security event so far."""
    found: Counter[str] = Counter()
    for family in metrics.SECURITY_EVENTS.made().collect():
        for sample in family.samples:
            if sample.name.endswith("_total") and sample.labels["service"] == "identity":
                found[sample.labels["event"]] = int(sample.value)
    return found


# --- The way back ------------------------------------------------------------------------------------


async def test_an_answer_counts_once_and_in_its_own_browser(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser, thief = identity.browser(), identity.browser("203.0.113.9")
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    stolen = await thief.http.get(back)
    assert stolen.status_code == 400 and USED in stolen.text and not thief.token
    # The thief has not ended the sign-in of the person.
    assert (await browser.http.get(back)).status_code == 303
    assert await entered(identity, browser)
    again = await browser.http.get(back)
    assert again.status_code == 400 and USED in again.text


async def test_an_answer_that_nobody_was_sent_for(identity, provider, there):
    """Login CSRF: the attacker's own code in the victim's browser."""
    subject = await linked(identity, provider, there)
    attacker, victim = identity.browser(), identity.browser()
    theirs = httpx.URL(
        await answered(await attacker.post("/sign-in/provider"), there, subject)
    ).params
    own = httpx.URL(leads_to(await victim.post("/sign-in/provider"))).params
    for state in ("", "forged", "a" * 5000, theirs["state"], "\x00", "ế"):
        answer = await victim.http.get(
            "/sign-in/provider/callback", params={"state": state, "code": theirs["code"]}
        )
        assert answer.status_code == 400 and USED in answer.text, state
    # Even with the state that the victim's browser was sent with the code is worth nothing: PKCE.
    answer = await victim.http.get(
        "/sign-in/provider/callback", params={**theirs, "state": own["state"]}
    )
    assert answer.status_code == 502 and PROVES_NOTHING in answer.text
    assert not victim.token


async def test_a_code_is_worth_nothing_twice(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    first = httpx.URL(await answered(await browser.post("/sign-in/provider"), there, subject))
    await browser.http.get(first.raw_path.decode())
    await browser.sign_out()
    own = httpx.URL(leads_to(await browser.post("/sign-in/provider"))).params
    answer = await browser.http.get(
        "/sign-in/provider/callback",
        params={**first.params, "state": own["state"]},
    )
    assert answer.status_code == 502 and not await entered(identity, browser)


async def test_of_two_answers_at_once_one_counts(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    cookies = dict(browser.http.cookies)
    tabs = [identity.browser() for _ in range(4)]
    for tab in tabs:
        tab.http.cookies.update(cookies)
    answers = await asyncio.gather(*(tab.http.get(back) for tab in tabs))
    assert sorted(answer.status_code for answer in answers) == [303, 400, 400, 400]


async def test_another_process_takes_the_answer_as_well(identity, provider, there):
    subject = await linked(identity, provider, there)
    process = IDENTITY.process("web", identity.settings, clock=identity.clock)
    second = replace(identity, app=application(process, web(process)))
    async with second.app.router.lifespan_context(second.app):
        browser, other = identity.browser(), second.browser()
        back = await answered(await browser.post("/sign-in/provider"), there, subject)
        other.http.cookies.update(browser.http.cookies)
        assert (await other.http.get(back)).status_code == 303
        assert (await browser.http.get(back)).status_code == 400


async def test_unlinked_in_the_same_moment_it_opens_nothing(identity, provider, there):
    """The sign-in has found the account and waits for it; whoever holds it unlinks."""
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    async with identity.database.transaction() as session:
        await session.execute(
            text("SELECT 1 FROM account WHERE email = :e FOR UPDATE"), {"e": SELLER}
        )
        await session.execute(text("DELETE FROM external_subject"))
        answer = asyncio.create_task(browser.http.get(back))
        await eventually(lambda: waiting_for_locks(identity), "the sign-in waits for the account")
    assert (await answer).status_code == 403
    assert not browser.token


async def test_a_session_that_ends_while_the_provider_is_asked_links_nothing(
    identity, provider, there
):
    """Whoever signs out everywhere must not find a stranger's subject linked a second later."""
    browser = await identity.signed_in(SELLER)
    page = await browser.post("/account/provider/link")
    back = await answered(page, there, provider.account("x", SELLER))
    async with identity.database.transaction() as session:
        await session.execute(
            text("SELECT 1 FROM account WHERE email = :e FOR UPDATE"), {"e": SELLER}
        )
        await session.execute(text("UPDATE staff_session SET ended_at = now()"))
        answer = asyncio.create_task(browser.http.get(back))
        await eventually(lambda: waiting_for_locks(identity), "the link waits for the account")
    assert (await answer).status_code == 401
    assert "subject-linked" not in [action for action, _ in await trail(identity)]


async def test_where_deployed_the_visits_cookie_is_this_hosts_alone(
    create_database, template_database, provider
):
    async with running_identity(
        create_database,
        template_database,
        environment="production",
        staff_cookie_domain="bao.example",
        **provider.settings,
    ) as identity:
        http = identity.browser().http
        token = TOKEN_FIELD.search((await http.get("/sign-in")).text)
        sent = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
        page = await http.post(
            "/sign-in/provider",
            data={"csrf_token": token[1]},
            headers={"Origin": "http://127.0.0.1:8005", "Cookie": sent},
        )
        cookie = next(one for one in page.headers.get_list("set-cookie") if "visit" in one)
        assert cookie.startswith("__Host-press_visit_")
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"secure", "httponly", "path=/", "samesite=lax", "max-age=600"} <= parts
        assert not [part for part in parts if part.startswith("domain")]


async def test_two_tabs_do_not_disturb_each_other(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    first = await browser.post("/sign-in/provider")
    second = await browser.post("/sign-in/provider", next="/account")
    assert (await browser.http.get(await answered(first, there, subject))).status_code == 303
    answer = await browser.http.get(await answered(second, there, subject))
    assert answer.headers["location"] == "/account"


async def test_after_ten_minutes_an_answer_is_too_old(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    identity.clock.advance(timedelta(minutes=10))
    answer = await browser.http.get(back)
    assert answer.status_code == 400 and USED in answer.text
    assert await visits(identity) == 1
    await assemble(identity.settings, identity.database, identity.clock).sessions.housekeeping()
    assert await visits(identity) == 0


async def test_a_link_ends_in_the_session_in_which_it_was_begun(identity, provider, there):
    """Else whoever left a browser half-way would get the next person's account."""
    browser = await identity.signed_in(SELLER)
    back = await answered(
        await browser.post("/account/provider/link"), there, provider.account("x", FINANCE)
    )
    await browser.sign_out()
    for _ in range(2):
        answer = await browser.http.get(back)
        assert answer.status_code in (400, 401)
    await browser.sign_in(FINANCE)
    page = await browser.post("/account/provider/link")
    await browser.sign_out()
    await browser.sign_in(FINANCE)
    answer = await browser.http.get(await answered(page, there, "x"))
    assert answer.status_code == 401 and "đã kết thúc trong lúc đó" in answer.text
    assert "subject-linked" not in [action for action, _ in await trail(identity)]


async def test_strangers_of_a_network_wait_and_hold_up_nobody_who_is_known(
    identity, provider, monkeypatch
):
    monkeypatch.setattr(rules, "VISITS_ALLOWED", 3)
    seller = await identity.signed_in(SELLER)
    seller.http.cookies.delete("press_device")  # the session alone has to do
    known = await identity.signed_in(FINANCE)
    await known.sign_out()
    admin = await identity.signed_in(ADMIN)
    new = "lan.anh@bao-hung-yen.example"
    await admin.post("/accounts/bao-hung-yen", email=new, name="Lan Anh", roles=["seller"])
    invitation = (await identity.link_for(new)).partition("token=")[2]
    flood = await asyncio.gather(*(identity.browser().post("/sign-in/provider") for _ in range(8)))
    assert Counter(answer.status_code for answer in flood) == {200: 3, 429: 5}
    forged = identity.browser()
    forged.http.cookies.set("press_device", "forged")
    answer = await forged.post("/sign-in/provider")
    assert answer.status_code == 429 and answer.headers["retry-after"] == "3"
    assert "sau 3 giây" in answer.text
    answer = await identity.browser().post("/invitation/provider", token="forged")
    assert answer.status_code == 409
    # Whoever is known goes on, each with a budget that ends as well.
    for browser, path, form in (
        (seller, "/account/provider/link", {}),
        (known, "/sign-in/provider", {}),
        (identity.browser(), "/invitation/provider", {"token": invitation}),
    ):
        answers = [(await browser.post(path, **form)).status_code for _ in range(4)]
        assert answers == [200, 200, 200, 429], path
    assert (await identity.browser("203.0.113.9").post("/sign-in/provider")).status_code == 200
    # And strangers are let in one after the other.
    for _ in range(2):
        identity.clock.advance(timedelta(seconds=3))
        assert (await identity.browser().post("/sign-in/provider")).status_code == 200
        assert (await identity.browser().post("/sign-in/provider")).status_code == 429


async def test_forms_of_other_sites_lead_nowhere(identity, provider):
    seller = await identity.signed_in(SELLER)
    for path in (
        "/sign-in/provider",
        "/invitation/provider",
        "/account/provider/link",
        "/account/provider/unlink",
        "/confirm/provider",
    ):
        token = await seller.form_token("/account")
        for origin, sent in (("https://evil.example", token), ("http://127.0.0.1:8005", "0" * 64)):
            answer = await seller.http.post(
                path, data={"csrf_token": sent, "token": "x"}, headers={"Origin": origin}
            )
            assert answer.status_code == 403, path
    assert await visits(identity) == 0


# --- The ID token ------------------------------------------------------------------------------------

HOUR = 3600
LIES = {
    "nonce": {"claims": {"nonce": "of another sign-in"}},
    "no nonce": {"drop": ["nonce"]},
    "audience": {"claims": {"aud": "another-client"}},
    "audience, for us to use": {"claims": {"aud": "another-client", "azp": CLIENT_ID}},
    "no audience": {"drop": ["aud"]},
    "two audiences, nobody's": {"claims": {"aud": [CLIENT_ID, "another-client"]}},
    "authorised party": {"claims": {"azp": "another-client"}},
    "issuer": {"claims": {"iss": "https://evil.example"}},
    "no issuer": {"drop": ["iss"]},
    "no end": {"drop": ["exp"]},
    "no beginning": {"drop": ["iat"]},
    "no subject": {"drop": ["sub"]},
    "empty subject": {"claims": {"sub": ""}},
    "subject with NUL": {"claims": {"sub": "a\x00b"}},
    "long subject": {"claims": {"sub": "a" * 256}},
    "number as subject": {"claims": {"sub": 42}},
    "access token of another": {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
    "time out of range": {"claims": {"auth_time": 10**18}},
    "alg none": {"alg": "none"},
    "HS256 with the client's secret": {"alg": "HS256", "key": "client"},
    "HS256 with the public key": {"alg": "HS256", "key": "public"},
    "a key of one's own": {"key": "other"},
}


async def test_an_id_token_that_proves_nothing_opens_nothing(identity, provider, there):
    subject = await linked(identity, provider, there)
    now = int(time.time())
    late = {
        "expired": {"claims": {"exp": now - 60, "iat": now - HOUR}},
        "from tomorrow": {"claims": {"iat": now + 24 * HOUR}},
        "not valid yet": {"claims": {"nbf": now + HOUR}},
    }
    wrong = {}
    for name, lie in {**LIES, **late}.items():
        provider.lie(**lie)
        browser = identity.browser()
        answer = await go(browser, there, subject)
        if answer.status_code != 502 or PROVES_NOTHING not in answer.text or browser.token:
            wrong[name] = answer.status_code
    assert wrong == {}
    provider.lie(claims={"aud": [CLIENT_ID, "another-client"], "azp": CLIENT_ID})
    assert (await go(identity.browser(), there, subject)).status_code == 303  # a lie must be one


async def test_what_was_tried_is_told(identity, provider, there):
    """Each attempt is one security event of its own kind, and one only."""
    subject = await linked(identity, provider, there)
    browser = identity.browser()

    async def unexpected():
        return await browser.http.get("/sign-in/provider/callback?state=x&code=y")

    async def forged():
        provider.lie(alg="none")
        return await go(browser, there, subject)

    async def unknown():
        provider.control(lie=None)
        await there.forget()
        return await go(browser, there, provider.account("somebody", SELLER))

    async def declined():
        await there.forget()
        return await go(browser, there)

    for attempt, event in (
        (unexpected, SecurityEvent.PROVIDER_ANSWER_UNEXPECTED),
        (forged, SecurityEvent.PROVIDER_ANSWER_REFUSED),
        (unknown, SecurityEvent.SIGN_IN_FAILED),
        (declined, None),
    ):
        before = counted()
        assert (await attempt()).status_code >= 400
        assert counted() - before == Counter({event: 1} if event else {})


async def test_an_answer_of_another_issuer_is_not_taken(identity, provider, there):
    """RFC 9207: the code is not even sent to our provider."""
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    back = await answered(await browser.post("/sign-in/provider"), there, subject)
    url = httpx.URL(back).copy_set_param("iss", "https://evil.example")
    answer = await browser.http.get(url.raw_path.decode())
    assert answer.status_code == 502 and PROVES_NOTHING in answer.text


async def test_an_answer_whose_issuer_was_cut_off_is_not_taken(identity, provider, there):
    """The provider announces that it names itself (RFC 9207, 2.4)."""
    subject = await linked(identity, provider, there)
    for without in (True, False):
        browser = identity.browser()
        back = httpx.URL(await answered(await browser.post("/sign-in/provider"), there, subject))
        assert back.params["iss"] == provider.issuer
        url = back.copy_remove_param("iss") if without else back
        answer = await browser.http.get(url.raw_path.decode())
        assert answer.status_code == (502 if without else 303)
        assert bool(browser.token) is not without


async def test_a_session_that_just_goes_on_at_the_provider_proves_nothing(
    identity, provider, there, another
):
    """An unattended browser: neither past the idle lock nor a link, and its old second factor is none."""
    subject = await linked(identity, provider, there)
    provider.account("finance", FINANCE, amr=["mfa"])
    now = int(time.time())
    for lie in (
        {"claims": {"auth_time": now - 8 * HOUR, "amr": ["mfa"]}},
        {"claims": {"auth_time": now - 400}},
        {"drop": ["auth_time"]},
    ):
        provider.lie(**lie)
        browser = identity.browser()
        answer = await go(browser, there, subject)
        assert answer.status_code == 403 and "không hỏi lại" in answer.text and not browser.token
        page = await (finance := await identity.signed_in(FINANCE)).post("/account/provider/link")
        answer = await finance.http.get(await answered(page, another, "finance"))
        assert answer.status_code == 403 and "không hỏi lại" in answer.text
    assert [action for action, _ in await trail(identity)].count("subject-linked") == 1


async def test_a_session_here_is_as_fresh_as_the_proof_at_the_provider(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    page = await browser.post("/sign-in/provider")
    assert httpx.URL(leads_to(page)).params["max_age"] == "300"
    proved = int(identity.clock.now().timestamp()) - 240
    provider.lie(claims={"auth_time": proved})
    await browser.http.get(await answered(page, there, subject))
    told = (await identity.session_of(browser.token))["authenticated_at"]
    assert datetime.fromisoformat(told).timestamp() == proved
    assert (await browser.post("/account/factor")).status_code == 200
    identity.clock.advance(timedelta(minutes=6, seconds=1))
    assert (await browser.post("/account/factor")).status_code == 403


async def test_user_info_of_somebody_else_links_nothing(identity, provider, there):
    subject = provider.account("seller", SELLER)
    provider.control(user={"sub": "somebody else"})
    browser = await identity.signed_in(SELLER)
    page = await browser.post("/account/provider/link")
    answer = await browser.http.get(await answered(page, there, subject))
    assert answer.status_code == 502
    assert "subject-linked" not in [action for action, _ in await trail(identity)]


async def test_an_address_in_the_id_token_is_as_good(identity, provider, there):
    subject = provider.account("seller", FINANCE)
    provider.control(
        user={"sub": "never asked"},
        lie={"claims": {"email": SELLER.upper(), "email_verified": True}},
    )
    browser = await identity.signed_in(SELLER)
    page = await browser.post("/account/provider/link")
    answer = await browser.http.get(await answered(page, there, subject))
    assert answer.status_code == 303


async def test_new_keys_at_the_provider_are_found_by_themselves(identity, provider, there, another):
    subject = await linked(identity, provider, there)
    assert (await go(identity.browser(), there, subject)).status_code == 303
    provider.control(rotate=True)
    assert (await go(identity.browser(), another, subject)).status_code == 303
