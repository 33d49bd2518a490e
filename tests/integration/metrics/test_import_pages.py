"""Uploads through the pages: bounds in the reader's language, and everybody else is served meanwhile."""

from __future__ import annotations

import asyncio
import time

import pytest

from shared.metrics.imports.service import BATCH_ROWS
from shared.metrics.sheets import MAX_CELL, MAX_COLUMNS, MAX_FILE_BYTES, MAX_ROWS
from shared.web.csrf import FormTokens
from tests.fixtures.finance import running_finance
from tests.fixtures.identity import FINANCE
from tests.fixtures.imports import HEAD, many_months, revenue_file

PAGES = "/finance/bao-hung-yen"
CLOSED = '<details class="confirm">'
BASELINE = "year,segment,stream,month,amount_vnd"


@pytest.fixture
async def finance(create_database, template_database):
    async with running_finance(create_database, template_database, demo=True) as found:
        yield found


def form(finance, http):
    tokens = FormTokens(finance.settings.form_token_secret, "press_staff")
    return {"csrf_token": tokens.shown_for(http.cookies["press_staff"])}


async def upload(finance, http, content, *, kind="imports", language="vi"):
    return await http.post(
        f"{PAGES}/{kind}?lang={language}",
        data=form(finance, http),
        files={"file": ("tệp.csv", content, "text/csv")},
    )


async def confirm(finance, http, page, language="vi"):
    """The second press."""
    fields = form(finance, http) | {"confirmed": "true"}
    return await http.post(f"{page}/confirm?lang={language}", data=fields)


#: Each bound: a file past it, and what the page says in both languages.
BOUNDS = {
    "bytes": (
        lambda head: f"{head}\n".encode() + b"x" * MAX_FILE_BYTES,
        "tệp tối đa 1500 kB",
        "a file of at most 1500 kB",
    ),
    "columns of the heading": (
        lambda _head: b"," * 745_000,
        f"tối đa {MAX_COLUMNS} cột",
        f"at most {MAX_COLUMNS} columns",
    ),
    "columns of a row": (
        lambda head: f"{head}\n".encode() + b"," * 745_000,
        f"tối đa {MAX_COLUMNS} cột",
        f"at most {MAX_COLUMNS} columns",
    ),
    "rows": (
        lambda head: f"{head}\n".encode() + b"1,2,3\n" * (MAX_ROWS + 1),
        f"tối đa {MAX_ROWS} dòng: hãy chia nhỏ tệp",
        f"at most {MAX_ROWS} rows: split the file",
    ),
    "a cell": (
        lambda head: f"{head}\n{'x' * (MAX_CELL + 1)},a,b,c,d".encode(),
        f"tối đa {MAX_CELL} ký tự",
        f"at most {MAX_CELL} characters",
    ),
    "an Excel file": (
        lambda _head: b"PK\x03\x04" + bytes(1_000_000),
        "tệp CSV mã UTF-8",
        "a CSV file in UTF-8",
    ),
    "no file": (lambda _head: None, "tệp CSV mã UTF-8", "a CSV file in UTF-8"),
}


@pytest.mark.parametrize("kind", ["imports", "baseline"])
async def test_every_bound_is_named_in_both_languages(finance, kind):
    head = HEAD if kind == "imports" else BASELINE
    async with await finance.signed_in(FINANCE) as http:
        for bound, (past, vietnamese, english) in BOUNDS.items():
            for language, words in (("vi", vietnamese), ("en", english)):
                content = past(head)
                if content is None:
                    url = f"{PAGES}/{kind}?lang={language}"
                    answer = await http.post(url, data=form(finance, http))
                else:
                    answer = await upload(finance, http, content, kind=kind, language=language)
                assert answer.status_code == 422, (bound, answer.status_code)
                assert words in answer.text, (bound, language)
        at_the_bound = f"{HEAD},document\n2026-10,tv,events,5,k,{'x' * MAX_CELL}".encode()
        assert (await upload(finance, http, at_the_bound)).status_code == 303


