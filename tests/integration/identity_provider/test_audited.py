"""Every changing route of identity is in the audit trail: accounts, roles, keys, factors, passwords, sessions, provider."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from services.identity.provider.rules import CALLBACK
from shared.audit import Action
from tests.fixtures.audited import Act, entries, every_act_is_on_record
from tests.fixtures.identity import (
    ADMIN,
    FINANCE,
    PASSWORD,
    PROVINCE,
    SELLER,
    STRANGER,
    Identity,
    Staff,
)
from tests.fixtures.provider import AtProvider, RunningProvider
from tests.fixtures.signing import answered

AGENCY = "bao-hung-yen"
#: Checked by ``House.by_provider``: these leave no entry, and the callback that each leads to leaves its own.
LEADS_AWAY = "leads to the provider's page: the act is the callback's, where each of these is tried"
EXEMPT = {
    ("POST", "/sign-in/provider"): LEADS_AWAY,
    ("POST", "/invitation/provider"): LEADS_AWAY,
    ("POST", "/account/provider/link"): LEADS_AWAY,
    ("POST", "/confirm/provider"): LEADS_AWAY,
    ("POST", "/internal/v1/sessions/introspect"): "a question of a service: nothing is changed",
    ("POST", "/internal/v1/keys/introspect"): "a question of a service: nothing is changed",
    ("POST", "/account/factor"): "shows what to enrol; the enrolment itself is told",
}
OWN = "đê sông Hồng xanh cỏ 2027"
SECRET = re.compile(r'<p class="secret"><code>([A-Za-z2-7-]+)</code>')
HANDED_OUT = re.compile(r'<p class="secret"><code>([\w-]+)</code>')
INVITED = "moi@bao.example"
GUEST = "khach@bao.example"


class House:
    """Who is signed in, and the acts that take more than one form."""

    def __init__(self, identity: Identity, provider: RunningProvider, there: AtProvider) -> None:
        self.identity = identity
        self.provider = provider
        self.there = there
        self.at: dict[str, Staff] = {}
        self.password = ""

    async def enter(self, *emails: str) -> None:
        for email in emails:
            self.at[email] = await self.identity.signed_in(email)

    def form(self, email: str, path: str, **fields: str):
        async def call():
            return await self.at[email].post(path, **fields)

        return call

    async def value(self, sql: str, **values: str) -> str:
        async with self.identity.database.read() as session:
            return str((await session.execute(text(sql), values)).scalar_one())

    async def account(self, email: str, verb: str, **fields: str):
        id_ = await self.value("SELECT id FROM account WHERE email = :email", email=email)
        return await self.at[ADMIN].post(f"/accounts/{AGENCY}/{id_}/{verb}", **fields)

    def on(self, email: str, verb: str, **fields: str):
        return lambda: self.account(email, verb, **fields)

    async def invite(self, email: str):
        fields = {"email": email, "name": "Mới", "roles": "editor"}
        return await self.at[ADMIN].post(f"/accounts/{AGENCY}", **fields)

    async def withdraw(self):
        await self.invite("di@bao.example")
        sql = "SELECT id FROM invitation WHERE email = 'di@bao.example'"
        path = f"/accounts/{AGENCY}/invitations/{await self.value(sql)}/withdraw"
        return await self.at[ADMIN].post(path)

    async def token_of(self, email: str) -> str:
        return (await self.identity.link_for(email)).partition("=")[2]

    async def accept_by_link(self):
        fields = {"name": "Mới", "new": OWN, "repeat": OWN, "token": await self.token_of(INVITED)}
        return await self.identity.browser().post("/invitation/password", **fields)

    async def accept_as_known(self):
        await self.invite(STRANGER)
        await self.enter(STRANGER)
        return await self.at[STRANGER].post("/invitation", token=await self.token_of(STRANGER))

    async def by_provider(self, browser: Staff, path: str, email: str, **fields: str):
        """The button at ``path``, the provider, and the callback's answer."""
        before = await entries(self.identity.database)
        page = await browser.post(path, **fields)
        assert await entries(self.identity.database) == before, f"{path} is on record: not exempt"
        subject = self.provider.account(f"subject-of-{email}", email)
        address = await answered(page, self.there, subject)
        await self.there.forget()
        return await browser.http.get(address)

    async def link(self):
        return await self.by_provider(self.at[SELLER], "/account/provider/link", SELLER)

    async def sign_in_by_provider(self):
        return await self.by_provider(self.identity.browser(), "/sign-in/provider", SELLER)

    async def confirm_by_provider(self):
        fields = {"confirm_action": "/confirm", "next": "/"}
        return await self.by_provider(self.at[SELLER], "/confirm/provider", SELLER, **fields)

    async def accept_by_provider(self):
        await self.invite(GUEST)
        token, browser = await self.token_of(GUEST), self.identity.browser()
        return await self.by_provider(browser, "/invitation/provider", GUEST, token=token)

    async def second_step(self):
        browser = self.identity.browser()
        await browser.sign_in(ADMIN)
        return await browser.post("/sign-in/code", code=self.identity.code())

    async def enrol(self):
        page = await self.at[SELLER].post("/account/factor")
        secret = SECRET.search(page.text)[1].replace("-", "").upper()
        return await self.at[SELLER].post("/sign-in/enrol", code=self.identity.code(secret))

    async def end_session(self):
        await self.identity.signed_in(SELLER, "203.0.113.5")
        page = (await self.at[SELLER].http.get("/account")).text
        [path, *_] = re.findall(r'action="(/account/sessions/[^"]+/end)"', page)
        return await self.at[SELLER].post(path)

    async def end_others(self):
        there = await self.identity.signed_in(SELLER, "203.0.113.6")
        assert (await there.http.get("/account")).status_code == 200
        assert "/account/sessions/end-others" in (await self.at[SELLER].http.get("/account")).text
        answer = await self.at[SELLER].post("/account/sessions/end-others")
        assert (await there.http.get("/account")).status_code == 303
        assert (await self.at[SELLER].http.get("/account")).status_code == 200
        return answer

    async def unlock(self):
        for number in range(5):
            await self.identity.browser("203.0.113.77").sign_in(FINANCE, f"wrong number {number}")
        return await self.account(FINANCE, "unlock")

    async def reset_factor(self):
        await self.enrol()
        return await self.account(SELLER, "factor")

    async def hand_out(self):
        answer = await self.account(FINANCE, "hand-out")
        self.password = HANDED_OUT.search(answer.text)[1]
        return answer

    async def first_password(self):
        browser = self.identity.browser()
        await browser.sign_in(FINANCE, self.password)
        return await browser.post("/sign-in/password", new=OWN, repeat=OWN)

    async def confirm(self):
        await self.enter(PROVINCE)
        self.identity.clock.advance(timedelta(minutes=11))
        return await self.at[PROVINCE].post("/confirm", confirm=PASSWORD)


