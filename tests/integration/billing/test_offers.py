"""Offers: for who is new, for who left, for students; what is charged, told and counted, over months."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer, stands
from services.billing.orders import repository as orders
from services.billing.readers.service import Visitor
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.paying import credited, credits, order, ordered, person
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

FULL, INTRO = 59_000, 19_000
PAGE = f"/staff/{AGENCY}/offers"
FOR_THREE = "19.000\u00a0₫ một tháng trong 3\u00a0tháng đầu, sau đó 59.000\u00a0₫ một tháng"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def offered(
    world: World, kind: Kind = Kind.INTRO, period: str = "month", **more: Any
) -> UUID:
    price = await Lives(world).price(period)
    terms: dict[Kind, dict[str, Any]] = {
        Kind.INTRO: {"periods": 3},
        Kind.WINBACK: {"periods": 2, "lapsed_days": 30, "again_days": 200},
        Kind.STUDENT: {"domains": ("edu.vn",)},
    }
    given = {"amount_vnd": INTRO, **terms[kind], **more}
    with acting(Actor.system("test")):
        return await world.billing.offers.make(AGENCY, NewOffer(price.price_id, kind, **given))


async def left(world: World, email: str) -> list[Any]:
    return await world.rows(
        """SELECT s.offer_left FROM subscription s JOIN reader r ON r.id = s.reader_id
           WHERE r.email = :email ORDER BY s.created_at""",
        email=email,
    )


async def amounts(world: World, email: str) -> list[int]:
    return [
        row[0]
        for row in await world.rows(
            """SELECT p.amount_vnd FROM payment p JOIN reader r ON r.id = p.reader_id
               WHERE r.email = :email AND p.order_id IS NOT NULL ORDER BY p.period_start, p.paid_at""",
            email=email,
        )
    ]


async def a_month(world: World) -> None:
    """A month passes; what falls due is collected, and letters are written."""
    for _ in range(6):
        await world.advance(6 * DAY - timedelta(hours=20))
        await world.deliver()
        await world.billing.letters.sweep()


async def letters(world: World, kind: str) -> list[Any]:
    return await world.rows(
        "SELECT facts FROM letter WHERE kind = :kind ORDER BY created_at, id", kind=kind
    )


async def test_three_months_at_the_introductory_price_then_the_full_one(world: World) -> None:
    """By card, from the plans' page to the full price: what pages say, what is charged, what is told before it rises."""
    await offered(world)
    stranger = world.browser()
    assert FOR_THREE in (await stranger.get(f"/r/{AGENCY}/plans")).text
    lives = Lives(world)
    await lives.buys("lan@example.vn")
    await world.deliver()
    browser = await world.signed_in("lan@example.vn")
    account = (await browser.get(f"/r/{AGENCY}/account")).text
    assert "19.000\u00a0₫ một tháng trong 2\u00a0tháng, sau đó 59.000\u00a0₫ một tháng" in account
    [(code,)] = await world.rows("SELECT code FROM sales_order")
    assert FOR_THREE in (await browser.get(f"/r/{AGENCY}/orders/{code}")).text
    [(receipt,)] = await letters(world, "receipt")
    assert receipt["offer"] == {"kind": "intro", "amount_vnd": INTRO, "left": 3, "full_vnd": FULL}
    for _ in range(2):
        await a_month(world)
    assert await left(world, "lan@example.vn") == [(0,)]
    support = world.browser(press_staff="support-token")
    lan = (await person(world, "lan@example.vn")).id
    file = (await support.get(f"/staff/{AGENCY}/readers/{lan}")).text
    assert "còn 0 trên 3 kỳ" in file and "lần thanh toán tới 59.000" in file
    assert "tháng, sau đó" not in (await browser.get(f"/r/{AGENCY}/account")).text
    await a_month(world)
    [(told,)] = await letters(world, "price_rises")
    rise = datetime.fromisoformat(told["ends_at"])
    assert (told["now_vnd"], told["amount_vnd"]) == (INTRO, FULL)
    [(written,)] = await world.rows("SELECT created_at FROM letter WHERE kind = 'price_rises'")
    assert rise - 8 * DAY < written < rise
    assert await amounts(world, "lan@example.vn") == [INTRO, INTRO, INTRO, FULL]
    movements = await world.rows("SELECT movement, amount_vnd, occurred_on FROM mrr_movement")
    assert [one[:2] for one in movements] == [("new", INTRO), ("expansion", FULL - INTRO)]
    assert movements[1][2] >= rise.date()
    # Taken once: who comes back after it has ended pays the price itself.
    await lives.cancels("lan@example.vn")
    await a_month(world)
    again = await lives.chooses("lan@example.vn", "month")
    assert (again.amount_vnd, again.offer_id) == (FULL, None)
    [row] = [one for one in await world.billing.offers.listing(AGENCY) if one["kind"] == "intro"]
    assert (row["taken"], row["stayed"]) == (1, 1)
    await world.assert_sound()
    intruder = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        for harm in (
            "UPDATE subscription SET offer_id = (SELECT id FROM price_offer WHERE kind = 'intro' AND amount_vnd = 19000), offer_left = 1",
            "UPDATE sales_order SET amount_vnd = amount_vnd - 1 WHERE offer_id IS NOT NULL AND starts_at IS NOT NULL",
        ):
            async with intruder.transaction():
                await intruder.execute(harm)
            for whole in (False, True):
                assert "offers_are_counted" in await broken(world.billing, whole=whole)
            await intruder.execute("UPDATE subscription SET offer_id = NULL, offer_left = NULL")
    finally:
        await intruder.close()


