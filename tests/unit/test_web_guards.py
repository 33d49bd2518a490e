"""What stands before every route: origins, sizes, headers, form tokens, errors."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.datastructures import URL
from starlette.responses import JSONResponse, RedirectResponse

from shared.contracts import Payload
from shared.errors import (
    ConflictError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from shared.settings import ServiceSettings
from shared.telemetry import metrics
from shared.web import HotRoute, WebParts, create_app
from shared.web.csrf import FormTokens
from shared.web.front import read_body
from shared.web.i18n import (
    load_catalogues,
    request_language,
    show_date,
    show_datetime,
    translator,
)
from shared.web.pages import own_path
from tests.fixtures.waiting import eventually

HTML = "text/html; charset=utf-8"
SETTINGS = ServiceSettings(environment="test", scrape_token="scrape-me", assets_dir="/nonexistent")
router = APIRouter()


class Order(BaseModel):
    quantity: int = Field(ge=1, le=10)


@router.post("/echo")
async def echo(request: Request) -> dict[str, int]:
    return {"bytes": len(await request.body())}


@router.post("/orders")
async def orders(order: Order) -> Order:
    return order


@router.get("/fails/{how}")
async def fails(how: str) -> None:
    errors = {
        "conflict": ConflictError("It is sold", slug="sold-out", left=0),
        "missing": NotFoundError(),
        "field": InvalidInputError(errors=(FieldError("a.b", "is odd", "an even number"),)),
        "away": ConnectionRefusedError("10.0.0.1:5432"),
        "bug": RuntimeError("the secret is 42"),
    }
    raise errors[how]


def client(
    parts: WebParts | None = None, settings: ServiceSettings = SETTINGS
) -> httpx.AsyncClient:
    app = create_app("proofs", "Proofs", settings, parts or WebParts(routers=[router]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="https://press.vn")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),  # no cookies: a key or a signature speaks for the caller
        ({"Origin": "https://evil.vn"}, False),  # the form that sends a code needs no cookie
        ({"Origin": "https://press.vn"}, True),
        ({"Cookie": "s=1", "Origin": "https://press.vn"}, True),
        ({"Cookie": "s=1", "Origin": "https://site.vn"}, True),  # trusted
        ({"Cookie": "s=1", "Referer": "https://press.vn/form?x=1"}, True),
        ({"Cookie": "s=1", "Origin": "null", "Referer": "https://press.vn/form"}, True),
        ({"Cookie": "s=1"}, False),
        ({"Cookie": "s=1", "Origin": "null"}, False),
        ({"Cookie": "s=1", "Origin": "https://evil.vn"}, False),
        ({"Cookie": "s=1", "Origin": "http://press.vn"}, False),
        ({"Cookie": "s=1", "Origin": "https://press.vn:8443"}, False),
        ({"Cookie": "s=1", "Origin": "https://press.vn.evil.vn"}, False),
        ({"Cookie": "s=1", "Origin": "https://site.vn.evil.vn"}, False),
        ({"Cookie": "s=1", "Referer": "https://evil.vn/https://press.vn/"}, False),
        ({"Cookie": "s=1", "Referer": "https://press.vn@evil.vn/"}, False),
        ({"Cookie": "s=1", "Referer": "nonsense"}, False),
        ({"Cookie": "s=1", "Origin": "https://evil.vn", "Referer": "https://press.vn/"}, False),
    ],
)
async def test_a_changing_request_with_cookies_must_come_from_a_known_origin(headers, allowed):
    parts = WebParts(routers=[router], trusted_origins=["https://site.vn/"])
    async with client(parts) as http:
        answer = await http.post("/echo", headers=headers, content=b"x")
    assert (answer.status_code == 200) is allowed
    if not allowed:
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith(":cross-site-request")


async def test_reading_needs_no_origin():
    async with client() as http:
        answer = await http.get("/healthz", headers={"Cookie": "s=1", "Origin": "https://evil.vn"})
    assert answer.status_code == 200


async def chunks(total: int) -> AsyncIterator[bytes]:
    for start in range(0, total, 1000):
        yield b"x" * min(1000, total - start)


@pytest.mark.parametrize("path", ["/echo", "/orders"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_above_the_limit_is_refused_with_413(path, chunked):
    async with client(WebParts(routers=[router], max_body_bytes=5000)) as http:
        answer = await http.post(path, content=chunks(5001) if chunked else b"x" * 5001)
    assert answer.status_code == 413
    assert answer.json()["type"].endswith(":body-too-large")
    assert "5000" in answer.json()["title"]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/echo", 5001, 200), ("/echo", 9001, 413), ("/orders", 5001, 413)],
)
async def test_a_route_may_take_a_larger_body_than_the_others(path, size, status, chunked):
    parts = WebParts(routers=[router], max_body_bytes=5000, larger_bodies={"/ech{letter}": 9000})
    async with client(parts) as http:
        answer = await http.post(path, content=chunks(size) if chunked else b"x" * size)
    assert answer.status_code == status


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_at_the_limit_is_taken(chunked):
    async with client(WebParts(routers=[router], max_body_bytes=5000)) as http:
        answer = await http.post("/echo", content=chunks(5000) if chunked else b"x" * 5000)
    assert answer.json() == {"bytes": 5000}


@pytest.mark.parametrize(
    ("language", "limit"), [("vi", "được tối đa 2 MiB"), ("en", "may have at most 2 MiB")]
)
async def test_a_person_is_told_the_limit_and_led_back(language, limit):
    headers = {"Accept": "text/html", "Referer": "https://press.vn/form?a=1", "Host": "press.vn"}
    async with client() as http:
        answer = await http.post(
            f"/echo?lang={language}", headers=headers, content=b"x" * (2 * 2**20 + 1)
        )
    assert (answer.status_code, answer.headers["content-type"]) == (413, HTML)
    assert limit in answer.text and 'href="/form?a=1"' in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("language", "words"),
    [("vi", "Yêu cầu đến từ trang khác"), ("en", "This request came from another site")],
)
async def test_a_person_sees_a_page_for_a_form_of_another_site(language, words):
    headers = {"Accept": "text/html", "Origin": "https://evil.vn", "Referer": "https://evil.vn/x"}
    async with client() as http:
        answer = await http.post(f"/echo?lang={language}", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, HTML)
    assert words in answer.text and "evil.vn" not in answer.text


@pytest.mark.parametrize("length", ["-1", "1e9", "\u00b2", "5 5", ""])
async def test_a_length_that_is_no_number_is_refused(length):
    async with client() as http:
        answer = await http.post(
            "/echo", content=chunks(10), headers={"Content-Length": length.encode("latin-1")}
        )
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/healthz", "/fails/bug", "/nothing-here", "/fails/conflict"])
async def test_every_answer_carries_the_security_headers(path):
    async with client(settings=SETTINGS) as http:
        answer = await http.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "strict-transport-security" not in answer.headers


async def test_production_asks_browsers_to_stay_with_https():
    settings = SETTINGS.model_copy(update={"environment": "production"})
    async with client(settings=settings) as http:
        assert "max-age" in (await http.get("/healthz")).headers["strict-transport-security"]


async def test_metrics_are_for_the_scraper():
    async with client() as http:
        assert (await http.get("/metrics")).status_code == 401
        wrong = await http.get("/metrics", headers={"Authorization": "Bearer scrape-mé".encode()})
        assert wrong.status_code == 401
        good = await http.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    assert "press_http_requests_total" in good.text


async def test_routes_are_counted_by_template_and_never_by_path():
    async with client() as http:
        for number in range(3):
            await http.get(f"/guess-{number}")
        await http.get("/fails/missing")
        text = (await http.get("/metrics", headers={"Authorization": "Bearer scrape-me"})).text
    assert "guess-" not in text
    assert 'route="/fails/{how}"' in text


@pytest.mark.parametrize(
    ("how", "status", "slug"),
    [
        ("conflict", 409, "sold-out"),
        ("missing", 404, "not-found"),
        ("field", 422, "invalid-input"),
        ("away", 503, "unavailable"),
        ("bug", 500, "internal"),
    ],
)
async def test_an_error_is_a_problem_document_that_leaks_nothing(how, status, slug):
    async with client() as http:
        answer = await http.get(f"/fails/{how}")
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:press-revenue:problem:{slug}"
    assert not any(
        word in answer.text for word in ("secret", "10.0.0.1", "Traceback", "RuntimeError")
    )
    if how == "conflict":
        assert (body["detail"], body["left"]) == ("It is sold", 0)
    if how == "field":
        assert body["errors"] == [
            {"field": "a.b", "message": "is odd", "expected": "an even number"}
        ]
    if how == "away":
        assert answer.headers["retry-after"] == "1"


async def test_a_wrong_field_is_named_with_what_would_be_right():
    async with client() as http:
        answer = await http.post("/orders", json={"quantity": 11})
        broken = await http.post(
            "/orders", content=b"{", headers={"Content-Type": "application/json"}
        )
        missing = await http.get("/nowhere")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "quantity" and error["expected"] == "le: 10"
    assert broken.status_code == 422 and broken.json()["errors"]
    assert missing.json()["type"].endswith(":http-404")


def request(cookies: str = "", query: str = "", headers: dict[str, str] | None = None) -> Request:
    raw = [(b"cookie", cookies.encode())] + [
        (k.encode(), v.encode()) for k, v in (headers or {}).items()
    ]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": query.encode()})  # fmt: skip


async def test_a_form_token_belongs_to_one_session_and_one_secret():
    forms = FormTokens("a-secret-of-16-chars", "press_staff")
    token = forms.token(request("press_staff=one"))
    await forms.verify(request("press_staff=one", headers={"x-csrf-token": token}))
    for cookie, sent in (("press_staff=two", token), ("", token), ("press_staff=one", ""), ("press_staff=one", token[:-1] + "é")):  # fmt: skip
        with pytest.raises(ForbiddenError):
            await forms.verify(request(cookie, headers={"x-csrf-token": sent}))
    other = FormTokens("another-secret-of-16", "press_staff")
    assert other.token_for("one") != token
    with pytest.raises(ValueError, match="16"):
        FormTokens("short", "press_staff")


@pytest.mark.parametrize(
    ("query", "cookie", "language"),
    [
        ("", "", "vi"),
        ("lang=en", "", "en"),
        ("lang=fr", "", "vi"),
        ("", "pr_lang=en", "en"),
        ("lang=vi", "pr_lang=en", "vi"),
        ("lang=../../etc", "pr_lang=<script>", "vi"),
    ],
)
def test_pages_are_vietnamese_unless_somebody_asks(query, cookie, language):
    assert request_language(request(cookie, query)) == language


def test_words_come_from_the_catalogue_and_fall_back_to_the_english(tmp_path):
    (tmp_path / "vi.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "{n} articles left"\nmsgstr "còn {n} bài"\n\nmsgid "Empty"\nmsgstr ""\n',
        encoding="utf-8",
    )
    words = load_catalogues([tmp_path, Path("/nonexistent")])
    vietnamese, english = translator(words, "vi"), translator(words, "en")
    assert vietnamese("{n} articles left", n=3) == "còn 3 bài"
    assert english("{n} articles left", n=3) == "3 articles left"
    assert vietnamese("Unknown") == "Unknown"
    assert vietnamese("Empty") == "Empty"


def test_dates_are_written_the_readers_way():
    assert show_date(date(2026, 1, 2), "vi") == "02/01/2026"
    assert show_date(date(2026, 1, 2), "en") == "2 Jan 2026"
    assert show_datetime(datetime(2026, 12, 31, 17, 5, tzinfo=UTC), "vi") == "01/01/2027 00:05"


async def test_the_front_door_serves_hot_routes_and_passes_on_the_rest():
    async def hot(scope, receive, send):
        await JSONResponse({"hot": True})(scope, receive, send)

    told = {"summary": "Hot", "responses": {"200": {"description": "OK"}}}
    routes = [HotRoute("POST", "/hot", hot, told), HotRoute("OPTIONS", "/hot", hot)]
    app = create_app("proofs", "Proofs", SETTINGS, WebParts(routers=[router], hot_routes=routes))
    [(method, shown)] = app.openapi()["paths"]["/hot"].items()
    assert (method, shown["summary"], shown["responses"]["200"]) == (
        "post",
        "Hot",
        {"description": "OK"},
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://x") as http:
        assert (await http.post("/hot")).json() == {"hot": True}
        other = await http.get("/hot")
        assert (other.status_code, set(other.headers["allow"].split(", "))) == (
            405,
            {"OPTIONS", "POST"},
        )
        assert (await http.get("/healthz")).json()["ok"] is True


@pytest.fixture
def hot_app():
    async def hot(scope, receive, send):
        how = scope["query_string"].decode()
        body = await read_body(receive, 10)
        if how == "bug":
            raise RuntimeError("the secret is 42")
        if how == "conflict":
            raise ConflictError("It is sold", slug="sold-out")
        await JSONResponse({"bytes": len(body)})(scope, receive, send)

    route = HotRoute("POST", "/hot", hot, origins=lambda origin: origin == "https://site.vn")
    return create_app("proofs", "Proofs", SETTINGS, WebParts(routers=[router], hot_routes=[route]))


async def test_a_hot_route_answers_like_any_other(hot_app):
    transport = httpx.ASGITransport(hot_app)
    async with httpx.AsyncClient(transport=transport, base_url="https://x") as http:
        plain, hot = await http.post("/echo", content=b"x"), await http.post("/hot", content=b"x")
        assert hot.json() == {"bytes": 1}
        assert set(plain.headers) <= set(hot.headers)
        for name in set(plain.headers) - {"x-request-id", "content-length"}:
            assert hot.headers[name] == plain.headers[name]
        assert hot.headers["x-request-id"] != plain.headers["x-request-id"]
        for how, status, slug in (("bug", 500, "internal"), ("conflict", 409, "sold-out")):
            answer = await http.post(f"/hot?{how}")
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert slug in answer.json()["type"] and "42" not in answer.text
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await http.post("/hot", content=b"x" * 11)).status_code == 413
        for made_up in ("BREW", "get", "PROPFIND", "X" * 60):
            await http.request(made_up, "/hot")
            await http.request(made_up, "/echo")
        scraped = await http.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    methods = set(re.findall(r'press_http_requests_total{method="([^"]*)"', scraped.text))
    assert "other" in methods
    assert methods <= {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "other"}
    for status in ("200", "409", "413", "500"):
        assert (
            f'press_http_requests_total{{method="POST",route="/hot",service="proofs",status="{status}"}}'
            in scraped.text
        )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": "s=1", "Origin": "https://site.vn"}, 200),
        ({"Cookie": "s=1", "Referer": "https://site.vn/a"}, 200),
        ({"Cookie": "s=1"}, 403),
        ({"Cookie": "s=1", "Origin": "https://evil.vn"}, 403),
        ({"Origin": "https://evil.vn"}, 200),
    ],
)
async def test_a_hot_route_takes_cookies_from_its_own_origins_only(hot_app, headers, status):
    transport = httpx.ASGITransport(hot_app)
    async with httpx.AsyncClient(transport=transport, base_url="https://x") as http:
        assert (await http.post("/hot", headers=headers)).status_code == status


async def test_requests_beyond_what_a_process_works_on_are_told_to_come_back():
    go_on, waiting = asyncio.Event(), APIRouter()

    @waiting.get("/waits")
    async def waits() -> str:
        await go_on.wait()
        return "done"

    settings = SETTINGS.model_copy(update={"max_requests": 2})
    app = create_app("proofs", "Proofs", settings, WebParts(routers=[waiting, router]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://x") as http:
        held = [asyncio.create_task(http.get("/waits")) for _ in range(2)]
        await eventually(lambda: app.in_flight == 2)
        refused = await http.get("/waits")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        page = await http.get("/waits", headers={"Accept": "text/html"})
        assert (page.status_code, page.headers["content-type"]) == (503, HTML)
        assert "Hệ thống đang bận" in page.text and page.headers["retry-after"] == "1"
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert (await http.get("/healthz")).status_code == 200
        go_on.set()
        assert [(await one).status_code for one in held] == [200, 200]
        assert (await http.get("/waits")).status_code == 200


def test_a_payload_has_no_name_until_it_is_published():
    assert Payload.TYPE == ""


class Billing(ServiceSettings):
    @property
    def own_url(self) -> str:
        return self.billing_url


async def asked(host: str, path: str, accept: str = "*/*", **changes: object) -> httpx.Response:
    settings = Billing(environment="local", assets_dir="/nonexistent").model_copy(update=changes)
    page = APIRouter()

    @page.get("/console/")
    async def console(request: Request) -> JSONResponse:
        return JSONResponse({"link": own_path(request.url.include_query_params(lang="en"))})

    app = create_app("proofs", "Proofs", settings, WebParts(routers=[page]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as http:
        return await http.get(path, headers={"Host": host, "Accept": accept})


PUBLIC = {"environment": "production", "billing_url": "https://doc.baohungyen.vn"}


@pytest.mark.parametrize(
    "host", ["evil.example", "10.1.2.3", "doc.baohungyen.vn.evil.example", "", "[evil"]
)
async def test_no_page_answers_under_another_name(host):
    for changes in ({}, PUBLIC):
        answer = await asked(host, "/console/", **changes)
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"
        page = await asked(host, "/console/", "text/html", **changes)
        assert (page.status_code, page.headers["content-type"]) == (421, HTML)
        assert "Sai địa chỉ" in page.text and "content-security-policy" in page.headers


@pytest.mark.parametrize("host", ["doc.baohungyen.vn", "billing-web:8001", "127.0.0.1"])
async def test_redirects_and_links_are_never_made_from_what_the_caller_wrote(host):
    redirect = await asked(host, "/console", **PUBLIC)
    assert redirect.headers["location"] == "https://doc.baohungyen.vn/console/"
    link = (await asked(host, "/console/?a=1", **PUBLIC)).json()["link"]
    assert link == "/console/?a=1&lang=en"
    assert (
        own_path(URL("http://x//evil.example/console?lang=en")) == "/evil.example/console?lang=en"
    )


@pytest.mark.parametrize(
    ("asked_for", "leads_to", "kept"),
    [
        ("?lang=en", "/console/bao", "/console/bao?lang=en"),
        ("?lang=vi", "/console/bao?day=3&lang=en", "/console/bao?day=3&lang=vi"),
        ("?lang=en", "https://doc.baohungyen.vn/r/bao?back=a%20b", "https://doc.baohungyen.vn/r/bao?back=a+b&lang=en"),
        ("?lang=en", "https://bao.vn/tin", "https://bao.vn/tin"),
        ("?lang=en", "//bao.vn/tin", "//bao.vn/tin"),
        ("?lang=fr", "/console/bao", "/console/bao"),
        ("", "/console/bao", "/console/bao"),
    ],
)  # fmt: skip
async def test_a_page_that_leads_on_takes_the_asked_language_along(asked_for, leads_to, kept):
    page = APIRouter()
    page.add_api_route("/go", lambda: RedirectResponse(leads_to, 303), methods=["GET", "POST"])
    settings = Billing(environment="local", assets_dir="/nonexistent")
    settings = settings.model_copy(update=PUBLIC)
    async with client(WebParts(routers=[page]), settings) as http:
        http.base_url = "https://doc.baohungyen.vn"
        assert (await http.get(f"/go{asked_for}")).headers["location"] == kept
        assert (await http.post(f"/go{asked_for}")).headers["location"] == leads_to


async def test_a_request_behind_tls_is_counted_at_its_route():
    counted = metrics.HTTP_REQUESTS.labels("proofs", "/console/", "GET", "200")
    before = counted._value.get()
    assert (await asked("doc.baohungyen.vn", "/console/", **PUBLIC)).status_code == 200
    assert counted._value.get() == before + 1


async def test_a_developer_may_say_localhost():
    redirect = await asked("localhost:8001", "/console")
    assert redirect.headers["location"] == "http://localhost:8001/console/"


async def test_what_is_told_is_kept_nowhere_and_no_map_is_public():
    answer = await asked("doc.baohungyen.vn", "/console/", **PUBLIC)
    assert answer.headers["cache-control"] == "private, no-store"
    assert (await asked("doc.baohungyen.vn", "/openapi.json", **PUBLIC)).status_code == 404
    assert (await asked("127.0.0.1:8001", "/openapi.json")).status_code == 200
    styles = await asked("127.0.0.1:8001", "/static/shared/site.css")
    assert "no-store" not in styles.headers.get("cache-control", "")


async def test_a_dependency_that_is_away_shows_at_the_scrape_itself():
    state = {"away": False}

    async def database() -> None:
        if state["away"]:
            raise ConnectionRefusedError

    app = create_app("proofs", "Proofs", SETTINGS, WebParts(checks={"database": database}))
    transport = httpx.ASGITransport(app)
    bearer = {"Authorization": "Bearer scrape-me"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        for away, value in ((False, "1.0"), (True, "0.0"), (False, "1.0")):
            state["away"] = away
            page = (await http.get("/metrics", headers=bearer)).text
            assert f'press_dependency_up{{dependency="database",service="proofs"}} {value}' in page
