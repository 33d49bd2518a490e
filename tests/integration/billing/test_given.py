"""Days of reading that the desk gives and takes back, and a receipt that is sent once more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.audit import Action
from shared.mail.outbox import recent_mail
from tests.fixtures.audited import entries
from tests.integration.billing.paying import credited, ordered, person
from tests.integration.billing.test_reader_desk import READERS, made, press, support
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

DAY = timedelta(days=1)


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def rights(world: World) -> list[tuple[Any, ...]]:
    return await world.rows(
        "SELECT plan_code, scope, valid_from, valid_until, revoked FROM entitlement WHERE given_id IS NOT NULL ORDER BY valid_from"
    )


async def told(world: World) -> list[dict[str, Any]]:
    return [
        event
        for event in await world.events()
        if ".entitlement." in event["type"] and event["data"]["plan_code"] == "given-days"
    ]


async def test_days_are_given_by_the_second_press_read_at_once_and_taken_back(world: World):
    [an] = await made(world, ("an@example.vn", "An"))
    now, page, staff = world.clock.now(), f"{READERS}/{an}", support(world)
    first, second = await press(staff, page, f"{page}/days", days="7", reason="lỗi app")
    assert first.status_code == 200 and "không phải trả tiền" in first.text
    assert 'value="7"' in first.text and 'value="lỗi app"' in first.text, "what was typed stays"
    assert second.status_code == 303, second.text
    assert await rights(world) == [("given-days", "site", now, now + 7 * DAY, False)]
    assert await world.billing.subscriptions.rights(an) == [("site", now + 7 * DAY)]
    shown = (await staff.get(page)).text
    assert "Tặng 7 ngày" in shown and "lỗi app" in shown and "đang đọc được" in shown
    world.clock.advance(DAY)
    given = await world.value("SELECT id FROM given_days")
    _, ended = await press(staff, page, f"{page}/days/{given}/end", reason="nhầm người")
    assert ended.status_code == 303, ended.text
    assert await rights(world) == [("given-days", "site", now, now + DAY, True)]
    assert await world.billing.subscriptions.rights(an) == []
    once_more = (await press(staff, page, f"{page}/days/{given}/end", reason="x"))[1]
    assert once_more.status_code == 409 and "đã bị thu hồi" in once_more.text
    assert [event["type"].rsplit(".", 2)[1] for event in await told(world)] == [
        "granted",
        "revoked",
    ]
    assert [event["version"] for event in await told(world)] == [1, 2]
    written = [
        one for one in await entries(world.billing.database) if one.subject == f"reader/{an}"
    ]
    assert [(one.action, one.after["why"]) for one in written] == [
        (Action.DAYS_GIVEN, "lỗi app"),
        (Action.DAYS_ENDED, "nhầm người"),
    ]
    await world.assert_sound()


async def test_days_begin_after_what_is_paid_for_where_that_is_asked_for(world: World):
    _, code = await ordered(world, "lan@example.vn")
    await credited(world, code)
    until = await world.value("SELECT period_end FROM subscription")
    lan = (await person(world)).id
    page, staff = f"{READERS}/{lan}", support(world)
    for number in range(2):
        await press(staff, page, f"{page}/days", days="5", after="true", reason="xin lỗi")
        begins = until + number * 5 * DAY
        assert (await rights(world))[number][2:4] == (begins, begins + 5 * DAY)
    world.clock.set(until + DAY)
    assert await world.billing.subscriptions.rights(lan) == [("site", until + 5 * DAY)]
    assert await world.value("SELECT sum(mrr_vnd) FROM subscription") == 59_000, "until the review"
    await world.billing.renewals.run_due()
    assert await world.value("SELECT sum(mrr_vnd) FROM subscription") == 0
    await world.billing.letters.sweep()
    ended = "SELECT count(*) FROM letter WHERE kind = 'term_ended'"
    assert await world.value(ended) == 0, "the reader reads on"
    await world.assert_sound()


@pytest.mark.parametrize(
    ("token", "days", "status", "said"),
    [
        ("support-token", "31", 303, ""),
        ("support-token", "32", 409, "chỉ tài vụ"),
        ("finance-token", "90", 303, ""),
        ("finance-token", "91", 409, "từ 1 đến 90"),
        ("support-token", "vài", 409, "từ 1 đến 90"),
        ("seller-token", "1", 403, ""),
        ("tired-token", "1", 403, ""),
    ],
)
async def test_who_gives_how_many(world: World, token: str, days: str, status: int, said: str):
    [an] = await made(world, ("an@example.vn", "An"))
    page, staff = f"{READERS}/{an}", support(world, token)
    form = f"/r/{AGENCY}/sign-in" if status == 403 else page
    sent = {"days": days, "reason": "x", "confirmed": "true"}
    answer = await staff.submit(form, f"{page}/days", sent)
    assert answer.status_code == status and said in answer.text
    assert len(await rights(world)) == (status == 303)


async def test_small_gifts_do_not_add_up_to_a_large_one(world: World):
    [an] = await made(world, ("an@example.vn", "An"))
    page, staff = f"{READERS}/{an}", support(world)
    answers = [
        (await press(staff, page, f"{page}/days", days="20", reason="x"))[1].status_code
        for _ in range(2)
    ]
    assert answers == [303, 409]
    world.clock.advance(90 * DAY)
    assert (await press(staff, page, f"{page}/days", days="20", reason="x"))[1].status_code == 303


async def test_another_agencys_reader_and_days_are_not_there(world: World):
    [an] = await made(world, ("an@example.vn", "An"))
    [theirs] = await made(world, ("an@example.vn", "An"), agency=OTHER_AGENCY)
    page, staff = f"{READERS}/{an}", support(world)
    await press(staff, page, f"{page}/days", days="7", reason="x")
    given = await world.value("SELECT id FROM given_days")
    sent = {"days": "7", "reason": "x", "confirmed": "true"}
    strange, other = f"{READERS}/{theirs}", support(world, "other-token")
    for browser, path in (
        (staff, f"{strange}/days"),
        (staff, f"{strange}/days/{given}/end"),
        (staff, f"{page}/days/{UUID(int=7)}/end"),
        (staff, f"{strange}/payments/{UUID(int=7)}/receipt"),
        (other, f"{page}/days"),
        (other, f"{page}/days/{given}/end"),
    ):
        answer = await browser.submit(f"/r/{AGENCY}/sign-in", path, sent)
        assert answer.status_code in (403, 404), path
    own = f"/staff/{AGENCY}/readers"
    assert (await staff.submit(page, f"{own}/{theirs}/days", sent)).status_code == 404
    assert len(await rights(world)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE given_days SET days = 90",
        "DELETE FROM given_days",
        "UPDATE entitlement SET version = version + 1, order_id = gen_random_uuid()",
    ],
)
async def test_the_database_keeps_what_was_given(world: World, change: str):
    [an] = await made(world, ("an@example.vn", "An"))
    page = f"{READERS}/{an}"
    await press(support(world), page, f"{page}/days", days="7", reason="x")
    with pytest.raises(DBAPIError):
        async with world.billing.database.transaction() as session:
            await session.execute(text(change))


async def test_a_receipt_is_sent_again_to_the_address_of_now(world: World):
    _, code = await ordered(world, "lan@example.vn")
    await credited(world, code)
    await world.billing.letters.send_due()
    lan = (await person(world)).id
    payment = await world.value("SELECT id FROM payment")
    page, staff = f"{READERS}/{lan}", support(world)
    action = f"{page}/payments/{payment}/receipt"
    for _ in range(2):
        first, second = await press(staff, page, action, reason="không thấy thư")
        assert first.status_code == 200 and "được gửi lại đến lan@example.vn" in first.text
        assert second.status_code == 303, second.text
        await world.billing.letters.send_due()
    mail = await recent_mail(world.billing.database)
    receipts = [one for one in mail if code in one.body and one.recipient == "lan@example.vn"]
    assert len(receipts) == 3 and len({one.body for one in receipts}) == 1
    keys = await world.rows("SELECT business_key FROM letter WHERE kind = 'receipt'")
    assert len(set(keys)) == 3 and all(key.startswith(f"receipt:{payment}") for (key,) in keys)
    elsewhere = f"{READERS}/{(await made(world, ('an@example.vn', 'An')))[0]}"
    sent = {"reason": "x", "confirmed": "true"}
    answer = await staff.submit(page, f"{elsewhere}/payments/{payment}/receipt", sent)
    assert answer.status_code == 404