async def test_what_a_reader_does_in_the_middle_of_an_offer(world: World) -> None:
    """A pause, a cancellation taken back, another plan, a refusal of the card until it lapses: each from the second month on."""
    await offered(world)
    lives = Lives(world)
    for name in ("pauses", "resumes", "changes", "lapses"):
        await lives.buys(f"{name}@example.vn")
    await world.deliver()
    await world.advance(3 * DAY)
    row = await lives.live("pauses@example.vn")
    assert row is not None
    await lives.pauses("pauses@example.vn", (row.period_end + 10 * DAY).date())
    await lives.cancels("resumes@example.vn")
    await lives.resumes("resumes@example.vn")
    # To a year: it begins at once at its own price, less what is left of the month; the offer is gone.
    changing, reader = (
        await lives.live("changes@example.vn"),
        await lives.reader("changes@example.vn"),
    )
    assert changing is not None
    year = await lives.price("year")
    shown = await world.billing.changes.preview(reader, changing.id, year.price_id)
    assert shown.gives_up is not None and shown.gives_up.left == 2
    assert shown.pay_vnd == 590_000 - shown.credit_vnd and 0 < shown.credit_vnd < INTRO
    browser = await world.signed_in("changes@example.vn")
    page = f"/r/{AGENCY}/account/change?subscription={changing.id}&price={year.price_id}"
    assert "chấm dứt khi đổi" in (await browser.get(page)).text
    await lives.changes("changes@example.vn", "year")
    await world.deliver()
    assert await left(world, "changes@example.vn") == [(None,)]
    await lives.gives_card("lapses@example.vn", "4000000000000341")
    for _ in range(2):
        await a_month(world)
    assert await amounts(world, "resumes@example.vn") == [INTRO] * 3
    assert await amounts(world, "pauses@example.vn") == [INTRO] * 2
    assert await amounts(world, "lapses@example.vn") == [INTRO]
    again = await lives.chooses("lapses@example.vn", "month")
    assert (again.amount_vnd, again.offer_id) == (FULL, None), "a lapse ends the offer"
    await world.assert_sound()


