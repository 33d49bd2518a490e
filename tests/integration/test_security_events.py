"""Every security event is caused for real, and told in exactly one line and one count: who, where, and no secret."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from sqlalchemy import text
from structlog.testing import CapturingLogger

from shared.audit import Actor, acting
from shared.audit.caller import Caller
from shared.auth import SigningKeySet
from shared.bus import OutboundMessage
from shared.contracts import encode
from shared.database import Database
from shared.security import report
from shared.security.events import SecurityEvent
from shared.telemetry import metrics
from tests.fixtures import ads as ads_world
from tests.fixtures.finance import running_finance
from tests.fixtures.flow import CONSUMER, STREAM, made
from tests.fixtures.identity import ADMIN, FINANCE, PASSWORD, PROVINCE, SELLER, SITE_KEY, URL
from tests.fixtures.waiting import eventually
from tests.integration.billing.conftest import billing_url
from tests.integration.billing.world import OWN, make_world
from tests.integration.paywall import conftest as paywall_world

__all__ = ["billing_url"]  # a fixture

AGENCY, OTHER = "bao-hung-yen", "dai-song-hong"
NETWORK = "198.51.100.0/24"
GROWTH = "/v1/agencies/{agency}/growth"
SECRETS = (PASSWORD, SITE_KEY.rpartition("_")[2], "a-wrong-secret", "whsec", "@bao-hung-yen")
Cause = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Case:
    """``prepare`` makes the world ready and gives the one attempt; ``also``: what the same attempt sets off besides."""

    event: SecurityEvent
    service: str
    prepare: Callable[[Any], Awaitable[Cause]]
    route: str
    agency: str = ""
    actor: str = "stranger:"
    also: tuple[SecurityEvent, ...] = ()


@pytest.fixture
def lines(monkeypatch):
    """The security events' log, and no line left out because of those before."""
    sink = CapturingLogger()
    log = structlog.wrap_logger(
        sink,
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
    )
    monkeypatch.setattr(report, "log", log)
    monkeypatch.setattr(report, "_paces", report.Paces())
    return lambda: [json.loads(call.args[0]) for call in sink.calls]


def counted() -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for family in metrics.SECURITY_EVENTS.made().collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                found[sample.labels["event"], sample.labels["service"]] = int(sample.value)
    return found


# ---- identity and the metrics layer, which stands for every service with staff's pages and key routes


def growth(key: str = "", agency: str = AGENCY):
    async def prepare(finance) -> Cause:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        http = finance.browser()
        return lambda: http.get(GROWTH.format(agency=agency), headers=headers)

    return prepare


async def ended_key(finance) -> Cause:
    async with finance.identity.database.transaction() as session:
        await session.execute(
            text("UPDATE service_key SET revoked_at = :now WHERE id = 'demosite'"),
            {"now": finance.clock.now()},
        )
    return await growth(SITE_KEY)(finance)


def page(email: str, path: str):
    async def prepare(finance) -> Cause:
        http = await finance.signed_in(email)
        return lambda: http.get(path, headers={"Accept": "text/html"})

    return prepare


def compose(token: str, origin: str | None = None):
    async def prepare(finance) -> Cause:
        http = await finance.signed_in(FINANCE)
        headers = {"Accept": "text/html"} | ({"Origin": origin} if origin else {})
        path = f"/finance/{AGENCY}/baseline/compose"
        return lambda: http.post(path, data={"csrf_token": token}, headers=headers)

    return prepare


async def foreign_account(finance) -> Cause:
    """A page that catches the refusal and shows it itself."""
    async with finance.identity.database.transaction() as session:
        found = await session.execute(
            text("UPDATE account SET home_agency = :home WHERE email = :email RETURNING id"),
            {"home": OTHER, "email": PROVINCE},
        )
        account = found.scalar_one()
    admin = await finance.identity.signed_in(ADMIN)
    token = await admin.form_token("/account")
    path = f"/accounts/{AGENCY}/{account}/disable"
    fields = {"csrf_token": token, "confirmed": "true"}
    return lambda: admin.http.post(path, data=fields, headers={"Origin": URL})


