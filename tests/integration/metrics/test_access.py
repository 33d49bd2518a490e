"""Who may see what: every route of the application, closed to strangers and silent about other agencies."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from sqlalchemy import text

from shared.web.csrf import FormTokens
from tests.fixtures.finance import DEMO, running_finance
from tests.fixtures.identity import FINANCE, PROVINCE, SELLER, SITE_KEY, STRANGER

FILE_ID = re.compile(r"/imports/([0-9a-f-]{36})")
SIGN_OUT = 'class="sign-out" method="post"'  # the one form that everybody has
AGENCY = "bao-hung-yen"
OPEN = {"/healthz", "/readyz", "/", "/openapi.json"}
VALUES = {"agency": AGENCY, "month": "2026-03", "version": "1", "file_id": str(uuid4())}


@pytest.fixture
async def finance(create_database, template_database):
    async with running_finance(create_database, template_database) as found:
        yield found


def form_token(finance, http):
    forms = FormTokens(finance.settings.form_token_secret, "press_staff")
    return forms.shown_for(http.cookies["press_staff"])


async def upload_baseline(http, fields):
    baseline = (DEMO / "baseline" / "dai-song-hong.csv").read_bytes()
    return await http.post(
        f"/finance/{AGENCY}/baseline",
        data=fields,
        files={"file": ("năm gốc.csv", baseline, "text/csv")},
    )


async def unfinished_work(finance):
    """A draft of a baseline and a file not yet recorded, left there by finance; where they are."""
    async with await finance.signed_in(FINANCE) as http:
        fields = {"csrf_token": form_token(finance, http)}
        draft = await upload_baseline(http, fields)
        template = await http.get(f"/finance/{AGENCY}/imports/template.csv")
        upload = {"file": ("sổ quảng cáo.csv", template.content, "text/csv")}
        taken = await http.post(f"/finance/{AGENCY}/imports", data=fields, files=upload)
        for answer, form in ((draft, "/freeze"), (taken, "/confirm")):
            assert answer.status_code == 303, answer.text
            assert form in (await http.get(answer.headers["location"])).text
    version = draft.headers["location"].rpartition("/")[2]
    return VALUES | {"version": version, "file_id": FILE_ID.search(taken.headers["location"])[1]}


async def kept(finance):
    """How many baselines and files there are, and how many of each were signed or recorded."""
    async with finance.database.read() as session:
        found = await session.execute(
            text(
                "SELECT (SELECT (count(*), count(frozen_at))::text FROM baseline_version), "
                "(SELECT (count(*), count(applied_at))::text FROM import_file)"
            )
        )
        return found.one()


def leaves(routes):
    """Every route, also those behind an included router."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from leaves(route.original_router.routes)
        else:
            yield route


def routes(app, values=VALUES):
    found = []
    for route in leaves(app.routes):
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD" and route.path not in OPEN:
                found.append((method, route.path.format(**values)))
    assert len(found) >= 17
    return found


async def test_every_route_is_closed_without_credentials(finance):
    async with finance.browser() as http:
        for method, path in routes(finance.app):
            answer = await http.request(method, path)
            assert answer.status_code in (303, 401), (method, path, answer.status_code)
            if answer.status_code == 303:
                assert "/sign-in?" in answer.headers["location"]


async def test_every_route_of_another_agency_is_not_found_also_with_a_good_form_token(finance):
    async with await finance.signed_in(STRANGER) as http:
        for method, path in routes(finance.app):
            if AGENCY in path:
                answer = await http.request(method, path)
                assert answer.status_code == 404, (method, path, answer.status_code)
                assert "Hưng Yên" not in answer.text


async def test_a_role_that_is_not_finance_is_refused(finance):
    async with await finance.signed_in(SELLER) as http:
        for method, path in routes(finance.app):
            if AGENCY in path:
                assert (await http.request(method, path)).status_code == 403, (method, path)


async def test_the_province_sees_every_figure_and_changes_none(finance):
    """Every route: what is read opens, what changes anything is refused, also with a good form token."""
    values = await unfinished_work(finance)
    before = await kept(finance)
    async with await finance.signed_in(PROVINCE) as http:
        token = form_token(finance, http)
        asked = {"GET": 0, "POST": 0}
        for method, path in routes(finance.app, values):
            answer = await http.request(method, path, data={"csrf_token": token})
            if path == "/metrics":
                continue  # Prometheus has a token of its own
            if path.startswith("/audit"):
                assert answer.status_code == 403, path  # who did what in an agency is its own
                continue
            asked[method] += 1
            if method == "GET":
                assert answer.status_code == 200, (path, answer.status_code)
                assert 'method="post"' not in answer.text.replace(SIGN_OUT, ""), path
            else:
                assert answer.status_code == 403, (method, path, answer.status_code)
        assert asked["GET"] >= 10 and asked["POST"] >= 5
        other = await http.get("/finance/dai-thai-binh")
        assert other.status_code == 404
    assert await kept(finance) == before


