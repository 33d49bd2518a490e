"""Static files: compressed, kept for ever under their own digest, and nothing but what is in the folders."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.settings import ServiceSettings
from shared.web import Pages, WebParts, create_app
from shared.web.csrf import FormTokens
from shared.web.middleware import allow_form_targets

GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}
BROWSER = {"Accept": "text/html", "Origin": "http://own.test", "Host": "own.test"}
SHEET = "p { color: red }\n" * 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text(
        "<link href=\"{{ asset('/static/a.css') }}\">{{ csrf_field() }}" + "<p>chữ</p>" * 300
    )
    static = tmp_path / "static"
    (static / "deep").mkdir(parents=True)
    (static / "a.css").write_text(SHEET)
    (static / "deep" / "b.png").write_bytes(bytes(range(256)))
    (static / ".hidden").write_text("no")
    (tmp_path / "outside.css").write_text("no")
    return tmp_path


def application(folder: Path) -> httpx.AsyncClient:
    forms = FormTokens("a-secret-of-16-chars", "press_staff")
    pages, routes = Pages(folder, forms), APIRouter()

    @routes.get("/page")
    async def page(request: Request) -> Response:
        return pages.render(request, "page.html")

    @routes.get("/both")
    @routes.post("/both")
    @routes.post("/only")
    async def answered(request: Request) -> Response:
        return pages.render(request, "page.html")

    @routes.post("/change")
    async def change(request: Request) -> Response:
        await forms.verify(request)
        return Response("changed")

    @routes.get("/leads/{where}")
    async def leads(request: Request, where: str) -> Response:
        allow_form_targets(request.scope, [f"https://{where}.vn", "*", "https://x.vn; img-src *"])
        return pages.render(request, "page.html")

    settings = ServiceSettings(environment="test", identity_url="http://identity.test")
    parts = WebParts(routers=[routes], static_folder=folder / "static")
    app = create_app("proofs", "Proofs", settings, parts)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://own.test")


async def test_a_file_is_kept_for_ever_under_its_digest_only(folder: Path) -> None:
    async with application(folder) as http:
        page = (await http.get("/page", headers=PLAIN)).text
        address = page.split('href="', 1)[1].split('"', 1)[0]
        assert re.fullmatch(r"/static/a\.css\?v=[0-9a-f]{16}", address)
        kept = await http.get(address, headers=GZIP)
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert kept.headers["content-encoding"] == "gzip" and kept.text == SHEET
        assert int(kept.headers["content-length"]) < len(SHEET) / 10
        assert kept.headers["content-type"] == "text/css; charset=utf-8"
        for other in ("/static/a.css", "/static/a.css?v=0123456789abcdef"):
            asked = await http.get(other, headers=PLAIN)
            assert asked.headers["cache-control"] == "public, no-cache"
            assert "content-encoding" not in asked.headers and asked.text == SHEET
        again = await http.get("/static/a.css", headers={"If-None-Match": kept.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        (folder / "static" / "a.css").write_text(SHEET + "b { color: blue }")
    async with application(folder) as http:
        assert address not in (await http.get("/page")).text


async def test_nothing_outside_the_folders_is_served(folder: Path) -> None:
    async with application(folder) as http:
        picture = await http.get("/static/deep/b.png", headers=GZIP)
        assert picture.content == bytes(range(256)) and "content-encoding" not in picture.headers
        for path in ("../outside.css", "%2e%2e/outside.css", ".hidden", "deep", "", "a.css/"):
            assert (await http.get(f"/static/{path}")).status_code == 404, path
        assert (await http.post("/static/a.css")).status_code == 405
        assert (await http.head("/static/a.css")).content == b""


async def test_a_page_is_compressed_and_shows_its_token_under_a_new_mask_each_time(
    folder: Path,
) -> None:
    async with application(folder) as http:
        first, second = [await http.get("/page", headers=GZIP) for _ in range(2)]
        assert first.headers["content-encoding"] == "gzip"
        assert int(first.headers["content-length"]) < len(first.content) / 4
        tokens = [re.search(r'value="([0-9a-f]{128})"', a.text)[1] for a in (first, second)]  # type: ignore[index]
        assert tokens[0] != tokens[1]
        for token in tokens:
            answer = await http.post("/change", data={"csrf_token": token}, headers=BROWSER)
            assert answer.text == "changed"
        refused = await http.get("/page", headers={"Accept-Encoding": "gzip;q=0, br"})
        assert "content-encoding" not in refused.headers
        assert "Accept-Encoding" in first.headers["vary"]
        assert gzip.compress(first.content)  # what httpx shows is decoded


async def test_an_old_form_says_so_and_keeps_what_was_typed(folder: Path) -> None:
    typed = {"headline": 'Gốm "Chu Đậu" <b>', "day": ["1", "2"], "csrf_token": "0" * 128}
    async with application(folder) as http:
        http.cookies.set("press_staff", "one")
        old = await http.post("/change", data=typed, headers=BROWSER)
        assert old.status_code == 403 and "Trang đã cũ, hãy thử lại" in old.text
        assert "vai trò" not in old.text
        assert 'value="Gốm &#34;Chu Đậu&#34; &lt;b&gt;"' in old.text
        assert re.findall(r'name="day" value="(\d)"', old.text) == ["1", "2"]
        assert 'action="/change"' in old.text and "0" * 128 not in old.text
        token = re.search(r'name="csrf_token" value="([0-9a-f]+)"', old.text)[1]  # type: ignore[index]
        again = await http.post("/change", data=typed | {"csrf_token": token}, headers=BROWSER)
        assert again.text == "changed"
        english = await http.post("/change?lang=en", data=typed, headers=BROWSER)
        assert "This page has grown old" in english.text
        program = await http.post("/change", data=typed, headers={"Origin": "http://own.test"})
        assert program.json()["type"].endswith(":form-token-invalid")


@pytest.mark.parametrize("field", ["password", "new_password", "client_secret"])
async def test_a_password_is_never_written_into_a_page(folder: Path, field: str) -> None:
    data = {"email": "lan@example.vn", field: "hunter2-hunter2"}
    headers = BROWSER | {"Referer": "http://own.test/form?x=1&y=2"}
    async with application(folder) as http:
        old = await http.post("/change", data=data, headers=headers)
        upload = await http.post(
            "/change", data={"name": "x"}, files={"file": b"123"}, headers=headers
        )
        elsewhere = await http.post(
            "/change", data=data, headers=BROWSER | {"Referer": "http://evil.test//x"}
        )
    for answer in (old, upload):
        assert answer.status_code == 403 and "hunter2" not in answer.text
        assert 'href="/form?x=1&amp;y=2"' in answer.text, "the page it was on"
    assert 'name="email" value="lan@example.vn"' in old.text
    assert f'<input type="password" name="{field}"' in old.text, "asked for again"
    assert 'name="name" value="x"' in upload.text and 'type="file" name="file"' in upload.text
    assert 'enctype="multipart/form-data"' in upload.text and "enctype" not in old.text
    assert "evil" not in elsewhere.text


async def test_the_other_language_is_a_link_to_a_page_that_a_form_was_on(folder: Path) -> None:
    (folder / "templates" / "page.html").write_text("<a href='{{ other_language_url }}'>", "utf-8")
    leads = {
        "/page?x=1": ("GET", "", "/page?x=1&amp;lang=en"),
        "/both?x=1": ("POST", "/page", "/both?x=1&amp;lang=en"),
        "/only": ("POST", "http://own.test/page?y=2", "/page?y=2&amp;lang=en"),
        "/only?1": ("POST", "http://own.test/only", "/?lang=en"),
        "/only?2": ("POST", "http://evil.test/page", "/?lang=en"),
        "/only?3": ("POST", "http://[", "/?lang=en"),
        "/only?4": ("POST", "", "/?lang=en"),
    }
    async with application(folder) as http:
        for path, (method, referer, link) in leads.items():
            headers = BROWSER | ({"Referer": referer} if referer else {})
            answer = await http.request(method, path, headers=headers)
            assert f"href='{link}'" in answer.text, path


async def test_an_error_page_leads_to_a_page_that_exists(folder: Path) -> None:
    async with application(folder) as http:
        missing = await http.get("/nowhere", headers=BROWSER)
    assert missing.status_code == 404 and 'href="http://identity.test/"' in missing.text


async def test_a_page_names_where_its_forms_may_lead_and_no_other_page_does(folder: Path) -> None:
    async with application(folder) as http:
        policies = [
            (await http.get(path)).headers["content-security-policy"]
            for path in ("/leads/bao-a", "/leads/bao-b", "/page")
        ]
    assert "form-action 'self' https://bao-a.vn http://identity.test;" in policies[0]
    assert "form-action 'self' https://bao-b.vn http://identity.test;" in policies[1]
    assert "form-action 'self' http://identity.test;" in policies[2]
    assert not any("*" in policy for policy in policies)
