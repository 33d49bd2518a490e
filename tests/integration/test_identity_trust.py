"""Who may be whom: invitations, one-time passwords, second factors, lock-outs, fresh proofs, the operator's way in."""

from __future__ import annotations

import asyncio
import html
import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pyotp
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from services.identity.__main__ import cli
from services.identity.composition import assemble
from shared.audit import Actor, acting
from shared.web.i18n import LANGUAGE_COOKIE
from tests.fixtures.identity import (
    ADMIN,
    FINANCE,
    PASSWORD,
    SELLER,
    STRANGER,
    URL,
    Staff,
    database_at,
    running_identity,
)
from tests.fixtures.signing import waiting_for_locks
from tests.fixtures.waiting import eventually

AGENCY, OTHER = "bao-hung-yen", "dai-song-hong"
DIRECTOR = "giam-doc@dai-song-hong.example"
OTHER_ADMIN = "admin@dai-song-hong.example"
OWN = "nhãn lồng tháng tám"
ONE_TIME = re.compile(r"(?:[a-zA-Z2-9]{4}-){3}[a-zA-Z2-9]{4}(?=</code>)")
SECRET = re.compile(r'class="secret"><code>([a-zA-Z2-7-]+)</code>')
HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')
RECOVERY = re.compile(r"<li><code>([a-z2-7-]{19})</code>")


@pytest.fixture
async def identity(create_database, template_database):
    async with running_identity(create_database, template_database) as running:
        yield running


async def account_id(identity, email: str) -> str:
    async with identity.database.read() as session:
        found = await session.execute(
            text("SELECT id FROM account WHERE email = :email"), {"email": email}
        )
        return str(found.scalar_one())


async def actions(identity, agency: str | None = None) -> list[str]:
    async with identity.database.read() as session:
        rows = await session.execute(
            text(
                """SELECT action FROM audit_entry
                   WHERE CAST(:agency AS text) IS NULL OR agency = :agency ORDER BY at, id"""
            ),
            {"agency": agency},
        )
        return list(rows.scalars())


async def invite(admin: Staff, email: str, roles: object = "editor", agency: str = AGENCY):
    return await admin.post(f"/accounts/{agency}", email=email, name="Người mới", roles=roles)


async def accept(
    identity, browser: Staff, email: str, password: str = OWN, name: str = "Người mới"
) -> httpx.Response:
    """Follow the newest link to an address and choose a password."""
    link = await identity.link_for(email)
    token = await browser.form_token(link)
    return await browser.http.post(
        "/invitation/password",
        data={
            "csrf_token": token,
            "token": link.partition("=")[2],
            "name": name,
            "new": password,
            "repeat": password,
        },
        headers={"Origin": URL},
    )


async def enrol(identity, browser: Staff, next: str = "/") -> tuple[str, list[str], str]:
    """Set up an app as the page says: its secret, the recovery codes, where the page leads on."""
    page = await browser.http.get("/sign-in/enrol", params={"next": next})
    assert page.status_code == 200, page.headers
    secret = SECRET.search(page.text)[1].replace("-", "").upper()
    answer = await browser.post("/sign-in/enrol", code=identity.code(secret), next=next)
    assert answer.status_code == 200, answer.text
    on = re.search(r'role="button" href="([^"]+)"', answer.text)[1]
    return secret, RECOVERY.findall(answer.text), on


