"""What a reader sees and does on the pages of their subscription: pay, cancel, pause, change the plan, the card, the letters' links."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from services.billing.letters.links import GOOD_FOR, Link
from services.billing.subscriptions.rules import State
from tests.integration.billing.world import (
    AGENCY,
    DECLINED_CARD,
    FAILS_ON_RENEWAL,
    GOOD_CARD,
    OTHER_AGENCY,
    OWN,
    Browser,
    World,
)

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
ACCOUNT = f"/r/{AGENCY}/account"
ENGLISH = re.compile(r">[^<]*\b(?:the|your|you|and|is|until|plan)\b[^<]*<", re.IGNORECASE)


def words_of(html: str) -> str:
    """What is read of a page's main part, on one line."""
    main = re.sub(r"<(script|style)\b.*?</\1>", "", html.split("<main", 1)[1], flags=re.DOTALL)
    plain = re.sub(r"<[^>]+>", " ", main).replace("\u00a0", " ").replace("&nbsp;", " ")
    return " ".join(plain.split())


async def account(browser: Browser, query: str = "") -> str:
    shown = await browser.get(f"{ACCOUNT}{query}")
    assert shown.status_code == 200
    assert not ENGLISH.search(shown.text.split("<main", 1)[1]), "half English"
    return words_of(shown.text)


async def subscription_of(world: World) -> str:
    return str(await world.value("SELECT id FROM subscription"))


async def act(world: World, browser: Browser, action: str, **data: str) -> Any:
    id_ = await subscription_of(world)
    return await browser.submit(ACCOUNT, f"{ACCOUNT}/{action}", {"subscription": id_, **data})


async def price_of(world: World, period: str) -> str:
    offers = await world.billing.plans.offers(AGENCY)
    return next(str(offer.price_id) for offer in offers if offer.period == period)


async def state(world: World) -> str:
    found: str = await world.value("SELECT state FROM subscription")
    return found


async def owing(world: World) -> Browser:
    """A reader whose card fails at the first renewal."""
    browser = await world.subscribed(card=FAILS_ON_RENEWAL)
    await world.deliver()
    await world.advance(30 * DAY + MINUTE)
    await world.deliver()
    assert await state(world) == State.GRACE
    return browser


async def trial(world: World, days: int = 7) -> Browser:
    """A reader in the trial of the monthly plan."""
    await world.billing.plans.save_plan(
        AGENCY,
        {"code": "doc-bao", "name_vi": "Đọc báo không giới hạn", "name_en": "Unlimited reading"},
        {"month": 59_000},
        {"month": days},
    )
    browser = await world.signed_in()
    back = await world.pay(await world.start_checkout(browser))
    receipt = await browser.get(back.headers["location"])
    assert "Thời gian dùng thử của bạn đã bắt đầu." in receipt.text
    return browser


