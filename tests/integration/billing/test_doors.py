"""Who gets in where: staff by agency and role, readers by code, the provider by signature."""

from __future__ import annotations

import asyncio
import json
import re
import time
from urllib.parse import quote

import asyncpg
import httpx
import pytest
import stripe
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.billing.webhooks import service as inbox
from tests.fixtures.roles import as_superuser
from tests.fixtures.standstill import standing_still
from tests.fixtures.waiting import eventually
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.world import (
    AGENCY,
    OTHER_AGENCY,
    OWN,
    SECRET,
    SITE,
    World,
    form_token,
)

STAFF_PATHS = [
    "/v1/agencies/{agency}/subscriptions",
    "/v1/agencies/{agency}/ledger/trial-balance",
    "/v1/agencies/{agency}/reader-revenue?month=2026-11",
    "/staff/{agency}/readers-revenue",
    "/staff/{agency}/readers-revenue.csv",
    "/v1/agencies/{agency}/ledger/entries",
    "/v1/agencies/{agency}/ledger/entries/018f0000-0000-7000-8000-000000000001",
    "/staff/{agency}",
    "/staff/{agency}/entries/018f0000-0000-7000-8000-000000000001",
]


@pytest.mark.parametrize("path", STAFF_PATHS)
async def test_staff_of_another_agency_find_nothing(world: World, path: str):
    other = world.browser(press_staff="other-token")
    answer = await other.get(path.format(agency=AGENCY))
    assert answer.status_code == 404
    assert (await other.get("/staff/no-such-agency")).status_code == 404


async def test_an_entry_of_another_agency_is_not_found_under_ones_own(world: World):
    await world.subscribed()
    await world.deliver()
    entry = await world.value("SELECT id FROM journal_entry LIMIT 1")
    mine = world.browser(press_staff="finance-token")
    other = world.browser(press_staff="other-token")
    path = "/ledger/entries/" + str(entry)
    assert (await mine.get(f"/v1/agencies/{AGENCY}{path}")).status_code == 200
    assert (await other.get(f"/v1/agencies/{OTHER_AGENCY}{path}")).status_code == 404
    assert (await other.get(f"/staff/{OTHER_AGENCY}/entries/{entry}")).status_code == 404


async def test_roles_open_what_they_are_for(world: World):
    balance = f"/v1/agencies/{AGENCY}/ledger/trial-balance"
    subscriptions = f"/v1/agencies/{AGENCY}/subscriptions"
    expected = {
        "finance-token": (200, 200),
        "support-token": (403, 200),
        "seller-token": (403, 403),
    }
    for token, statuses in expected.items():
        staff = world.browser(press_staff=token)
        found = (
            (await staff.get(balance)).status_code,
            (await staff.get(subscriptions)).status_code,
        )
        assert found == statuses, token


async def test_every_route_that_is_not_public_is_closed_without_credentials(world: World):
    visitor = world.browser()
    document = (await visitor.get("/openapi.json")).json()
    closed = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation.get("x-public"):
                continue
            concrete = path.format(agency=AGENCY, entry_id="018f0000-0000-7000-8000-000000000001")
            answer = await visitor.client.request(method.upper(), concrete)
            assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
            closed += 1
    assert closed >= 4
    page = await visitor.get(f"/staff/{AGENCY}")
    assert page.status_code == 303 and "/sign-in" in page.headers["location"]


async def test_the_books_reach_the_staff_page_and_the_api_alike(world: World):
    await world.subscribed()
    await world.deliver()
    staff = world.browser(press_staff="finance-token")
    balance = (await staff.get(f"/v1/agencies/{AGENCY}/ledger/trial-balance")).json()
    debits, credits = (
        sum(row[side] for row in balance["accounts"]) for side in ("debit_vnd", "credit_vnd")
    )
    assert debits == credits > 0
    by_code = {row["code"]: row["balance_vnd"] for row in balance["accounts"]}
    assert by_code["stripe_receivable"] == 59_000
    assert by_code["deferred_subscription"] + by_code["revenue_subscription"] == -59_000
    page = await staff.get(f"/staff/{AGENCY}")
    assert page.status_code == 200 and "59.000" in page.text
    answer = (await staff.get(f"/v1/agencies/{AGENCY}/ledger/entries")).json()
    assert answer["total"] == 2 and answer["next"] is None
    entries = {entry["kind"]: entry for entry in answer["entries"]}
    payment, recognition = entries["payment"], entries["recognition"]
    for entry in (payment, recognition):
        shown = await staff.get(f"/staff/{AGENCY}/entries/{entry['id']}")
        assert shown.status_code == 200 and entry["business_key"] in shown.text
    assert "lan@example.vn" in shown.text, "the way down from a day to its payments"
    path = f"/v1/agencies/{AGENCY}/ledger/entries/{recognition['id']}/shares"
    (share,) = (await staff.get(path)).json()
    assert share["payment_id"] == payment["payment_id"]
    assert share["share_vnd"] == recognition["lines"][0]["amount_vnd"] == 1_966


