"""Who is asking, and may they: staff by the session identity knows, systems by their key."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from shared.audit.caller import Actor, Caller, calling
from shared.auth import IdentityClient, KeyPrincipal, RefusedKey, StaffPrincipal
from shared.auth import identity_client as module
from shared.auth.roles import Role
from shared.clock import MovableClock
from shared.errors import ForbiddenError, NotFoundError, UnauthorizedError, UnavailableError
from shared.security.events import SecurityEvent
from shared.web.staff import (
    FRESH,
    AnsweredError,
    FreshSignInRequiredError,
    SignInRequiredError,
    StaffAccess,
)

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
ACCOUNT = UUID(int=7)
SESSION, KEY = "session-token", "prk_site1_" + "x" * 40
SECOND = timedelta(seconds=1)


def staff(**roles: set[str]) -> StaffPrincipal:
    held = {agency.replace("_", "-"): frozenset(names) for agency, names in roles.items()}
    return StaffPrincipal(ACCOUNT, "lan@bao.vn", "Lan", held)


@pytest.mark.parametrize("held", [*({role} for role in Role), {Role.SELLER, Role.TRAFFIC}])
@pytest.mark.parametrize("allowed", [(role,) for role in Role] + [(Role.FINANCE, Role.VIEWER)])
def test_a_role_opens_what_asks_for_it_and_an_administrators_opens_all_of_the_agency(held, allowed):
    principal = staff(a=held, b={Role.ADMIN})
    may = Role.ADMIN in held or bool(held & set(allowed))
    assert principal.holds("a", *allowed) is may
    assert principal.holds("c", *allowed) is False
    if may:
        principal.require("a", *allowed)
        return
    with pytest.raises(ForbiddenError) as refused:
        principal.require("a", *allowed)
    assert refused.value.slug == "role-missing"
    assert refused.value.security is SecurityEvent.ROLE_MISSING
    assert refused.value.about == {"agency": "a"}
    assert refused.value.detail == "This needs one of the roles: " + ", ".join(sorted(allowed))


def test_another_agencys_anything_is_not_there_whatever_is_held_elsewhere():
    principal = staff(a={Role.ADMIN}, empty=set())
    principal.require("a")
    staff(a={Role.VIEWER}).require("a")
    for agency in ("b", "empty", ""):
        for allowed in ((), (Role.SELLER,), (Role.ADMIN,)):
            with pytest.raises(NotFoundError) as refused:
                principal.require(agency, *allowed)
            assert refused.value.security is SecurityEvent.OTHER_AGENCY
            assert refused.value.about == {"agency": agency}


def test_a_key_opens_its_own_agency_and_its_own_scopes():
    key = KeyPrincipal("site1", "a", frozenset({"ads:decide"}))
    key.require("a")
    key.require("a", "ads:decide")
    with pytest.raises(NotFoundError) as other:
        key.require("b", "ads:decide")
    assert other.value.security is SecurityEvent.KEY_OTHER_AGENCY
    assert other.value.about == {"agency": "b", "actor": "key:site1"}
    with pytest.raises(NotFoundError):
        key.require("b")
    with pytest.raises(ForbiddenError) as lacking:
        key.require("a", "ads:book")
    assert lacking.value.slug == "scope-missing"
    assert lacking.value.detail == "This key lacks the scope ads:book"
    assert lacking.value.security is SecurityEvent.KEY_SCOPE_MISSING
    assert lacking.value.about == {"agency": "a", "actor": "key:site1"}


def test_a_refused_key_is_told_apart_for_the_log_and_not_for_who_sent_it():
    unknown, ended = RefusedKey().error(), RefusedKey("site1", "a").error()
    assert unknown.body() == ended.body()
    assert unknown.headers == ended.headers == {"WWW-Authenticate": "Bearer"}
    assert (unknown.security, unknown.about) == (SecurityEvent.KEY_UNKNOWN, {})
    assert ended.security is SecurityEvent.KEY_ENDED
    assert ended.about == {"agency": "a", "actor": "key:site1"}


# --- Asking identity ---------------------------------------------------------------------------------------


class Identity:
    """What identity answers to introspection, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.timeouts: list[dict[str, float]] = []
        self.answer: Callable[[httpx.Request], httpx.Response] = self.known
        self.sessions: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, dict[str, Any]] = {}

    def known(self, request: httpx.Request) -> httpx.Response:
        kind = self.sessions if "/sessions/" in request.url.path else self.keys
        return httpx.Response(200, json=kind.get(self.asked[-1][2]["token"], {"active": False}))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(
            (str(request.url), request.headers["authorization"], json.loads(request.content))
        )
        self.timeouts.append(request.extensions["timeout"])
        return self.answer(request)

    def client(self) -> IdentityClient:
        transport = httpx.MockTransport(self.handle)
        return IdentityClient(
            "http://identity:8005/", "internal-key", httpx.AsyncClient(transport=transport)
        )