async def administrator_of_the_other(identity) -> Staff:
    """Their agency has one: invited by the operator, as in production."""
    async with identity.database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO account_role (account_id, agency, role)
                   SELECT id, :agency, 'admin' FROM account WHERE email = :email"""
            ),
            {"agency": OTHER, "email": STRANGER},
        )
    browser = identity.browser("192.0.2.40")
    assert (await browser.sign_in(STRANGER)).headers["location"].startswith("/sign-in/enrol")
    await enrol(identity, browser)
    return browser


# --- H1: hijacking an address before its owner comes ----------------------------------------------


async def test_an_invitation_answers_alike_whoever_has_an_account_and_gives_nothing_before_it_is_followed(
    identity,
):
    admin = await identity.signed_in(ADMIN)
    known, unknown = await invite(admin, STRANGER), await invite(admin, "nobody@bao.example")
    assert known.status_code == unknown.status_code == 303
    assert known.headers["location"] == unknown.headers["location"]
    page = (await admin.http.get(f"/accounts/{AGENCY}")).text
    assert "Kế toán Đài" not in page, "the real name of somebody elsewhere is not told"
    stranger = await identity.signed_in(STRANGER)
    assert (await identity.session_of(stranger.token))["roles"] == {OTHER: ["finance"]}


async def test_the_hijack_of_h1_step_by_step_gets_nowhere(identity):
    other = await administrator_of_the_other(identity)
    admin = await identity.signed_in(ADMIN)
    # A invites B's director before B does: no password is shown, the mail goes to the director.
    answer = await invite(admin, DIRECTOR, "editor")
    assert ONE_TIME.search(answer.text) is None
    # Suppose the director joined A, and A's administrator then hands out a one-time password.
    director = identity.browser("192.0.2.50")
    await accept(identity, director, DIRECTOR)
    path = f"/accounts/{AGENCY}/{await account_id(identity, DIRECTOR)}/hand-out"
    [password] = set(ONE_TIME.findall((await admin.post(path)).text))
    thief = identity.browser("203.0.113.5")
    assert (
        (await thief.sign_in(DIRECTOR, password))
        .headers["location"]
        .startswith("/sign-in/password")
    )
    stolen = "chìa khóa của kẻ gian"
    assert (
        await thief.post("/sign-in/password", new=stolen, repeat=stolen, next="/")
    ).status_code == 303
    assert (await identity.session_of(thief.token))["roles"] == {AGENCY: ["editor"]}
    # B invites its own director, as finance and administrator.
    assert (await invite(other, DIRECTOR, ["finance", "admin"], OTHER)).status_code == 303
    assert (await identity.session_of(thief.token))["roles"] == {AGENCY: ["editor"]}
    assert (await thief.http.get(f"/accounts/{OTHER}")).status_code == 404
    # The thief cannot accept as the account: its password was handed out.
    token = (await identity.link_for(DIRECTOR)).partition("=")[2]
    refused = await thief.post("/invitation", token=token)
    assert refused.status_code == 409
    # The director follows B's link: the thief's session and password are void.
    director = identity.browser("192.0.2.50")
    answer = await accept(identity, director, DIRECTOR, "sen tháng sáu thơm")
    assert answer.headers["location"].startswith("/sign-in/enrol")
    assert await identity.session_of(thief.token) == {"active": False}
    assert (await identity.browser("203.0.113.5").sign_in(DIRECTOR, stolen)).status_code == 401
    await enrol(identity, director)
    told = await identity.session_of(director.token)
    assert told["roles"] == {AGENCY: ["editor"], OTHER: ["admin", "finance"]}
    # And now that the account works for B, A's administrator hands out nothing.
    assert (await admin.post(path)).status_code == 409


async def test_a_handed_password_is_worth_nothing_where_roles_were_proved_before(identity):
    """Also when the account got its roles elsewhere first: the database is asked, not the order of events."""
    async with identity.database.transaction() as session:
        await session.execute(
            text("UPDATE account SET handed_by = :other WHERE email = :email"),
            {"email": SELLER, "other": OTHER},
        )
    seller = await identity.signed_in(SELLER)
    assert (await identity.session_of(seller.token))["roles"] == {}
    assert (await seller.http.get(f"/keys/{AGENCY}")).status_code == 404


async def test_an_account_without_any_role_cannot_be_adopted(identity):
    admin = await identity.signed_in(ADMIN)
    path = f"/accounts/{AGENCY}/{await account_id(identity, FINANCE)}"
    assert (await admin.post(f"{path}/roles")).status_code == 303
    for act in ("reset", "hand-out", "disable", "factor", "unlock"):
        assert (await admin.post(f"{path}/{act}")).status_code == 404, act
    assert (await invite(admin, FINANCE, "finance")).status_code == 303
    assert (await admin.post(f"{path}/hand-out")).status_code == 404
    owner = await identity.signed_in(FINANCE)
    assert (await identity.session_of(owner.token))["roles"] == {}
    token = (await identity.link_for(FINANCE)).partition("=")[2]
    assert (await owner.post("/invitation", token=token)).status_code == 303
    assert (await identity.session_of(owner.token))["roles"] == {AGENCY: ["finance"]}


async def test_a_link_is_for_its_own_address_works_once_and_for_a_week_and_a_newer_one_voids_it(
    identity,
):
    admin = await identity.signed_in(ADMIN)
    await invite(admin, STRANGER)
    token = (await identity.link_for(STRANGER)).partition("=")[2]
    seller = await identity.signed_in(SELLER)
    assert (await seller.post("/invitation", token=token)).status_code == 403
    identity.clock.advance(timedelta(minutes=2))
    await invite(admin, STRANGER)
    newer = (await identity.link_for(STRANGER)).partition("=")[2]
    stranger = await identity.signed_in(STRANGER)
    assert (await stranger.post("/invitation", token=token)).status_code == 404
    looked = await stranger.http.get("/invitation", params={"token": newer})
    assert looked.status_code == 200
    assert (await identity.session_of(stranger.token))["roles"] == {OTHER: ["finance"]}, (
        "a look changes nothing: mail scanners follow links"
    )
    answers = await asyncio.gather(*(stranger.post("/invitation", token=newer) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [303, 404, 404]
    await invite(admin, "late@bao.example")
    link = await identity.link_for("late@bao.example")
    identity.clock.advance(timedelta(days=7))
    assert (await identity.browser().http.get(link)).status_code == 404


async def test_an_invitation_is_in_vietnamese_and_english_is_one_click_away_after_an_error_too(
    identity,
):
    admin = await identity.signed_in(ADMIN)
    await invite(admin, "new@bao.example")
    link = await identity.link_for("new@bao.example")
    browser = identity.browser()
    shown = await browser.http.get(link)
    assert '<html lang="vi"' in shown.text and "Tên của bạn" in shown.text
    for _ in range(2):  # the second form is on the answer to the first
        refused = await accept(identity, browser, "new@bao.example", password="ngắn")
        assert refused.status_code == 422 and "từ 12 ký tự" in refused.text
        language = re.search(r'class="language" href="([^"]+)"', refused.text)
        assert language is not None
        english = await browser.http.get(html.unescape(language[1]))
        assert english.status_code == 200 and "Your name" in english.text
        browser.http.cookies.delete(LANGUAGE_COOKIE)


async def test_an_invitation_withdrawn_works_no_more(identity):
    admin = await identity.signed_in(ADMIN)
    await invite(admin, "new@bao.example")
    page = (await admin.http.get(f"/accounts/{AGENCY}")).text
    [path] = re.findall(r'action="(/accounts/[^"]+/withdraw)"', page)
    assert (await admin.post(path)).status_code == 303
    link = await identity.link_for("new@bao.example")
    assert (await identity.browser().http.get(link)).status_code == 404
    assert {"invited", "invitation-withdrawn"} <= set(await actions(identity, AGENCY))


async def test_the_form_keeps_what_was_typed_after_an_error(identity):
    admin = await identity.signed_in(ADMIN)
    answer = await admin.post(
        f"/accounts/{AGENCY}", email="not an address", name="Lan Anh", roles=["editor", "support"]
    )
    assert answer.status_code == 422
    assert 'value="not an address"' in answer.text
    assert 'value="Lan Anh"' in answer.text
    assert answer.text.count(" checked") - (
        await admin.http.get(f"/accounts/{AGENCY}")
    ).text.count(" checked") == 2  # fmt: skip


# --- M1: rights of the home agency ------------------------------------------------------------------


async def test_another_agencys_roles_take_no_rights_from_the_home_agency(identity):
    other = await administrator_of_the_other(identity)
    admin = await identity.signed_in(ADMIN)
    await invite(other, SELLER, "support", OTHER)
    seller = await identity.signed_in(SELLER)
    token = (await identity.link_for(SELLER)).partition("=")[2]
    assert (await seller.post("/invitation", token=token)).status_code == 303
    told = await identity.session_of(seller.token)
    assert told["roles"] == {AGENCY: ["seller", "traffic"], OTHER: ["support"]}
    shared = await account_id(identity, SELLER)
    for act in ("reset", "hand-out", "disable", "enable", "unlock", "factor"):
        assert (await other.post(f"/accounts/{OTHER}/{shared}/{act}")).status_code == 403, act
    for act in ("unlock", "reset", "disable", "enable"):
        assert (await admin.post(f"/accounts/{AGENCY}/{shared}/{act}")).status_code == 303, act
    # Shared: a password comes by mail only, and whoever has the mailbox keeps every role.
    assert (await admin.post(f"/accounts/{AGENCY}/{shared}/hand-out")).status_code == 409
    browser = identity.browser()
    answer = await accept(identity, browser, SELLER, "sen tháng sáu thơm")
    assert answer.status_code == 303, answer.text
    assert (await identity.session_of(browser.token))["roles"] == told["roles"]
    # The other agency may take its own roles away.
    assert (await other.post(f"/accounts/{OTHER}/{shared}/roles")).status_code == 303
    assert (await identity.session_of(browser.token))["roles"] == {AGENCY: ["seller", "traffic"]}


async def test_no_agency_loses_its_last_administrator_by_another_and_each_reads_what_was_done(
    identity,
):
    admin = await identity.signed_in(ADMIN)
    shared = await account_id(identity, SELLER)
    async with identity.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO account_role (account_id, agency, role) VALUES (:id, :agency, 'admin')"
            ),
            {"id": shared, "agency": OTHER},
        )
        await session.execute(
            text(
                """INSERT INTO totp_factor (account_id, secret, last_step, created_at)
                   SELECT :id, secret, 0, created_at FROM totp_factor LIMIT 1"""
            ),
            {"id": shared},
        )
    path = f"/accounts/{AGENCY}/{shared}"
    refused = await admin.post(f"{path}/disable")
    assert (
        refused.status_code == 409 and "quản trị viên duy nhất của một cơ quan khác" in refused.text
    )
    assert OTHER not in refused.text
    assert "account-disabled" not in await actions(identity)
    await administrator_of_the_other(identity)  # a second one
    for act in ("factor", "disable", "enable"):
        assert (await admin.post(f"{path}/{act}")).status_code == 303
    for agency in (AGENCY, OTHER):
        told = {*await actions(identity, agency)}
        assert {"factor-reset", "account-disabled", "account-enabled"} <= told
    # Asleep, it is told at both as well.
    identity.clock.advance(timedelta(days=46))
    await assemble(identity.settings, identity.database, identity.clock).sessions.housekeeping()
    for agency in (AGENCY, OTHER):
        async with identity.database.read() as session:
            found = await session.execute(
                text(
                    """SELECT count(*) FROM audit_entry WHERE agency = :agency AND subject = :subject
                       AND action = 'account-disabled' AND after ->> 'reason' = 'dormant'"""
                ),
                {"agency": agency, "subject": f"account/{shared}"},
            )
            assert found.scalar_one() == 1, agency


# --- 15: a deep link and what is still due ----------------------------------------------------------


async def test_handing_out_a_password_says_first_what_it_ends(identity):
    admin = await identity.signed_in(ADMIN)
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}/hand-out"

    async def told(language: str) -> str:
        page = (await admin.http.get(f"/accounts/{AGENCY}?lang={language}")).text
        before, _, after = page.partition(f'action="{path}"')
        assert "</details>" not in before.rpartition('<details class="confirm">')[2]
        return after.partition("</form>")[0]

    assert "mọi phiên đều kết thúc (0 phiên đang mở)" in await told("vi")
    for _ in range(2):
        await identity.signed_in(SELLER)
    assert "every session ends (2 open now)" in await told("en")
    await admin.post(path)
    assert "every session ends (0 open now)" in await told("en")


#: What ends something for somebody: its form's address, a consequence the page names first, and what is then on record.
WITH_CONSEQUENCES = {
    "rotate": ("keys", "sau đó khóa cũ ngừng hoạt động", "key-rotated"),
    "revoke": ("keys", "sẽ bị từ chối trong vòng nửa phút. Không thể hoàn tác.", "key-revoked"),
    "disable": ("accounts", "bị đăng xuất ngay ở mọi nơi", "account-disabled"),
    "hand-out": ("accounts", "mất hiệu lực, mọi phiên đều kết thúc", "password-reset"),
    "factor": ("accounts", "các mã khôi phục của", "factor-reset"),
}


@pytest.mark.parametrize("act", WITH_CONSEQUENCES)
async def test_what_ends_a_key_or_an_account_is_done_by_the_second_press_only(identity, act):
    noun, consequence, action = WITH_CONSEQUENCES[act]
    if act == "factor":
        seller = await identity.signed_in(SELLER)
        offered = await seller.post("/account/factor")
        secret = SECRET.search(offered.text)[1].replace("-", "").upper()
        await seller.post("/sign-in/enrol", code=identity.code(secret), next="/account")
    admin = await identity.signed_in(ADMIN)
    subject = "demosite" if noun == "keys" else await account_id(identity, SELLER)
    path = f"/{noun}/{AGENCY}/{subject}/{act}"

    def form(page: str, opening: str) -> dict[str, str]:
        """What the page's own form sends; it stands with its consequence behind a button of its own."""
        before, found, after = page.partition(f'action="{path}"')
        assert found and "</details>" not in before.rpartition(opening)[2]
        told = after.partition("</form>")[0]
        assert consequence in told
        return dict(HIDDEN.findall(told))

    async def send(fields: dict[str, str]) -> httpx.Response:
        return await admin.http.post(path, data=fields, headers={"Origin": URL})

    before = await actions(identity)
    first = form((await admin.http.get(f"/{noun}/{AGENCY}")).text, '<details class="confirm">')
    assert first.pop("confirmed") == "true"
    asked = await send(first)
    assert asked.status_code == 200
    second = form(asked.text, '<details class="confirm" open>')
    assert asked.text.count('<details class="confirm" open>') == 1
    if noun == "accounts":
        assert asked.text.count("<details open>") == 1, "of this member"
    assert await actions(identity) == before, "nothing has changed"
    assert (await send(second)).status_code in {201, 303}
    assert sorted(await actions(identity)) == sorted([*before, action])