async def test_what_is_broken_at_one_agency_is_shown_to_no_other(world: World):
    await world.subscribed()
    await world.deliver()
    await world.assert_sound()
    async with world.billing.database.transaction() as session:
        for harm in (
            "UPDATE subscription SET mrr_vnd = mrr_vnd + 1",
            "INSERT INTO recognition_due (agency, stream, currency, day, amount_vnd) "
            "SELECT agency, stream, currency, starts_on, 1 FROM recognition_schedule",
            "UPDATE entitlement SET version = version + 1, valid_until = valid_from + interval '1 second'",
            f"""INSERT INTO webhook_event (source, event_id, type, payload, agency, via, created_at, next_attempt_at)
                VALUES ('stripe', 'evt_late', 'x', '', '{AGENCY}', 'webhook', now(), '2020-01-01Z')""",
        ):
            await session.execute(text(harm))
    # The database refuses this to everybody but who switches its triggers off.
    connection = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("UPDATE payment SET amount_vnd = amount_vnd + 2, refunded_vnd = 1")
    finally:
        await connection.close()
    names = {
        "orders_are_paid_once",
        "captured_is_settled",
        "paid_invoices_have_entitlements",
        "inbox_is_handled",
        "refunds_within_captured",
        "mrr_movements_sum",
        "mrr_rolls_forward",
    }
    for whole in (False, True):
        everywhere = await broken(world.billing, whole=whole)
        own = await broken(world.billing, AGENCY, whole=whole)
        assert own == everywhere, "all of it is this agency's"
        assert set(own) == (names | {"deferred_rolls_forward"} if whole else names), whole
        assert await broken(world.billing, OTHER_AGENCY, whole=whole) == {}
    page = (await world.browser(press_staff="finance-token").get(f"/staff/{AGENCY}")).text
    assert page.count("badge bad") == 8


# Sessions


async def test_a_session_can_be_ended_and_a_form_from_elsewhere_is_refused(world: World):
    browser = await world.signed_in()
    session = f"/v1/agencies/{AGENCY}/session"
    assert (await browser.get(session)).json()["signed_in"]
    account = f"/r/{AGENCY}/account"
    token = form_token((await browser.get(account)).text)
    for origin in ("http://evil.test", SITE):  # the agency's website is no page of ours either
        forged = await browser.client.post(
            f"{account}/sessions/end",
            data={"session": "", "csrf_token": token},
            headers={"Origin": origin},
        )
        assert forged.status_code == 403, origin
    tokenless = await browser.client.post(
        f"{account}/sessions/end", data={"session": ""}, headers={"Origin": "http://billing.test"}
    )
    assert tokenless.status_code == 403
    ended = await browser.submit(account, f"{account}/sessions/end", {"session": ""})
    assert ended.status_code == 303
    assert not (await browser.get(session)).json()["signed_in"]
    tokens = await world.rows("SELECT token_hash FROM reader_session")
    assert all(len(row[0]) == 32 for row in tokens)


async def test_consents_are_recorded_with_their_proof_only_when_given(world: World):
    page, code_page = f"/r/{AGENCY}/sign-in", f"/r/{AGENCY}/sign-in/code"
    browser = world.browser(address="203.0.113.77")
    await browser.submit(page, page, {"email": "lan@example.vn"})
    shown = await browser.get(code_page)
    assert "checked" not in shown.text
    data = {"code": await world.last_code(), "consent": "newsletter"}
    await browser.submit(code_page, code_page, data)
    rows = "SELECT purpose, version, granted, network, language FROM consent ORDER BY given_at, id"
    assert await world.rows(rows) == [("newsletter", 1, True, "203.0.113.0/24", "vi")]
    account = f"/r/{AGENCY}/account"
    await browser.submit(account, f"{account}/consents", {})
    assert [row[2] for row in await world.rows(rows)] == [True, False]


