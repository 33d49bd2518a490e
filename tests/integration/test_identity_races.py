"""Two at the same moment: whoever ends sessions ends those that just begin, and nobody waits for who waits for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from services.identity.composition import Parts, assemble
from services.identity.keys.service import Issuer
from shared.audit import Actor, acting
from shared.auth.roles import Scope
from shared.errors import ConflictError
from shared.ids import new_id
from tests.fixtures.identity import ADMIN, PASSWORD, SELLER, URL, Identity, running_identity
from tests.fixtures.signing import waiting_for_locks
from tests.fixtures.waiting import eventually

AGENCY = "bao-hung-yen"
OWN = "nhãn lồng tháng tám"
RECOVERY = re.compile(r"<li><code>([a-z2-7-]{19})</code>")
HOLD_ACCOUNT = "SELECT 1 FROM account WHERE email = :email FOR UPDATE"
HOLD_APP = """SELECT 1 FROM totp_factor WHERE account_id = (SELECT id FROM account WHERE email = :email)
    FOR UPDATE"""


@pytest.fixture
async def identity(create_database, template_database):
    async with running_identity(create_database, template_database) as running:
        with acting(Actor.command("test")):
            yield running


@pytest.fixture
def parts(identity: Identity) -> Parts:
    return assemble(identity.settings, identity.database, identity.clock)


async def id_of(identity: Identity, email: str) -> UUID:
    async with identity.database.read() as session:
        found = await session.execute(
            text("SELECT id FROM account WHERE email = :email"), {"email": email}
        )
        return found.scalar_one()


async def in_turn(
    identity: Identity, hold: str, email: str, *works: Coroutine[Any, Any, Any]
) -> list[Any]:
    """Each is started when the one before waits for what ``hold`` locks; what became of them after that."""
    running = []
    async with identity.database.transaction() as session:
        await session.execute(text(hold), {"email": email})
        for number, work in enumerate(works, 1):
            running.append(asyncio.create_task(work))

            async def wait(many: int = number) -> bool:
                return await waiting_for_locks(identity) == many

            await eventually(wait, f"{number} wait for the lock")
    return await asyncio.gather(*running)


async def test_a_password_that_was_right_until_this_moment_opens_nothing(identity, parts):
    """Else its session would begin after all have ended, and be asked to choose the account's new password."""
    seller, browser = await id_of(identity, SELLER), identity.browser()
    handed, answer = await in_turn(
        identity,
        HOLD_ACCOUNT,
        SELLER,
        parts.accounts.hand_out_password(AGENCY, seller),
        browser.sign_in(SELLER, PASSWORD),
    )
    assert handed and answer.status_code == 401, answer.headers
    assert not browser.token
    assert (await browser.sign_in(SELLER, handed)).headers["location"].startswith("/sign-in/pass")


async def test_a_recovery_code_and_the_reset_of_its_app_do_not_wait_for_each_other(identity, parts):
    browser = await identity.signed_in(ADMIN)
    code = RECOVERY.findall((await browser.post("/account/factor/codes")).text)[0]
    lost = identity.browser()
    await lost.sign_in(ADMIN)
    answer, _ = await in_turn(
        identity,
        HOLD_APP,
        ADMIN,
        lost.post("/sign-in/code", code=code),
        parts.accounts.reset_factor(AGENCY, await id_of(identity, ADMIN)),
    )
    assert answer.status_code in (303, 401), answer.text
    assert await identity.session_of(lost.token) == {"active": False}


async def test_a_link_that_is_followed_while_another_is_mailed_is_followed_or_void(identity, parts):
    seller, browser = await id_of(identity, SELLER), identity.browser()
    await parts.invitations.mail_reset(AGENCY, seller)
    link = await identity.link_for(SELLER)
    form = {
        "csrf_token": await browser.form_token(link),
        "token": link.partition("=")[2],
        "name": "",
        "new": OWN,
        "repeat": OWN,
    }
    _, answer = await in_turn(
        identity,
        HOLD_ACCOUNT,
        SELLER,
        parts.invitations.mail_reset(AGENCY, seller),
        browser.http.post("/invitation/password", data=form, headers={"Origin": URL}),
    )
    assert answer.status_code == 404, answer.text


async def test_the_first_administrator_invited_twice_at_once_gets_one_link_and_it_works(
    identity, parts
):
    """`make up` on two terminals: else the second voids the link that the first has mailed."""
    email = "giam-doc@dai-song-hong.example"
    answers = await asyncio.gather(
        *(
            parts.invitations.invite("dai-song-hong", email, "Lan", ["admin"], None, again=False)
            for _ in range(4)
        ),
        return_exceptions=True,
    )
    [link] = [answer for answer in answers if isinstance(answer, str)]
    refused = [answer.slug for answer in answers if isinstance(answer, ConflictError)]
    assert refused == ["invitation-open"] * 3
    assert link.endswith(await identity.link_for(email))
    assert (await parts.invitations.look(link.partition("token=")[2])).invitation.email == email


async def test_a_recovery_code_that_opens_nothing_is_not_used_up(identity, parts):
    """The session ended while its owner typed the code: there are ten codes, for years."""
    browser, admin = await identity.signed_in(ADMIN), await id_of(identity, ADMIN)
    code = RECOVERY.findall((await browser.post("/account/factor/codes")).text)[0]
    lost = identity.browser()
    await lost.sign_in(ADMIN)
    async with identity.database.transaction() as session:
        await session.execute(text(HOLD_ACCOUNT), {"email": ADMIN})
        await session.execute(text("UPDATE staff_session SET ended_at = now()"))
        proving = asyncio.create_task(lost.post("/sign-in/code", code=code))
        await eventually(lambda: waiting_for_locks(identity), "the code waits for the account")
    assert (await proving).status_code in (303, 401)
    assert await identity.session_of(lost.token) == {"active": False}
    assert (await parts.factors.held(admin)).codes_left == 10


async def test_those_who_ask_at_once_do_not_pass_the_bounds_of_an_agency(
    identity, parts, monkeypatch
):
    agency = "dai-song-hong"
    monkeypatch.setattr("services.identity.keys.rules.KEYS_PER_AGENCY", 3)
    monkeypatch.setattr("services.identity.invitations.rules.PER_AGENCY_AND_DAY", 3)
    issuer = Issuer(await id_of(identity, ADMIN))
    keys = await asyncio.gather(
        *(parts.keys.create(agency, "CMS", [Scope.ARTICLES], new_id(), issuer) for _ in range(5)),
        return_exceptions=True,
    )
    invitations = await asyncio.gather(
        *(
            parts.invitations.invite(agency, f"moi{number}@example.vn", "Lan", ["seller"], None)
            for number in range(5)
        ),
        return_exceptions=True,
    )
    for answers, slug in ((keys, "key-limit"), (invitations, "invitation-limit")):
        refused = [answer.slug for answer in answers if isinstance(answer, ConflictError)]
        assert refused == [slug] * 2
        assert len([answer for answer in answers if isinstance(answer, str)]) == 3