async def test_taking_the_last_role_from_somebody_is_asked_first(identity):
    admin = await identity.signed_in(ADMIN)
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}/roles"
    before = await actions(identity)
    page = await admin.http.get(f"/accounts/{AGENCY}")
    token = dict(HIDDEN.findall(page.text))["csrf_token"]
    asked = await admin.http.post(path, data={"csrf_token": token}, headers={"Origin": URL})
    assert asked.status_code == 200
    opened = asked.text.partition('<details class="confirm" open>')[2].partition("</details>")[0]
    assert "không còn vai trò nào ở" in opened and f'action="{path}"' in opened
    assert await actions(identity) == before, "nothing has changed"
    second = await admin.http.post(path, data=dict(HIDDEN.findall(opened)), headers={"Origin": URL})
    assert second.status_code == 303
    assert sorted(await actions(identity)) == sorted([*before, "roles-changed"])


async def test_a_one_time_password_with_a_deep_link_ends_at_the_form_and_then_at_the_page(identity):
    admin = await identity.signed_in(ADMIN)
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}/hand-out"
    [password] = set(ONE_TIME.findall((await admin.post(path)).text))
    deep = f"{identity.settings.ads_url}/console/{AGENCY}?week=2"
    seller = identity.browser()
    answer = await seller.sign_in(SELLER, password, next=deep)
    step = answer.headers["location"]
    assert step.startswith("/sign-in/password?next=")
    assert await identity.session_of(seller.token) == {"active": False}
    # A service that sends the browser back does not begin a loop: sign-in leads to the form again.
    again = await seller.http.get("/sign-in", params={"next": deep})
    assert again.headers["location"] == step
    assert (await seller.http.get(step)).status_code == 200
    assert (await seller.http.get("/account")).headers["location"].startswith("/sign-in/password")
    done = await seller.post("/sign-in/password", new=OWN, repeat=OWN, next=deep)
    assert done.headers["location"] == deep
    assert (await identity.session_of(seller.token))["active"] is True