async def wrong_internal_key(finance) -> Cause:
    http = finance.identity.service("a-wrong-secret")
    return lambda: http.post("/internal/v1/sessions/introspect", json={"token": "x"})


async def no_scrape_token(finance) -> Cause:
    http = finance.browser()
    return lambda: http.get("/metrics", headers={"Authorization": "Bearer a-wrong-secret"})


def wrong_passwords(before: int, *, same_account: bool = True):
    async def prepare(finance) -> Cause:
        browser = finance.identity.browser()
        token = await browser.form_token()

        async def attempt(number: int):
            email = SELLER if same_account else f"someone-{number}@bao.example"
            fields = {"csrf_token": token, "email": email, "password": "a-wrong-secret"}
            return await browser.http.post("/sign-in", data=fields, headers={"Origin": URL})

        for number in range(before):
            assert (await attempt(number)).status_code == 401
        return lambda: attempt(before)

    return prepare


async def wrong_code(finance) -> Cause:
    browser = finance.identity.browser()
    await browser.sign_in(ADMIN)
    token = await browser.form_token("/sign-in/code")
    return lambda: browser.http.post(
        "/sign-in/code", data={"csrf_token": token, "code": "000000"}, headers={"Origin": URL}
    )


async def wrong_proof(finance) -> Cause:
    member = await finance.identity.signed_in(FINANCE)
    finance.identity.clock.advance(timedelta(minutes=11))
    token = await member.form_token("/account")
    return lambda: member.http.post(
        "/confirm", data={"csrf_token": token, "confirm": "a-wrong-secret"}, headers={"Origin": URL}
    )


async def wrong_old_password(finance) -> Cause:
    member = await finance.identity.signed_in(FINANCE)
    token = await member.form_token("/account")
    fields = {"csrf_token": token, "old": "a-wrong-secret", "new": "x", "repeat": "x"}
    return lambda: member.http.post("/account/password", data=fields, headers={"Origin": URL})


# ---- the other services' own doors


async def unsigned_notice(world) -> Cause:
    client = world.browser("198.51.100.7").client
    headers = {"Stripe-Signature": "t=1,v1=whsec"}
    return lambda: client.post("/v1/webhooks/stripe", content=b"{}", headers=headers)


async def wrong_reader_code(world) -> Cause:
    browser = world.browser("198.51.100.7")
    asked = f"/r/{AGENCY}/sign-in"
    await browser.submit(asked, asked, {"email": "lan@example.vn"})
    return lambda: browser.submit(f"{asked}/code", f"{asked}/code", {"code": "000000"})


async def wrong_reader_password(world) -> Cause:
    browser, door = world.browser("198.51.100.7"), f"/r/{AGENCY}/sign-in/password"
    sent = {"email": "lan@example.vn", "password": "sen nở muộn bên đê"}
    return lambda: browser.submit(door, door, sent)


async def old_reader_form(world) -> Cause:
    browser = world.browser("198.51.100.7")
    fields = {"csrf_token": "x", "email": "lan@example.vn"}
    return lambda: browser.client.post(
        f"/r/{AGENCY}/sign-in", data=fields, headers={"Origin": OWN, "Accept": "text/html"}
    )


def decision(**asked: Any):
    async def prepare(house) -> Cause:
        started = await house.start()
        if "key" in asked:
            headers = {"Authorization": f"Bearer {asked['key']}"}
            body = {"agency": asked.get("agency", AGENCY), "article_id": "a3", "count": False}
            return lambda: started.client.post("/v1/decisions", json=body, headers=headers)
        if "stranger" in asked:
            forger = SigningKeySet.generate("press-billing")
            token = forger.sign(
                {"sub": str(uuid4()), "agency": AGENCY},
                audience="press-paywall",
                now=house.clock.now(),
                lifetime_seconds=300,
            )
            return lambda: started.ask("a3", token=token)
        return lambda: started.ask("a3", **asked)

    return prepare


