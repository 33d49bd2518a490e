"""Letters that follow from what happens, through a real mail server: each fact once, in the reader's language."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.billing.coupons.service import NewCoupon
from services.billing.letters.service import Letters
from services.billing.readers.service import Visitor
from shared.audit import Actor, acting
from tests.integration.billing.lives import API, Lives
from tests.integration.billing.paying import MONTH, credited, order, ordered, person
from tests.integration.billing.post_office import PostOffice, post_office
from tests.integration.billing.test_once_and_gifts import chosen
from tests.integration.billing.world import (
    AGENCY,
    FAILS_ON_RENEWAL,
    OTHER_AGENCY,
    OWN,
    World,
)

NAME = "Báo và Phát thanh, Truyền hình Hưng Yên"
RECEIPT = f"Biên nhận 59.000 ₫ – {NAME}"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as made:
        yield made


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


@pytest.fixture
def letters(world: World, office: PostOffice) -> Letters:
    """The worker's, with the real mail server."""
    return Letters(
        world.billing.database, world.clock, office.sender(), world.billing.links, public_url=OWN
    )


async def states(world: World) -> list[tuple[str, str]]:
    return [
        (row[0], row[1])
        for row in await world.rows("SELECT kind, state FROM letter ORDER BY created_at, id")
    ]


async def sent(letters: Letters, office: PostOffice) -> list[str]:
    """Remind and send; the subjects of what arrived by that."""
    before = len(office.messages)
    await letters.sweep()
    await letters.send_due()
    return office.subjects()[before:]


async def test_who_is_new_is_welcomed_once_under_the_agencys_name(
    world: World, letters: Letters, office: PostOffice
) -> None:
    for _ in range(3):
        await world.signed_in()
        world.clock.advance(HOUR)
        await sent(letters, office)
    (message,) = office.messages
    assert office.senders() == [f"{NAME} <tin@bao.vn>"] and message["To"] == "lan@example.vn"
    assert message["Subject"] == f"{NAME} chào mừng bạn"
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == [
        "text/plain",
        "text/html",
    ]
    letter_id = await world.value("SELECT id FROM letter")
    assert message["Message-ID"] == f"<letter.{letter_id}@bao.vn>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert f"{OWN}/r/{AGENCY}/account?lang=vi" in office.bodies()[0]


async def test_two_first_sign_ins_at_once_are_one_welcome(world: World) -> None:
    visitor = Visitor("203.0.113.7", "", "en")

    async def enter(number: int) -> None:
        async with world.billing.database.transaction() as session:
            await world.billing.readers.enter(
                session,
                AGENCY,
                "lan@example.vn",
                frozenset(),
                visitor,
                browser=bytes([number]),
                replaces="",
            )

    await asyncio.gather(*(enter(number) for number in range(4)))
    assert await world.rows("SELECT kind, language FROM letter") == [("welcome", "en")]


async def test_letters_are_in_the_language_of_the_pages(
    world: World, letters: Letters, office: PostOffice
) -> None:
    browser = world.browser()
    page = f"/r/{AGENCY}/sign-in"
    await browser.get(f"{page}?lang=en")
    await browser.submit(page, page, {"email": "lan@example.vn"})
    code = f"{page}/code"
    await browser.submit(code, code, {"code": await world.last_code()})
    await sent(letters, office)
    await browser.get(f"/r/{AGENCY}/plans?lang=vi")
    await credited(world, await order(world, browser))  # bought in Vietnamese
    await sent(letters, office)
    assert office.subjects() == [f"Welcome to {NAME}", RECEIPT]
    assert '<html lang="en">' in office.bodies("html")[0]
    assert await world.rows("SELECT language FROM reader") == [("vi",)]
    other = await world.signed_in("minh@example.vn")
    await other.get(f"/r/{AGENCY}/plans?lang=en")
    await world.start_checkout(other)  # the payment page of the card is chosen in English
    assert await world.rows("SELECT language FROM reader ORDER BY email") == [("vi",), ("en",)]
    await other.get(f"/r/{AGENCY}/plans?lang=vi")
    await world.signed_in("minh@example.vn")
    assert await world.rows("SELECT language FROM reader ORDER BY email") == [("vi",), ("vi",)]


