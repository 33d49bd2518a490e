"""Staff sign in with a real OpenID provider: who gets in, who does not, and what is left in the trail."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from services.identity.composition import assemble
from shared.audit import Actor, acting
from tests.fixtures.identity import (
    ADMIN,
    FINANCE,
    PASSWORD,
    SELLER,
    URL,
    running_identity,
)
from tests.fixtures.provider import leads_to, running_provider
from tests.fixtures.signing import (
    REDIRECT_URI,
    answered,
    change,
    go,
    grown_stale,
    link,
    linked,
    path_of,
    trail,
)

NEW = "lan.anh@bao-hung-yen.example"
DEEP = "/keys/bao-hung-yen?from=mail"


async def invited(identity, *roles: str) -> str:
    """Path of the link in the mail to NEW."""
    admin = await identity.signed_in(ADMIN)
    answer = await admin.post("/accounts/bao-hung-yen", email=NEW, name="Lan Anh", roles=[*roles])
    assert answer.status_code == 303, answer.text
    return await identity.link_for(NEW)


async def accepted(identity, there, path: str, subject: str) -> tuple[object, httpx.Response]:
    browser = identity.browser()
    shown = await browser.http.get(path)
    assert "Chấp nhận bằng Tòa soạn ID" in shown.text
    page = await browser.post("/invitation/provider", token=path.partition("token=")[2])
    return browser, await browser.http.get(await answered(page, there, subject))


async def test_linked_on_the_account_page_it_signs_in_and_leads_on(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    assert "Đăng nhập bằng Tòa soạn ID" in (await browser.http.get("/sign-in")).text
    answer = await go(browser, there, subject, next=DEEP)
    assert answer.status_code == 303 and answer.headers["location"] == DEEP
    session = await identity.session_of(browser.token)
    assert session["email"] == SELLER and session["factors"] == ["oidc"]
    told = await trail(identity)
    assert ("subject-linked", SELLER) in told and told[-1] == ("signed-in", SELLER)


async def test_whoever_was_signed_in_in_this_browser_is_no_longer(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = await identity.signed_in(FINANCE)
    before = browser.token
    page = await browser.post("/sign-in/provider")
    await browser.http.get(await answered(page, there, subject))
    assert (await identity.session_of(before))["active"] is False
    assert (await identity.session_of(browser.token))["email"] == SELLER


async def test_where_it_leads_is_ours_alone(identity, provider, there):
    subject = await linked(identity, provider, there)
    answer = await go(identity.browser(), there, subject, next="https://evil.example/")
    assert answer.status_code == 303 and answer.headers["location"] == "/"


async def test_nobody_gets_in_by_an_address_alone(identity, provider, there, another):
    """A verified address opens no account, neither a new one nor one that is there; nor does another subject with it."""
    for subject, email in (("nobody", NEW), ("seller", SELLER)):
        answer = await go(identity.browser(), there, provider.account(subject, email))
        await there.forget()
        assert answer.status_code == 403 and "chưa liên kết" in answer.text
    await linked(identity, provider, another)
    browser = identity.browser()
    answer = await go(browser, there, "seller")
    assert answer.status_code == 403 and "chưa liên kết" in answer.text and not browser.token
    assert [action for action, _ in await trail(identity)].count("sign-in-failed") == 3


async def test_another_address_at_the_provider_changes_nothing(identity, provider, there):
    subject = await linked(identity, provider, there)
    provider.account(subject, FINANCE, email_verified=False)
    browser = identity.browser()
    assert (await go(browser, there, subject)).status_code == 303
    assert (await identity.session_of(browser.token))["email"] == SELLER


async def test_an_invitation_is_accepted_without_a_password_here(identity, provider, there):
    path = await invited(identity, "seller")
    subject = provider.account("lan-anh", NEW)
    provider.lie(claims={"auth_time": 1_000_000_000})
    _, answer = await accepted(identity, there, path, subject)
    assert answer.status_code == 403 and "không hỏi lại" in answer.text
    provider.control(lie=None)
    browser, answer = await accepted(identity, there, path, subject)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    session = await identity.session_of(browser.token)
    assert session["email"] == NEW and session["roles"] == {"bao-hung-yen": ["seller"]}
    told = [action for action, by in await trail(identity) if by == NEW]
    assert told == ["account-created", "subject-linked", "invitation-accepted", "signed-in"]
    # No password opens it, and without one the link is the only way in.
    assert (await identity.browser().sign_in(NEW, "")).status_code in (401, 422)
    assert "Bạn không có mật khẩu ở đây" in (await browser.http.get("/account")).text
    kept = await browser.post("/account/provider/unlink")
    assert kept.status_code == 409 and "không đăng nhập được nữa" in kept.text
    assert (await go(identity.browser(), there, subject)).status_code == 303
    # The link in the mail is used up.
    assert (await identity.browser().http.get(path)).status_code == 404


async def test_an_invitation_needs_the_address_and_that_it_is_verified(identity, provider, there):
    path = await invited(identity, "seller")
    for subject, email, verified, words in (
        ("unverified", NEW, False, "chưa xác minh"),
        ("other", "lan.anh@elsewhere.example", True, "địa chỉ e-mail khác"),
        ("text", NEW, "true", "chưa xác minh"),
    ):
        provider.account(subject, email, email_verified=verified)
        _, answer = await accepted(identity, there, path, subject)
        await there.forget()
        assert answer.status_code == 403 and words in answer.text, subject
    assert ("account-created", NEW) not in await trail(identity)
    assert (await identity.browser().http.get(path)).status_code == 200  # it still works


async def test_where_there_is_an_account_an_invitation_makes_and_links_none(
    identity, provider, there
):
    """Whoever reads the mail and has the address at the provider still has to be the account's owner."""
    parts = assemble(identity.settings, identity.database, identity.clock)
    with acting(Actor.command("test")):
        await parts.invitations.invite("dai-song-hong", SELLER, "Seller", ["viewer"], None)
    path = await identity.link_for(SELLER)
    browser = identity.browser()
    assert "/invitation/provider" not in (await browser.http.get(path)).text
    page = await browser.post("/invitation/provider", token=path.partition("token=")[2])
    subject = provider.account("seller", SELLER)
    answer = await browser.http.get(await answered(page, there, subject))
    assert answer.status_code == 409 and "không còn hiệu lực" in answer.text and not browser.token
    assert (await go(browser, there, subject)).status_code == 403