async def not_an_image(ads) -> Cause:
    line = await ads_world.book(ads.database)
    creative = (await ads.sql("SELECT id FROM creative WHERE line_id = $1", line))[0]["id"]
    path = f"/v1/agencies/{ads_world.AGENCY}/creatives/{creative}/image"
    return lambda: ads.client.put(
        path, content=b"GIF89a/*x*/", headers=ads_world.as_staff("seller")
    )


S = SecurityEvent
HOT = "/v1/decisions"
STAFF = "staff:"
CASES = [
    Case(S.UNAUTHENTICATED, "metrics", growth(), GROWTH, AGENCY),
    Case(S.ROLE_MISSING, "metrics", page(SELLER, f"/finance/{AGENCY}"), "/finance/{agency}", AGENCY, STAFF),
    Case(S.OTHER_AGENCY, "metrics", page(FINANCE, f"/finance/{OTHER}"), "/finance/{agency}", OTHER, STAFF),
    Case(S.FORBIDDEN, "identity", foreign_account, "/accounts/{agency}/{account_id}/disable", AGENCY, STAFF),
    Case(S.KEY_UNKNOWN, "metrics", growth("prk_nobody_" + "a-wrong-secret" * 3), GROWTH, AGENCY),
    Case(S.KEY_ENDED, "metrics", ended_key, GROWTH, AGENCY, "key:demosite"),
    Case(S.KEY_OTHER_AGENCY, "metrics", growth(SITE_KEY, OTHER), GROWTH, OTHER, "key:demosite"),
    Case(S.KEY_SCOPE_MISSING, "metrics", growth(SITE_KEY), GROWTH, AGENCY, "key:demosite"),
    Case(S.INTERNAL_KEY_REFUSED, "identity", wrong_internal_key, "/internal/v1/sessions/introspect"),
    Case(S.SCRAPE_TOKEN_REFUSED, "metrics", no_scrape_token, "/metrics"),
    Case(S.FORM_TOKEN_REFUSED, "metrics", compose("x"), "/finance/{agency}/baseline/compose", AGENCY, STAFF),
    Case(S.CROSS_SITE_REQUEST, "metrics", compose("x", "https://evil.example"), "unmatched"),
    Case(S.SIGN_IN_FAILED, "identity", wrong_passwords(0), "/sign-in"),
    Case(S.LOCKED_OUT, "identity", wrong_passwords(4), "/sign-in", also=(S.SIGN_IN_FAILED,)),
    Case(S.SIGN_IN_LIMITED, "identity", wrong_passwords(5), "/sign-in"),
    Case(S.NETWORK_LIMITED, "identity", wrong_passwords(49, same_account=False), "/sign-in",
         also=(S.SIGN_IN_FAILED,)),
    Case(S.SECOND_FACTOR_FAILED, "identity", wrong_code, "/sign-in/code", actor=STAFF),
    Case(S.STEP_UP_FAILED, "identity", wrong_proof, "/confirm", actor=STAFF),
    Case(S.STEP_UP_FAILED, "identity", wrong_old_password, "/account/password", actor=STAFF),
    Case(S.WEBHOOK_REFUSED, "billing", unsigned_notice, "/v1/webhooks/stripe"),
    Case(S.SIGN_IN_FAILED, "billing", wrong_reader_code, "/r/{agency}/sign-in/code", AGENCY),
    Case(S.SIGN_IN_FAILED, "billing", wrong_reader_password, "/r/{agency}/sign-in/password", AGENCY),
    Case(S.FORM_TOKEN_REFUSED, "billing", old_reader_form, "/r/{agency}/sign-in", AGENCY),
    Case(S.READER_TOKEN_REFUSED, "paywall", decision(stranger=True), HOT, AGENCY),
    Case(S.CROSS_SITE_REQUEST, "paywall", decision(origin="https://evil.example"), HOT, AGENCY),
    Case(S.CROSS_SITE_REQUEST, "paywall", decision(origin="https://evil.example", cookie="x"), HOT),
    Case(S.KEY_UNKNOWN, "paywall", decision(key="prk_a-wrong-secret"), HOT),
    Case(S.KEY_OTHER_AGENCY, "paywall", decision(key=paywall_world.KEY, agency=OTHER), HOT, OTHER, "key:"),
    Case(S.UPLOAD_REFUSED, "ads", not_an_image, "/v1/agencies/{agency}/creatives/{creative_id}/image",
         ads_world.AGENCY, STAFF),
]  # fmt: skip
#: Caused by tests of their own: below, and with a real provider in ``identity_provider/test_attacks.py``.
ALONE = {S.EVENT_FORGED, S.PROVIDER_ANSWER_REFUSED, S.PROVIDER_ANSWER_UNEXPECTED}