async def test_a_transfer_brings_one_receipt_however_often_the_bank_tells(
    world: World, letters: Letters, office: PostOffice
) -> None:
    _, code = await ordered(world)
    for _ in range(3):
        await credited(world, code, id_=7, reference="FT1")
        await sent(letters, office)
    assert office.subjects()[1:] == [RECEIPT]
    body = office.bodies()[1]
    for line in (
        "Gói: Đọc báo không giới hạn, 1 tháng",
        "Số tiền: 59.000 ₫",
        "Thuế GTGT: Không chịu thuế GTGT",
        "Thanh toán lúc: 23/11/2026 10:00",
        "Đọc đến: 23/12/2026 10:00",
        f"Mã đơn: {code}",
    ):
        assert line in body.splitlines()
    await world.assert_sound()


async def test_a_card_payment_brings_one_receipt_whoever_tells_of_it(
    world: World, letters: Letters, office: PostOffice
) -> None:
    browser = await world.signed_in()
    page = await world.start_checkout(browser)
    back = await world.pay(page)
    await asyncio.gather(browser.get(back.headers["location"]), world.deliver())
    await world.deliver()
    await browser.get(back.headers["location"])
    await world.billing.webhooks.sweep()
    await world.billing.applier.apply_due()
    await sent(letters, office)
    assert office.subjects()[1:] == [RECEIPT]
    assert "Hết kỳ này, gói tự gia hạn." in office.bodies()[1]
    await world.advance(30 * DAY + MINUTE)
    await world.deliver()
    assert await sent(letters, office) == [RECEIPT]


async def test_the_receipt_leads_to_the_invoice(
    world: World, letters: Letters, office: PostOffice
) -> None:
    browser, code = await ordered(world)
    await credited(world, code)
    await sent(letters, office)
    ((id_, document),) = await world.rows("SELECT id, document FROM invoice")
    lines = office.bodies()[1].splitlines()
    assert f"Số hóa đơn: {document}" in lines
    address = next(line for line in lines if ".pdf" in line)
    assert address == f"{OWN}/r/{AGENCY}/invoices/{id_}.pdf?lang=vi"
    paper = await browser.get(address.removeprefix(OWN))
    assert paper.headers["content-type"] == "application/pdf"


async def test_a_gift_a_pass_and_a_coupon_for_all_of_it_have_their_receipts(
    world: World, letters: Letters, office: PostOffice
) -> None:
    browser = await world.signed_in()
    gift = await chosen(world, browser, "doc-bao", gift="1")
    await credited(world, gift, id_=1)
    await sent(letters, office)
    pass_ = await chosen(world, browser, "ngay")
    await credited(world, pass_, 5_000, id_=2)
    await sent(letters, office)
    world.clock.advance(2 * DAY)
    with acting(Actor.system("finance")):
        await world.billing.coupons.make(
            AGENCY, NewCoupon("TANG100", 100, None, None, world.clock.now(), None, None, True)
        )
    await world.billing.orders.discount(await person(world), await order(world, browser), "TANG100")
    await sent(letters, office)
    given, day, nothing = office.bodies()[1:]
    assert office.subjects()[1:] == [
        RECEIPT,
        f"Biên nhận 5.000 ₫ – {NAME}",
        f"Biên nhận 0 ₫ – {NAME}",
    ]
    assert f"{OWN}/r/{AGENCY}/orders/{gift}?lang=vi" in given and "Đọc đến" not in given
    code = await world.value("SELECT code FROM gift")
    assert code not in given and code not in str(await world.rows("SELECT facts FROM letter"))
    assert "Khoản này trả một lần" in day and "Đọc đến: 24/11/2026 10:00" in day
    assert "Thuế" not in nothing and "hóa đơn" not in nothing.lower()
    # What was paid by a coupon ends like any other term.
    world.clock.advance(29 * DAY)
    assert await sent(letters, office) == ["Gói đọc báo của bạn hết hạn ngày 25/12/2026"]