async def test_administrators_owe_a_second_factor_unless_the_provider_asks_for_one(
    identity, provider, there
):
    path = await invited(identity, "admin")
    provider.account("lan-anh", NEW, amr=["pwd"])
    browser, answer = await accepted(identity, there, path, "lan-anh")
    assert answer.headers["location"] == "/sign-in/enrol?next=%2F"
    assert (await identity.session_of(browser.token))["active"] is False
    await there.forget()
    provider.account("lan-anh", NEW, amr=["pwd", "otp"])
    browser = identity.browser()
    answer = await go(browser, there, "lan-anh", next=DEEP)
    assert answer.headers["location"] == DEEP
    session = await identity.session_of(browser.token)
    assert session["active"] and session["factors"] == ["oidc", "provider-mfa"]


async def test_who_has_an_app_shows_its_code_unless_the_provider_asks_for_a_second_step(
    identity, provider, there
):
    subject = await linked(identity, provider, there, ADMIN)
    browser = identity.browser()
    answer = await go(browser, there, subject, next=DEEP)
    assert answer.headers["location"].startswith("/sign-in/code?next=")
    assert (await identity.session_of(browser.token))["active"] is False
    await there.forget()
    provider.account(subject, ADMIN, amr=["mfa"])
    answer = await go(identity.browser(), there, subject, next=DEEP)
    assert answer.headers["location"] == DEEP


async def test_the_disabled_and_the_sleeping_stay_outside(identity, provider, there):
    subject = await linked(identity, provider, there)
    seller = {"email": SELLER}
    for statement in (
        "UPDATE account SET last_active_at = last_active_at - interval '45 days' WHERE email = :email",
        "UPDATE account SET last_active_at = now(), disabled_at = now(), disabled_reason = 'administrator'"
        " WHERE email = :email",
    ):
        await change(identity, statement, **seller)
        browser = identity.browser()
        answer = await go(browser, there, subject)
        assert answer.status_code == 403 and "đã bị khóa" in answer.text and not browser.token
    assert (await trail(identity))[-1][0] == "sign-in-failed"