async def test_a_pending_session_opens_nothing_and_ends_after_a_quarter_of_an_hour(identity):
    admin = identity.browser()
    await admin.sign_in(ADMIN)
    assert await identity.session_of(admin.token) == {"active": False}
    for path in ("/", "/account", f"/keys/{AGENCY}", f"/accounts/{AGENCY}", f"/audit/{AGENCY}"):
        answer = await admin.http.get(path)
        assert answer.headers["location"].startswith("/sign-in/code"), path
    assert (await admin.http.get("/sign-in/enrol")).headers["location"].startswith("/sign-in/code")
    stolen = await admin.post("/sign-in/enrol", code="000000")
    assert stolen.headers["location"].startswith("/sign-in/code"), "no second app without the first"
    before = admin.token
    for _ in range(3):
        identity.clock.advance(timedelta(minutes=4))
        assert (await admin.http.get("/sign-in/code")).status_code == 200
    identity.clock.advance(timedelta(minutes=3))
    assert (await admin.http.get("/sign-in/code")).headers["location"].startswith("/sign-in?next=")
    assert await identity.session_of(before) == {"active": False}


# --- Second factor ----------------------------------------------------------------------------------


async def test_an_administrator_enrols_before_anything_opens_and_the_token_changes(identity):
    async with identity.database.transaction() as session:
        await session.execute(text("DELETE FROM totp_factor"))
    admin = identity.browser()
    deep = f"{identity.settings.metrics_url}/finance/{AGENCY}"
    answer = await admin.sign_in(ADMIN, next=deep)
    assert answer.headers["location"].startswith("/sign-in/enrol")
    first = admin.token
    page = (await admin.http.get("/sign-in/enrol")).text
    assert (await admin.http.get("/sign-in/enrol")).text.count(SECRET.search(page)[1]) == 1
    assert 'src="data:image/svg+xml' in page
    other = identity.browser()
    await other.sign_in(ADMIN)
    assert SECRET.search((await other.http.get("/sign-in/enrol")).text)[1] != SECRET.search(page)[1]
    wrong = await admin.post("/sign-in/enrol", code="123456", next=deep)
    assert wrong.status_code == 422
    secret, recovery, on = await enrol(identity, admin, deep)
    assert on == deep
    assert len(set(recovery)) == 10
    assert admin.token != first
    told = await identity.session_of(admin.token)
    assert told["factors"] == ["password", "totp"]
    assert await identity.session_of(other.token) == {"active": False}
    async with identity.database.read() as session:
        rows = await session.execute(text("SELECT t::text FROM totp_factor t"))
        assert secret not in rows.scalar_one()
        rows = await session.execute(text("SELECT string_agg(r::text, ' ') FROM recovery_code r"))
        assert recovery[0].replace("-", "") not in rows.scalar_one()


