"""What identity keeps apart: agencies, services with and without their key, signed-in and not, sense and noise."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from shared.auth import IdentityClient, KeyPrincipal
from shared.auth import identity_client as client_module
from shared.errors import NotFoundError, UnavailableError
from tests.fixtures.identity import (
    ADMIN,
    FINANCE,
    INTERNAL_KEY,
    PASSWORD,
    PROVINCE,
    SELLER,
    SITE_KEY,
    STRANGER,
    URL,
    running_identity,
)

AGENCY, OTHER = "bao-hung-yen", "dai-song-hong"
KEY_ON_PAGE = re.compile(r"prk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")
OPEN_ROUTES = {
    "/invitation",
    "/invitation/password",
    "/dev/mail",
    "/dev/mail/{message}",
    "/sign-in",
    "/sign-out",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
}


@pytest.fixture
async def identity(create_database, template_database):
    async with running_identity(create_database, template_database) as running:
        yield running


def routes_of(app) -> list[tuple[str, str]]:
    """Every route with its methods, below routers too."""
    found: list[tuple[str, str]] = []

    def walk(routes, prefix: str = "") -> None:
        for route in routes:
            if isinstance(route, APIRoute):
                found.extend((method, prefix + route.path) for method in sorted(route.methods))
            elif getattr(route, "original_router", None) is not None:
                walk(route.original_router.routes, prefix)

    walk(app.routes)
    return found


def filled(path: str, agency: str = AGENCY) -> str:
    values = {
        "agency": agency,
        "account_id": str(uuid4()),
        "session_id": str(uuid4()),
        "invitation_id": str(uuid4()),
        "key_id": "demosite",
        "message": str(uuid4()),
    }
    return path.format(**values)


async def test_every_route_is_closed_without_credentials(identity):
    routes = routes_of(identity.app)
    assert len(routes) >= 18, routes
    browser = identity.browser()
    token = await browser.form_token()
    for method, path in routes:
        if path in OPEN_ROUTES:
            continue
        answer = await browser.http.request(
            method,
            filled(path),
            headers={"Origin": URL},
            **(
                {"json": {"token": SITE_KEY}}
                if path.startswith("/internal/")
                else {"data": {"csrf_token": token, "request_id": str(uuid4())}}
                if method == "POST"
                else {}
            ),
        )
        if path.startswith("/internal/"):
            assert answer.status_code == 401, (method, path, answer.text)
        elif path in ("/account/password", "/sign-in/password"):
            assert answer.status_code in (303, 422), (method, path)
        else:
            assert answer.status_code == 303, (method, path, answer.text)
            assert answer.headers["location"].startswith("/sign-in?next="), path


async def test_every_form_without_its_token_is_refused(identity):
    admin = await identity.signed_in(ADMIN)
    posts = [path for method, path in routes_of(identity.app) if method == "POST"]
    for path in posts:
        if path.startswith("/internal/"):
            continue
        answer = await admin.http.post(
            filled(path), data={"request_id": str(uuid4())}, headers={"Origin": URL}
        )
        assert answer.status_code == 403, path
        answer = await admin.http.post(filled(path), data={"request_id": str(uuid4())})
        assert answer.status_code == 403, path
    async with identity.database.read() as session:
        revoked = await session.execute(
            text("SELECT count(*) FROM service_key WHERE revoked_at IS NOT NULL")
        )
        assert revoked.scalar_one() == 0


async def test_another_agencys_anything_is_404_on_every_route(identity):
    """Also for whoever is an administrator elsewhere, and for an agency that does not exist."""
    admin = await identity.signed_in(ADMIN)
    paths = [item for item in routes_of(identity.app) if "{agency}" in item[1]]
    assert len(paths) >= 10
    for method, path in paths:
        for agency in (OTHER, "no-such-agency"):
            url = filled(path, agency)
            answer = (
                await admin.http.get(url)
                if method == "GET"
                else await admin.post(
                    url, request_id=str(uuid4()), name="Khóa", scopes="ads:decide"
                )
            )
            assert answer.status_code == 404, (method, url, answer.text)
            assert "Sông Hồng" not in answer.text


async def test_an_agencys_own_staff_without_the_role_get_403(identity):
    seller = await identity.signed_in(SELLER)
    for method, path in [item for item in routes_of(identity.app) if "{agency}" in item[1]]:
        url = filled(path)
        answer = (
            await seller.http.get(url)
            if method == "GET"
            else await seller.post(url, request_id=str(uuid4()))
        )
        assert answer.status_code == 403, (method, url)


async def test_another_agencys_account_or_key_is_404_even_under_ones_own_agency(identity):
    async with identity.database.transaction() as session:
        stranger = (
            await session.execute(
                text("SELECT id FROM account WHERE email = :email"), {"email": STRANGER}
            )
        ).scalar_one()
        await session.execute(
            text("UPDATE service_key SET agency = :other WHERE id = 'demosite'"), {"other": OTHER}
        )
    admin = await identity.signed_in(ADMIN)
    for action in ("roles", "reset", "hand-out", "factor", "disable", "enable", "unlock"):
        answer = await admin.post(f"/accounts/{AGENCY}/{stranger}/{action}", roles="admin")
        assert answer.status_code == 404, action
    for action in ("rotate", "revoke"):
        answer = await admin.post(f"/keys/{AGENCY}/demosite/{action}", request_id=str(uuid4()))
        assert answer.status_code == 404, action
    assert (await identity.key_of(SITE_KEY))["active"] is True


async def test_introspection_needs_an_internal_key_and_is_in_no_public_document(identity):
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {INTERNAL_KEY}"},
        {"Authorization": INTERNAL_KEY},
        {"Authorization": f"Bearer {INTERNAL_KEY}x"},
        {"Authorization": f"Bearer {SITE_KEY}"},
        {b"Authorization": "Bearer ế".encode()},
    ):
        http = identity.browser().http
        for kind in ("sessions", "keys"):
            answer = await http.post(
                f"/internal/v1/{kind}/introspect", json={"token": SITE_KEY}, headers=headers
            )
            assert answer.status_code == 401, headers
            assert answer.headers["www-authenticate"] == "Bearer"
    assert "internal" not in (await identity.browser().http.get("/openapi.json")).text
    assert (await identity.key_of(SITE_KEY))["active"] is True


async def test_the_seeded_site_key_has_its_agency_and_its_three_scopes(identity):
    assert await identity.key_of(SITE_KEY) == {
        "active": True,
        "key_id": "demosite",
        "agency": AGENCY,
        "scopes": ["ads:decide", "paywall:articles", "paywall:decide"],
    }
    for wrong in (SITE_KEY + "x", SITE_KEY[:-1] + "!", "prk_demosite_" + "x" * 40, "x"):
        assert await identity.key_of(wrong) == {"active": False}


async def test_roles_are_told_per_agency(identity):
    province = await identity.signed_in(PROVINCE)
    told = await identity.session_of(province.token)
    assert told["roles"] == {AGENCY: ["viewer"], OTHER: ["viewer"]}


async def create_key(admin, name: str = "Máy chủ", **fields: object) -> httpx.Response:
    return await admin.post(
        f"/keys/{AGENCY}",
        **({"name": name, "scopes": ["ads:decide"], "request_id": str(uuid4())} | fields),
    )


async def test_a_key_is_shown_once_kept_as_a_hash_and_works_until_revoked(identity):
    admin = await identity.signed_in(ADMIN)
    answer = await create_key(admin)
    assert answer.status_code == 201
    [key] = set(KEY_ON_PAGE.findall(answer.text))
    assert (await identity.key_of(key))["scopes"] == ["ads:decide"]
    listed = (await admin.http.get(f"/keys/{AGENCY}")).text
    assert key not in listed
    assert key[:21] in listed
    async with identity.database.read() as session:
        rows = (await session.execute(text("SELECT k::text FROM service_key k"))).scalars().all()
    assert not any(key.rsplit("_", 1)[1] in row for row in rows)
    key_id = key.split("_")[1]
    assert (await admin.post(f"/keys/{AGENCY}/{key_id}/revoke")).status_code == 303
    assert (await identity.key_of(key))["active"] is False
    again = await admin.post(f"/keys/{AGENCY}/{key_id}/rotate", request_id=str(uuid4()))
    assert again.status_code == 409


async def test_a_form_sent_twice_makes_one_key(identity):
    admin = await identity.signed_in(ADMIN)
    request_id = str(uuid4())
    answers = await asyncio.gather(*(create_key(admin, request_id=request_id) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": "   "}, 422),
        ({"name": "x" * 81}, 422),
        ({"name": "nul\x00"}, 422),
        ({"scopes": []}, 422),
        ({"scopes": ["everything"]}, 422),
        ({"request_id": "not a uuid"}, 422),
    ],
)
async def test_a_key_without_a_name_or_a_known_scope_is_refused(identity, fields, status):
    admin = await identity.signed_in(ADMIN)
    assert (await create_key(admin, **fields)).status_code == status
    async with identity.database.read() as session:
        count = await session.execute(text("SELECT count(*) FROM service_key"))
        assert count.scalar_one() == 1


async def test_after_rotation_both_keys_work_for_a_day(identity):
    admin = await identity.signed_in(ADMIN)
    answer = await admin.post(f"/keys/{AGENCY}/demosite/rotate", request_id=str(uuid4()))
    [fresh] = set(KEY_ON_PAGE.findall(answer.text))
    old, new = await identity.key_of(SITE_KEY), await identity.key_of(fresh)
    assert old["active"] and new["active"]
    assert old["scopes"] == new["scopes"]
    identity.clock.advance(timedelta(hours=24))
    ended = {"active": False, "key_id": "demosite", "agency": AGENCY}
    assert await identity.key_of(SITE_KEY) == ended
    assert (await identity.key_of(fresh))["active"] is True


async def invite(admin, email: str, **fields: object) -> httpx.Response:
    return await admin.post(
        f"/accounts/{AGENCY}", **({"email": email, "name": "Người mới", "roles": "seller"} | fields)
    )


async def account_id(identity, email: str) -> str:
    async with identity.database.read() as session:
        found = await session.execute(
            text("SELECT id FROM account WHERE email = :email"), {"email": email}
        )
        return str(found.scalar_one())


async def one_time_password(identity, admin, email: str) -> str:
    path = f"/accounts/{AGENCY}/{await account_id(identity, email)}/hand-out"
    answer = await admin.post(path)
    assert answer.status_code == 201, answer.text
    [password] = set(re.findall(r"(?:[a-zA-Z2-9]{4}-){3}[a-zA-Z2-9]{4}(?=</code>)", answer.text))
    return password


async def test_a_one_time_password_ends_after_a_week(identity):
    admin = await identity.signed_in(ADMIN)
    password = await one_time_password(identity, admin, SELLER)
    identity.clock.advance(timedelta(days=7))
    assert (await identity.browser().sign_in(SELLER, password)).status_code == 401


async def test_disabling_ends_sessions_and_enabling_lets_in_again(identity):
    admin, seller = await identity.signed_in(ADMIN), await identity.signed_in(SELLER)
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}"
    assert (await admin.post(f"{path}/disable")).status_code == 303
    assert await identity.session_of(seller.token) == {"active": False}
    assert (await identity.browser().sign_in(SELLER)).status_code == 401
    assert (await admin.post(f"{path}/enable")).status_code == 303
    await identity.signed_in(SELLER)


async def test_an_administrator_unlocks_somebody_who_is_locked_out(identity):
    admin = await identity.signed_in(ADMIN)
    for n in range(5):
        await identity.browser().sign_in(SELLER, f"forgotten {n}")
    assert (await identity.browser().sign_in(SELLER)).status_code == 429
    assert "tạm khóa đến" in (await admin.http.get(f"/accounts/{AGENCY}")).text
    path = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}/unlock"
    assert (await admin.post(path)).status_code == 303
    await identity.signed_in(SELLER)


async def test_an_agency_always_keeps_an_administrator_also_when_two_leave_at_once(identity):
    admin = await identity.signed_in(ADMIN)
    own = f"/accounts/{AGENCY}/{await account_id(identity, ADMIN)}"
    assert (await admin.post(f"{own}/roles", roles="editor")).status_code == 409
    assert (await admin.post(f"{own}/disable")).status_code == 409
    seller = f"/accounts/{AGENCY}/{await account_id(identity, SELLER)}"
    assert (await admin.post(f"{seller}/roles", roles="admin")).status_code == 303
    answers = await asyncio.gather(
        admin.post(f"{own}/roles", roles="editor"), admin.post(f"{seller}/roles", roles="editor")
    )
    assert 409 in [answer.status_code for answer in answers] or 403 in [
        answer.status_code for answer in answers
    ]
    async with identity.database.read() as session:
        left = await session.execute(text("SELECT count(*) FROM account_role WHERE role = 'admin'"))
        assert left.scalar_one() == 1


async def test_what_administrators_do_is_on_record_with_who_did_it(identity):
    admin = await identity.signed_in(ADMIN)
    await create_key(admin)
    path = f"/accounts/{AGENCY}/{await account_id(identity, FINANCE)}/roles"
    await admin.post(path, roles=["finance", "support"])
    async with identity.database.read() as session:
        rows = await session.execute(
            text(
                """SELECT action, actor_id, before, after, network, request_id FROM audit_entry
                   WHERE action IN ('key-created', 'roles-changed') AND actor_kind = 'staff'
                   ORDER BY id"""
            )
        )
        created, changed = rows.all()
    admin_id = await account_id(identity, ADMIN)
    assert (created[0], created[1]) == ("key-created", admin_id)
    assert (changed[0], changed[1]) == ("roles-changed", admin_id)
    assert (changed[2], changed[3]) == ({"roles": ["finance"]}, {"roles": ["finance", "support"]})
    assert changed[4] == "198.51.100.0/24"  # a network, not a person's address
    assert created[5] and changed[5] and created[5] != changed[5]
    assert "prk_" not in str(created)


class Outage(httpx.AsyncBaseTransport):
    """The way to identity, which can be cut."""

    def __init__(self, app) -> None:
        self.inner = httpx.ASGITransport(app)
        self.cut = False
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.cut:
            raise httpx.ConnectError("cut")
        return await self.inner.handle_async_request(request)


async def test_services_remember_keys_also_in_an_outage_and_never_a_session(identity, monkeypatch):
    way, offset = Outage(identity.app), [0.0]
    real = client_module.time.monotonic
    monkeypatch.setattr(
        client_module, "time", type("Time", (), {"monotonic": lambda: real() + offset[0]})
    )
    seller = await identity.signed_in(SELLER)
    async with httpx.AsyncClient(transport=way) as http:
        client = IdentityClient(URL, INTERNAL_KEY, http)
        expected = KeyPrincipal(
            "demosite", AGENCY, frozenset({"ads:decide", "paywall:articles", "paywall:decide"})
        )
        for _ in range(3):
            assert await client.key(SITE_KEY) == expected
        assert way.requests == 1, "a key is asked about once"
        principal = await client.staff(seller.token)
        assert principal is not None
        assert principal.email == SELLER
        with pytest.raises(NotFoundError):
            principal.require(OTHER)
        ended = seller.token
        await seller.sign_out()
        assert await client.staff(ended) is None, "ended at once"
        assert await client.staff("x" * 5000) is None, "noise is no outage"
        way.cut = True
        offset[0] += client_module.KEY_CACHE_SECONDS
        assert await client.key(SITE_KEY) == expected, "known good: reading goes on"
        with pytest.raises(UnavailableError):
            await client.staff("another session")
        with pytest.raises(UnavailableError):
            await client.key("prk_unknown_" + "x" * 40)
        offset[0] += client_module.KEY_STALE_SECONDS
        with pytest.raises(UnavailableError):
            await client.key(SITE_KEY)
        way.cut = False
        assert await client.key(SITE_KEY) == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_bytes_make_it_fall_over(identity, data):
    http = identity.browser().http
    internal = {"Authorization": f"Bearer {INTERNAL_KEY}"}
    path, headers = data.draw(
        st.sampled_from(
            [
                ("/sign-in", {}),
                ("/internal/v1/keys/introspect", internal),
                ("/internal/v1/sessions/introspect", internal),
                ("/keys/bao-hung-yen", {}),
                ("/account/password", {}),
            ]
        )
    )
    kind = data.draw(
        st.sampled_from(
            [
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
                "multipart/form-data",
                "application/json",
                "text/plain; charset=nonsense",
            ]
        )
    )
    body = data.draw(
        st.binary(max_size=300)
        | st.sampled_from(
            [
                b'{"token": "\\ud800"}',
                b'{"token": "\\u0000"}',
                b'{"token": 1e999}',
                b"[" * 5000,
                b"email=%00&password=%00&csrf_token=%ff",
                b'--x\r\nContent-Disposition: form-data; name="email"; filename="f"\r\n\r\n\x00',
                b'{"token": "prk_demosite_' + b"x" * 600 + b'"}',
            ]
        )
    )
    cookie = data.draw(st.binary(max_size=60)).decode("latin-1")
    cookie = re.sub(r"[^\x21-\x7e\x80-\xff]", "", cookie)
    answer = await http.post(
        path,
        content=body,
        headers=headers
        | {"Content-Type": kind, "Origin": URL}
        | ({"Cookie": f"press_staff={cookie}".encode("latin-1")} if cookie else {}),
    )
    assert answer.status_code < 500, (path, kind, body, answer.text)


@pytest.mark.parametrize("email", ["\x00", "\ud7ff\uffff", "a" * 1024, "'; DROP TABLE account; --"])
async def test_nothing_typed_at_sign_in_makes_it_fall_over(identity, email):
    answer = await identity.browser().sign_in(email, PASSWORD + "\x00")
    assert answer.status_code in (401, 422)