async def test_the_largest_file_is_uploaded_shown_and_recorded_while_others_are_served(finance):
    """Everything in one process: nothing of the file's work is on its event loop."""
    content = many_months(MAX_ROWS)
    async with (
        await finance.signed_in(FINANCE) as http,
        await finance.signed_in(FINANCE) as other,
    ):
        done, stalls, pages, work = asyncio.Event(), [0.0], [], []

        async def heartbeat():
            # Processor time of the loop's own thread: how busy the machine is with other tests does not count.
            while not done.is_set():
                before = time.thread_time()
                await asyncio.sleep(0.002)
                stalls.append(time.thread_time() - before)

        async def ask():
            while not done.is_set():
                for page in ("/healthz", f"{PAGES}/imports"):
                    answer = await other.get(page)
                    pages.append(answer.status_code)

        async def import_it():
            for act in (uploading, showing, confirming):
                before, count = time.monotonic(), len(pages)
                await act()
                work.append((time.monotonic() - before, len(pages) - count))
            done.set()

        async def uploading():
            answer = await upload(finance, http, content)
            assert answer.status_code == 303, answer.text
            finance.file = answer.headers["location"]

        async def showing():
            page = (await http.get(finance.file)).text
            assert "Trang 1/200" in page
            assert page.count("<tr>") < 150

        async def confirming():
            answer = await confirm(finance, http, finance.file)
            assert answer.status_code == 303
            page = (await http.get(finance.file)).text
            assert f"{BATCH_ROWS}/{MAX_ROWS}" in page and "<progress" in page
            assert f"{BATCH_ROWS}/{MAX_ROWS}" in (await http.get(PAGES)).text

        await asyncio.gather(heartbeat(), ask(), import_it())
    assert set(pages) == {200}
    seconds, served = work[0]
    assert served >= 10, "pages are served while the file is read and compared"
    assert max(stalls) < seconds / 4, (max(stalls), work)


async def test_a_file_whose_first_rows_are_recorded_says_so_in_both_languages(finance):
    async with await finance.signed_in(FINANCE) as http:
        first = await upload(finance, http, many_months(BATCH_ROWS + 1))
        second = await upload(finance, http, revenue_file("2026-10,tv,events,5,other"))
        for where in (first, second):
            page = where.headers["location"]
            assert (await confirm(finance, http, page)).status_code == 303
        page = first.headers["location"]
        assert "Đang ghi sổ: 200/201 dòng" in (await http.get(page)).text
        assert "Being recorded: 200 of 201 rows" in (await http.get(f"{page}?lang=en")).text
        waiting = (await http.get(second.headers["location"] + "?lang=en")).text
        assert "This file can follow when that is done" in waiting
        assert "/confirm" not in waiting
        assert "being recorded" in (await http.get(f"{PAGES}/imports")).text


@pytest.mark.parametrize(
    ("language", "figures", "months", "known"),
    [
        (
            "vi",
            "2 dòng, tổng cộng 62.000\u00a0₫; tháng: ",
            "08/2026 – 10/2026.",
            "1 dòng đã ghi trước đó",
        ),
        (
            "en",
            "2 rows, together ₫62,000; months: ",
            "08/2026 – 10/2026.",
            "1 are recorded already",
        ),
    ],
)
async def test_what_will_be_recorded_is_said_in_figures_and_asked_a_second_time(
    finance, language, figures, months, known
):
    async with await finance.signed_in(FINANCE) as http:
        august = "2026-08,tv,events,31000,august"
        first = (await upload(finance, http, revenue_file(august))).headers["location"]
        both = revenue_file(august, "2026-10,tv,events,31000,october")

        def asked(page, opening):
            """What the page's own form sends; it stands with its figures behind a button of its own."""
            before, found, after = page.partition(f'action="{file}/confirm"')
            assert found and "</details>" not in before.rpartition(opening)[2]
            return after.partition("</form>")[0]

        file = first
        alone = asked((await http.get(f"{file}?lang={language}")).text, CLOSED)
        assert "; " in alone and ": 08/2026." in alone and known not in alone
        assert (await confirm(finance, http, file)).status_code == 303

        file = (await upload(finance, http, both)).headers["location"]
        said = asked((await http.get(f"{file}?lang={language}")).text, CLOSED)
        one_press = await http.post(f"{file}/confirm?lang={language}", data=form(finance, http))
        assert one_press.status_code == 200
        for told in (said, asked(one_press.text, '<details class="confirm" open>')):
            assert figures + months in told and known in told
            assert 'name="confirmed" value="true"' in told
        assert "chưa ghi nhận" in (await http.get(f"{PAGES}/imports?lang=vi")).text, "nothing yet"
        assert (await confirm(finance, http, file)).status_code == 303
        assert "chưa ghi nhận" not in (await http.get(f"{PAGES}/imports?lang=vi")).text


async def test_a_contradiction_found_at_the_confirmation_is_shown_on_the_files_page(finance):
    async with await finance.signed_in(FINANCE) as http:
        two = [
            await upload(finance, http, revenue_file(f"2026-10,tv,events,{amount},same"))
            for amount in (310, 620)
        ]
        pages = [answer.headers["location"] for answer in two]
        assert (await confirm(finance, http, pages[0])).status_code == 303
        for language, words in (
            ("vi", "số đã ghi sổ với mã này (10)"),
            ("en", "under this key (10)"),
        ):
            answer = await confirm(finance, http, pages[1], language)
            assert answer.status_code == 422
            assert words in answer.text