async def test_an_offer_by_transfer_is_counted_and_never_twice(world: World) -> None:
    """One period at the offer: of two orders of a reader, paid one after the other, the second waits for a person."""
    await offered(world, periods=1)
    browser, first = await ordered(world)
    page = (await browser.get(f"/r/{AGENCY}/orders/{first}")).text
    assert "19.000\u00a0₫ một tháng trong 1\u00a0tháng đầu" in page
    assert "Tôi có mã giảm giá" not in page and "không dùng thêm mã giảm giá" in page
    answer = await browser.submit(
        f"/r/{AGENCY}/plans", f"/r/{AGENCY}/orders/{first}/coupon", {"coupon": "TET"}
    )
    assert answer.headers["location"].endswith(first), "no coupon beside an offer"
    # A second window shows the same order.
    assert await order(world, browser) == first
    await credited(world, first, INTRO)
    second = await order(world, browser)
    assert second != first
    shown = await world.rows("SELECT amount_vnd FROM sales_order WHERE code = :code", code=second)
    assert shown == [(FULL,)]
    await credited(world, second, FULL, id_=2)
    assert await amounts(world, "lan@example.vn") == [INTRO, FULL]
    assert await credits(world) == [(INTRO, 0, ""), (FULL, 0, "")]
    await world.assert_sound()


async def test_of_many_tabs_at_once_one_takes_it(world: World) -> None:
    await offered(world, periods=1)
    lives = Lives(world)
    orders = await asyncio.gather(*(lives.chooses("lan@example.vn", "month") for _ in range(6)))
    assert {one.code for one in orders} == {orders[0].code}
    page = await lives.page("lan@example.vn", orders[0].code)
    # Another way to pay replaces it; the first page, paid all the same, is the one that takes the offer.
    other = await lives.chooses("lan@example.vn", "month", renews=False)
    assert other.code != orders[0].code and other.amount_vnd == INTRO
    await world.pay(page)
    await credited(world, other.code, INTRO)
    await world.deliver()
    paid = await amounts(world, "lan@example.vn")
    assert paid == [INTRO]
    waits = [row for row in await credits(world) if row[1]]
    unclaimed = await world.rows("SELECT amount_vnd FROM payment WHERE surplus_of IS NOT NULL")
    assert len(waits) + len(unclaimed) == 1
    assert all(row[2] in ("offer_used", "subscribed") for row in waits)
    await world.assert_sound()


async def test_who_is_not_new_is_told_before_anything_is_charged(world: World) -> None:
    """The page of a stranger shows the offer; who then signs in to an account that had a plan sees their own price first."""
    lives = Lives(world)
    await lives.transfers("lan@example.vn")
    await world.advance(60 * DAY)
    await world.deliver()
    await offered(world)
    price = await lives.price("month")
    browser = world.browser()
    chosen = {"price": str(price.price_id), "way": "card", "shown": str(INTRO)}
    answer = await browser.submit(f"/r/{AGENCY}/plans", f"/r/{AGENCY}/checkout", chosen)
    back = answer.headers["location"]
    assert "/sign-in" in back
    signed = await world.signed_in("lan@example.vn")
    answer = await signed.submit(f"/r/{AGENCY}/plans", f"/r/{AGENCY}/checkout", chosen)
    assert answer.status_code == 409 and "không dành cho tài khoản" in answer.text
    assert FOR_THREE not in answer.text
    assert await world.value("SELECT count(*) FROM charge") == 0


async def consents(world: World, email: str, *granted: str) -> None:
    visitor = Visitor("203.0.113.7", "test", "vi")
    await world.billing.readers.change_consents(
        await person(world, email), frozenset(granted), visitor
    )


