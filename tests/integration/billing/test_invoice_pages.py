"""Invoices as readers and staff see them: nobody else's, every row reachable, the same in files and on paper."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.billing.staff import invoice_pages
from tests.integration.billing.test_books_pages import finance, rows_of, workbook_of
from tests.integration.billing.test_invoices import issued, payment_of
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, World
from tests.unit.billing.test_invoices import texts

INVOICES = f"/staff/{AGENCY}/invoices"
PAPER = re.compile(rf'href="(/r/{AGENCY}/invoices/([0-9a-f-]{{36}})\.pdf\?lang=\w\w)"')


def paper_of(answer: httpx.Response) -> str:
    """The words on the first page."""
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "private, no-store"
    return texts(answer.content)[0]


async def test_a_reader_finds_the_invoice_on_the_receipt_and_in_the_account(world: World):
    browser = await world.signed_in("lan@example.vn")
    answer = await world.pay(await world.start_checkout(browser))
    receipt = await browser.get(answer.headers["location"])
    on_receipt = PAPER.search(receipt.text)
    assert on_receipt is not None and "26-000001 (PDF)" in receipt.text
    account = await browser.get(f"/r/{AGENCY}/account")
    in_account = PAPER.search(account.text)
    assert in_account is not None and in_account[1] == on_receipt[1]
    assert "A-000" not in receipt.text + account.text, "no number of the provider's"
    words = paper_of(await browser.get(on_receipt[1]))
    assert "Số: 26-000001" in words and "Không chịu thuế GTGT" in words
    assert "Bằng chữ: Năm mươi chín nghìn đồng" in words and "lan@example.vn" in words
    english = PAPER.search((await browser.get(f"/r/{AGENCY}/account?lang=en")).text)
    assert english is not None and english[1].endswith("lang=en")
    assert "No. 26-000001" in paper_of(await browser.get(english[1]))
    plain = await browser.get(f"/r/{AGENCY}/invoices/{english[2]}.pdf")
    assert "Số: 26-000001" in paper_of(plain), "in its own language, whatever the cookie says"
    assert plain.headers["content-disposition"] == f'inline; filename="{AGENCY}-26-000001.pdf"'


async def test_an_english_invoice_is_english_unless_vietnamese_is_asked_for(world: World):
    browser = await world.signed_in("john@example.vn")
    await browser.get(f"/r/{AGENCY}/plans?lang=en")
    await world.pay(await world.start_checkout(browser))
    await world.deliver()
    invoice = await world.value("SELECT id FROM invoice")
    for base, who in ((f"/r/{AGENCY}", browser.client), (f"/staff/{AGENCY}", finance(world))):
        path = f"{base}/invoices/{invoice}.pdf"
        for query, words in (("", "Receipt"), ("?lang=vi", "Biên nhận"), ("?lang=fr", "Receipt")):
            assert words in paper_of(await who.get(path + query))


async def test_an_invoice_is_shown_to_its_reader_and_to_nobody_else(world: World):
    owner = await world.subscribed("lan@example.vn")
    await world.deliver()
    path = f"/r/{AGENCY}/invoices/{await world.value('SELECT id FROM invoice')}.pdf"
    assert (await owner.get(path)).status_code == 200
    other = await world.subscribed("minh@example.vn")
    await world.deliver()
    abroad = await world.signed_in("lan@example.vn", OTHER_AGENCY)
    for who, address in (
        (other, path),
        (abroad, path.replace(AGENCY, OTHER_AGENCY)),
        (owner, f"/r/{AGENCY}/invoices/{uuid4()}.pdf"),
        (owner, f"/r/{AGENCY}/invoices/26-000001.pdf"),
        (owner, f"/r/{AGENCY}/invoices/%00.pdf"),
    ):
        assert (await who.get(address)).status_code == 404, address


async def test_who_is_not_signed_in_signs_in_and_comes_back_to_the_invoice(world: World):
    await world.subscribed("lan@example.vn")
    await world.deliver()
    path = f"/r/{AGENCY}/invoices/{await world.value('SELECT id FROM invoice')}.pdf"
    stranger = world.browser()
    for address in (path, f"/r/{AGENCY}/invoices/{uuid4()}.pdf"):  # whether it is there or not
        sent = await stranger.get(address)
        assert sent.status_code == 303
        there = httpx.URL(sent.headers["location"])
        assert there.path == f"/r/{AGENCY}/sign-in"
        assert there.params["return_to"] == f"{OWN}{address}"
    staff = world.browser(press_staff="finance-token")
    assert (await staff.get(path)).status_code == 303, "staff have their own page"


async def test_staff_find_every_invoice_of_a_month_by_pages_number_and_email(world: World):
    for _ in range(60):
        await issued(world, await payment_of(world))
    foreign = await payment_of(world, OTHER_AGENCY)
    await issued(world, foreign)
    world.clock.advance(timedelta(days=8))  # the first of December
    await issued(world, last := await payment_of(world))
    staff, path, seen = finance(world), f"{INVOICES}?period=2026-11", []
    assert "60 hóa đơn" in (await staff.get(path)).text
    while path:
        page = (await staff.get(path)).text
        seen += re.findall(r">(26-\d{6})</a>", page)
        older = re.search(r'href="(\?[^"]*after=[^"]*)"', page)
        path = f"{INVOICES}{older[1].replace('&amp;', '&')}" if older else ""
    assert seen == [f"26-{number:06}" for number in range(60, 0, -1)]
    for words, found in (
        ("26-000007", ["26-000007"]),
        ("000006", ["26-000006"]),
        ("00006", ["26-000060", "26-000006"]),
        (last.reader.email.upper(), []),
        (foreign.reader.email, []),
        ("%", []),
        ("_", []),
        ("\\", []),
    ):
        page = (await staff.get(INVOICES, params={"period": "2026-11", "words": words})).text
        numbers = re.findall(r">(26-\d{6})</a>", page)
        assert numbers == found, words
    december = (await staff.get(INVOICES, params={"words": last.reader.email.upper()})).text
    assert re.findall(r">(26-\d{6})</a>", december) == ["26-000061"] and "12/2026" in december
    rows = rows_of(await staff.get(f"{INVOICES}.csv?period=2026-Q4"))
    assert [row[0] for row in rows[1:]] == [f"26-{number:06}" for number in range(61, 0, -1)]
    assert len(rows_of(await staff.get(f"{INVOICES}.csv?words=26-00006"))) == 1 + 1
    assert foreign.reader.email not in str(rows)


async def test_the_files_say_the_same_and_how_each_invoice_is_taxed(world: World, monkeypatch):
    await world.subscribed("lan@example.vn")
    await world.deliver()
    await issued(world, await payment_of(world))
    staff = finance(world)
    rows = rows_of(await staff.get(f"{INVOICES}.csv"))
    assert rows[0] == [
        *("Số", "Ngày", "Ngày thanh toán", "Người mua", "Email", "Thuế suất GTGT"),
        *("Tiền chưa thuế", "Thuế GTGT", "Tổng cộng", "Loại tiền", "Mã hóa đơn"),
    ]
    assert rows[2][:-1] == [
        *("26-000001", "2026-11-23", "2026-11-23", "", "lan@example.vn"),
        *("Không chịu thuế GTGT", "59000", "0", "59000", "VND"),
    ]
    english = rows_of(await staff.get(f"{INVOICES}.csv?lang=en"))
    assert english[0][0] == "Number" and english[1][5] == "Not subject to VAT"
    await staff.get(f"{INVOICES}?lang=vi")
    found = workbook_of(await staff.get(f"{INVOICES}.xlsx"))
    shown = [["" if c is None else str(c).removesuffix(" 00:00:00") for c in row] for row in found]
    assert shown == rows
    monkeypatch.setitem(invoice_pages.router.__kwdefaults__, "most_rows", 1)
    world.app = world.with_settings()
    refused = await finance(world).get(f"{INVOICES}.xlsx")
    assert refused.status_code == 422 and "tối đa 1 hóa đơn" in refused.text
    assert (await finance(world).get(f"{INVOICES}.csv")).status_code == 200


async def test_what_is_taxed_is_shown_with_its_tax(world: World):
    fact = await payment_of(world)
    async with world.billing.database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO vat_rate (kind, valid_from, treatment, rate_basis_points, source)
                   VALUES ('gift', DATE '2026-01-01', 'rate', 800, 'test')"""
            )
        )
    await issued(world, replace(fact, lines=(replace(fact.lines[0], vat_kind="gift"),)))
    staff = finance(world)
    assert "4.370\u00a0₫" in (await staff.get(INVOICES)).text  # 59.000 × 8 / 108
    (row,) = rows_of(await staff.get(f"{INVOICES}.csv"))[1:]
    assert row[5:9] == ["8%", "54630", "4370", "59000"]