async def test_every_changing_route_is_on_record(identity, provider, there):
    house = House(identity, provider, there)
    await house.enter(ADMIN, SELLER)
    keys, accounts = "/keys/{agency}", "/accounts/{agency}"
    one = f"{accounts}/{{account_id}}"
    new = {"name": "Trang", "scopes": "ads:decide", "request_id": str(uuid4())}
    changed = {"old": PASSWORD, "new": OWN, "repeat": OWN}
    admin, key = house.at[ADMIN], f"/keys/{AGENCY}/demosite"
    acts = [
        ("/sign-in", Action.SIGNED_IN, lambda: identity.browser().sign_in(FINANCE)),
        ("/sign-in/code", Action.SIGNED_IN, house.second_step),
        ("/account/sessions/{session_id}/end", Action.SESSION_ENDED, house.end_session),
        ("/account/sessions/end-others", Action.SESSION_ENDED, house.end_others),
        ("/sign-in/enrol", Action.FACTOR_ENROLLED, house.enrol),
        ("/account/factor/codes", Action.RECOVERY_CODES_MADE, house.form(SELLER, "/account/factor/codes")),
        ("/account/factor/remove", Action.FACTOR_REMOVED, house.form(SELLER, "/account/factor/remove")),
        (CALLBACK, Action.SUBJECT_LINKED, house.link),
        (CALLBACK, Action.SIGNED_IN, house.sign_in_by_provider),
        (CALLBACK, Action.CONFIRMED, house.confirm_by_provider),
        (CALLBACK, Action.INVITATION_ACCEPTED, house.accept_by_provider),
        ("/account/provider/unlink", Action.SUBJECT_UNLINKED, house.form(SELLER, "/account/provider/unlink")),
        (keys, Action.KEY_CREATED, house.form(ADMIN, f"/keys/{AGENCY}", **new)),
        (f"{keys}/{{key_id}}/rotate", Action.KEY_ROTATED,
         house.form(ADMIN, f"{key}/rotate", request_id=str(uuid4()))),
        (f"{keys}/{{key_id}}/revoke", Action.KEY_REVOKED, house.form(ADMIN, f"{key}/revoke")),
        (accounts, Action.INVITED, lambda: house.invite(INVITED)),
        ("/invitation/password", Action.INVITATION_ACCEPTED, house.accept_by_link),
        (f"{accounts}/invitations/{{invitation_id}}/withdraw", Action.INVITATION_WITHDRAWN, house.withdraw),
        ("/invitation", Action.INVITATION_ACCEPTED, house.accept_as_known),
        (f"{one}/roles", Action.ROLES_CHANGED, house.on(FINANCE, "roles", roles="support")),
        (f"{one}/unlock", Action.LOCK_CLEARED, house.unlock),
        (f"{one}/disable", Action.ACCOUNT_DISABLED, house.on(FINANCE, "disable")),
        (f"{one}/enable", Action.ACCOUNT_ENABLED, house.on(FINANCE, "enable")),
        (f"{one}/reset", Action.PASSWORD_RESET_MAILED, house.on(FINANCE, "reset")),
        (f"{one}/factor", Action.FACTOR_RESET, house.reset_factor),
        (f"{one}/hand-out", Action.PASSWORD_RESET, house.hand_out),
        ("/sign-in/password", Action.PASSWORD_CHANGED, house.first_password),
        ("/sign-out", Action.SIGNED_OUT, admin.sign_out),
        ("/confirm", Action.CONFIRMED, house.confirm),
        ("/account/password", Action.PASSWORD_CHANGED, house.form(PROVINCE, "/account/password", **changed)),
    ]  # fmt: skip
    await every_act_is_on_record(
        identity.app,
        identity.database,
        [
            Act("GET" if path == CALLBACK else "POST", path, action, call)
            for path, action, call in acts
        ],
        EXEMPT,
    )
