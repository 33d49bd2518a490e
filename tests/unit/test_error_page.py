"""A person sees a page in their language, a program gets problem+json."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from shared.errors import FieldError, ForbiddenError, InvalidInputError
from shared.web import problems

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(problems.UnexpectedErrors)

    @app.get("/forbidden")
    @app.get("/v1/forbidden")
    async def forbidden() -> None:
        raise ForbiddenError("secret detail")

    @app.get("/invalid")
    async def invalid() -> None:
        raise InvalidInputError(errors=(FieldError("quantity", "<b>too many</b>", "at most 9"),))

    @app.get("/zero")
    async def zero() -> None:
        raise InvalidInputError("It is {zero}", slug="x")

    app.state.words = {
        "It is {zero}": "Bằng {không}",
        "At most {n}": "Tối đa {n}",
        "Too {what}": "Quá {what}",
    }

    @app.get("/filled")
    async def filled() -> None:
        wrong = FieldError("quantity", "Too {what}", "At most {n}", {"what": "9", "n": 5})
        raise InvalidInputError(errors=(wrong,))

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize(
    ("path", "language", "status", "words"),
    [
        ("/forbidden", "vi", 403, "Bạn không có quyền xem trang này"),
        ("/forbidden", "en", 403, "You may not see this page"),
        ("/nowhere", "vi", 404, "Không tìm thấy trang"),
        ("/broken", "vi", 500, "Có lỗi xảy ra"),
    ],
)
async def test_a_browser_gets_a_page_in_its_language(
    client: httpx.AsyncClient, path: str, language: str, status: int, words: str
) -> None:
    answer = await client.get(f"{path}?lang={language}", headers={"Accept": BROWSER})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert words in answer.text
    assert "hunter2" not in answer.text and "secret detail" not in answer.text


async def test_a_page_names_the_wrong_fields_and_escapes_them(client: httpx.AsyncClient) -> None:
    answer = await client.get("/invalid", headers={"Accept": BROWSER})
    assert answer.status_code == 422
    assert "quantity" in answer.text and "at most 9" in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    ("path", "language", "words"),
    [
        ("/zero", "vi", "Bằng {không}"),
        ("/zero", "en", "It is {zero}"),
        ("/filled", "vi", "Quá 9 Tối đa 5"),
        ("/filled", "en", "Too 9 At most 5"),
    ],
)
async def test_a_page_tells_the_reason_in_the_readers_language_and_leads_back(
    client: httpx.AsyncClient, path: str, language: str, words: str
) -> None:
    headers = {"Accept": BROWSER, "Referer": "http://test/form"}
    answer = await client.get(f"{path}?lang={language}", headers=headers)
    assert words in answer.text and 'href="/form"' in answer.text


@pytest.mark.parametrize(
    ("path", "accept"), [("/v1/forbidden", BROWSER), ("/forbidden", "application/json")]
)
async def test_a_program_gets_problem_json(
    client: httpx.AsyncClient, path: str, accept: str
) -> None:
    answer = await client.get(path, headers={"Accept": accept})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