@pytest.mark.parametrize(
    ("token", "status"),
    [
        ("finance-token", 200),
        ("support-token", 200),
        ("seller-token", 403),
        ("other-token", 404),
        ("nobody", 303),
    ],
)
async def test_invoices_are_for_those_who_may_read_the_books(world: World, token: str, status: int):
    await world.subscribed()
    await world.deliver()
    invoice = await world.value("SELECT id FROM invoice")
    staff = world.browser(press_staff=token).client
    for path in (
        INVOICES,
        f"{INVOICES}.csv",
        f"{INVOICES}.xlsx",
        f"{INVOICES}/{invoice}.pdf",
    ):
        assert (await staff.get(path)).status_code == status, path


async def test_another_agencys_invoice_is_not_found_under_ones_own_address(world: World):
    fact = await payment_of(world, OTHER_AGENCY)
    await issued(world, fact)
    invoice = await world.value("SELECT id FROM invoice")
    assert (await finance(world).get(f"{INVOICES}/{invoice}.pdf")).status_code == 404
    theirs = world.browser(press_staff="other-token").client
    found = await theirs.get(f"/staff/{OTHER_AGENCY}/invoices/{invoice}.pdf")
    assert fact.agency.name in paper_of(found)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{INVOICES}?period=2026-13", 404),
        (f"{INVOICES}.csv?period=x", 404),
        (f"{INVOICES}?after=nowhere", 422),
        (f"{INVOICES}?after=2026-11-23_x", 422),
        (f"{INVOICES}?after=2026-11-23_-1", 422),
        (f"{INVOICES}?after=2026-11-23_99999999999", 422),
        (f"{INVOICES}?after=2026-11-23_5", 200),
        (f"{INVOICES}?words=%00", 422),
        (f"{INVOICES}?words=%25%5C_%27%22", 200),
        (f"{INVOICES}.pdf", 422),
        (f"{INVOICES}/1.pdf", 404),
        (f"{INVOICES}/{UUID(int=9)}.pdf", 404),
        (f"/staff/{OTHER_AGENCY}/invoices", 404),
    ],
)
async def test_what_no_form_sends_is_refused(world: World, path: str, status: int):
    assert (await finance(world).get(path)).status_code == status


async def test_the_books_name_the_invoice_and_find_it(world: World):
    await world.subscribed("lan@example.vn")
    await world.deliver()
    await issued(world, await payment_of(world))
    staff = finance(world)
    rows = rows_of(await staff.get(f"/staff/{AGENCY}/journal.csv?words=26-000001"))
    assert {row[2] for row in rows[1:]} == {"payment"} and {row[4] for row in rows[1:]} == {
        "26-000001"
    }
    entry = await world.value("SELECT id FROM journal_entry WHERE kind = 'recognition'")
    assert "26-000001" in (await staff.get(f"/staff/{AGENCY}/entries/{entry}")).text