async def test_who_left_is_written_once_and_comes_back_for_less(world: World) -> None:
    await offered(world, Kind.WINBACK)
    lives = Lives(world)
    for number, name in enumerate(("wants", "silent", "stops"), start=1):
        await lives.transfers(f"{name}@example.vn", id_=number)
        await consents(world, f"{name}@example.vn", *(["offers"] if name != "silent" else []))
    assert (await lives.chooses("wants@example.vn", "month")).amount_vnd == FULL
    await world.advance(59 * DAY)  # it ended 29 days ago
    await world.deliver()
    await world.billing.letters.sweep()
    assert await letters(world, "win_back") == []
    await world.advance(3 * DAY)
    await world.billing.letters.sweep()
    await world.billing.letters.sweep()
    written = await letters(world, "win_back")
    assert len(written) == 2, "one for each who wants to hear of offers"
    # One who changes their mind before it is sent gets none.
    await consents(world, "stops@example.vn")
    await world.billing.letters.send_due()
    states = await world.rows("SELECT state FROM letter WHERE kind = 'win_back' ORDER BY state")
    assert states == [("dropped",), ("sent",)]
    token = world.billing.links.back_token(
        await back_link(world, "wants@example.vn"), world.clock.now()
    )
    page = f"/r/{AGENCY}/back/{token}"
    shown = await world.browser().get(page)
    assert "19.000\u00a0₫ một tháng trong 2\u00a0tháng, sau đó 59.000\u00a0₫" in shown.text
    other = await world.signed_in("other@example.vn")
    assert "không dành cho tài khoản này" in (await other.get(page)).text
    elsewhere = await world.browser().get(f"/r/{OTHER_AGENCY}/back/{token}")
    assert elsewhere.status_code == 404
    assert (await world.browser().get(f"/r/{AGENCY}/s/{token}")).status_code == 404
    reader = await world.signed_in("wants@example.vn")
    price = await lives.price("month")
    sent = {"price": str(price.price_id), "way": "transfer", "shown": str(INTRO)}
    answer = await reader.submit(page, f"/r/{AGENCY}/checkout", sent)
    code = answer.headers["location"].rsplit("/", 1)[1]
    await credited(world, code, INTRO, id_=77)
    assert "không dành cho tài khoản này" in (await world.browser().get(page)).text
    second = await order(world, reader)
    await credited(world, second, INTRO, id_=78)
    assert (
        await world.value("SELECT amount_vnd FROM sales_order WHERE code = :c", c=second) == INTRO
    )
    third = await order(world, reader)
    assert await world.value("SELECT amount_vnd FROM sales_order WHERE code = :c", c=third) == FULL
    # Gone again, within the days between two of them: nothing.
    await world.advance(100 * DAY)
    await world.deliver()
    await world.billing.letters.sweep()
    assert len(await letters(world, "win_back")) == 2
    assert (await lives.chooses("wants@example.vn", "month")).amount_vnd == FULL
    # One press ends such letters.
    answer = await world.browser().client.post(
        f"{page}/stop", headers={"Origin": "http://billing.test"}
    )
    assert answer.status_code == 303
    assert (
        await world.value(
            """SELECT granted FROM consent c JOIN reader r ON r.id = c.reader_id
           WHERE r.email = 'wants@example.vn' ORDER BY given_at DESC, c.id DESC LIMIT 1"""
        )
        is False
    )
    await world.assert_sound()


@pytest.mark.parametrize("by_card", [True, False])
async def test_who_comes_back_a_second_time_has_all_periods_of_the_winback_again(
    world: World, by_card: bool
) -> None:
    """Twice away for longer than the offer says: each time two months at its price, and the third at the full one."""
    await offered(world, Kind.WINBACK, lapsed_days=10, again_days=40)
    lives, who = Lives(world), "lan@example.vn"
    await lives.transfers(who)
    for turn in (1, 2):
        await world.advance(75 * DAY)
        await world.deliver()
        for number in range(3):
            if not by_card:
                await lives.transfers(who, id_=10 * turn + number)
            elif number == 0:
                await lives.buys(who)
                await world.deliver()
            else:
                await a_month(world)
            assert who in await lives.rights()
        assert (await amounts(world, who))[1:] == [INTRO, INTRO, FULL] * turn
        if by_card:
            await lives.cancels(who)
        await world.assert_sound()
        await world.advance(70 * DAY)
        await world.deliver()
    waits = [row for row in await credits(world) if row[1]]
    unclaimed = await world.value("SELECT count(*) FROM payment WHERE order_id IS NULL")
    assert (waits, unclaimed) == ([], 0)