async def test_linking_needs_the_address_and_a_free_subject(identity, provider, there):
    taken = await linked(identity, provider, there)
    await there.forget()
    finance = await identity.signed_in(FINANCE)
    provider.account("unverified", FINANCE, email_verified=False)
    provider.account("other", "finance@elsewhere.example")
    provider.account(taken, FINANCE)  # its address there is FINANCE's now
    provider.account("first", FINANCE)
    provider.account("second", FINANCE)
    for subject, status, words in (
        ("unverified", 403, "chưa xác minh"),
        ("other", 403, "finance@elsewhere.example"),
        (taken, 409, "đã mở một tài khoản khác"),
        ("first", 303, ""),
        ("first", 303, ""),
        ("second", 409, "Hãy bỏ liên kết đó trước"),
    ):
        answer = await link(finance, there, subject)
        await there.forget()
        assert answer.status_code == status and words in answer.text, subject
    assert (await go(identity.browser(), there, "second")).status_code == 403


async def test_nobody_links_with_a_password_that_was_handed_out(identity, provider, there):
    """Else an administrator's way in would outlive the password."""
    seller = await identity.signed_in(SELLER)
    await change(identity, "UPDATE account SET handed_by = home_agency WHERE email = :e", e=SELLER)
    answer = await link(seller, there, provider.account("seller", SELLER))
    assert answer.status_code == 403 and "do quản trị viên cấp" in answer.text


async def test_unlinked_it_opens_nothing_and_its_sessions_end(identity, provider, there):
    subject = await linked(identity, provider, there)
    opened = identity.browser()
    await go(opened, there, subject)
    browser = await identity.signed_in(SELLER)
    answer = await browser.post("/account/provider/unlink")
    assert answer.headers["location"] == "/account?done=unlinked"
    assert (await identity.session_of(opened.token))["active"] is False
    assert (await identity.session_of(browser.token))["active"] is True
    assert (await go(identity.browser(), there, subject)).status_code == 403
    assert ("subject-unlinked", SELLER) in await trail(identity)


async def test_linking_and_unlinking_need_a_fresh_proof(identity, provider, there):
    await linked(identity, provider, there)
    browser = await identity.signed_in(SELLER)
    await grown_stale(identity)
    for path in ("/account/provider/link", "/account/provider/unlink"):
        asked = await browser.post(path)
        assert asked.status_code == 403 and 'name="confirm"' in asked.text
    assert ("subject-unlinked", SELLER) not in await trail(identity)


async def test_the_provider_asks_anew_and_what_was_typed_goes_on(identity, provider, there):
    """Step-up: signed in at the provider already, one is asked again there, and the form is sent again."""
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    await go(browser, there, subject)
    await grown_stale(identity)
    asked = await browser.post("/account/factor")
    assert asked.status_code == 403 and "Xác nhận bằng Tòa soạn ID" in asked.text
    page = await browser.post(
        "/confirm/provider", confirm_action="/account/factor", typed="Lúa <1>"
    )
    back = await browser.http.get(await answered(page, there, subject, asked=True))
    assert back.status_code == 200 and 'action="/account/factor"' in back.text
    assert 'name="typed" value="Lúa &lt;1&gt;"' in back.text
    assert "Cài ứng dụng xác thực" in (await browser.post("/account/factor")).text
    assert (await trail(identity))[-1] == ("confirmed", SELLER)