async def test_what_is_rolled_back_is_not_told(world: World) -> None:
    from services.billing.orders import service as orders_service

    _, code = await ordered(world)
    kept = orders_service.subscriptions.refresh
    orders_service.subscriptions.refresh = None  # type: ignore[assignment]
    try:
        await credited(world, code)
    finally:
        orders_service.subscriptions.refresh = kept
    assert await states(world) == [("welcome", "waiting")]


async def test_a_transfer_that_is_too_small_says_what_is_missing_until_it_is_there(
    world: World, letters: Letters, office: PostOffice
) -> None:
    _, code = await ordered(world)
    await credited(world, code, 20_000, id_=1)
    await credited(world, code, 20_000, id_=1)  # told again
    await sent(letters, office)
    await credited(world, code, 9_000, id_=2)
    await sent(letters, office)
    assert office.subjects()[1:] == [
        "Đã nhận chuyển khoản, còn thiếu 39.000 ₫",
        "Đã nhận chuyển khoản, còn thiếu 30.000 ₫",
    ]
    assert f"{OWN}/r/{AGENCY}/orders/{code}?lang=vi" in office.bodies()[2]
    assert "Đã nhận đến nay: 29.000 ₫" in office.bodies()[2].splitlines()
    # Two more at once: of the first nothing is true any more when it would be sent.
    await credited(world, code, 10_000, id_=3)
    await credited(world, code, 20_000, id_=4)
    assert await sent(letters, office) == [RECEIPT]
    assert ("transfer_short", "dropped") in await states(world)


async def test_finance_gives_too_small_a_credit_to_an_order_and_its_reader_is_told(
    world: World, letters: Letters, office: PostOffice
) -> None:
    _, code = await ordered(world)
    await credited(world, "tien bao", 20_000)
    (credit,) = (await world.rows("SELECT id FROM bank_credit"))[0]
    with acting(Actor.system("finance")):
        await world.billing.transfers.assign(AGENCY, credit, code, "called")
    assert (await sent(letters, office))[1:] == ["Đã nhận chuyển khoản, còn thiếu 39.000 ₫"]


async def test_nobody_is_asked_to_pay_the_rest_of_an_order_that_is_closed(
    world: World, letters: Letters, office: PostOffice
) -> None:
    _, code = await ordered(world)
    await credited(world, "tien bao", 20_000)
    (credit,) = (await world.rows("SELECT id FROM bank_credit"))[0]
    world.clock.advance(4 * DAY)
    await world.billing.orders.close_expired()
    with acting(Actor.system("finance")):
        await world.billing.transfers.assign(AGENCY, credit, code, "called")
    assert await states(world) == [("welcome", "waiting")]


async def with_term(world: World, letters: Letters, office: PostOffice) -> str:
    """A paid month from 23 November, 10:00; the letters so far are sent. The reader's order code."""
    _, code = await ordered(world)
    await credited(world, code)
    await sent(letters, office)
    office.messages.clear()
    return code


