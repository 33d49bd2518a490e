"""Signing out from any tool ends the session everywhere at once; nobody else can press that button."""

from __future__ import annotations

import re

import httpx
import pytest

from shared.metrics.app import web
from shared.metrics.process import METRICS
from shared.process import application
from tests.fixtures.finance import OWN_URL, running_finance
from tests.fixtures.identity import FINANCE, PROVINCE, SELLER, SIGN_OUT_FIELD, URL

AGENCY = "bao-hung-yen"
PAGE = f"/finance/{AGENCY}"
ADS_URL = "http://127.0.0.1:8003"


@pytest.fixture
async def finance(create_database, template_database):
    # Each service has a secret of its own behind its forms: signing out must not need a common one.
    async with running_finance(
        create_database, template_database, demo=False, form_token_secret="a-secret-of-finance-only"
    ) as found:
        await seed_agency(found)
        yield found


async def seed_agency(finance) -> None:
    from shared.agencies import save_agencies
    from shared.audit import Actor

    async with finance.database.transaction() as session:
        await save_agencies(
            session,
            [{"id": AGENCY, "name": "Báo Hưng Yên", "time_zone": "Asia/Ho_Chi_Minh"}],
            actor=Actor.command("test"),
        )


def sign_out_form(page: str) -> tuple[str, str]:
    """Where the bar's form leads, and its token."""
    action = re.search(r'class="sign-out" method="post" action="([^"]+)"', page)
    token = SIGN_OUT_FIELD.search(page)
    assert action and token, page
    return action[1], token[1]


async def press(finance, session: str, token: str, origin: str = OWN_URL) -> httpx.Response:
    """The form as a browser sends it from a tool's page: its origin, identity's cookie."""
    browser = finance.identity.browser()
    browser.http.cookies.set("press_staff", session)
    return await browser.http.post(
        "/sign-out", data={"sign_out_token": token}, headers={"Origin": origin}
    )


async def test_signing_out_from_a_tool_ends_the_session_everywhere_at_once(finance):
    """Two further processes that have just served this session refuse it at the very next request."""
    client = httpx.AsyncClient(transport=httpx.ASGITransport(finance.identity.app))
    process = METRICS.process("web", finance.settings, clock=finance.clock, http=client)
    rival = application(process, web(process))
    async with (
        rival.router.lifespan_context(rival),
        httpx.AsyncClient(transport=httpx.ASGITransport(rival), base_url=OWN_URL) as second,
        await finance.signed_in(FINANCE) as http,
    ):
        session = http.cookies["press_staff"]
        second.cookies.set("press_staff", session)
        page = await http.get(PAGE)
        assert (page.status_code, (await second.get(PAGE)).status_code) == (200, 200)
        action, token = sign_out_form(page.text)
        assert action == f"{URL}/sign-out"
        gone = await press(finance, session, token)
        assert gone.status_code == 303
        assert gone.headers["location"] == "/sign-in?signed_out"
        assert gone.headers["clear-site-data"] == '"cache", "storage"'
        assert "Max-Age=0" in gone.headers["set-cookie"]
        for one in (http, second):
            after = await one.get(PAGE)
            assert after.status_code == 303
            assert after.headers["location"].startswith(f"{URL}/sign-in?next=")
    said = await finance.identity.browser().http.get("/sign-in?signed_out")
    assert "Bạn đã đăng xuất khỏi mọi công cụ." in said.text


async def test_a_role_taken_away_or_an_account_disabled_counts_at_the_next_request(finance):
    from sqlalchemy import text

    async with await finance.signed_in(FINANCE) as http:
        assert (await http.get(PAGE)).status_code == 200
        for sql, status in (
            ("UPDATE account_role SET role = 'editor' WHERE role = 'finance'", 403),
            ("UPDATE account SET disabled_at = now(), disabled_reason = 'administrator'", 303),
        ):
            async with finance.identity.database.transaction() as session:
                await session.execute(text(sql))
            assert (await http.get(PAGE)).status_code == status


@pytest.mark.parametrize(
    ("origin", "forged", "status"),
    [
        (OWN_URL, "", 303),
        (ADS_URL, "", 303),
        (URL, "", 303),
        ("http://127.0.0.1:8000", "", 403),  # the newspaper's website is no tool
        ("https://evil.example", "", 403),
        ("null", "", 403),
        (OWN_URL, "0" * 64, 403),
        (OWN_URL, "ế", 403),
    ],
)
async def test_only_a_tools_own_form_signs_out(finance, origin, forged, status):
    async with await finance.signed_in(FINANCE) as http:
        session = http.cookies["press_staff"]
        _, token = sign_out_form((await http.get(PAGE)).text)
        answer = await press(finance, session, forged or token, origin)
        assert answer.status_code == status
        assert (await http.get(PAGE)).status_code == (200 if status == 403 else 303)


async def test_the_bars_token_opens_no_other_form_and_tools_may_send_no_other(finance):
    async with await finance.signed_in(FINANCE) as http:
        session = http.cookies["press_staff"]
        _, token = sign_out_form((await http.get(PAGE)).text)
        browser = finance.identity.browser()
        browser.http.cookies.set("press_staff", session)
        own = await browser.form_token("/account")
        for origin, sent in ((URL, token), (OWN_URL, own), (OWN_URL, token)):
            answer = await browser.http.post(
                "/account/password",
                data={"csrf_token": sent, "old": "x", "new": "y", "repeat": "z"},
                headers={"Origin": origin},
            )
            assert answer.status_code == 403, (origin, sent == own)
        other = await finance.signed_in(SELLER)
        assert (await press(finance, other.cookies["press_staff"], token)).status_code == 403
        await other.aclose()


async def test_a_page_of_a_tool_may_lead_to_identity_and_shows_who_is_there(finance):
    async with await finance.signed_in(PROVINCE) as http:
        page = await http.get(PAGE)
        policy = page.headers["content-security-policy"]
        assert f"form-action 'self' {URL}" in policy  # without it the browser swallows the button
        assert "Cơ quan chủ quản (ví dụ)" in page.text
        assert f'href="{URL}/account"' in page.text
        tools = page.text.split('id="staff-menu"')[1].split("</nav>")[0]
        assert f'href="{OWN_URL}/finance/{AGENCY}" aria-current="true"' in tools
        assert "/console" not in tools and "/keys" not in tools