async def test_what_is_sent_again_goes_to_us_alone(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    await go(browser, there, subject)
    for action in ("https://evil.example/x", "//evil.example", "javascript:alert(1)", "\\\\evil"):
        page = await browser.post("/confirm/provider", confirm_action=action, name="value")
        back = await browser.http.get(await answered(page, there, subject))
        assert back.status_code == 200 and '<form method="post" action="/">' in back.text
    assert (await browser.post("/confirm/provider", name="value")).status_code == 422
    much = {"confirm_action": "/account", "name": "x" * 20_000}
    assert (await browser.post("/confirm/provider", **much)).status_code == 422


async def test_who_has_an_app_confirms_with_nothing_less(identity, provider, there):
    """The page does not offer the provider then; asked for all the same, its word is refused, whatever it asked for."""
    subject = await linked(identity, provider, there)
    await change(
        identity,
        """INSERT INTO totp_factor (account_id, secret, last_step, created_at)
           SELECT account.id, secret, 0, now() FROM totp_factor, account WHERE email = :email""",
        email=SELLER,
    )
    browser = identity.browser()
    provider.account(subject, SELLER, amr=["mfa"])
    await there.forget()
    await go(browser, there, subject)
    await grown_stale(identity)
    assert "Xác nhận bằng" not in (await browser.post("/account/factor")).text
    for amr in (["pwd"], ["mfa"]):
        provider.account(subject, SELLER, amr=amr)
        page = await browser.post("/confirm/provider", confirm_action="/account/factor")
        back = await browser.http.get(await answered(page, there, subject))
        assert back.status_code == 403 and "hãy xác nhận bằng mã của ứng dụng" in back.text
    assert (await browser.post("/account/factor")).status_code == 403


async def test_a_tool_that_asks_for_a_fresh_proof_gets_the_browser_back(identity, provider, there):
    subject = await linked(identity, provider, there)
    browser = identity.browser()
    await go(browser, there, subject)
    await grown_stale(identity)
    tool = f"{identity.settings.metrics_url}/finance/bao-hung-yen"
    page = await browser.post("/confirm/provider", confirm_action="/confirm", next=tool)
    back = await browser.http.get(await answered(page, there, subject, asked=True))
    assert back.status_code == 303 and back.headers["location"] == tool


async def test_only_a_fresh_proof_by_ones_own_subject_confirms(identity, provider, there):
    subject = await linked(identity, provider, there)
    provider.account("somebody", FINANCE)
    browser = identity.browser()
    await go(browser, there, subject)
    await grown_stale(identity)
    for lie, who, words in (
        ({"claims": {"auth_time": 1_000_000_000}}, subject, "không hỏi lại"),
        ({"drop": ["auth_time"]}, subject, "không hỏi lại"),
        (None, "somebody", "Đây không phải tài khoản"),
    ):
        provider.control(lie=lie)
        await there.forget()
        page = await browser.post("/confirm/provider", confirm_action="/account/factor")
        back = await browser.http.get(await answered(page, there, who))
        assert back.status_code == 403 and words in back.text, words
    assert (await browser.post("/account/factor")).status_code == 403


async def test_a_second_factor_that_is_owed_is_owed_in_a_step_up_too(identity, provider, there):
    path = await invited(identity, "admin")
    provider.account("lan-anh", NEW, amr=["mfa"])
    browser, _ = await accepted(identity, there, path, "lan-anh")
    await grown_stale(identity)
    for amr, status in ((["pwd"], 403), (["mfa"], 200)):
        provider.account("lan-anh", NEW, amr=amr)
        page = await browser.post("/confirm/provider", confirm_action="/account/factor")
        back = await browser.http.get(await answered(page, there, "lan-anh"))
        assert back.status_code == status


async def test_who_refuses_at_the_provider_reads_so_in_their_language(identity, provider, there):
    browser = identity.browser()
    answer = await go(browser, there)
    assert answer.status_code == 403 and "Bạn đã không tiếp tục ở Tòa soạn ID" in answer.text
    await browser.http.get("/sign-in?lang=en")
    page = await browser.post("/sign-in/provider", next=DEEP)
    assert "ui_locales=en" in leads_to(page)
    answer = await browser.http.get(await answered(page, there))
    assert "You did not go on at Tòa soạn ID" in answer.text
    assert 'href="/sign-in?next=%2Fkeys%2Fbao-hung-yen%3Ffrom%3Dmail"' in answer.text


async def test_without_a_provider_there_is_no_button_and_no_way(create_database, template_database):
    async with running_identity(create_database, template_database) as identity:
        browser = identity.browser()
        assert "/sign-in/provider" not in (await browser.http.get("/sign-in")).text
        assert (await browser.post("/sign-in/provider")).status_code in (404, 405)
        seller = await identity.signed_in(SELLER)
        assert "/account/provider" not in (await seller.http.get("/account")).text


async def test_a_provider_that_wants_the_secret_in_the_body(
    create_database, template_database, there
):
    with running_provider(REDIRECT_URI, client_auth="client_secret_post") as provider:
        settings = provider.settings | {"oidc_client_auth": "client_secret_post"}
        async with running_identity(
            create_database, template_database, start=datetime.now(UTC), **settings
        ) as identity:
            subject = await linked(identity, provider, there)
            assert (await go(identity.browser(), there, subject)).status_code == 303


async def test_the_address_of_the_callback_is_the_one_that_is_registered(identity, provider):
    page = await identity.browser().post("/sign-in/provider")
    asked = httpx.URL(leads_to(page)).params
    assert asked["redirect_uri"] == REDIRECT_URI == f"{URL}/sign-in/provider/callback"
    assert asked["code_challenge_method"] == "S256" and asked["response_type"] == "code"
    assert path_of(leads_to(page)).startswith("/auth?") and PASSWORD not in page.text
