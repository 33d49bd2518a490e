"""The pages of bank credits: what waits and why, giving a credit to an order, writing down a return, who may."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import openpyxl
import pytest

from services.billing.orders.codes import new_code
from services.billing.readers.web import BillingFormTokens
from services.billing.staff import credits_pages
from services.billing.transfers.facts import CreditNotice
from shared.audit import Action
from tests.fixtures.audited import entries
from tests.integration.billing.paying import (
    ACCOUNT,
    MONTH,
    OTHER_ACCOUNT,
    SECRETS,
    balances,
    credited,
    credits,
    order,
    ordered,
)
from tests.integration.billing.world import (
    AGENCY,
    OTHER_AGENCY,
    OWN,
    World,
    form_token,
    make_world,
)

PAGE = f"/staff/{AGENCY}/transfers"


@pytest.fixture
async def world(billing_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The seed has entered the agencies' accounts."""
    async with make_world(billing_url, tmp_path, bank_webhook_secrets=SECRETS) as made:
        yield made


def staff(world: World, token: str = "finance-token") -> httpx.AsyncClient:
    return world.browser(press_staff=token).client


def token_for(world: World, token: str) -> str:
    """A form's token for a member of staff to whom no page shows one."""
    settings = world.billing.settings
    forms = BillingFormTokens(settings.form_secret, settings.staff_cookie, secure_cookies=False)
    return forms.shown_for(f"staff:{token}")


async def credit_id(world: World, amount: int) -> UUID:
    found: UUID = await world.value("SELECT id FROM bank_credit WHERE amount_vnd = :a", a=amount)
    return found


async def press(
    client: httpx.AsyncClient, page: str, act: str, token_of: str = "", **data: str
) -> httpx.Response:
    """Load a page, send one of its forms."""
    token = form_token((await client.get(token_of or page)).text)
    return await client.post(
        f"{page}/{act}", data={"csrf_token": token, **data}, headers={"Origin": OWN}
    )