async def test_whoever_becomes_an_administrator_in_mid_session_enrols_at_once(identity):
    admin, seller = await identity.signed_in(ADMIN), await identity.signed_in(SELLER)
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}/roles"
    assert (await admin.post(path, roles=["seller", "admin"])).status_code == 303
    assert await identity.session_of(seller.token) == {"active": False}
    assert (await seller.http.get("/")).headers["location"].startswith("/sign-in/enrol")
    await enrol(identity, seller)
    assert (await identity.session_of(seller.token))["roles"] == {AGENCY: ["admin", "seller"]}


async def test_a_code_works_once_also_when_it_is_sent_five_times_at_once(identity):
    browsers = [identity.browser(f"192.0.2.{n}") for n in range(5)]
    for browser in browsers:
        await browser.sign_in(ADMIN)
    code = identity.code()
    answers = await asyncio.gather(
        *(browser.post("/sign-in/code", code=code) for browser in browsers)
    )
    assert sorted(answer.status_code for answer in answers) == [303, 401, 401, 401, 401]


@pytest.mark.parametrize(("seconds", "status"), [(-60, 401), (-30, 303), (30, 303), (60, 401)])
async def test_a_phones_clock_may_be_one_period_off(identity, seconds, status):
    admin = identity.browser()
    await admin.sign_in(ADMIN)
    at = int(identity.clock.now().timestamp()) + seconds
    code = pyotp.TOTP(identity.settings.demo_totp_secret).at(at)
    assert (await admin.post("/sign-in/code", code=code)).status_code == status


