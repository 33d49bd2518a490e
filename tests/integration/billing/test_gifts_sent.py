"""A gift that is sent: to whom, on which morning of the agency's, how often, and never with a code that opens nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.billing.gifts.service import Wish
from shared.audit import Actor, acting
from shared.errors import ConflictError, NotFoundError
from shared.mail.outbox import recent_mail
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import credited, person
from tests.integration.billing.test_account_pages import words_of
from tests.integration.billing.test_bundles import FINANCE
from tests.integration.billing.test_once_and_gifts import chosen
from tests.integration.billing.test_reader_desk import support
from tests.integration.billing.world import AGENCY, Browser, World

GIVER, FRIEND, OTHER = "giver@example.vn", "friend@example.vn", "other@example.vn"
MONTH = 59_000
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
#: 23 November 2026, 10:00 in the agency's zone: past eight.
TODAY = "23/11/2026"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


def path_of(order: str) -> str:
    return f"/r/{AGENCY}/orders/{order}"


async def named(
    browser: Browser, order: str, email: str = FRIEND, day: str = "", message: str = ""
) -> Any:
    page = f"{path_of(order)}/recipient"
    return await browser.submit(page, page, {"email": email, "day": day, "message": message})


async def again(browser: Browser, order: str) -> Any:
    page = f"{path_of(order)}/recipient"
    return await browser.submit(page, f"{page}/again", {})


async def bought(world: World, day: str = "", **more: str) -> tuple[Browser, str]:
    """A gift of a month, its recipient named before it was paid for."""
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    assert (await named(browser, order, day=day, **more)).status_code == 303
    await credited(world, order)
    return browser, order


async def shown(browser: Browser, order: str) -> str:
    return words_of((await browser.get(path_of(order))).text)


async def seen_by_support(world: World) -> str:
    """The giver's page, as support sees it."""
    giver = await person(world, GIVER)
    return words_of((await support(world).get(f"/staff/{AGENCY}/readers/{giver.id}")).text)


async def gifts_to(world: World, email: str) -> list[Any]:
    """The letters that have gone out, the newest first."""
    await world.billing.letters.send_due()
    mails = await recent_mail(world.billing.database)
    return [one for one in mails if one.recipient == email]


async def code_of(world: World, order: str) -> str:
    return await Lives(world).gift_code(order)


async def test_a_gift_is_sent_in_the_morning_of_its_day_and_redeemed_by_its_link(
    world: World,
) -> None:
    browser, order = await bought(world, "1/12/2026", message="Chúc mừng\n<b>sinh nhật</b>!")
    page = await shown(browser, order)
    assert "Sẽ gửi đến friend@example.vn lúc 01/12/2026 08:00." in page
    assert "Chúng tôi gửi mã giúp bạn" in page and "Hãy gửi mã dưới đây" not in page
    assert "Chúc mừng &lt;b&gt;sinh nhật&lt;/b&gt;!" in page
    assert "mã sẽ được gửi tới friend@example.vn ngày 01/12/2026" in await seen_by_support(world)
    receipt = (await gifts_to(world, GIVER))[0]
    assert "thư kèm mã gửi đến friend@example.vn ngày 01/12/2026" in receipt.body
    morning = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
    world.clock.set(morning - timedelta(seconds=1))
    assert await gifts_to(world, FRIEND) == []
    world.clock.set(morning)
    (mail,) = await gifts_to(world, FRIEND)
    code = await code_of(world, order)
    assert mail.subject.startswith("Bạn được tặng quà")
    assert code in mail.body and "giver@example.vn nhắn:" in mail.body
    assert "<b>sinh nhật</b>!" in mail.body, "the text is what was typed"
    link = next(word for word in mail.body.split() if "/gifts?code=" in word)
    assert link == f"http://billing.test/r/{AGENCY}/gifts?code={code}&lang=vi"
    assert "Đã gửi đến friend@example.vn lúc 01/12/2026 08:00." in await shown(browser, order)
    assert "mã đã gửi tới friend@example.vn, 01/12/2026 08:00" in await seen_by_support(world)
    kept = await world.value("SELECT facts::text FROM letter WHERE kind = 'gift'")
    assert code not in kept, "a code that opens something is not kept with the letter"
    friend = await world.signed_in(FRIEND)
    redeemed = await friend.get(link.removeprefix("http://billing.test"))
    assert code in redeemed.text
    answer = await friend.submit(f"/r/{AGENCY}/gifts", f"/r/{AGENCY}/gifts/redeem", {"code": code})
    assert answer.headers["location"].endswith("notice=gift")
    assert "Gửi lại" not in await shown(browser, order)
    giver = await person(world, GIVER)
    with pytest.raises(ConflictError):
        await world.billing.gifts.again(giver, order)
    assert len([one for one in await gifts_to(world, FRIEND) if code in one.body]) == 1
    await world.assert_sound()