LAN = {
    "active": True,
    "account_id": str(ACCOUNT),
    "email": "lan@bao.vn",
    "name": "Lan",
    "roles": {"a": ["seller", "traffic"], "b": ["admin"]},
    "authenticated_at": NOW.isoformat(),
    "factors": ["password", "totp"],
    "sign_out_token": "out",
}
SITE = {"active": True, "key_id": "site1", "agency": "a", "scopes": ["ads:decide", "ads:book"]}
SITE_PRINCIPAL = KeyPrincipal("site1", "a", frozenset({"ads:decide", "ads:book"}))


@pytest.fixture
def identity() -> Identity:
    told = Identity()
    told.sessions[SESSION] = dict(LAN)
    told.keys[KEY] = dict(SITE)
    return told


@pytest.fixture
def seconds(monkeypatch):
    """The client's clock, which only the test moves."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


async def test_a_session_is_asked_about_every_time_and_everything_told_is_taken(identity):
    client = identity.client()
    for _ in range(2):
        principal = await client.staff(SESSION)
        assert principal is not None
        assert (principal.account_id, principal.email, principal.name) == (
            ACCOUNT,
            "lan@bao.vn",
            "Lan",
        )
        assert principal.roles == {"a": {"seller", "traffic"}, "b": {"admin"}}
        assert principal.authenticated_at == NOW
        assert principal.factors == {"password", "totp"}
        assert principal.sign_out_token == "out"
        assert principal.agencies == ("a", "b")
    once = ("http://identity:8005/internal/v1/sessions/introspect", "Bearer internal-key")
    assert identity.asked == [(*once, {"token": SESSION})] * 2
    assert set(identity.timeouts[0].values()) == {2.0}
    assert await client.staff("ended") is None


async def test_an_answer_that_leaves_the_proof_out_makes_nobody_fresh_or_proven(identity):
    for left_out in ("authenticated_at", "factors", "sign_out_token"):
        del identity.sessions[SESSION][left_out]
    principal = await identity.client().staff(SESSION)
    assert principal is not None
    assert principal.authenticated_at is None
    assert principal.factors == frozenset()
    assert principal.sign_out_token == ""


async def test_a_key_is_remembered_for_half_a_minute_and_then_asked_about_again(identity, seconds):
    client = identity.client()
    assert client.cached_key(KEY) is None
    assert await client.key(KEY) == SITE_PRINCIPAL
    where, with_key, what = identity.asked[0]
    assert where == "http://identity:8005/internal/v1/keys/introspect"
    assert (with_key, what) == ("Bearer internal-key", {"token": KEY})
    seconds[0] += 29.5
    assert await client.key(KEY) == client.cached_key(KEY) == SITE_PRINCIPAL
    assert len(identity.asked) == 1
    identity.keys[KEY] = {"active": False, "key_id": "site1", "agency": "a"}
    seconds[0] += 0.5
    assert client.cached_key(KEY) is None
    with pytest.raises(UnauthorizedError) as ended:
        await client.key(KEY)
    assert ended.value.about == {"agency": "a", "actor": "key:site1"}
    assert client.cached_key(KEY) is None, "a refusal is no key"
    with pytest.raises(UnauthorizedError):
        await client.key(KEY)
    assert len(identity.asked) == 2, "a refusal is remembered as well"


async def test_no_key_of_ours_is_refused_as_unknown(identity):
    client = identity.client()
    with pytest.raises(UnauthorizedError) as refused:
        await client.key("guess")
    assert [found for _, found in client._keys.values()] == [RefusedKey("", "")]
    assert refused.value.security is SecurityEvent.KEY_UNKNOWN
    assert refused.value.about == {}


def away(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("cut")


@pytest.mark.parametrize(
    "answer",
    [
        away,
        lambda _: httpx.Response(500, json=LAN | SITE),
        lambda _: httpx.Response(401, json=LAN | SITE),
        lambda _: httpx.Response(200, content=b"<html>"),
        lambda _: httpx.Response(200, json=["active"]),
        lambda _: httpx.Response(200, json={}),
    ],
)
async def test_identity_away_shuts_staff_out_and_keeps_good_keys_for_ten_minutes(
    identity, seconds, answer
):
    client = identity.client()
    await client.key(KEY)
    with pytest.raises(UnauthorizedError):
        await client.key("bad")
    identity.answer = answer
    seconds[0] += 599.5
    with pytest.raises(UnavailableError) as closed:
        await client.staff(SESSION)
    assert closed.value.slug == "identity-unavailable"
    assert closed.value.detail == "Sign-in cannot be checked right now"
    assert await client.key(KEY) == SITE_PRINCIPAL
    assert client.cached_key(KEY) is None, "the hot path has no stale answer"
    for other in ("bad", "never seen"):
        with pytest.raises(UnavailableError):
            await client.key(other)
    seconds[0] += 0.5
    with pytest.raises(UnavailableError):
        await client.key(KEY)


async def test_what_is_remembered_is_bounded_and_holds_no_key_in_the_clear(identity, monkeypatch):
    monkeypatch.setattr(module, "CACHE_SIZE", 2)
    client = identity.client()
    for name in ("one", "two", "three"):
        identity.keys[name] = SITE | {"key_id": name}
    await client.key("one")
    await client.key("two")
    seconds = module.KEY_CACHE_SECONDS
    monkeypatch.setattr(module, "KEY_CACHE_SECONDS", -1.0)
    await client.key("one")  # asked about again: now the newest
    monkeypatch.setattr(module, "KEY_CACHE_SECONDS", seconds)
    await client.key("three")
    assert client.cached_key("two") is None
    assert client.cached_key("one") == KeyPrincipal("one", "a", SITE_PRINCIPAL.scopes)
    assert set(client._keys) == {sha256(name).digest() for name in (b"one", b"three")}


# --- The door of pages and APIs -----------------------------------------------------------------------------

COOKIE = "__Host-press_staff"
OWN = "https://ads.bao.vn"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(NOW)


@pytest.fixture
def access(identity, clock) -> StaffAccess:
    return StaffAccess(
        identity.client(),
        identity_url="https://ID.bao.vn/",
        own_url=OWN + "/",
        cookie=COOKIE,
        clock=clock,
    )


def request(
    path: str = "/console/a?day=1",
    method: str = "GET",
    session: str = "",
    body: bytes = b"",
    **headers: str,
) -> Request:
    told = {"host": "internal", **headers}
    if session:
        told["cookie"] = f"{COOKIE}={session}"
    if body:
        told["content-type"] = "application/x-www-form-urlencoded"
    plain, _, query = path.partition("?")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {
        "type": "http",
        "method": method,
        "path": plain,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in told.items()],
        "scheme": "http",
        "server": ("internal", 80),
        "state": {},
    }
    return Request(scope, receive)


async def test_a_page_knows_its_member_of_staff(access):
    asked = request(session=SESSION)
    with calling(Caller()) as caller:
        principal = await access.page(asked)
    assert principal.email == "lan@bao.vn"
    assert asked.state.staff is principal
    assert caller.actor == Actor.staff(principal)


@pytest.mark.parametrize("session", ["", "ended"])
async def test_a_page_sends_strangers_to_identity_and_back_to_itself(access, identity, session):
    asked = request(session=session)
    with calling(Caller()) as caller, pytest.raises(SignInRequiredError) as sent:
        await access.page(asked)
    back = quote(f"{OWN}/console/a?day=1", safe="")
    assert sent.value.location == f"https://ID.bao.vn/sign-in?next={back}"
    assert caller.actor is None
    assert any(value == {"https://id.bao.vn"} for value in asked.scope.values()), (
        "the answer to a form may lead to identity's sign-in page"
    )
    assert len(identity.asked) == (1 if session else 0), "without a cookie nobody is asked"


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        (f"{OWN}/console/a/new?x=1", f"{OWN}/console/a/new?x=1"),
        (f"{OWN}//evil.vn/", f"{OWN}/evil.vn/"),
        ("https://ads.bao.vn.evil.vn/", OWN),
        (OWN, OWN),
        ("https://evil.vn/", OWN),
        ("", OWN),
        (None, OWN),
    ],
)
async def test_after_a_form_one_comes_back_to_a_page_of_our_own(access, referer, back):
    headers = {} if referer is None else {"referer": referer}
    with pytest.raises(SignInRequiredError) as sent:
        await access.page(request(method="POST", **headers))
    assert sent.value.location == f"https://ID.bao.vn/sign-in?next={quote(back, safe='')}"


async def test_an_api_refuses_who_has_no_session_and_no_key(access, identity):
    assert (await access.staff(request(session=SESSION))).account_id == ACCOUNT
    for stranger in (request(), request(session="ended")):
        with pytest.raises(UnauthorizedError):
            await access.staff(stranger)
        with pytest.raises(UnauthorizedError):
            await access.staff_or_key(stranger)
        with pytest.raises(UnauthorizedError):
            await access.require_fresh(stranger)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_comes_as_a_bearer_and_counts_before_a_session(access, scheme):
    asked = request(session=SESSION, authorization=f"{scheme} {KEY}")
    with calling(Caller()) as caller:
        assert await access.staff_or_key(asked) == SITE_PRINCIPAL
    assert caller.actor == Actor.key(SITE_PRINCIPAL)
    assert await access.key(asked) == SITE_PRINCIPAL


@pytest.mark.parametrize("authorization", [None, "", KEY, f"Basic {KEY}", f" {KEY}", "Bearer"])
async def test_what_is_no_bearer_is_no_key_and_a_session_does_not_help(access, authorization):
    headers = {} if authorization is None else {"authorization": authorization}
    with pytest.raises(UnauthorizedError) as refused:
        await access.key(request(session=SESSION, **headers))
    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}
    if authorization is not None:
        with pytest.raises(UnauthorizedError):
            await access.staff_or_key(request(session=SESSION, **headers))


async def test_everything_behind_the_word_bearer_is_the_key(access, identity):
    with pytest.raises(UnauthorizedError) as refused:
        await access.key(request(authorization=f"Bearer {KEY} more"))
    assert refused.value.security is SecurityEvent.KEY_UNKNOWN
    assert identity.asked[-1][2] == {"token": f"{KEY} more"}


async def test_who_was_found_at_the_door_is_not_asked_about_again(access, identity):
    asked = request(session=SESSION, authorization=f"Bearer {KEY}")
    asked.state.principal = lan = await access.staff(request(session=SESSION))
    before = len(identity.asked)
    assert await access.staff(asked) is lan
    assert len(identity.asked) == before
    assert await access.key(asked) == SITE_PRINCIPAL, "a session is no key"
    asked.state.principal = SITE_PRINCIPAL
    before = len(identity.asked)
    assert await access.key(asked) is SITE_PRINCIPAL
    assert len(identity.asked) == before
    assert await access.staff(asked) == lan, "a key is no session"


async def test_a_proof_is_fresh_for_less_than_ten_minutes(access, clock):
    assert timedelta(minutes=10) == FRESH
    for after, fresh in ((timedelta(0), True), (FRESH - SECOND, True), (FRESH, False)):
        clock.set(NOW + after)
        if fresh:
            assert (await access.require_fresh(request(session=SESSION))).account_id == ACCOUNT
        else:
            with pytest.raises(FreshSignInRequiredError) as asked:
                await access.require_fresh(request(session=SESSION))
            back = quote(f"{OWN}/console/a?day=1", safe="")
            assert asked.value.location == f"https://ID.bao.vn/confirm?next={back}"
            assert asked.value.fields is None


async def test_a_session_without_a_moment_of_proof_is_never_fresh(access, identity):
    del identity.sessions[SESSION]["authenticated_at"]
    with pytest.raises(FreshSignInRequiredError):
        await access.require_fresh(request(session=SESSION))


async def test_a_form_that_needs_a_fresh_proof_keeps_what_was_typed(access, clock):
    clock.advance(FRESH)
    form = request("/console/a/freeze", "POST", SESSION, b"year=2025&note=a+b&note=c")
    with pytest.raises(FreshSignInRequiredError) as asked:
        await access.require_fresh(form)
    assert asked.value.fields == (("year", "2025"), ("note", "a b"), ("note", "c"))
    assert asked.value.location == f"https://ID.bao.vn/confirm?next={quote(OWN, safe='')}"


async def test_without_a_clock_of_its_own_it_goes_by_the_machines(identity):
    access = StaffAccess(
        identity.client(), identity_url="https://id.bao.vn", own_url=OWN, cookie=COOKIE
    )
    for at, fresh in ((datetime.now(UTC), True), (datetime.now(UTC) - FRESH, False)):
        identity.sessions[SESSION]["authenticated_at"] = at.isoformat()
        if fresh:
            await access.require_fresh(request(session=SESSION))
        else:
            with pytest.raises(FreshSignInRequiredError):
                await access.require_fresh(request(session=SESSION))


def test_a_guard_that_has_the_whole_answer_hands_it_on():
    answer = Response()
    assert AnsweredError(answer).answer is answer