async def test_a_recovery_code_lets_in_once(identity):
    admin = await identity.signed_in(ADMIN)
    renewed = await admin.post("/account/factor/codes")
    codes = RECOVERY.findall(renewed.text)
    assert len(codes) == 10
    for status in (303, 401):
        lost = identity.browser()
        await lost.sign_in(ADMIN)
        answer = await lost.post("/sign-in/code", code=codes[0].upper())
        assert answer.status_code == status
    assert "recovery-code-used" in await actions(identity)


async def test_guessing_codes_is_bounded_over_all_networks(identity):
    statuses = []
    for n in range(7):
        thief = identity.browser(f"203.0.113.{n}")
        await thief.sign_in(ADMIN)  # who has the password
        statuses.append((await thief.post("/sign-in/code", code=f"00000{n}")).status_code)
    assert statuses == [401] * 5 + [429] * 2
    # A device that was signed in before has its own budget.
    async with identity.database.read() as session:
        assert (await session.execute(text("SELECT count(*) FROM known_device"))).scalar_one() == 0


async def test_the_home_agencys_administrator_resets_a_lost_phone(identity):
    admin, seller = await identity.signed_in(ADMIN), await identity.signed_in(SELLER)
    offered = await seller.post("/account/factor")
    secret = SECRET.search(offered.text)[1].replace("-", "").upper()
    await seller.post("/sign-in/enrol", code=identity.code(secret), next="/account")
    lost = identity.browser()
    assert (await lost.sign_in(SELLER)).headers["location"].startswith("/sign-in/code")
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}/factor"
    assert (await admin.post(path)).status_code == 303
    assert await identity.session_of(seller.token) == {"active": False}
    assert (await lost.sign_in(SELLER)).headers["location"] == "/"
    assert "factor-reset" in await actions(identity, AGENCY)


# --- M4, 16, 17: lock-outs are no weapon -------------------------------------------------------------


async def test_failures_from_elsewhere_lock_nobody_out(identity):
    for n in range(6):
        await identity.browser("203.0.113.5").sign_in(ADMIN, f"a guess, number {n}")
    assert (await identity.browser("203.0.113.5").sign_in(ADMIN)).status_code == 429
    assert (await identity.browser("198.51.100.7").sign_in(ADMIN)).status_code == 303