@pytest.mark.parametrize(
    ("now", "day", "goes"),
    [
        # Before eight on the day itself; after it: at once.
        ("2026-11-30T00:59:59Z", "30/11/2026", "2026-11-30T01:00:00Z"),
        ("2026-11-30T01:00:01Z", "30/11/2026", "2026-11-30T01:00:01Z"),
        # Half past eleven at night in UTC is the next day there; no day is today.
        ("2026-11-30T17:30:00Z", "", "2026-12-01T01:00:00Z"),
        ("2026-11-30T16:30:00Z", "", "2026-11-30T16:30:00Z"),
        ("2026-12-31T17:30:00Z", "1/1/2028", "2028-01-01T01:00:00Z"),
        ("2028-02-28T17:30:00Z", "28/2/2029", "2029-02-28T01:00:00Z"),
    ],
)
async def test_eight_in_the_morning_is_the_agencys(
    world: World, now: str, day: str, goes: str
) -> None:
    world.clock.set(datetime.fromisoformat(now))
    await bought(world, day)
    due = await world.value("SELECT due_at FROM letter WHERE kind = 'gift'")
    assert due == datetime.fromisoformat(goes)


@pytest.mark.parametrize("day", ["22/11/2026", "24/11/2027", "30/2/2027", "mai", "0/0/0"])
async def test_a_day_that_is_past_or_too_far_is_refused_and_what_was_typed_stays(
    world: World, day: str
) -> None:
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    answer = await named(browser, order, day=day, message="Chào bạn")
    assert answer.status_code == 422
    page = words_of(answer.text)
    assert "Không gửi được vào ngày đó." in page
    assert "Một ngày từ 23/11/2026 đến 23/11/2027" in page
    assert f'value="{FRIEND}"' in answer.text and ">Chào bạn</textarea>" in answer.text
    assert await world.value("SELECT count(*) FROM gift_recipient") == 0
    for good in (TODAY, "23/11/2027"):
        assert (await named(browser, order, day=good)).status_code == 303


@pytest.mark.parametrize(
    ("email", "message", "says"),
    [
        ("x", "", "Đây không phải là địa chỉ e-mail"),
        (FRIEND, "a" * 501, "Lời nhắn quá dài, hoặc có địa chỉ trang web."),
        (FRIEND, "xem HTTPS://evil.example", "có địa chỉ trang web"),
        (FRIEND, "xem www.evil.example", "có địa chỉ trang web"),
    ],
)
async def test_what_cannot_be_sent_is_refused(
    world: World, email: str, message: str, says: str
) -> None:
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    answer = await named(browser, order, email, message=message)
    assert answer.status_code == 422 and says in words_of(answer.text)
    assert (await named(browser, order, message="a" * 500)).status_code == 303


async def test_before_the_money_nothing_is_sent_and_after_it_at_once(world: World) -> None:
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    assert "Nhờ gửi cho người được tặng" in await shown(browser, order)
    await named(browser, order, day=TODAY)
    assert "Sẽ gửi đến friend@example.vn ngày 23/11/2026, khi đã thanh toán." in await shown(
        browser, order
    )
    world.clock.advance(DAY)
    assert await gifts_to(world, FRIEND) == []
    await credited(world, order)
    assert len(await gifts_to(world, FRIEND)) == 1
    assert "Đã gửi đến friend@example.vn lúc 24/11/2026 10:00." in await shown(browser, order)


async def test_who_passes_the_code_on_sends_nothing_and_may_have_it_sent_later(
    world: World,
) -> None:
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    await credited(world, order)
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'gift'") == 0
    assert "hãy tự gửi" not in await shown(browser, order)
    assert "thư kèm mã" not in (await gifts_to(world, GIVER))[0].body
    await named(browser, order, day="24/11/2026")
    await named(browser, order, "")  # they do it themselves after all
    world.clock.advance(3 * DAY)
    assert await gifts_to(world, FRIEND) == []
    await named(browser, order)
    assert len(await gifts_to(world, FRIEND)) == 1


async def test_address_and_day_change_until_it_has_gone_and_only_the_last_is_sent(
    world: World,
) -> None:
    browser, order = await bought(world, "1/12/2026")
    await named(browser, order, OTHER, "2/12/2026")
    for _ in range(2):  # a second press
        await named(browser, order, OTHER, "3/12/2026")
    states = await world.rows(
        "SELECT recipient, state FROM letter WHERE kind = 'gift' ORDER BY business_key"
    )
    assert states == [(FRIEND, "dropped"), (OTHER, "dropped"), (OTHER, "waiting")]
    world.clock.advance(11 * DAY)
    assert await gifts_to(world, FRIEND) == [] and len(await gifts_to(world, OTHER)) == 1


@pytest.mark.parametrize("part", [False, True])
async def test_a_gift_whose_money_went_back_is_not_sent(world: World, part: bool) -> None:
    browser, order = await bought(world, "1/12/2026")
    await refunded(world, MONTH - 1_000 if part else MONTH)
    world.clock.advance(9 * DAY)
    assert len(await gifts_to(world, FRIEND)) == part
    if not part:
        assert await world.value("SELECT state FROM letter WHERE kind = 'gift'") == "dropped"
        assert "đã được hoàn" in await shown(browser, order)
        with pytest.raises(ConflictError) as gone:
            wish = Wish(OTHER, "", None)
            await world.billing.gifts.name(await person(world, GIVER), order, wish)
        assert gone.value.slug == "gift-returned"