async def many(world: World, count: int, agency: str = AGENCY, account: str = ACCOUNT) -> None:
    """Credits that name no order: 1 đồng, 2 đồng, …"""
    async with world.billing.database.transaction() as session:
        for number in range(1, count + 1):
            notice = CreditNotice(
                *(account, f"many-{number}", f"FT{number:08}", number, f"tien bao {number}"),
                *("NGUYEN VAN A", world.clock.now() - timedelta(minutes=number // 3)),
            )
            assert await world.billing.transfers.take(session, agency, "statement", notice)


async def test_every_credit_is_reachable_and_the_files_have_them_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many(world, 120)
    client, path, seen = staff(world), f"{PAGE}?show=waiting", []
    first = (await client.get(path)).text
    assert "7.260\u00a0₫" in first and "120 khoản" in first and ACCOUNT in first
    while path:
        page = (await client.get(path)).text
        seen += re.findall(rf'href="{PAGE}/([0-9a-f-]{{36}})"', page)
        older = re.search(r'href="(\?[^"]*after=[^"]*)"', page)
        path = f"{PAGE}{unescape(older[1])}" if older else ""
    assert len(seen) == len(set(seen)) == 120
    answer = await client.get(f"{PAGE}.csv")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")), delimiter=";"))
    assert [row[-1] for row in rows[1:]] == seen and sum(int(row[2]) for row in rows[1:]) == 7_260
    assert rows[0][:4] == ["Ngày ngân hàng", "Giờ ngân hàng", "Số tiền", "Còn lại"]
    assert "tìm đơn của bạn đọc" in rows[1][10]
    workbook = await client.get(f"{PAGE}.xlsx?words=tien bao 11")
    cells = list(openpyxl.load_workbook(io.BytesIO(workbook.content)).active.values)
    assert len(cells) == 1 + 11, "11 and 110 to 119"
    monkeypatch.setitem(credits_pages.router.__kwdefaults__, "most_rows", 3)
    world.app = world.with_settings()
    refused = await staff(world).get(f"{PAGE}.xlsx")
    assert refused.status_code == 422 and "tối đa 3 khoản" in refused.text


async def test_credits_are_found_by_what_they_say(world: World) -> None:
    await many(world, 12)
    client = staff(world)
    for words, found in {
        "tien bao 7": 1,
        "TIEN BAO 7": 1,
        "FT00000007": 1,
        "9 ₫": 1,
        "12 đồng": 1,
        "nguyen van": 12,
        "%": 0,
        "_": 0,
        "tran": 0,
    }.items():
        page = (await client.get(PAGE, params={"words": words})).text
        shown = set(re.findall(rf'href="{PAGE}/([0-9a-f-]{{36}})"', page))
        assert len(shown) == found, words
    assert "Không có khoản nào khớp" in page
    await credited(world, "x", 59_000)
    assert "59.000\u00a0₫" in (await client.get(PAGE, params={"words": "59.000 ₫"})).text


async def test_each_reason_says_what_to_do_and_what_is_settled_is_out_of_the_queue(
    world: World,
) -> None:
    _, lan = await ordered(world)
    _, minh = await ordered(world, "minh@example.vn")
    await credited(world, "gui toa soan", 1, id_=1)
    await credited(world, f"{lan} {minh}", 2, id_=2)
    await credited(world, lan, 3, id_=3)
    await credited(world, minh, 60_000, id_=4)
    await credited(world, minh, 4, id_=5)
    client = staff(world)
    page = (await client.get(PAGE)).text
    for said in (
        "Nội dung không ghi mã đơn",
        "Nội dung ghi nhiều mã đơn",
        f"Chưa đủ tiền cho đơn {lan}: chờ thêm, hoặc trả lại.",
        f"Phần thừa khi trả đơn {minh}",
        f"Đơn {minh} đã trả từ trước",
    ):
        assert said in page, said
    assert "lan@example.vn" in page and "1.010\u00a0₫" in page, "1 + 2 + 3 + 1.000 + 4"
    english = (await client.get(f"{PAGE}?lang=en")).text
    assert f"Not enough for order {lan} yet: wait for the rest" in english
    overview = (await client.get(f"/staff/{AGENCY}?lang=vi")).text
    assert 'id="transfers">1.010\u00a0₫' in overview
    await credited(world, lan, MONTH - 3, id_=6)
    assert f"Chưa đủ tiền cho đơn {lan}" not in (await client.get(PAGE)).text
    everything = (await client.get(f"{PAGE}?show=all")).text
    assert everything.count("đã xong") == 2
    assert (await client.get(f"/staff/{AGENCY}/journal")).text.count("tiền chuyển khoản vào") >= 6


async def test_a_credit_is_given_to_an_order_by_the_second_press(world: World) -> None:
    browser, code = await ordered(world)
    near = code[:4] + ("3" if code[4] != "3" else "4") + code[5:]
    await credited(world, f"mua bao {near}", 60_000)
    client, page = staff(world), f"{PAGE}/{await credit_id(world, 60_000)}"
    shown = (await client.get(page)).text
    assert near in shown and f'value="{code}"' in shown, "the mistyped code's order is offered"
    asked = await press(client, page, "assign", code=code)
    assert asked.status_code == 200
    for said in (
        f"60.000\u00a0₫ được gán cho đơn {code} của lan@example.vn.",
        "bạn đọc đọc được ngay",
        "Thừa 1.000\u00a0₫",
    ):
        assert said in asked.text, said
    assert await credits(world) == [(60_000, 60_000, "no_order")], "only asked yet"
    done = await press(client, page, "assign", code=code, why="gọi điện", confirmed="true")
    assert done.status_code == 303
    after = (await client.get(done.headers["location"])).text
    assert "Đơn đã được trả" in after and f"trả đơn {code}" in after
    assert await credits(world) == [(60_000, 1_000, "over")]
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json()["state"] == "paid"
    [entry] = [
        e for e in await entries(world.billing.database) if e.action == Action.CREDIT_ASSIGNED
    ]
    assert entry.actor == "finance-token@example.vn" and entry.after["why"] == "gọi điện"
    [booked] = re.findall(rf'href="(/staff/{AGENCY}/entries/[0-9a-f-]+)"', after)
    in_journal = await client.get(booked)
    assert in_journal.status_code == 200 and f'href="{page}"' in in_journal.text
    await world.assert_sound()


async def test_too_little_is_said_before_and_after(world: World) -> None:
    browser, code = await ordered(world)
    await credited(world, "khong ma", 20_000)
    client, page = staff(world), f"{PAGE}/{await credit_id(world, 20_000)}"
    asked = await press(client, page, "assign", code=f" {code.lower()} ")
    assert asked.status_code == 200 and "còn thiếu 39.000\u00a0₫" in asked.text
    assert "đọc được ngay" not in asked.text
    done = await press(client, page, "assign", code=code, why="x", confirmed="true")
    assert done.headers["location"].endswith("notice=waits")
    assert await credits(world) == [(20_000, 20_000, "under")]
    await credited(world, "khong ma", 39_000, id_=2)
    other = f"{PAGE}/{await credit_id(world, 39_000)}"
    asked = await press(client, other, "assign", code=code)
    assert "đọc được ngay" in asked.text, "with what waits for it already"
    await press(client, other, "assign", code=code, why="x", confirmed="true")
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json()["state"] == "paid"
    await world.assert_sound()


async def test_a_term_that_follows_another_is_not_promised_at_once(world: World) -> None:
    browser, code = await ordered(world)
    await credited(world, code)
    code = await order(world, browser)
    await credited(world, "khong ma", 59_001, id_=2)
    page = f"{PAGE}/{await credit_id(world, 59_001)}"
    asked = await press(staff(world), page, "assign", code=code)
    assert "kỳ này nối tiếp" in asked.text and "đọc được ngay" not in asked.text


async def test_a_return_is_written_down_by_the_second_press(world: World) -> None:
    await many(world, 1)
    client, page = staff(world), f"{PAGE}/{await credit_id(world, 1)}"
    asked = await press(client, page, "return", reference=" ft-back ", why="nhầm")
    assert asked.status_code == 200
    assert "hãy chuyển trả ở ngân hàng trước" in asked.text and "FT-BACK" in asked.text
    assert await world.value("SELECT count(*) FROM credit_use") == 0
    done = await press(client, page, "return", reference=" ft-back ", why="nhầm", confirmed="true")
    assert done.status_code == 303
    after = (await client.get(done.headers["location"])).text
    assert "Đã ghi nhận việc trả lại" in after and "trả lại bằng lần chuyển FT-BACK: nhầm" in after
    assert "Trả lại</h2>" not in after, "nothing is left to act on"
    assert await world.rows("SELECT returned_as, why FROM credit_use") == [("FT-BACK", "nhầm")]
    assert await balances(world) == {}
    assert after.count(f"/staff/{AGENCY}/entries/") == 2
    await world.assert_sound()


LONG = "x" * 10_000
WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "no code": ("assign", {"code": " "}, "Ghi mã đơn"),
    "no code's form": ("assign", {"code": "12345"}, "không phải mã đơn"),
    "a wrong check character": ("assign", {"code": "{wrong}"}, "không phải mã đơn"),
    "two codes": ("assign", {"code": "{code} {paid}"}, "không phải mã đơn"),
    "a code of nobody's": ("assign", {"code": "{nobody}"}, "Không có đơn nào"),
    "another agency's code": ("assign", {"code": "{other}"}, "Không có đơn nào"),
    "a code with NUL": ("assign", {"code": "PR\x00"}, "không phải mã đơn"),
    "a long code": ("assign", {"code": LONG}, "không phải mã đơn"),
    "a long code that ends right": ("assign", {"code": LONG + "{code}"}, "không phải mã đơn"),
    "a paid order": ("assign", {"code": "{paid}", "why": "x"}, "Đơn này đã được trả"),
    "no why": ("assign", {"code": "{code}", "why": " \t"}, "Ghi ngắn gọn lý do"),
    "a why with NUL": ("assign", {"code": "{code}", "why": "a\x00b"}, "ký tự không lưu được"),
    "a long why": ("assign", {"code": "{code}", "why": LONG}, "tối đa 500 ký tự"),
    "no reference": ("return", {"reference": " ", "why": "x"}, "Ghi số tham chiếu"),
    "a reference with NUL": (
        "return",
        {"reference": "FT\x001", "why": "x"},
        "ký tự không lưu được",
    ),
    "a long reference": ("return", {"reference": LONG, "why": "x"}, "Tối đa 100 ký tự"),
    "a used reference": ("return", {"reference": "used-1", "why": "x"}, "lần trả lại khác"),
    "returned without why": ("return", {"reference": "FT1"}, "Ghi ngắn gọn lý do"),
    "returned with a long why": ("return", {"reference": "FT1", "why": LONG}, "500 ký tự"),
}


async def test_what_is_wrong_is_named_and_what_was_typed_is_kept(world: World) -> None:
    _, code = await ordered(world)
    _, paid = await ordered(world, "minh@example.vn")
    await credited(world, paid)
    await many(world, 2)
    elsewhere = await world.signed_in("hoa@example.vn", OTHER_AGENCY)
    price = str((await world.billing.plans.offers(OTHER_AGENCY))[0].price_id)
    chosen = {"price": price, "way": "transfer", "return_to": ""}
    shop = f"/r/{OTHER_AGENCY}"
    answer = await elsewhere.submit(f"{shop}/plans", f"{shop}/checkout", chosen)
    values = {
        "code": code,
        "paid": paid,
        "wrong": code[:-1] + ("3" if code[-1] != "3" else "4"),
        "nobody": new_code(lambda _: 0),
        "other": answer.headers["location"].rsplit("/", 1)[1],
    }
    client = staff(world)
    used = f"{PAGE}/{await credit_id(world, 2)}"
    await press(client, used, "return", reference="USED-1", why="x", confirmed="true")
    before, page = await credits(world), f"{PAGE}/{await credit_id(world, 1)}"
    token = form_token((await client.get(page)).text)
    for name, (act, form, said) in WRONG.items():
        sent = {key: value.format(**values) for key, value in form.items()}
        for more in ({}, {"confirmed": "true"}):
            if not more and name == "no why":
                continue  # asked for by the second press
            answer = await client.post(
                f"{page}/{act}",
                data={"csrf_token": token, **sent, **more},
                headers={"Origin": OWN},
            )
            assert answer.status_code in (409, 422), name
            assert said in answer.text and 'aria-invalid="true"' in answer.text, name
            for value in sent.values():
                assert value.strip() in unescape(answer.text) or "\x00" in value, name
    assert await credits(world) == before
    assert await world.value("SELECT count(*) FROM credit_use") == 2


async def test_what_a_colleague_settled_meanwhile_is_told_and_done_once(world: World) -> None:
    _, code = await ordered(world)
    await many(world, 1)
    page = f"{PAGE}/{await credit_id(world, 1)}"
    first, second = staff(world), staff(world)
    token = form_token((await second.get(page)).text)
    await press(first, page, "return", reference="FT-1", why="x", confirmed="true")
    for act, form in (
        ("assign", {"code": code, "why": "của bạn Lan"}),
        ("return", {"reference": "FT-2", "why": "của bạn Lan"}),
    ):
        for more in ({}, {"confirmed": "true"}):
            answer = await second.post(
                f"{page}/{act}",
                data={"csrf_token": token, **form, **more},
                headers={"Origin": OWN},
            )
            assert answer.status_code == 409 and "Đồng nghiệp vừa xử lý khoản này" in answer.text
            assert "của bạn Lan" in answer.text, "what was typed"
    assert await world.value("SELECT count(*) FROM credit_use") == 1


async def test_people_who_press_at_one_moment_settle_a_credit_once(world: World) -> None:
    _, lan = await ordered(world)
    _, minh = await ordered(world, "minh@example.vn")
    await credited(world, "khong ma", 59_000)
    page = f"{PAGE}/{await credit_id(world, 59_000)}"
    clients = [staff(world) for _ in range(6)]
    tokens = [form_token((await client.get(page)).text) for client in clients]

    async def act(number: int) -> int:
        form: dict[str, Any] = {"csrf_token": tokens[number], "why": "x", "confirmed": "true"}
        if number % 3 == 2:
            form, act = form | {"reference": f"FT-{number}"}, "return"
        else:
            form, act = form | {"code": (lan, minh)[number % 3]}, "assign"
        answer = await clients[number].post(f"{page}/{act}", data=form, headers={"Origin": OWN})
        return answer.status_code

    assert sorted(await asyncio.gather(*(act(number) for number in range(6)))) == [303, *[409] * 5]
    assert await world.value("SELECT count(*) FROM credit_use") == 1
    await world.assert_sound()


async def test_one_order_or_reference_is_used_once_by_people_at_one_moment(world: World) -> None:
    _, code = await ordered(world)
    await credited(world, "khong ma", 59_000, id_=1)
    await credited(world, "khong ma", 59_001, id_=2)
    pages = [f"{PAGE}/{await credit_id(world, amount)}" for amount in (59_000, 59_001)]
    client = staff(world)
    answers = await asyncio.gather(
        *(press(client, page, "assign", code=code, why="x", confirmed="true") for page in pages)
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    [lost] = [answer for answer in answers if answer.status_code == 409]
    assert "Đơn này đã được trả" in lost.text
    await many(world, 2)
    pages = [f"{PAGE}/{await credit_id(world, amount)}" for amount in (1, 2)]
    answers = await asyncio.gather(
        *(
            press(client, page, "return", reference="FT", why="x", confirmed="true")
            for page in pages
        )
    )
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    [lost] = [answer for answer in answers if answer.status_code == 409]
    assert "lần trả lại khác" in lost.text
    await world.assert_sound()


@pytest.mark.parametrize(
    ("token", "sees", "acts"),
    [
        ("finance-token", 200, 303),
        ("support-token", 200, 403),
        ("seller-token", 403, 403),
        ("other-token", 404, 404),
        ("tired-token", 200, 403),  # to prove who he is
    ],
)
async def test_who_sees_credits_and_who_acts(
    world: World, token: str, sees: int, acts: int
) -> None:
    await many(world, 1)
    page, client = f"{PAGE}/{await credit_id(world, 1)}", staff(world, token)
    for path in (PAGE, page, f"{PAGE}.csv", f"{PAGE}.xlsx"):
        assert (await client.get(path)).status_code == sees, path
    if token == "support-token":
        shown = (await client.get(page)).text
        assert 'name="reference"' not in shown and "Bộ phận tài chính" in shown
        assert "Nhập sao kê" not in (await client.get(PAGE)).text
    form = {"reference": "FT", "why": "x", "code": "PR", "confirmed": "true"}
    for act in ("assign", "return"):
        data = form | {"csrf_token": token_for(world, token)}
        answer = await client.post(f"{page}/{act}", data=data, headers={"Origin": OWN})
        expected = 422 if acts == 303 and act == "assign" else acts
        assert answer.status_code == expected, (act, answer.text)
    assert await world.value("SELECT count(*) FROM credit_use") == (acts == 303)


async def test_another_agencys_credit_is_not_found_and_a_form_without_token_does_nothing(
    world: World,
) -> None:
    await many(world, 1, OTHER_AGENCY, OTHER_ACCOUNT)
    page, client = f"{PAGE}/{await credit_id(world, 1)}", staff(world)
    assert (await client.get(page)).status_code == 404
    form = {"reference": "FT", "why": "x", "code": "PR333333333", "confirmed": "true"}
    for act in ("assign", "return"):
        assert (
            await press(client, page, act, token_of=f"/staff/{AGENCY}/books", **form)
        ).status_code == 404
    others = staff(world, "other-token")
    page = page.replace(AGENCY, OTHER_AGENCY)
    for act in ("assign", "return"):
        answer = await others.post(f"{page}/{act}", data=form, headers={"Origin": OWN})
        assert answer.status_code == 403
    assert await world.value("SELECT count(*) FROM credit_use") == 0


async def test_what_no_form_sends_is_refused(world: World) -> None:
    id_ = "00000000-0000-0000-0000-000000000000"
    for query, status in {
        "after=nowhere": 422,
        f"after=0001-01-01T00:00:00%2B23:59_{id_}": 422,
        f"after=2026-01-01T00:00:00_{id_}": 422,
        f"after=2026-01-01T00:00:00%2B07:00_{id_}": 200,
        "show=stolen": 422,
        "words=%00": 422,
        "words=" + "x" * 201: 422,
        "words=%25%5C_%27%22": 200,
    }.items():
        for path in (PAGE, f"{PAGE}.csv"):
            assert (await staff(world).get(f"{path}?{query}")).status_code == status, query
    for path in (f"{PAGE}/no-id", f"{PAGE}.pdf"):
        assert (await staff(world).get(path)).status_code in (404, 422)
