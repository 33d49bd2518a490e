"""The pages of the books: a period's accounts, the journal to its last row, downloads, closing a month by the second press."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, datetime, timedelta

import httpx
import openpyxl
import pytest

from services.billing.staff import books_pages
from tests.integration.billing.test_ledger import PAIR, raw_entry
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, World, form_token

BOOKS, JOURNAL = f"/staff/{AGENCY}/books", f"/staff/{AGENCY}/journal"


def finance(world: World) -> httpx.AsyncClient:
    return world.browser(press_staff="finance-token").client


def rows_of(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")), delimiter=";"))


async def test_a_period_shows_what_each_account_had_before_and_moved_by(world: World):
    await world.subscribed()
    await world.deliver()
    world.clock.advance(timedelta(days=8))  # the first of December
    await world.billing.recognition.run_due()
    staff = finance(world)
    page = (await staff.get(BOOKS)).text
    assert "Tháng 12/2026" in page and "01/12/2026 – 31/12/2026" in page
    november = rows_of(await staff.get(f"{BOOKS}.csv?period=2026-11"))
    december = rows_of(await staff.get(f"{BOOKS}.csv?period=2026-12"))
    assert november[0] == [
        *("Tài khoản", "Tên tài khoản", "Loại tiền"),
        *("Dư đầu kỳ", "Nợ", "Có", "Dư cuối kỳ"),
    ]
    deferred = {
        name: next(row for row in rows if row[0] == "3387")[3:]
        for name, rows in (("november", november), ("december", december))
    }
    earned = 59_000 * 8 // 30
    assert deferred["november"] == ["0", str(earned), "59000", str(earned - 59_000)]
    first = 59_000 * 9 // 30 - earned
    assert deferred["december"] == [
        str(earned - 59_000),
        str(first),
        "0",
        str(earned - 59_000 + first),
    ]
    year = rows_of(await staff.get(f"{BOOKS}.csv?period=2026&lang=en"))
    assert year[0][0] == "Account"
    for rows in (november, december, year):
        assert sum(int(row[4]) for row in rows[1:]) == sum(int(row[5]) for row in rows[1:])


async def test_the_journal_shows_every_row_and_its_file_has_them_all(world: World):
    for number in range(120):
        await raw_entry(world, *PAIR, day=date(2026, 11, 1 + number % 9), key=f"fact:{number}")
    await raw_entry(world, *PAIR, day=date(2026, 10, 31), key="of October")
    staff, path, seen = finance(world), f"{JOURNAL}?period=2026-11", []
    assert "120 bút toán" in (await staff.get(path)).text
    while path:
        page = (await staff.get(path)).text
        seen += re.findall(rf'href="/staff/{AGENCY}/entries/([0-9a-f-]+)"', page)
        older = re.search(r'href="(\?[^"]*after=[^"]*)"', page)
        path = f"{JOURNAL}{older[1].replace('&amp;', '&')}" if older else ""
    assert len(seen) == len(set(seen)) == 120
    rows = rows_of(await staff.get(f"{JOURNAL}.csv?period=2026-11"))
    assert len(rows) == 1 + 2 * 120 and {row[-1] for row in rows[1:]} == set(seen)
    assert sum(int(row[7]) for row in rows[1:]) == sum(int(row[8]) for row in rows[1:]) == 600
    narrowed = rows_of(await staff.get(f"{JOURNAL}.csv?period=2026-11&words=fact:11"))
    assert len(narrowed) == 1 + 2 * 11, "11 and 110 to 119"


def workbook_of(answer: httpx.Response) -> list[tuple[object, ...]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].endswith('.xlsx"')
    return list(
        openpyxl.load_workbook(io.BytesIO(answer.content)).active.iter_rows(values_only=True)
    )


async def test_the_workbooks_say_what_the_csv_files_say(world: World, monkeypatch):
    await world.subscribed()
    await world.deliver()
    staff = finance(world)
    for path in (BOOKS, JOURNAL):
        rows = rows_of(await staff.get(f"{path}.csv?period=2026-11"))
        found = workbook_of(await staff.get(f"{path}.xlsx?period=2026-11"))
        shown = [
            ["" if c is None else str(c.date()) if isinstance(c, datetime) else str(c) for c in row]
            for row in found
        ]
        assert shown == rows and len(rows) > 4
    monkeypatch.setitem(books_pages.router.__kwdefaults__, "most_rows", 3)
    world.app = world.with_settings()
    staff = finance(world)
    refused = await staff.get(f"{JOURNAL}.xlsx?period=2026-11")
    assert refused.status_code == 422 and "tối đa 3 dòng" in refused.text, (
        "two entries of two lines"
    )
    assert (await staff.get(f"{JOURNAL}.pdf?period=2026-11")).status_code in (404, 422)


async def test_closing_a_month_says_its_consequences_and_is_done_by_the_second_press(world: World):
    staff = finance(world)
    shown = await staff.get(BOOKS)
    form = {"csrf_token": form_token(shown.text), "month": "2026-10"}

    async def press(**more: str) -> httpx.Response:
        return await staff.post(f"{BOOKS}/close", data=form | more, headers={"Origin": OWN})

    asked = await press()
    assert (
        asked.status_code == 200 and "31/10/2026" in asked.text and "không thể mở lại" in asked.text
    )
    assert await world.value("SELECT closed_through FROM books WHERE agency = :a", a=AGENCY) is None
    done = await press(confirmed="true")
    assert done.status_code == 303
    after = (await staff.get(done.headers["location"])).text
    assert "Đã khóa sổ đến hết 31/10/2026" in after
    assert await world.value(
        "SELECT closed_through FROM books WHERE agency = :a", a=AGENCY
    ) == date(2026, 10, 31)
    assert (
        await world.value("SELECT closed_through FROM books WHERE agency = :a", a=OTHER_AGENCY)
        is None
    )
    again = await press(confirmed="true")
    assert again.status_code == 409 and "Tháng này đã khóa sổ." in again.text
    form["month"] = "2026-11"
    early = await press(confirmed="true")
    assert early.status_code == 409 and "khi tháng đã hết" in early.text


@pytest.mark.parametrize(
    ("token", "page", "status"),
    [
        ("tired-token", BOOKS, 403),  # to prove who he is
        ("support-token", f"/r/{AGENCY}/sign-in", 403),
        ("other-token", f"/r/{AGENCY}/sign-in", 404),
    ],
)
async def test_who_may_not_close_a_month_or_has_not_just_proved_to_be_himself_closes_nothing(
    world: World, token: str, page: str, status: int
):
    """With a form of his own, so that nothing but his role or his proof is missing."""
    staff = world.browser(press_staff=token)
    answer = await staff.submit(page, f"{BOOKS}/close", {"month": "2026-10", "confirmed": "true"})
    assert answer.status_code == status, answer.text
    assert await world.value("SELECT count(closed_through) FROM books") == 0


@pytest.mark.parametrize("month", ["2026", "2026-Q4", "", "2026-13", "x"])
async def test_a_month_is_closed_and_nothing_else(world: World, month: str):
    staff = world.browser(press_staff="finance-token")
    answer = await staff.submit(BOOKS, f"{BOOKS}/close", {"month": month, "confirmed": "true"})
    assert answer.status_code in (404, 422)
    assert await world.value("SELECT count(closed_through) FROM books") == 0


@pytest.mark.parametrize("token", ["support-token", "seller-token"])
async def test_the_books_are_finances(world: World, token: str):
    staff = world.browser(press_staff=token).client
    for path in (
        BOOKS,
        f"{BOOKS}.csv",
        f"{BOOKS}.xlsx",
        JOURNAL,
        f"{JOURNAL}.csv",
        f"{JOURNAL}.xlsx",
    ):
        assert (await staff.get(path)).status_code == 403, path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{BOOKS}?period=2026-13", 404),
        (f"{JOURNAL}?period=last", 404),
        (f"{JOURNAL}?after=nowhere", 422),
        (f"{JOURNAL}?kind=theft", 422),
        (f"{JOURNAL}?account=%27", 422),
        (f"{JOURNAL}?words=%00", 422),
        (f"{JOURNAL}?words=%25%5C_%27%22", 200),
        (f"/staff/{OTHER_AGENCY}/books", 404),
        (f"/staff/{OTHER_AGENCY}/journal.csv", 404),
    ],
)
async def test_what_no_form_sends_is_refused_and_another_agencys_books_are_not_found(
    world: World, path: str, status: int
):
    assert (await finance(world).get(path)).status_code == status