async def test_the_end_of_a_term_is_told_three_days_before_and_the_morning_after(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await with_term(world, letters, office)
    (end,) = (await world.rows("SELECT period_end FROM subscription"))[0]
    told = []
    # Every six hours, and by the hour around the two moments.
    moments = {end + n * 6 * HOUR for n in range(-16, 32)}
    moments |= {at + n * HOUR for at in (end - 3 * DAY, end + 22 * HOUR) for n in (-1, 0, 1)}
    for moment in sorted(moments):
        world.clock.set(moment)
        await world.billing.renewals.run_due()
        told += [(moment, subject) for subject in await sent(letters, office)]
    assert told == [
        (end - 3 * DAY, "Gói đọc báo của bạn hết hạn ngày 23/12/2026"),
        (end + 22 * HOUR, "Gói đọc báo của bạn đã hết hạn"),  # 24 December, 8 o'clock
    ]
    subscription = await world.value("SELECT id FROM subscription")
    assert f"{OWN}/r/{AGENCY}/renew/{subscription}?lang=vi" in office.bodies()[0]
    assert "Gia hạn 1 tháng: 59.000 ₫" in office.bodies()[0]


@pytest.mark.parametrize(
    ("off_until", "expected"),
    [
        (-1, ["Gói đọc báo của bạn hết hạn ngày 23/12/2026"]),
        (2, ["Gói đọc báo của bạn đã hết hạn"]),
        (5, []),
        (60, []),
    ],
)
async def test_a_worker_that_was_off_sends_what_is_still_of_use(
    world: World, letters: Letters, office: PostOffice, off_until: int, expected: list[str]
) -> None:
    await with_term(world, letters, office)
    world.clock.advance((30 + off_until) * DAY)
    assert await sent(letters, office) == expected
    assert ("term_ended", "dropped") not in await states(world)  # it is not even written


async def test_who_has_renewed_is_not_reminded_and_no_reminder_outlives_its_day(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await with_term(world, letters, office)
    browser = await world.signed_in()
    world.clock.advance(28 * DAY)
    await letters.sweep()
    assert (await states(world))[-1] == ("term_ending", "waiting")
    await credited(world, await order(world, browser), id_=2)  # renewed before it was sent
    assert await sent(letters, office) == [RECEIPT]
    assert ("term_ending", "dropped") in await states(world)
    # The second term's reminder is written, and then no mail goes for longer than the term runs.
    world.clock.advance(31 * DAY)
    office.close()
    await letters.sweep()
    assert await letters.send_due() == 0
    world.clock.advance(4 * DAY)
    office.open()
    await world.billing.renewals.run_due()
    assert await sent(letters, office) == ["Gói đọc báo của bạn đã hết hạn"]
    assert [row for row in await states(world) if row[0] == "term_ending"] == [
        ("term_ending", "dropped")
    ] * 2


async def test_an_early_renewal_moves_the_reminder(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await with_term(world, letters, office)
    browser = await world.signed_in()
    await credited(world, await order(world, browser), id_=2)
    await sent(letters, office)
    world.clock.advance(29 * DAY)
    assert await sent(letters, office) == []
    world.clock.advance(30 * DAY)
    assert await sent(letters, office) == ["Gói đọc báo của bạn hết hạn ngày 23/01/2027"]


BESIDE = (
    """INSERT INTO subscription (id, agency, reader_id, price_id, collection, anchor_day, state, period_start,
           period_end, created_at, updated_at)
       SELECT gen_random_uuid(), agency, reader_id, price_id, 'renewal', 1, 'active', :now,
           CAST(:now AS timestamptz) + interval '60 days', :now, :now FROM subscription""",
    """INSERT INTO entitlement (id, agency, reader_id, subscription_id, plan_code, scope, valid_from, valid_until,
           updated_at)
       SELECT gen_random_uuid(), agency, reader_id, id, 'doc-bao', 'site', period_start, period_end, :now
       FROM subscription WHERE collection = 'renewal'""",
)


async def test_who_may_read_on_by_a_card_is_not_told_that_reading_ends(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await with_term(world, letters, office)
    world.clock.advance(28 * DAY)
    async with world.billing.database.transaction() as session:
        for statement in BESIDE:
            await session.execute(text(statement), {"now": world.clock.now()})
    assert await sent(letters, office) == []
    world.clock.advance(4 * DAY)
    assert await sent(letters, office) == []


async def test_the_renewal_of_a_year_is_announced_a_week_before(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await world.subscribed(period="year")
    await world.subscribed("minh@example.vn", period="month")
    hoa = await world.subscribed("hoa@example.vn", period="year")
    await world.deliver()
    account = f"/r/{AGENCY}/account"
    hoas = await world.value(
        "SELECT s.id FROM subscription s JOIN reader r ON r.id = s.reader_id WHERE email LIKE 'hoa%'"
    )
    await hoa.submit(account, f"{account}/cancel", {"subscription": str(hoas)})
    await sent(letters, office)
    office.messages.clear()
    world.clock.advance(27 * DAY)  # a month's renewal is not announced
    assert await sent(letters, office) == []
    (end,) = (await world.rows("SELECT max(period_end) FROM subscription"))[0]
    world.clock.set(end - 7 * DAY - HOUR)
    assert await sent(letters, office) == []
    world.clock.advance(2 * HOUR)
    assert await sent(letters, office) == ["Gói đọc báo tự gia hạn ngày 23/11/2027: 590.000 ₫"]
    assert await sent(letters, office) == []
    assert office.messages[0]["To"] == "lan@example.vn"
    assert [kind for kind, _ in await states(world)].count("renewal_reminder") == 1
    # A reminder that could not be sent in time is not sent after the renewal.
    world.clock.set(end)
    assert await sent(letters, office) == []


async def test_the_renewal_of_a_year_after_a_pause_is_announced_before_the_pause_ends(
    world: World, letters: Letters, office: PostOffice
) -> None:
    """A pause puts the renewal off, also one that was announced for an earlier day; each day is announced once."""
    lan, minh = "lan@example.vn", "minh@example.vn"
    await world.subscribed(lan, period="year")
    await world.subscribed(minh, period="year")
    await world.deliver()
    await sent(letters, office)
    lives, told = Lives(world), "Gói đọc báo tự gia hạn ngày {}: 590.000 ₫"
    (end,) = (await world.rows("SELECT max(period_end) FROM subscription"))[0]
    assert await lives.pauses(lan, (end + 40 * DAY).date())
    world.clock.set(end - 6 * DAY)
    assert await sent(letters, office) == [told.format("23/11/2027")]
    assert await lives.pauses(minh, (end + 40 * DAY).date())
    await world.advance(7 * DAY)
    await world.deliver()
    assert await world.rows("SELECT DISTINCT state FROM subscription") == [("paused",)]
    assert await sent(letters, office) == []
    back = await world.value("SELECT min(paused_until) FROM subscription")
    world.clock.set(back - 7 * DAY - HOUR)
    assert await sent(letters, office) == []
    world.clock.advance(2 * HOUR)
    office.messages.clear()
    assert await sent(letters, office) == [told.format("02/01/2028")] * 2
    assert (
        "Kỳ tạm dừng kết thúc ngày 02/01/2028"
        in office.messages[0].get_body(("plain",)).get_content()
    )
    assert await sent(letters, office) == []
    world.clock.set(back)
    assert await sent(letters, office) == []


async def test_a_renewal_that_fails_is_told_once_with_the_end_of_reading(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await world.subscribed(card=FAILS_ON_RENEWAL)
    await world.deliver()
    await sent(letters, office)
    office.messages.clear()
    await world.advance(30 * DAY + MINUTE)
    for _ in range(3):
        await world.deliver()
        await world.billing.renewals.run_due()
        await sent(letters, office)
        world.clock.advance(HOUR)
    assert office.subjects() == ["Chưa gia hạn được gói đọc báo của bạn"]
    until = await world.value("SELECT valid_until FROM entitlement")
    assert f"Đọc đến: {until + timedelta(hours=7):%d/%m/%Y %H:%M}" in office.bodies()[0]
    # The letter's link opens the subscription for whoever holds it.
    found = re.search(rf"{OWN}(/r/{AGENCY}/s/\S+)", office.bodies()[0])
    assert found is not None
    shown = await world.browser().get(found[1])
    assert shown.status_code == 200 and "Chưa thanh toán" in shown.text


async def test_a_failure_that_is_over_before_it_is_told_is_not_told(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await world.subscribed(card=FAILS_ON_RENEWAL)
    await world.deliver()
    await sent(letters, office)
    office.messages.clear()
    await world.advance(30 * DAY + MINUTE)
    await world.deliver()
    assert ("payment_failed", "waiting") in await states(world)
    world.clock.advance(8 * DAY)
    await world.billing.renewals.run_due()  # expired meanwhile
    assert await sent(letters, office) == []
    assert ("payment_failed", "dropped") in await states(world)


async def test_who_changes_their_mind_often_is_told_once_a_day_what_they_settled_on(
    world: World, letters: Letters, office: PostOffice
) -> None:
    browser = await world.subscribed()
    await world.deliver()
    await sent(letters, office)
    office.messages.clear()
    account = f"/r/{AGENCY}/account"
    id_ = str(await world.value("SELECT id FROM subscription"))

    async def press(what: str) -> None:
        await browser.submit(account, f"{account}/{what}", {"subscription": id_})
        await world.deliver()  # the provider tells the same

    await press("cancel")
    assert await sent(letters, office) == ["Đã hủy gói; bạn vẫn đọc được đến 23/12/2026"]
    for _ in range(10):
        await press("resume")
        await press("cancel")
        assert await sent(letters, office) == []
    await press("resume")
    assert await sent(letters, office) == []
    world.clock.advance(timedelta(days=1))
    assert await sent(letters, office) == ["Gói của bạn lại tự gia hạn"]
    await press("cancel")
    await press("resume")
    world.clock.advance(timedelta(days=2))
    assert await sent(letters, office) == [], "as they were told"
    await press("cancel")
    assert await sent(letters, office) == ["Đã hủy gói; bạn vẫn đọc được đến 23/12/2026"]


async def test_each_refund_is_told_once(world: World, letters: Letters, office: PostOffice) -> None:
    await world.subscribed()
    await world.deliver()
    await sent(letters, office)
    office.messages.clear()
    charge = (await world.payer.get("/v1/charges", headers=API)).json()["data"][0]["id"]
    for amount in (9_000, 50_000):
        await world.payer.post(
            "/v1/refunds", data={"charge": charge, "amount": amount}, headers=API
        )
        for _ in range(2):
            await world.deliver()
        await sent(letters, office)
    assert office.subjects() == ["Đã hoàn lại 9.000 ₫", "Đã hoàn lại 50.000 ₫"]
    gone = "Phần đọc báo đã trả bằng khoản này không còn hiệu lực."
    assert [gone in body for body in office.bodies()] == [False, True]


async def test_no_letter_names_another_agency(
    world: World, letters: Letters, office: PostOffice
) -> None:
    names = dict(await world.rows("SELECT id, name FROM agency"))
    for agency in (AGENCY, OTHER_AGENCY):
        await world.signed_in("lan@example.vn", agency)
    _, code = await ordered(world)
    await credited(world, code)
    await sent(letters, office)
    assert len(office.messages) == 3
    for message, sender in zip(office.messages, office.senders(), strict=True):
        own = AGENCY if names[AGENCY] in sender else OTHER_AGENCY
        whole = f"{sender} {message['Subject']}" + "".join(
            part.get_content() for part in message.walk() if not part.is_multipart()
        )
        assert f"/r/{own}/" in whole
        for other, name in names.items():
            assert other == own or (name not in whole and f"/r/{other}/" not in whole)


async def test_one_press_from_the_letter_to_the_payment_of_the_same_price(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await with_term(world, letters, office)
    id_ = await world.value("SELECT id FROM subscription")
    path = f"/r/{AGENCY}/renew/{id_}"
    stranger = world.browser()
    answer = await stranger.get(path)
    assert answer.status_code == 303 and "/sign-in?return_to=" in answer.headers["location"]
    other = await world.signed_in("minh@example.vn")
    assert (await other.get(path)).status_code == 404
    assert (await other.get(f"/r/{AGENCY}/renew/x")).status_code == 404
    browser = await world.signed_in()
    before = await world.value("SELECT count(*) FROM sales_order")
    page = await browser.get(path)
    assert page.status_code == 200 and "59.000" in page.text
    assert await world.value("SELECT count(*) FROM sales_order") == before  # a link orders nothing
    price = page.text.split('name="price" value="', 1)[1].split('"', 1)[0]
    ordered_ = await browser.submit(
        path, f"/r/{AGENCY}/checkout", {"price": price, "way": "transfer"}
    )
    assert (await browser.get(path)).headers["location"] == ordered_.headers["location"]
    with acting(Actor.system("test")):  # the price has risen: the new one is shown
        await world.billing.plans.save_plan(
            AGENCY,
            {"code": "doc-bao", "name_vi": "Đọc báo", "name_en": "Reading"},
            {"month": MONTH + 10_000},
        )
    assert "69.000" in (await browser.get(path)).text