async def test_a_known_device_enters_from_the_attackers_own_network(identity):
    """The administrator and the attacker are behind one proxy; fifty bad sign-ins lock no one who was there before."""
    known = await identity.signed_in(SELLER, "203.0.113.5")
    await known.sign_out()
    attacker = identity.browser("203.0.113.5")
    for n in range(6):
        await attacker.sign_in(SELLER, f"a guess, number {n}")
    for n in range(50):
        await attacker.sign_in(f"guess{n}@bao.example", "sprayed password")
    assert (await identity.browser("203.0.113.5").sign_in(FINANCE)).status_code == 429
    assert (await known.sign_in(SELLER)).status_code == 303
    # Its own budget is bounded as well, and is not another account's.
    await known.sign_out()
    assert [(await known.sign_in(SELLER, f"wrong {n}")).status_code for n in range(6)] == [
        *[401] * 5,
        429,
    ]
    assert (await known.sign_in(FINANCE)).status_code == 429, "no device of that account"


async def test_a_device_cookie_that_somebody_planted_is_replaced(identity):
    browser = identity.browser()
    browser.http.cookies.set("press_device", "planted", domain="127.0.0.1", path="/")
    answer = await browser.sign_in(SELLER)
    [cookie] = [one for one in answer.headers.get_list("set-cookie") if "press_device" in one]
    assert "planted" not in cookie
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))


# --- Step-up ------------------------------------------------------------------------------------------