def test_every_event_is_caused_by_a_test():
    assert {case.event for case in CASES} | ALONE == set(SecurityEvent)


@pytest.fixture
def open_world(create_database, template_database, tmp_path, request):
    """A service as its own tests run it."""

    @asynccontextmanager
    async def billing():
        async with make_world(request.getfixturevalue("billing_url"), tmp_path) as world:
            yield world

    @asynccontextmanager
    async def ads():
        url = create_database("ads", template_database("ads", ads_world.migrate_template))
        database = Database(url, application_name="test")
        with acting(Actor.command("test")):
            await ads_world.stock(database)
        await database.close()
        async with ads_world.running_ads(url) as running:
            # Not around the requests: who acts there is for the door to find out.
            with acting(Actor.command("test")):
                yield running

    def paywall():
        return paywall_world.open_house(template_database, create_database)

    def opened(service: str):
        if service in ("metrics", "identity"):
            return running_finance(create_database, template_database, demo=False)
        return {"billing": billing, "ads": ads, "paywall": paywall}[service]()

    return opened


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.event}-{case.service}-{case.route}"
)
async def test_an_event_is_told_once_and_counted_once(case, open_world, lines):
    async with open_world(case.service) as world:
        cause = await case.prepare(world)
        report._paces = report.Paces()  # what led there may have been many
        told, before = len(lines()), counted()
        answer = await cause()
        found, after = lines()[told:], counted()
    assert 400 <= answer.status_code < 500
    expected = [str(event) for event in (case.event, *case.also)]
    assert sorted(line["event"] for line in found) == sorted(expected), found
    assert after - before == Counter({(event, case.service): 1 for event in expected})
    line = next(line for line in found if line["event"] == case.event)
    assert (line["level"], line["security"], line["service"]) == ("warning", True, case.service)
    assert (line["route"], line["agency"]) == (case.route, case.agency)
    assert line["actor"].startswith(case.actor) and line["actor"] != STAFF
    assert line["request_id"] and line["request_id"] == answer.headers["x-request-id"]
    assert "/" in line["network"], "a network, never an address"
    assert not [secret for secret in SECRETS if secret in json.dumps(found, ensure_ascii=False)]


async def test_a_forged_event_is_told_once_and_counted_once(flow, lines):
    bus = await flow.open_bus()
    event = made("one")
    subject = f"{event.bus_subject.rpartition('.')[0]}.{OTHER}"  # says that it is of another agency
    await bus.publish([OutboundMessage(subject, encode(event), str(event.id), {})])
    runner = await flow.runner()
    subscription = await bus.bind(STREAM, CONSUMER)
    before = counted()

    async def handled() -> bool:
        await runner.run_once(subscription)
        return await subscription.pending() == 0

    await eventually(handled, "the message has its verdict")
    await subscription.close()
    [line] = lines()
    assert (line["event"], line["service"], line["consumer"]) == ("event_forged", "flow", CONSUMER)
    assert "published on" in line["reason"]
    assert counted() - before == Counter({("event_forged", "flow"): 1})