async def test_the_account_says_when_what_is_charged_to_which_card(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    await world.billing.charges.name_cards()
    shown = await account(browser)
    assert "đang hoạt động" in shown
    assert "Lần thu tiếp theo 59.000 ₫, ngày 23/12/2026" in shown
    assert "Visa •••• 4242 (hạn đến 12/2034)" in shown
    english = words_of((await browser.get(f"{ACCOUNT}?lang=en")).text)
    assert "Next payment ₫59,000 on 23 Dec 2026" in english


async def test_the_bar_of_the_account_signs_this_device_out(world: World) -> None:
    browser = await world.subscribed()
    bar = (await browser.get(ACCOUNT)).text.split("<main", 1)[0]
    assert f'action="{ACCOUNT}/sessions/end"' in bar and "Đăng xuất" in bar
    answer = await browser.submit(ACCOUNT, f"{ACCOUNT}/sessions/end", {})
    assert answer.headers["location"].endswith("/sign-in?notice=signed-out")
    assert (await browser.get(ACCOUNT)).status_code == 303


async def test_cancel_says_the_date_and_keep_takes_it_back(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    assert "Bạn vẫn đọc đến ngày 23/12/2026; sau đó không bị trừ tiền nữa." in await account(
        browser
    )
    answer = await act(world, browser, "cancel")
    assert answer.headers["location"].endswith("notice=canceled")
    shown = await account(browser, "?notice=canceled")
    assert "Gói của bạn sẽ không gia hạn." in shown and "sắp kết thúc" in shown
    assert "Bạn đọc đến 23/12/2026. Gói không gia hạn" in shown
    assert "Giữ gói của tôi" in shown
    plans = words_of((await browser.get(f"/r/{AGENCY}/plans")).text)
    assert "Bạn đang đọc đến 23/12/2026." in plans and "Giữ gói của tôi" in plans
    answer = await act(world, browser, "resume")
    assert answer.headers["location"].endswith("notice=resumed")
    assert "Lần thu tiếp theo" in await account(browser)
    await world.assert_sound()


async def test_a_new_card_is_given_and_told_of(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    answer = await act(world, browser, "card")
    page = answer.headers["location"]
    back = await world.pay(page, "5555555555554444")
    location = back.headers["location"]
    assert urlsplit(location).path == ACCOUNT and "card=" in location
    shown = await browser.get(location)
    assert "Đã lưu thẻ mới." in shown.text
    letters = await world.rows("SELECT facts->>'subscription' FROM letter WHERE kind = 'new_card'")
    assert letters == [(await subscription_of(world),)]
    assert (await browser.get(f"{ACCOUNT}?card={uuid4()}")).status_code == 200
    assert (await browser.get(f"{ACCOUNT}?card=x")).status_code == 200


async def test_what_is_owed_is_paid_by_the_saved_card_or_refused_with_other_ways_to_pay(
    world: World,
) -> None:
    browser = await owing(world)
    shown = await account(browser)
    assert "quá hạn thanh toán" in shown and "Chưa thanh toán 59.000 ₫" in shown
    assert "Bạn vẫn đọc được đến 30/12/2026 10:00" in shown
    answer = await act(world, browser, "pay")
    order = answer.headers["location"]
    refused = await browser.get(order)
    told = words_of(refused.text)
    assert "Thẻ" in told and "Chưa thu khoản nào" in told
    assert "Trả bằng thẻ khác" in told and "hoặc chuyển khoản" in told
    assert "Hạn thanh toán 30/12/2026 10:00" in told
    paying = await browser.submit(order, f"{order}/card", {})
    back = await world.pay(paying.headers["location"])
    receipt = words_of((await browser.get(back.headers["location"])).text)
    assert "Gói của bạn được tiếp tục." in receipt
    assert "Gia hạn ngày 23/01/2027: 59.000 ₫" in receipt
    assert await state(world) == State.ACTIVE
    answer = await act(world, browser, "pay")
    assert answer.headers["location"].endswith("notice=not-owed")
    await world.assert_sound()


async def test_pay_now_with_a_card_that_works_again(world: World) -> None:
    browser = await owing(world)
    given = await act(world, browser, "card")
    await browser.get((await world.pay(given.headers["location"], GOOD_CARD)).headers["location"])
    answer = await act(world, browser, "pay")
    receipt = await browser.get(answer.headers["location"])
    assert 'id="read-on"' in receipt.text or answer.headers["location"].endswith("not-owed")
    assert await state(world) == State.ACTIVE
    await world.deliver()
    assert await world.value("SELECT count(*) FROM payment") == 2
    await world.assert_sound()


async def test_a_pause_is_planned_taken_back_kept_and_ended_early(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    page = await browser.get(ACCOUNT)
    assert "Chọn một ngày từ 24/12/2026 đến 24/06/2027." in words_of(page.text)
    for wrong in ("", "x", "2026-12-23", "2027-06-25", "31/02/2027"):
        answer = await act(world, browser, "pause", until=wrong)
        assert answer.headers["location"].endswith("notice=pause-day"), wrong
    assert "Không thể tạm dừng đến ngày đó." in await account(browser, "?notice=pause-day")
    answer = await act(world, browser, "pause", until="15/01/2027")
    assert answer.headers["location"].endswith("notice=paused")
    shown = await account(browser)
    assert "Bạn đọc đến 23/12/2026, sau đó gói tạm dừng đến 15/01/2027." in shown
    assert "Không tạm dừng nữa" in shown
    await act(world, browser, "resume")
    assert "tạm dừng đến" not in await account(browser)
    await act(world, browser, "pause", until="2027-01-15")
    await world.advance(32 * DAY)
    await world.deliver()
    shown = await account(browser)
    assert await state(world) == State.PAUSED
    assert "Tạm dừng đến 15/01/2027" in shown
    assert "Hôm nay thu 59.000 ₫ và kỳ tiếp theo bắt đầu ngay." in shown
    answer = await act(world, browser, "resume")
    receipt = await browser.get(answer.headers["location"])
    assert "Gói của bạn được tiếp tục." in receipt.text
    assert await state(world) == State.ACTIVE
    await world.assert_sound()


async def test_a_dearer_plan_is_shown_to_the_dong_and_begins_at_once(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    await world.advance(10 * DAY)
    await world.deliver()
    id_, year = await subscription_of(world), await price_of(world, "year")
    plans = await browser.get(f"/r/{AGENCY}/plans")
    link = f"/r/{AGENCY}/account/change?subscription={id_}&amp;price={year}"
    assert link in plans.text and link in (await browser.get(ACCOUNT)).text
    preview = await browser.get(link.replace("&amp;", "&"))
    found = re.search(r'name="amount" value="(\d+)"', preview.text)
    assert found is not None
    pay_vnd = int(found[1])
    told = words_of(preview.text)
    credit = f"{590_000 - pay_vnd:,}".replace(",", ".")
    assert 0 < 590_000 - pay_vnd < 59_000 and f"−{credit} ₫" in told
    assert "Gia hạn ngày 03/12/2027: 590.000 ₫" in told
    form = {"subscription": id_, "price": year}
    page = link.replace("&amp;", "&")
    stale = await browser.submit(page, f"{ACCOUNT}/change", {**form, "amount": str(pay_vnd - 1)})
    assert stale.status_code == 409 and "Số tiền vừa thay đổi." in stale.text
    answer = await browser.submit(page, f"{ACCOUNT}/change", {**form, "amount": str(pay_vnd)})
    receipt = words_of((await browser.get(answer.headers["location"])).text)
    assert "Gói mới của bạn đã bắt đầu." in receipt and f"−{credit} ₫" in receipt
    shown = await account(browser)
    assert "590.000 ₫ / năm" in shown
    assert re.search(
        r"Đọc báo không giới hạn \(tháng\) .{,40} 59\.000 ₫ đổi gói ngày 03/12/2026", shown
    )
    again = await browser.get(page)
    assert again.headers["location"].endswith("notice=same-plan")
    await world.assert_sound()


async def test_a_change_that_the_card_refuses_is_paid_by_another_one(world: World) -> None:
    browser = await world.subscribed(card=FAILS_ON_RENEWAL)
    await world.deliver()
    id_, year = await subscription_of(world), await price_of(world, "year")
    page = f"{ACCOUNT}/change?subscription={id_}&price={year}"
    amount = re.search(r'name="amount" value="(\d+)"', (await browser.get(page)).text)
    assert amount is not None
    sent = {"subscription": id_, "price": year, "amount": amount[1]}
    order = (await browser.submit(page, f"{ACCOUNT}/change", sent)).headers["location"]
    told = words_of((await browser.get(order)).text)
    assert "Thanh toán gói mới" in told and "Trả bằng thẻ khác" in told
    assert "hoặc chuyển khoản" in told
    assert "Việc đổi gói đang chờ thanh toán" in await account(browser)
    paying = await browser.submit(order, f"{order}/card", {})
    back = await world.pay(paying.headers["location"])
    assert "Gói mới của bạn đã bắt đầu." in (await browser.get(back.headers["location"])).text
    await world.deliver()
    assert await world.rows("SELECT state FROM subscription") == [("active",)]
    await world.assert_sound()


async def test_a_cheaper_plan_begins_with_the_next_period_and_may_be_taken_back(
    world: World,
) -> None:
    browser = await world.subscribed(period="year")
    await world.deliver()
    id_, month = await subscription_of(world), await price_of(world, "month")
    page = f"{ACCOUNT}/change?subscription={id_}&price={month}"
    told = words_of((await browser.get(page)).text)
    assert "Hôm nay không thu tiền; đến ngày đó thu 59.000 ₫." in told
    assert "Gia hạn ngày 23/12/2027: 59.000 ₫" in told
    sent = {"subscription": id_, "price": month, "amount": "0"}
    answer = await browser.submit(page, f"{ACCOUNT}/change", sent)
    assert answer.headers["location"].endswith("notice=change-comes")
    shown = await account(browser, "?notice=change-comes")
    assert "Từ 23/11/2027: Đọc báo không giới hạn, 59.000 ₫ / tháng." in shown
    assert "Lần thu tiếp theo 59.000 ₫, ngày 23/11/2027" in shown
    answer = await act(world, browser, "keep")
    assert answer.headers["location"].endswith("notice=kept")
    assert "590.000 ₫, ngày 23/11/2027" in await account(browser)


async def test_a_trial_is_offered_shown_and_told_of(world: World) -> None:
    browser = await trial(world)
    shown = await account(browser)
    assert "Đọc báo không giới hạn dùng thử" in shown
    assert "Bạn đọc miễn phí đến 30/11/2026." in shown
    assert "Lần thu đầu tiên 59.000 ₫, ngày 30/11/2026" in shown
    assert await world.rows(
        "SELECT kind FROM letter WHERE kind IN ('receipt', 'trial_started')"
    ) == [("trial_started",)]
    await world.billing.letters.sweep()
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'trial_ending'") == 0
    await world.advance(4 * DAY + MINUTE)
    for _ in range(2):
        await world.billing.letters.sweep()
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'trial_ending'") == 1
    stranger = world.browser()
    plans = words_of((await stranger.get(f"/r/{AGENCY}/plans")).text)
    assert "Dùng thử 7 ngày bằng thẻ , sau đó 59.000 ₫ / tháng" in plans
    own = words_of((await browser.get(f"/r/{AGENCY}/plans")).text)
    assert "Dùng thử 7 ngày" not in own
    await world.assert_sound()


async def test_plans_say_what_a_month_costs_and_what_a_year_saves(world: World) -> None:
    shown = words_of((await world.browser().get(f"/r/{AGENCY}/plans")).text)
    assert "tức 49.166 ₫ một tháng, tiết kiệm 16%" in shown
    assert shown.count("lợi nhất") == 1, "what saves most of all that are sold, for one reader"
    best = shown.index("lợi nhất")
    assert shown.rindex("Đọc báo không giới hạn", 0, best) < best < shown.index("Gói gia đình")
    assert shown[:best].endswith("Năm ") and shown.count("Đọc báo không giới hạn") == 1


def link_of(world: World, reader: Any, subscription: Any) -> str:
    token = world.billing.links.token(Link(AGENCY, reader, subscription), world.clock.now())
    return f"/r/{AGENCY}/s/{token}"


async def opened(world: World) -> str:
    ((reader, subscription),) = await world.rows("SELECT reader_id, id FROM subscription")
    return link_of(world, reader, subscription)


async def press(browser: Browser, path: str, origin: str = OWN) -> Any:
    return await browser.client.post(path, headers={"Origin": origin})


async def test_a_letters_link_cancels_and_keeps_without_signing_in(world: World) -> None:
    await world.subscribed()
    await world.deliver()
    stranger, link = world.browser("203.0.113.9"), await opened(world)
    shown = await stranger.get(link)
    assert shown.status_code == 200
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "same-origin"
    assert "noindex" in shown.headers["x-robots-tag"]
    assert "lan@example.vn" not in shown.text, "nothing personal"
    assert not ENGLISH.search(shown.text.split("<main", 1)[1])
    assert (await press(stranger, f"{link}/cancel", "https://evil.example")).status_code == 403
    assert await state(world) == State.ACTIVE
    answer = await press(stranger, f"{link}/cancel")
    assert answer.headers["location"] == f"{link}?notice=canceled"
    assert await state(world) == State.ENDING
    assert "Giữ gói của tôi" in (await stranger.get(answer.headers["location"])).text
    await press(stranger, f"{link}/resume")
    assert await state(world) == State.ACTIVE
    session = (await stranger.get(f"/v1/agencies/{AGENCY}/session")).json()
    assert not session["signed_in"], "a link reads nothing"
    assert (await stranger.get(ACCOUNT)).status_code == 303


async def test_what_is_owed_is_paid_from_a_letters_link_and_leads_back_to_it(world: World) -> None:
    await owing(world)
    stranger, link = world.browser("203.0.113.9"), await opened(world)
    assert "Chưa thanh toán 59.000 ₫" in words_of((await stranger.get(link)).text)
    answer = await press(stranger, f"{link}/pay")
    page = answer.headers["location"]
    declined = await world.pay(page, DECLINED_CARD)
    assert "declined=1" in declined.headers["location"]
    back = (await world.pay(page)).headers["location"]
    step = await stranger.get(back)
    assert step.headers["location"].startswith(f"{link}?paid=")
    shown = words_of((await stranger.get(step.headers["location"])).text)
    assert "Chúng tôi đã nhận được thanh toán" in shown and "Lần thu tiếp theo" in shown
    assert await state(world) == State.ACTIVE
    # The way back was for once: from now on the account asks to sign in again.
    assert "/sign-in" in (await stranger.get(ACCOUNT)).headers["location"]
    await world.assert_sound()


async def test_a_card_given_from_a_letters_link_pays_what_is_owed(world: World) -> None:
    await owing(world)
    stranger, link = world.browser("203.0.113.9"), await opened(world)
    page = (await press(stranger, f"{link}/card")).headers["location"]
    step = await stranger.get((await world.pay(page)).headers["location"])
    assert step.headers["location"].startswith(f"{link}?card=")
    assert "Đã lưu thẻ mới." in (await stranger.get(step.headers["location"])).text
    await world.deliver()
    assert await state(world) == State.ACTIVE
    await world.assert_sound()


async def test_a_link_of_another_agency_of_the_past_or_of_nobody_opens_nothing(
    world: World,
) -> None:
    await world.subscribed()
    await world.deliver()
    ((reader, subscription),) = await world.rows("SELECT reader_id, id FROM subscription")
    now, links, stranger = world.clock.now(), world.billing.links, world.browser()
    other = links.token(Link(OTHER_AGENCY, reader, subscription), now)
    somebody = links.token(Link(AGENCY, uuid4(), subscription), now)
    nothing = links.token(Link(AGENCY, reader, uuid4()), now)
    good = links.token(Link(AGENCY, reader, subscription), now)
    head, body, signature = good.split(".")
    for token in (other, somebody, nothing, "x", "a.b.c", f"{head}.{body}.{signature[:-4]}AAAA"):
        shown = await stranger.get(f"/r/{AGENCY}/s/{token}")
        assert shown.status_code == 404 and "59.000" not in shown.text
        for action in ("cancel", "resume", "pay", "card"):
            refused = await press(stranger, f"/r/{AGENCY}/s/{token}/{action}")
            assert refused.status_code == 404
    assert await state(world) == State.ACTIVE
    world.clock.advance(GOOD_FOR)
    over = await stranger.get(f"/r/{AGENCY}/s/{good}")
    assert over.status_code == 404 and "Đường dẫn này không còn hiệu lực." in over.text


@pytest.mark.parametrize("action", ["cancel", "resume", "pause", "pay", "card", "change", "keep"])
async def test_what_is_no_id_or_somebody_elses_is_not_found(world: World, action: str) -> None:
    await world.subscribed()
    await world.deliver()
    minh = await world.signed_in("minh@example.vn")
    year = await price_of(world, "year")
    for id_ in ("", "x", await subscription_of(world), str(uuid4())):
        sent = {"subscription": id_, "price": year, "amount": "1", "until": "2027-01-15"}
        answer = await minh.submit(ACCOUNT, f"{ACCOUNT}/{action}", sent)
        assert answer.status_code == 404, (action, id_)
        refused = await minh.client.post(f"{ACCOUNT}/{action}", data=sent, headers={"Origin": OWN})
        assert refused.status_code == 403, "without the form's token"


async def test_what_cannot_be_is_a_notice(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    await act(world, browser, "cancel")
    year = await price_of(world, "year")
    answer = await act(world, browser, "pause", until="2027-01-15")
    assert answer.headers["location"].endswith("notice=not-active")
    answer = await act(world, browser, "change", price=year, amount="1")
    assert answer.headers["location"].endswith("notice=not-active")
    await world.advance(31 * DAY)
    await world.deliver()
    assert await state(world) == State.CANCELED
    for action in ("cancel", "resume", "card"):
        answer = await act(world, browser, action)
        assert answer.headers["location"].endswith("notice=ended"), action
    shown = await account(browser, "?notice=ended")
    assert "Gói này đã kết thúc" in shown and "đã kết thúc" in shown


async def test_while_a_bank_decides_the_page_looks_again_without_script(world: World) -> None:
    browser = await world.signed_in()
    page = await world.start_checkout(browser)
    code = await world.value("SELECT code FROM sales_order")
    charge = await world.value("SELECT id FROM charge")
    shown = await browser.get(f"/r/{AGENCY}/orders/{code}?paid={charge}")
    assert "Đang xác nhận thanh toán của bạn" in shown.text
    assert '<noscript><meta http-equiv="refresh"' in shown.text
    assert "refresh" not in shown.headers
    await world.pay(page)
    done = await browser.get(f"/r/{AGENCY}/orders/{code}?paid={charge}")
    assert 'http-equiv="refresh"' not in done.text and 'id="read-on"' in done.text