async def test_an_agencys_finance_may_do_what_the_province_may_not(finance):
    async with await finance.signed_in(FINANCE) as http:
        token = form_token(finance, http)
        for method, path in routes(finance.app):
            if method == "POST":
                answer = await http.post(path, data={"csrf_token": token})
                assert answer.status_code != 403, path


async def test_changes_need_the_forms_token(finance):
    async with await finance.signed_in(FINANCE) as http:
        for method, path in routes(finance.app):
            if method == "POST":
                answer = await http.post(path, data={"csrf_token": "0" * 64})
                assert answer.status_code == 403, path


async def test_the_growth_api_answers_staff_of_finance_and_says_both_definitions(finance):
    async with await finance.signed_in(FINANCE) as http:
        answer = await http.get(f"/v1/agencies/{AGENCY}/growth")
        assert answer.status_code == 200
        assert [item["definition"] for item in answer.json()["definitions"]] == ["all", "own"]
        assert answer.json()["baseline"]["version"] == 1
        assert (await http.get(f"/v1/agencies/{AGENCY}/growth?as_of=soon")).status_code == 422


async def test_a_key_without_the_scope_is_refused_and_one_of_another_agency_finds_nothing(finance):
    async with finance.browser() as http:
        headers = {"Authorization": f"Bearer {SITE_KEY}"}
        own = await http.get(f"/v1/agencies/{AGENCY}/growth", headers=headers)
        other = await http.get("/v1/agencies/dai-song-hong/growth", headers=headers)
        assert (own.status_code, other.status_code) == (403, 404)


async def test_a_month_is_listed_and_downloaded_with_its_documents(finance):
    async with await finance.signed_in(FINANCE) as http:
        page = await http.get(f"/finance/{AGENCY}/months/2026-03?segment=tv&stream=advertising")
        assert "Bảng kê hợp đồng quảng cáo 03/2026" in page.text
        sheet = await http.get(f"/finance/{AGENCY}/months/2026-03/entries.csv?segment=tv")
        rows = sheet.content.decode("utf-8-sig").splitlines()
        assert len(rows) == 1 + 31 * 2
        for odd in ("2026-3", "2026-13", "march", "2026-03-01"):
            assert (await http.get(f"/finance/{AGENCY}/months/{odd}")).status_code == 404


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("vi", "Số liệu năm gốc này bằng 0"),
        ("en", "This baseline is zero: there would be nothing to compare with"),
    ],
)
async def test_a_baseline_of_zero_says_so_where_it_is_looked_through(finance, language, words):
    """The template as it was downloaded; and its freeze, sent all the same, tells the reason and leads back."""
    async with await finance.signed_in(FINANCE) as http:
        fields = {"csrf_token": form_token(finance, http)}
        template = await http.get(f"/finance/{AGENCY}/baseline/template.csv")
        draft = await http.post(
            f"/finance/{AGENCY}/baseline",
            data=fields,
            files={"file": ("mẫu.csv", template.content, "text/csv")},
        )
        where = draft.headers["location"]
        page = (await http.get(f"{where}?lang={language}")).text
        assert words in page and "/discard" in page and "/freeze" not in page
        refused = await http.post(
            f"{where}/freeze?lang={language}",
            data=fields | {"looked_at": "", "confirmed": "true"},
            headers={"Accept": "text/html", "Referer": f"{http.base_url}{where}"},
        )
    assert refused.status_code == 422
    assert words in refused.text and f'href="{where}"' in refused.text


@pytest.mark.parametrize("act, figure", [("freeze", "Không thể hoàn tác."), ("discard", "sẽ mất")])
async def test_a_baseline_is_frozen_or_discarded_by_the_second_press_only(finance, act, figure):
    async with await finance.signed_in(FINANCE) as http:
        fields = {"csrf_token": form_token(finance, http)}
        draft = await upload_baseline(http, fields)
        where = draft.headers["location"]
        page = (await http.get(where)).text
        looked_at = re.search(r'name="looked_at" value="([0-9a-f]{64})"', page)[1]
        assert '<details class="confirm" open>' not in page
        before = await kept(finance)
        first = await http.post(f"{where}/{act}", data=fields | {"looked_at": looked_at})
        assert first.status_code == 200
        opened = first.text.partition('<details class="confirm" open>')[2].partition("</details>")[
            0
        ]
        assert f'action="{where}/{act}"' in opened and figure in opened
        assert first.text.count('<details class="confirm" open>') == 1
        assert await kept(finance) == before, "the first press does nothing"
        second = await http.post(
            f"{where}/{act}", data=fields | {"looked_at": looked_at, "confirmed": "true"}
        )
        assert second.status_code == 303
        assert await kept(finance) != before