async def test_only_the_agencys_own_website_may_ask_who_is_reading(world: World):
    browser = await world.signed_in()
    path = f"/v1/agencies/{AGENCY}/session"
    asked = await browser.get(path, headers={"Origin": SITE})
    assert asked.headers["access-control-allow-origin"] == SITE
    assert asked.headers["access-control-allow-credentials"] == "true"
    for origin in ("http://evil.test", OWN, "null"):
        stranger = await browser.get(path, headers={"Origin": origin})
        assert stranger.status_code == 403, origin
        assert "access-control-allow-origin" not in stranger.headers
    jwks = await browser.get("/.well-known/jwks.json", headers={"Origin": SITE})
    assert jwks.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in jwks.headers
    keys = jwks.json()["keys"]
    assert keys and all("d" not in key for key in keys)


async def test_somebody_elses_receipt_is_not_found(world: World):
    lan = await world.signed_in("lan@example.vn")
    back = await world.pay(await world.start_checkout(lan))
    minh = await world.signed_in("minh@example.vn")
    assert (await minh.get(back.headers["location"])).status_code == 404
    assert (await lan.get(back.headers["location"])).status_code == 200


# Webhooks


def signed(world: World, body: bytes, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    stamp = int(world.clock.now().timestamp()) - age
    header = stripe.WebhookSignature._compute_signature(f"{stamp}.{body.decode()}", secret)
    return {"Stripe-Signature": f"t={stamp},v1={header}"}


def event(id_: str, kind: str = "payment_intent.succeeded") -> bytes:
    body = {"id": id_, "object": "event", "type": kind, "created": int(time.time()), "data": {}}
    return json.dumps(body).encode()


async def test_a_webhook_is_kept_once_by_any_secret_in_force_and_by_no_other(world: World):
    client = world.browser().client
    url = "/v1/webhooks/stripe"
    body = event("evt_1")
    for headers, status in (
        ({}, 400),
        (signed(world, body, "whsec_wrong"), 400),
        (signed(world, body, age=301), 400),
        (signed(world, body + b" "), 400),
        (signed(world, body, "whsec_old_one"), 200),
        (signed(world, body), 200),
    ):
        answer = await client.post(url, content=body, headers=headers)
        assert answer.status_code == status, headers
    other = event("evt_2", "customer.created")
    assert (await client.post(url, content=other, headers=signed(world, other))).status_code == 200
    assert await world.rows("SELECT event_id, via FROM webhook_event") == [("evt_1", "webhook")]


async def test_a_webhook_that_cannot_be_stored_is_sent_again_by_the_provider(
    world: World, postgres_server, billing_url: str
):
    client, body = world.browser().client, event("evt_1")

    async def send() -> httpx.Response:
        return await client.post("/v1/webhooks/stripe", content=body, headers=signed(world, body))

    warm = event("evt_0")
    await client.post("/v1/webhooks/stripe", content=warm, headers=signed(world, warm))
    with postgres_server.away(billing_url):
        for _ in range(3):  # also over the connections that do not know of it yet
            answer = await send()
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert (await send()).json() == {"received": True, "duplicate": False}
    assert await world.rows("SELECT count(*) FROM webhook_event WHERE event_id = 'evt_1'") == [(1,)]


async def test_a_database_that_stands_still_keeps_no_notification_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inbox, "STORE_SECONDS", 0.5)
    client, body = world.browser().client, event("evt_1")

    async def send() -> httpx.Response:
        return await client.post("/v1/webhooks/stripe", content=body, headers=signed(world, body))

    pool = await world.billing.database.pool()
    async with pool.acquire() as connection:
        writer = connection.get_server_pid()
    with standing_still(writer):
        answer = await asyncio.wait_for(send(), 10)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await asyncio.wait_for(send(), 10)).status_code == 200, "another connection writes"
        await asyncio.wait_for(world.billing.inbox.close(), 10)  # no writer waits for ever
    assert await world.rows("SELECT count(*) FROM webhook_event") == [(1,)]