async def test_a_page_of_the_first_winback_pays_nothing_of_the_second(world: World) -> None:
    await offered(world, Kind.WINBACK, lapsed_days=10, again_days=40)
    lives, who = Lives(world), "lan@example.vn"
    await lives.transfers(who)
    await world.advance(75 * DAY)
    await world.deliver()
    await lives.transfers(who, id_=2)
    old = await lives.chooses(who, "month", renews=False)
    assert old.amount_vnd == INTRO
    await world.advance(100 * DAY)
    await world.deliver()
    await world.billing.orders.close_expired()
    await lives.transfers(who, id_=3)
    async with world.billing.database.transaction() as session:
        order = await orders.by_code(session, AGENCY, old.code)
        assert order is not None and (order.offer_turn, order.state) == (1, "closed")
        assert not await stands(session, order, world.clock.now())
    await lives.transfers(who, id_=5)
    assert await amounts(world, who) == [FULL, INTRO, INTRO, INTRO]
    await world.assert_sound()


async def back_link(world: World, email: str) -> Any:
    from services.billing.letters.links import BackLink

    offer_id = await world.value(
        "SELECT id FROM price_offer WHERE kind = 'winback' AND agency = :a", a=AGENCY
    )
    return BackLink(AGENCY, (await person(world, email)).id, offer_id)


async def verify(world: World, browser: Any, address: str) -> Any:
    page = f"/r/{AGENCY}/student"
    asked = await browser.submit(page, page, {"address": address})
    assert asked.status_code == 200, asked.text
    code = await world.last_code(address)
    return await browser.submit(page, f"{page}/code", {"code": code, "sent": address})


async def test_a_student_proves_an_address_each_year(world: World) -> None:
    await offered(world, Kind.STUDENT, amount_vnd=29_000)
    lives, page = Lives(world), f"/r/{AGENCY}/student"
    assert "29.000" in (await world.browser().get(f"/r/{AGENCY}/plans")).text
    assert "/sign-in" in (await world.browser().get(page)).headers["location"]
    await lives.buys("lan@example.vn")
    await world.deliver()
    browser = await world.signed_in("lan@example.vn")
    for wrong, said in (
        ("nobody", "không phải địa chỉ"),
        ("lan@example.vn", "chỉ dành cho"),
        ("lan@edu.vn.example.com", "chỉ dành cho"),
    ):
        answer = await browser.submit(page, page, {"address": wrong})
        assert answer.status_code == 422 and said in answer.text
    asked = await browser.submit(page, page, {"address": "LAN@sv.hust.edu.vn"})
    assert asked.status_code == 200
    for _ in range(5):
        answer = await browser.submit(page, f"{page}/code", {"code": "000000", "sent": "x"})
        assert answer.status_code == 422
    code = await world.last_code("lan@sv.hust.edu.vn")
    answer = await browser.submit(page, f"{page}/code", {"code": code, "sent": "x"})
    assert answer.status_code == 422, "after five wrong codes a right one opens nothing"
    done = await verify(world, browser, "lan@sv.hust.edu.vn")
    assert done.status_code == 303, done.text
    # The same mailbox, spelled otherwise, verifies nobody else meanwhile.
    minh = await world.signed_in("minh@example.vn")
    assert (await verify(world, minh, "lan+2@sv.hust.edu.vn")).status_code == 409
    await a_month(world)
    assert await amounts(world, "lan@example.vn") == [FULL, 29_000]
    movements = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")
    assert movements == [("new", FULL), ("contraction", 29_000 - FULL)]
    # Towards the end of the year the letter says so; not verified again, the next month costs the price itself.
    async with world.billing.database.transaction() as session:
        soon = "UPDATE student_address SET valid_until = :at"
        await session.execute(text(soon), {"at": world.clock.now() + 20 * DAY})
    await a_month(world)
    told = await letters(world, "price_rises")
    assert [(one[0]["student"], one[0]["amount_vnd"]) for one in told] == [(True, FULL)]
    assert (await amounts(world, "lan@example.vn"))[-1] == FULL
    # Then the mailbox is free for somebody else.
    assert (await verify(world, minh, "lan@sv.hust.edu.vn")).status_code == 303
    await world.assert_sound()