async def stay_signed_in(identity, browser: Staff, minutes: int) -> None:
    for _ in range(minutes // 4 + 1):
        identity.clock.advance(timedelta(minutes=4))
        assert (await identity.session_of(browser.token))["active"] is True


async def test_keys_roles_and_resets_need_a_fresh_proof_and_nothing_typed_is_lost(identity):
    admin = await identity.signed_in(ADMIN)
    await stay_signed_in(identity, admin, 10)
    seller = await account_id(identity, SELLER)
    key = {"name": "Máy chủ", "scopes": ["ads:decide"], "request_id": str(uuid4())}
    acts: dict[str, dict[str, object]] = {
        f"/keys/{AGENCY}": key,
        f"/keys/{AGENCY}/demosite/rotate": {"request_id": str(uuid4())},
        f"/keys/{AGENCY}/demosite/revoke": {},
        f"/accounts/{AGENCY}": {"email": "a@bao.example", "name": "A", "roles": "editor"},
        f"/accounts/{AGENCY}/{seller}/roles": {"roles": ["seller", "admin"]},
        f"/accounts/{AGENCY}/{seller}/reset": {},
        f"/accounts/{AGENCY}/{seller}/hand-out": {},
        f"/accounts/{AGENCY}/{seller}/disable": {},
        f"/accounts/{AGENCY}/{seller}/factor": {},
        "/account/factor/codes": {},
        "/account/factor/remove": {},
        "/account/factor": {},
    }
    before = await actions(identity)
    for path, fields in acts.items():
        answer = await admin.post(path, **fields)
        assert answer.status_code == 403, path
        for name, value in fields.items():
            for one in value if isinstance(value, list) else [value]:
                assert f'name="{name}" value="{one}"' in answer.text, (path, name)
        assert f'action="{path}"' in answer.text
    assert await actions(identity) == before
    wrong = await admin.post(f"/keys/{AGENCY}", **key, confirm="123456")
    assert wrong.status_code == 403
    assert 'value="Máy chủ"' in wrong.text
    done = await admin.post(f"/keys/{AGENCY}", **key, confirm=identity.code())
    assert done.status_code == 201
    assert "prk_" in done.text
    assert (await admin.post(f"/accounts/{AGENCY}/{seller}/unlock")).status_code == 303, "fresh now"
    assert "confirmed" in await actions(identity)


async def test_other_services_are_told_how_fresh_a_session_is(identity):
    seller = await identity.signed_in(SELLER)
    first = await identity.session_of(seller.token)
    assert first["factors"] == ["password"]
    assert first["authenticated_at"] == identity.clock.now().isoformat()
    await stay_signed_in(identity, seller, 10)
    back = f"{identity.settings.billing_url}/staff/{AGENCY}"
    page = await seller.http.get("/confirm", params={"next": back})
    assert page.status_code == 200
    assert f'value="{back}"' in page.text
    refused = await seller.post("/confirm", next=back, confirm="not the password")
    assert refused.status_code == 403
    done = await seller.post("/confirm", next=back, confirm=PASSWORD)
    assert done.headers["location"] == back
    told = await identity.session_of(seller.token)
    assert told["authenticated_at"] == identity.clock.now().isoformat()
    evil = await seller.post("/confirm", next="https://evil.example/", confirm=PASSWORD)
    assert evil.headers["location"] == "/"


# --- The operator -------------------------------------------------------------------------------------


async def the_machines_time(identity) -> None:
    """Commands use the machine's clock."""
    identity.clock.set(datetime.now(UTC))
    await database_at(identity.database, identity.clock)


def run(identity, *arguments: str):
    """A command as on the server, with the environment of identity."""
    settings = identity.settings
    environment = {
        "ENVIRONMENT": "test",
        "DATABASE_URL": settings.database_url,
        "IDENTITY_URL": settings.identity_url,
        "FORM_TOKEN_SECRET": settings.form_token_secret,
        "ARGON2_TIME_COST": "1",
        "ARGON2_MEMORY_KIB": "64",
        "IDENTITY_INTERNAL_KEYS": settings.identity_internal_keys,
    }
    return CliRunner().invoke(cli, arguments, env=environment)


async def test_break_glass_lets_the_last_administrator_in(identity):
    await the_machines_time(identity)
    admin = await identity.signed_in(ADMIN)
    for n in range(6):
        await identity.browser().sign_in(ADMIN, f"a guess, number {n}")
    async with identity.database.transaction() as session:
        await session.execute(
            text(
                """UPDATE account SET disabled_at = now(), disabled_reason = 'dormant'
                   WHERE email = :email"""
            ),
            {"email": ADMIN},
        )
    done = await asyncio.to_thread(run, identity, "break-glass", ADMIN, "--second-factor")
    assert done.exit_code == 0, done.output
    [password] = re.findall(r"(?:[a-zA-Z2-9]{4}-){3}[a-zA-Z2-9]{4}", done.output)
    assert await identity.session_of(admin.token) == {"active": False}
    back = identity.browser()
    assert (await back.sign_in(ADMIN, password)).headers["location"].startswith("/sign-in/password")
    answer = await back.post("/sign-in/password", new=OWN, repeat=OWN, next="/")
    assert answer.headers["location"].startswith("/sign-in/enrol")
    await enrol(identity, back)
    assert (await identity.session_of(back.token))["roles"] == {AGENCY: ["admin"]}
    assert "break-glass" in await actions(identity, AGENCY)
    missing = await asyncio.to_thread(run, identity, "break-glass", "nobody@bao.example")
    assert missing.exit_code == 1


async def test_the_first_administrator_is_made_by_a_command_that_may_be_repeated(identity):
    await the_machines_time(identity)
    arguments = ("create-administrator", OTHER, OTHER_ADMIN, "Quản trị Đài")
    first = await asyncio.to_thread(run, identity, *arguments)
    assert first.exit_code == 0, first.output
    assert "token=" not in first.output, "a link is printed only when asked for"
    again = await asyncio.to_thread(run, identity, *arguments)
    assert "open invitation: nothing to do" in again.output
    browser = identity.browser()
    answer = await accept(identity, browser, OTHER_ADMIN)
    assert answer.headers["location"].startswith("/sign-in/enrol")
    await enrol(identity, browser)
    assert (await identity.session_of(browser.token))["roles"] == {OTHER: ["admin"]}
    third = await asyncio.to_thread(run, identity, *arguments)
    assert "already: nothing to do" in third.output
    wrong = await asyncio.to_thread(
        run, identity, "create-administrator", "no-such", OTHER_ADMIN, "X"
    )
    assert wrong.exit_code == 1
    assert {"invited", "account-created", "invitation-accepted"} <= set(
        await actions(identity, OTHER)
    )


async def test_two_agencies_invitations_in_the_same_moment_make_one_account(identity):
    """Whoever is second is told that something changed, and follows the link again."""
    email = "lan.anh@bao-hung-yen.example"
    parts = assemble(identity.settings, identity.database, identity.clock)
    browsers, forms = [], []
    for agency in ("bao-hung-yen", "dai-song-hong"):
        with acting(Actor.command("test")):
            link = await parts.invitations.invite(agency, email, "Lan Anh", ["viewer"], None)
        browser = identity.browser()
        browsers.append(browser)
        password = "nhãn lồng tháng tám"
        forms.append(
            {
                "csrf_token": await browser.form_token(),
                "token": link.partition("token=")[2],
                "name": "Lan Anh",
                "new": password,
                "repeat": password,
            }
        )
    async with identity.database.transaction() as session:
        # Neither sees the other's account: both wait for this one, which never comes to be.
        await session.execute(
            text(
                "INSERT INTO account (id, email, name, created_at, last_active_at)"
                " VALUES (gen_random_uuid(), :email, 'x', now(), now())"
            ),
            {"email": email},
        )
        answers = [
            asyncio.create_task(
                browser.http.post("/invitation/password", data=form, headers={"Origin": URL})
            )
            for browser, form in zip(browsers, forms, strict=True)
        ]

        async def both_wait() -> bool:
            return await waiting_for_locks(identity) == 2

        await eventually(both_wait, "both wait for the address")
        await session.rollback()
    assert sorted([(await answer).status_code for answer in answers]) == [303, 409]
