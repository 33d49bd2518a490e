"""Refunds on screen: asked for at a reader's payment, decided and paid out on finance's page, seen in the reader's account."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from services.billing.staff.rules import parse_vnd
from tests.integration.billing.paying import credited, ordered, person
from tests.integration.billing.returning import at_the_bank
from tests.integration.billing.test_reader_desk import press, support
from tests.integration.billing.test_refunds import YEAR, ask, monthly
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, Browser, World

REFUNDS = f"/staff/{AGENCY}/refunds"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


@pytest.mark.parametrize(
    ("typed", "vnd"),
    [
        ("59000", 59_000),
        (" 59.000 ₫", 59_000),
        ("1,234,567", 1_234_567),
        ("590 000đ", 590_000),
        ("59\u00a0000 VND", 59_000),
        ("59.00", None),
        ("59.0000", None),
        ("1.234,567", None),
        ("-5", None),
        ("", None),
        ("x", None),
        ("٥٩", None),
        ("9" * 16, None),
    ],
)
def test_an_amount_is_read_as_people_type_it(typed: str, vnd: int | None) -> None:
    assert parse_vnd(typed) == vnd


async def the_payment(world: World) -> tuple[str, str]:
    """(the reader's page, the action of the refund's form) of the only transfer."""
    [row] = await world.rows("SELECT reader_id, id FROM payment WHERE provider = 'transfer'")
    page = f"/staff/{AGENCY}/readers/{row[0]}"
    return page, f"{page}/payments/{row[1]}/refund"


async def waiting(world: World) -> UUID:
    found: UUID = await world.value(
        "SELECT id FROM refund_request WHERE state IN ('asked', 'approved')"
    )
    return found


async def test_a_large_refund_from_the_wish_to_the_readers_account(world: World) -> None:
    reader, code = await ordered(world, "lan@example.vn", "year")
    await credited(world, code, YEAR)
    page, action = await the_payment(world)
    desk = support(world, "finance-token")
    first, second = await press(desk, page, action, amount="590.000 ₫", reason="mua nhầm")
    assert first.status_code == 200 and "quyền đọc của khoản kết thúc" in first.text
    assert 'value="590.000 ₫"' in first.text and 'value="mua nhầm"' in first.text
    assert second.status_code == 303 and second.headers["location"].endswith("refund-asked")
    assert "chờ duyệt" in (await desk.get(page)).text
    assert "đang hoàn 590.000" in (await reader.get(f"/r/{AGENCY}/account")).text
    listed = (await desk.get(REFUNDS)).text
    assert "lan@example.vn" in listed and "mua nhầm" in listed and "finance-token" in listed
    assert "Bạn là người đề nghị khoản này" in listed and "/approve" not in listed
    act = f"{REFUNDS}/{await waiting(world)}"
    same = await desk.submit(REFUNDS, f"{act}/approve", {"confirmed": "true"})
    assert same.status_code == 409 and "cần người khác" in same.text
    chief = support(world, "chief-token")
    first, second = await press(chief, REFUNDS, f"{act}/approve")
    assert first.status_code == 200 and second.status_code == 303
    ready = f"{REFUNDS}?group=pay"
    empty = await desk.submit(ready, f"{act}/pay", {"reference": " ", "confirmed": "true"})
    assert empty.status_code == 422 and "Hãy điền vào ô" in empty.text
    first, second = await press(desk, ready, f"{act}/pay", reference="FT-9")
    assert first.status_code == 200 and "quyền đọc của khoản kết thúc ngay" in first.text
    assert 'value="FT-9"' in first.text and second.status_code == 303
    done = (await desk.get(f"{REFUNDS}?group=done&lang=en")).text
    assert "paid out by finance-token" in done and "reference FT-9" in done
    account = (await reader.get(f"/r/{AGENCY}/account")).text
    assert "đã hoàn 590.000" in account and "đang hoàn" not in account
    shown = (await desk.get(f"{page}?lang=vi")).text
    assert "FT-9" in shown and "đã thu hồi" in shown and "Đã chuyển tiền hoàn" in shown
    again = (
        await chief.submit(ready, f"{act}/refuse", {"reason": "x", "confirmed": "true"})
        if ("csrf_token" in (await chief.get(ready)).text)
        else None
    )
    assert again is None or again.status_code == 409
    await world.assert_sound()


async def test_what_cannot_be_is_said_where_it_was_typed(world: World) -> None:
    await monthly(world)
    page, action = await the_payment(world)
    desk = support(world)
    for amount, status, said in (
        ("x", 409, "chẵn đồng"),
        ("60.000", 409, "không còn nhiều như vậy"),
        ("0", 409, "không còn nhiều như vậy"),
    ):
        _, answer = await press(desk, page, action, amount=amount, reason="x")
        assert answer.status_code == status and said in answer.text, amount
        assert f'value="{amount}"' in answer.text
    _, answer = await press(desk, page, action, amount="1000", reason="x" * 201)
    assert answer.status_code == 422 and "tối đa 200" in answer.text
    assert await world.value("SELECT count(*) FROM refund_request") == 0


async def test_a_refusal_has_a_reason_that_the_desk_reads(world: World) -> None:
    code = await monthly(world)
    page, _ = await the_payment(world)
    await ask(world, code, 9_000)
    finance = support(world, "finance-token")
    ready, act = f"{REFUNDS}?group=pay", f"{REFUNDS}/{await waiting(world)}/refuse"
    first, second = await press(finance, ready, act, reason="đã hoàn tiền mặt", group="pay")
    assert "giữ nguyên gói đã mua" in first.text
    assert second.headers["location"].endswith("group=pay&notice=refused")
    assert "đã hoàn tiền mặt" in (await support(world).get(page)).text
    assert "đã hoàn tiền mặt" in (await finance.get(f"{REFUNDS}?group=done")).text


@pytest.mark.parametrize(
    ("token", "step", "status"),
    [
        ("support-token", "approve", 403),
        ("support-token", "pay", 403),
        ("support-token", "refuse", 403),
        ("tired-token", "pay", 403),
        ("seller-token", "pay", 403),
        ("other-token", "pay", 404),
    ],
)
async def test_who_may_not_decides_nothing(
    world: World, token: str, step: str, status: int
) -> None:
    code = await monthly(world)
    await ask(world, code, 9_000)
    form = {"reason": "x", "reference": "B1", "confirmed": "true"}
    who: Browser = support(world, token)
    answer = await who.submit(
        f"/r/{AGENCY}/sign-in", f"{REFUNDS}/{await waiting(world)}/{step}", form
    )
    assert answer.status_code == status
    assert await world.value("SELECT state FROM refund_request") == "approved"


async def test_support_looks_and_finance_decides(world: World) -> None:
    code = await monthly(world)
    await ask(world, code, 9_000)
    looks = await support(world).get(f"{REFUNDS}?group=pay")
    assert looks.status_code == 200 and "9.000" in looks.text and "/pay" not in looks.text
    decides = await support(world, "finance-token").get(f"{REFUNDS}?group=pay")
    assert f"{await waiting(world)}/pay" in decides.text
    assert (await support(world, "seller-token").get(REFUNDS)).status_code == 403
    assert (await support(world).get(f"/staff/{OTHER_AGENCY}/refunds")).status_code == 404
    for query in ("?group=x", "?after=nowhere"):
        assert (await support(world).get(REFUNDS + query)).status_code == 422


async def test_every_request_is_reached(world: World) -> None:
    code = await monthly(world)
    for _ in range(120):
        await ask(world, code, 10)
    staff, path, seen = support(world, "finance-token"), f"{REFUNDS}?group=pay", []
    while path:
        page = (await staff.get(path)).text
        seen += re.findall(rf'action="{REFUNDS}/([0-9a-f-]+)/pay"', page)
        older = re.search(r'href="(\?[^"]*after=[^"]*)"', page)
        path = f"{REFUNDS}{older[1].replace('&amp;', '&')}" if older else ""
    assert len(seen) == len(set(seen)) == 120


async def test_of_a_card_nobody_transfers_anything(world: World) -> None:
    await world.subscribed("card@example.vn", period="year")
    await world.deliver()
    card = (await person(world, "card@example.vn")).id
    payment = await world.value("SELECT id FROM payment")
    page = f"/staff/{AGENCY}/readers/{card}"
    desk, finance = support(world), support(world, "chief-token")
    first, second = await press(
        desk, page, f"{page}/payments/{payment}/refund", amount="590.000", reason="mua nhầm"
    )
    assert "có thể hoàn về thẻ" in first.text.casefold() and second.status_code == 303
    act = f"{REFUNDS}/{await waiting(world)}"
    code = await world.value("SELECT code FROM sales_order")
    assert f"đơn {code}" in (await finance.get(REFUNDS)).text
    assert f"đơn {code}" in (await desk.get(page)).text
    first, second = await press(finance, REFUNDS, f"{act}/approve")
    assert "tự hoàn về thẻ" in first.text and second.status_code == 303
    ready = (await finance.get(f"{REFUNDS}?group=pay")).text
    assert "không chuyển khoản" in ready and "/pay" not in ready and f"{act}/refuse" in ready
    refused = await finance.submit(
        f"{REFUNDS}?group=pay", f"{act}/pay", {"reference": "B1", "confirmed": "true"}
    )
    assert refused.status_code == 409 and "không chuyển khoản" in refused.text
    assert "tự hoàn về thẻ" in (await desk.get(page)).text
    await world.billing.sent_refunds.run_due()
    done = (await finance.get(f"{REFUNDS}?group=done")).text
    assert "đã hoàn về thẻ" in done
    refund = await world.value("SELECT provider_refund FROM refund")
    assert refund in done and refund in (await desk.get(page)).text
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert "không thành" in (await finance.get(f"{REFUNDS}?group=done")).text
    assert "bị trả lại" in (await desk.get(page)).text
    await world.assert_sound()