async def refunded(world: World, amount: int) -> None:
    giver = await person(world, GIVER)
    payment = await world.value("SELECT id FROM payment")
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(
            AGENCY, giver.id, payment, amount, "mua nhầm", FINANCE
        )
        await world.billing.refunds.pay(AGENCY, request.id, "FT-BACK-1", FINANCE)


async def test_a_gift_that_was_redeemed_meanwhile_is_not_sent(world: World) -> None:
    browser, order = await bought(world, "1/12/2026")
    await Lives(world).redeems(OTHER, await code_of(world, order))
    world.clock.advance(9 * DAY)
    assert await gifts_to(world, FRIEND) == []
    answer = await named_service(world, order, OTHER)
    assert answer == "gift-redeemed"
    assert "Đổi địa chỉ hoặc ngày" not in await shown(browser, order)


async def named_service(world: World, order: str, email: str) -> str:
    try:
        await world.billing.gifts.name(await person(world, GIVER), order, Wish(email, "", None))
    except ConflictError as error:
        return error.slug
    return ""


async def test_it_is_sent_again_after_ten_minutes_and_five_times_at_most(world: World) -> None:
    browser, order = await bought(world)
    assert len(await gifts_to(world, FRIEND)) == 1
    await again(browser, order)
    assert len(await gifts_to(world, FRIEND)) == 1, "a moment ago"
    for number in range(2, 6):
        world.clock.advance(10 * MINUTE)
        await again(browser, order)
        assert len(await gifts_to(world, FRIEND)) == number
    world.clock.advance(DAY)
    answer = await again(browser, order)
    assert answer.headers["location"].endswith("notice=gift-sent-often")
    assert "đã gửi năm lần" in words_of((await browser.get(answer.headers["location"])).text)
    assert (await named(browser, order, OTHER)).headers["location"].endswith("gift-sent-often")
    assert len(await gifts_to(world, FRIEND)) == 5 and await gifts_to(world, OTHER) == []


async def test_a_giver_names_so_many_mailboxes_a_day(world: World) -> None:
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    answers = [await named(browser, order, f"n{n}@example.vn") for n in range(11)]
    assert [one.status_code for one in answers] == [303] * 10 + [429]
    assert "quá nhiều thư" in words_of(answers[-1].text)
    email = await world.value("SELECT email FROM gift_recipient")
    assert email == "n9@example.vn"


async def test_one_that_waits_is_not_sent_before_its_day(world: World) -> None:
    browser, order = await bought(world, "1/12/2026")
    await again(browser, order)
    assert await gifts_to(world, FRIEND) == []
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'gift'") == 1


async def test_nobody_else_sends_a_readers_gift_and_no_other_order_is_one(world: World) -> None:
    _, order = await bought(world, "1/12/2026")
    other = await world.signed_in(OTHER)
    own = await chosen(world, other, "doc-bao")
    for code in (order, own, "PR000000000"):
        assert (await other.get(f"{path_of(code)}/recipient")).status_code == 404
    reader = await person(world, OTHER)
    for code in (order, own):
        with pytest.raises(NotFoundError):
            await world.billing.gifts.name(reader, code, Wish(OTHER, "", None))
        with pytest.raises(NotFoundError):
            await world.billing.gifts.again(reader, code)
    stranger = await world.browser().get(f"{path_of(order)}/recipient")
    assert "/sign-in?" in stranger.headers["location"]


async def test_many_presses_at_once_are_one_letter(world: World) -> None:
    _, order = await bought(world)
    await gifts_to(world, FRIEND)
    world.clock.advance(10 * MINUTE)
    giver = await person(world, GIVER)
    await asyncio.gather(*(world.billing.gifts.again(giver, order) for _ in range(6)))
    assert len(await gifts_to(world, FRIEND)) == 2
    wishes = [Wish(f"n{n}@example.vn", "", None) for n in range(4)]
    await asyncio.gather(*(world.billing.gifts.name(giver, order, one) for one in wishes))
    waiting = await world.value(
        "SELECT count(*) FROM letter WHERE kind = 'gift' AND state = 'waiting'"
    )
    assert waiting == 1, "the last word counts"


async def test_in_english_as_well(world: World) -> None:
    browser = await world.signed_in(GIVER)
    order = await chosen(world, browser, "doc-bao", gift="1")
    page = await browser.get(f"{path_of(order)}/recipient?lang=en")
    assert "A day from 23 Nov 2026 to 23 Nov 2027; it goes at 8 o'clock." in words_of(
        page.text
    ).replace("&#39;", "'")
    await named(browser, order)
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE reader SET language = 'en'"))
    await credited(world, order)
    mail = (await gifts_to(world, FRIEND))[0]
    assert mail.subject.startswith("You have been given a gift") and "lang=en" in mail.body
    seen = words_of((await browser.get(f"{path_of(order)}?lang=en")).text)
    assert "Sent to friend@example.vn on 23 Nov 2026 10:00." in seen