async def test_finance_makes_supersedes_and_ends_an_offer(world: World) -> None:
    price = await Lives(world).price("month")
    staff = world.browser(press_staff="finance-token")
    form = {"kind": "intro", "price": str(price.price_id), "amount": "19.000", "periods": "3"}
    for change, said in (
        ({"kind": "none"}, "dành cho ai"),
        ({"amount": "59000"}, "thấp hơn giá"),
        ({"amount": "0"}, "thấp hơn giá"),
        ({"periods": "61"}, "1 đến 60"),
        ({"price": "x"}, "không còn bán"),
        ({"until": "2026-11-22"}, "chưa qua"),
        ({"kind": "winback", "lapsed": ""}, "số ngày"),
        ({"kind": "student", "domains": "edu"}, "tên miền"),
    ):
        answer = await staff.submit(PAGE, PAGE, form | change)
        assert answer.status_code == 422 and said in answer.text, change
    assert (await staff.submit(PAGE, PAGE, form)).status_code == 303
    lives = Lives(world)
    await lives.buys("lan@example.vn")
    await world.deliver()
    assert (await staff.submit(PAGE, PAGE, form | {"amount": "29000"})).status_code == 303
    rows = await world.rows(
        "SELECT amount_vnd, ended_at IS NULL FROM price_offer WHERE agency = :a AND kind = 'intro'",
        a=AGENCY,
    )
    assert sorted(rows) == [(19_000, False), (29_000, True)]
    # Who is in the first one stays in it; who is new begins the second.
    await a_month(world)
    assert await amounts(world, "lan@example.vn") == [INTRO, INTRO]
    assert (await lives.chooses("minh@example.vn", "month")).amount_vnd == 29_000
    listed = (await staff.get(PAGE)).text
    assert "29.000" in listed and "19.000" in listed
    current = str(
        await world.value(
            "SELECT id FROM price_offer WHERE ended_at IS NULL AND agency = :a AND kind = 'intro'",
            a=AGENCY,
        )
    )
    asked = await staff.submit(PAGE, f"{PAGE}/end", {"offer": current})
    assert asked.status_code == 200
    ended = await staff.submit(PAGE, f"{PAGE}/end", {"offer": current, "confirmed": "true"})
    assert ended.status_code == 303
    assert (
        await staff.submit(PAGE, f"{PAGE}/end", {"offer": current, "confirmed": "true"})
    ).status_code == 409
    assert (await lives.chooses("hoa@example.vn", "month")).amount_vnd == FULL
    support = world.browser(press_staff="support-token")
    assert (await support.get(PAGE)).status_code == 200
    assert (await support.submit(PAGE, PAGE, form)).status_code == 403
    other = world.browser(press_staff="other-token")
    assert (await other.get(PAGE)).status_code == 404
    elsewhere = f"/staff/{OTHER_AGENCY}/offers"
    foreign = await other.submit(
        elsewhere, f"{elsewhere}/end", {"offer": current, "confirmed": "true"}
    )
    assert foreign.status_code == 404
    seat = await lives.price("to-chuc")
    page = (await staff.get(PAGE)).text
    assert str(price.price_id) in page and str(seat.price_id) not in page
    for sold, amount, slug in (
        (price, FULL, "offer-not-lower"),
        (seat, 1_000, "offer-per-seat"),
    ):
        with pytest.raises(ConflictError) as refused, acting(Actor.system("test")):
            await world.billing.offers.make(AGENCY, NewOffer(sold.price_id, Kind.INTRO, amount, 3))
        assert refused.value.slug == slug
    with pytest.raises(IntegrityError, match="each seat"):
        async with world.billing.database.transaction() as session:
            await session.execute(
                text(
                    """INSERT INTO price_offer (id, agency, price_id, kind, amount_vnd, periods, valid_from, created_at)
                       VALUES (gen_random_uuid(), :agency, :price, 'intro', 1000, 3, now(), now())"""
                ),
                {"agency": AGENCY, "price": seat.price_id},
            )