async def test_an_event_that_is_nested_too_deeply_is_refused(world: World):
    body = event("evt_deep").rstrip()[:-1] + b',"more":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    answer = await world.browser().client.post(
        "/v1/webhooks/stripe", content=body, headers=signed(world, body)
    )
    assert answer.status_code == 400, answer.text
    assert await world.rows("SELECT count(*) FROM webhook_event") == [(0,)]


async def test_a_malformed_event_is_parked_and_can_be_given_another_try(world: World):
    body = event("evt_broken")
    client = world.browser().client
    await client.post("/v1/webhooks/stripe", content=body, headers=signed(world, body))
    await world.billing.applier.apply_due()
    parked = await world.rows("SELECT state, attempts, error FROM webhook_event")
    assert parked[0][:2] == ("parked", 1) and "MalformedNotificationError" in parked[0][2]
    staff = world.browser(press_staff="finance-token")
    page = await staff.get(f"/staff/{AGENCY}")
    assert "evt_broken" in page.text
    done = await staff.submit(
        f"/staff/{AGENCY}", f"/staff/{AGENCY}/webhooks/replay", {"event": "evt_broken"}
    )
    assert done.status_code == 303 and done.headers["location"].endswith("replayed-1")
    assert await world.rows("SELECT state FROM webhook_event") == [("waiting",)]


async def test_who_has_not_just_proved_to_be_himself_is_asked_and_loses_nothing(world: World):
    body = event("evt_broken")
    client = world.browser().client
    await client.post("/v1/webhooks/stripe", content=body, headers=signed(world, body))
    await world.billing.applier.apply_due()
    tired = world.browser(press_staff="tired-token").client
    tired.headers.update({"Accept": "text/html", "Referer": f"{OWN}/staff/{AGENCY}?notice=x"})
    shown = await tired.get(f"/staff/{AGENCY}")
    fields = {"csrf_token": form_token(shown.text), "event": "evt_broken"}
    path = f"/staff/{AGENCY}/webhooks/replay"
    asked = await tired.post(path, data=fields, headers={"Origin": OWN})
    assert asked.status_code == 403
    assert 'name="event" value="evt_broken"' in asked.text
    assert f'action="{path}"' in asked.text
    back = quote(f"{OWN}/staff/{AGENCY}?notice=x", safe="")
    assert f"/confirm?next={back}" in asked.text, "back to the page that the form stood on"
    for elsewhere in ("https://evil.example/staff", f"{OWN}.evil.example/x", ""):
        answer = await tired.post(path, data=fields, headers={"Origin": OWN, "Referer": elsewhere})
        assert f'/confirm?next={quote(OWN, safe="")}"' in answer.text
    assert await world.rows("SELECT state FROM webhook_event") == [("parked",)]


def event_of(id_: str, agency: object) -> bytes:
    document = json.loads(event(id_)) | {"data": {"object": {"metadata": {"agency": agency}}}}
    return json.dumps(document).encode()


async def test_the_inbox_of_an_agency_shows_its_own_events_however_many_another_has(world: World):
    """Nobody reads another's volume off the page, and another's parked events do not push one's own out of it."""
    client = world.browser().client
    names = [OTHER_AGENCY] * 2 + [AGENCY, "\x00", "Not An Agency", 7, None]
    for number, name in enumerate(names):
        body = event_of(f"evt_{number}", name)
        answer = await client.post("/v1/webhooks/stripe", content=body, headers=signed(world, body))
        assert answer.status_code == 200
    webhooks = world.billing.webhooks
    assert [(await webhooks.state(name)).waiting for name in (AGENCY, OTHER_AGENCY, None)] == [
        1,
        2,
        7,
    ]
    page = await world.browser(press_staff="finance-token").get(f"/staff/{AGENCY}")
    assert re.search(r"1 <small[^>]*>đang chờ", page.text), page.text
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE webhook_event SET state = 'parked'"))
    parked = {one.event_id for one in await webhooks.parked_of(AGENCY)}
    assert parked == {"evt_2", "evt_3", "evt_4", "evt_5", "evt_6"}
    assert await webhooks.replay_of(OTHER_AGENCY, ["evt_2"]) == []