async def test_a_question_for_a_fresh_proof_is_no_event(create_database, template_database, lines):
    async with running_finance(create_database, template_database, demo=False) as finance:
        member = await finance.identity.signed_in(FINANCE)
        finance.identity.clock.advance(timedelta(minutes=11))
        answer = await member.post("/confirm")
    assert answer.status_code == 403
    assert lines() == []


def test_whoever_causes_many_fills_no_disk_and_hides_no_number(lines, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    before = counted()
    for _ in range(5_000):
        report.tell(S.KEY_UNKNOWN, by=Caller(service="paywall"))
    report.tell(S.KEY_ENDED, by=Caller(service="paywall"))  # is not drowned by the others
    assert [line["event"] for line in lines()] == ["key_unknown"] * report.BURST + ["key_ended"]
    assert (counted() - before)["key_unknown", "paywall"] == 5_000
    now[0] += report.EVERY_SECONDS
    report.tell(S.KEY_UNKNOWN, by=Caller(service="paywall"))
    report.tell(S.KEY_UNKNOWN, by=Caller(service="paywall"))
    assert len(lines()) == report.BURST + 2
    assert lines()[-1]["untold"] == 5_000 - report.BURST


@pytest.fixture
def stopped(monkeypatch):
    """Time stands still, so no pace gives room again."""
    monkeypatch.setattr(report.time, "monotonic", lambda: 1000.0)


def refused_at(agency: str, network: str) -> None:
    report.tell(S.OTHER_AGENCY, by=Caller(service="ads", network=network), agency=agency)


def test_noise_about_one_agency_hides_nobody_at_another(lines, stopped):
    for _ in range(5_000):
        refused_at("agency-a", "192.0.2.0/24")
    refused_at("agency-b", "192.0.2.0/24")  # the same network, another agency
    refused_at("agency-a", "198.51.100.0/24")  # another network
    told = Counter((line["agency"], line["network"]) for line in lines())
    assert told == {
        ("agency-a", "192.0.2.0/24"): report.BURST,
        ("agency-b", "192.0.2.0/24"): 1,
        ("agency-a", "198.51.100.0/24"): 1,
    }
    assert sum(line["untold"] for line in lines()) == 5_000 - report.BURST


def test_a_network_that_makes_agencies_up_fills_neither_disk_nor_memory_and_hides_nobody(
    lines, stopped
):
    for number in range(3 * report.KEPT):
        refused_at(f"made-up-{number}", "192.0.2.0/24")
    assert len(lines()) == report.NETWORK_BURST
    refused_at("agency-b", "198.51.100.0/24")
    assert lines()[-1]["agency"] == "agency-b"
    assert report._paces._of_one.cache_info().currsize <= report.KEPT


def test_many_networks_together_fill_no_disk(lines, stopped):
    for number in range(3 * report.ALL_BURST):
        refused_at("agency-a", f"2001:db8:{number:x}::/48")
    assert len(lines()) == report.ALL_BURST


def test_what_was_typed_into_the_path_is_no_agency_and_no_line_is_long(lines):
    scope = {"path_params": {"agency": "x" * 9_000}}
    report.tell(S.OTHER_AGENCY, by=Caller(scope=scope), reason="y" * 9_000)
    [line] = lines()
    assert line["agency"] == "" and len(json.dumps(line)) < 1_000


async def test_every_series_is_there_from_the_start(create_database, template_database):
    async with running_finance(create_database, template_database, demo=False) as finance:
        page = (await finance.scrape()).text
    for event in SecurityEvent:
        assert f'press_security_events_total{{event="{event}",service="metrics"}}' in page