async def test_while_the_provider_is_away_events_wait_and_are_never_given_up(world: World):
    from datetime import timedelta

    from services.billing.payments.adapters.port import ProviderUnavailableError

    await world.subscribed()
    await world.sandbox.state.deliverer.deliver_due()
    provider = world.billing.provider
    working = provider._call

    async def away(*_args: object, **_options: object) -> dict:
        raise ProviderUnavailableError("no route")

    provider._call = away
    for _ in range(20):
        await world.billing.applier.apply_due()
        world.clock.advance(timedelta(minutes=6))
    assert (await world.billing.webhooks.state()).parked == 0
    provider._call = working
    await world.billing.applier.apply_due()
    assert await world.value("SELECT count(*) FROM payment") == 1
    await world.assert_sound()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)


async def test_random_bytes_and_random_events_never_make_the_webhook_fail(world: World):
    loop = asyncio.get_running_loop()
    client = world.browser().client

    async def send(body: bytes, header: bytes) -> int:
        answer = await client.post(
            "/v1/webhooks/stripe", content=body, headers=[(b"stripe-signature", header)]
        )
        return answer.status_code

    def post(body: bytes, header: bytes) -> int:
        return asyncio.run_coroutine_threadsafe(send(body, header), loop).result(20)

    def right(body: bytes) -> bytes:
        import hashlib
        import hmac

        stamp = str(int(world.clock.now().timestamp())).encode()
        mac = hmac.new(SECRET.encode(), stamp + b"." + body, hashlib.sha256).hexdigest()
        return b"t=" + stamp + b",v1=" + mac.encode()

    options = settings(max_examples=60, database=None)

    @options
    @given(st.binary(max_size=300), st.binary(max_size=60).filter(lambda h: b"\n" not in h))
    def random_bytes(body: bytes, header: bytes) -> None:
        assert post(body, header) == 400
        assert post(body, right(body)) < 500

    @options
    @given(JSON, JSON, JSON)
    def random_events(id_: object, created: object, data: object) -> None:
        body = json.dumps(
            {"object": "event", "id": id_, "created": created, "type": "invoice.paid", "data": data}
        ).encode()
        assert post(body, right(body)) < 500

    await asyncio.to_thread(random_bytes)
    await asyncio.to_thread(random_events)
    await world.billing.applier.apply_due()
    assert await world.rows("SELECT DISTINCT state FROM webhook_event") in ([], [("parked",)])


async def test_forms_work_behind_a_proxy_that_ends_tls(world: World):
    """The proxy speaks plain HTTP to us, so the scheme we see is not the one in the browser's ``Origin``."""
    public = "https://doc-bao.example"
    door = world.with_settings(billing_url=public)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(door), base_url="http://doc-bao.example"
    ) as client:
        page = f"/r/{AGENCY}/sign-in"
        shown = await client.get(page)
        assert "Secure" in shown.headers["set-cookie"]
        data = {"email": "lan@example.vn", "csrf_token": form_token(shown.text)}
        cookie = shown.headers["set-cookie"].split(";", 1)[0]  # sent over the proxy's TLS
        headers = {"Origin": public, "Cookie": f"lang=vi; {cookie}"}
        assert (await client.post(page, data=data, headers=headers)).status_code == 303
        headers["Origin"] = "https://evil.example"
        assert (await client.post(page, data=data, headers=headers)).status_code == 403


@pytest.mark.parametrize("agency", ["%00", "bao%00", "no-such"])
async def test_an_agency_no_name_can_have_is_not_found(world: World, agency: str):
    for path in (f"/r/{agency}/plans", f"/r/{agency}/sign-in", f"/v1/agencies/{agency}/session"):
        assert (await world.browser().get(path)).status_code == 404


async def test_a_try_that_two_appliers_lost_at_once_is_counted_once(world: World):
    """Between what went wrong and its being written down, the notification is anybody's to take up."""
    await world.subscribed()
    await world.sandbox.state.deliverer.deliver_due()
    applier, both = world.billing.applier, asyncio.Barrier(2)
    failed = applier._failed

    async def broken(*_given: object) -> bool:
        raise RuntimeError("a row that nobody expected")

    async def when_both_have_lost(*given: object) -> None:
        await both.wait()
        await failed(*given)

    applier._handlers = dict.fromkeys(applier._handlers, broken)
    applier._failed = when_both_have_lost
    first = asyncio.create_task(applier.apply_one())
    await eventually(lambda: both.n_waiting == 1, "one has lost it and not said so yet")
    assert await applier.apply_one() and await first
    tried = await world.rows("SELECT attempts, state FROM webhook_event WHERE error <> ''")
    assert tried == [(1, "waiting")]
