"""Signing in: which codes work, what is limited and what never is, and where one comes out."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from services.billing.mailboxes.rules import MORE_DIGITS
from services.billing.sign_in import rules
from shared.agencies import save_agencies
from shared.audit import Actor
from shared.errors import UnavailableError
from shared.mail.outbox import recent_mail
from tests.integration.billing.world import (
    AGENCY,
    OTHER_AGENCY,
    OWN,
    SITE,
    Browser,
    World,
    form_token,
)

PAGE, CODE_PAGE = f"/r/{AGENCY}/sign-in", f"/r/{AGENCY}/sign-in/code"
ARTICLE = f"{SITE}/bai/mot-bai?x=1"
NEXT = rules.RESEND_AFTER + timedelta(seconds=1)


async def ask(browser: Browser, email: str = "lan@example.vn", **more: str):
    return await browser.submit(PAGE, PAGE, {"email": email, **more})


async def enter(browser: Browser, code: str, **more: str):
    return await browser.submit(CODE_PAGE, CODE_PAGE, {"code": code, **more})


def wrong(*codes: str) -> str:
    return next(f"{n:06d}" for n in range(100) if f"{n:06d}" not in codes)


async def signed_in(browser: Browser) -> bool:
    return (await browser.get(f"/v1/agencies/{AGENCY}/session")).json()["signed_in"]


def cookie(browser: Browser, name: str) -> str:
    return browser.client.cookies.get(f"press_{name}_{AGENCY}") or ""


# Which codes work


async def test_the_answer_is_the_same_whether_an_address_is_known_or_not(world: World):
    await world.signed_in("known00@example.vn")
    answers = []
    for email in ("known00@example.vn", "strange@example.vn"):
        browser = world.browser(address="198.51.100.4")
        asked = await ask(browser, email)
        shown = (await browser.get(asked.headers["location"])).text.replace(email, "")
        shown = re.sub(r'name="csrf_token" value="[0-9a-f]+"', "", shown)
        answers.append((asked.status_code, asked.headers["location"], shown))
    assert answers[0] == answers[1]
    assert await world.value("SELECT count(*) FROM reader") == 1, "asking makes no reader"


@pytest.mark.parametrize("used", [0, 1, 2])
async def test_every_code_in_time_works_whichever_mail_came_first(world: World, used: int):
    browser, codes = world.browser(), []
    for _ in range(3):
        assert (await ask(browser)).status_code == 303
        codes.append(await world.last_code())
        world.clock.advance(NEXT)
    assert len(set(codes)) == 3
    assert (await enter(browser, codes[used])).status_code == 303
    assert await signed_in(browser)


async def test_a_code_asked_for_on_the_laptop_works_on_the_phone_that_asked_too(world: World):
    laptop, phone = world.browser(), world.browser(address="198.51.100.9")
    await ask(laptop)
    from_laptop = await world.last_code()
    await ask(phone)
    assert (await enter(phone, from_laptop)).status_code == 303


async def test_a_code_works_once_for_ten_minutes_and_only_where_its_mailbox_was_asked_for(
    world: World,
):
    asker, thief = world.browser(), world.browser()
    await ask(asker)
    code = await world.last_code()
    await ask(thief, "thief@example.vn")
    assert (await enter(thief, code)).status_code == 422
    browser = cookie(asker, "browser")
    assert (await enter(asker, code)).status_code == 303
    again = world.browser(**{f"press_browser_{AGENCY}": browser})
    await ask(again, "lan@example.vn")
    assert (await enter(again, code)).status_code == 422, "a used code is used up"

    late = world.browser()
    await ask(late, "late@example.vn")
    code = await world.last_code()
    await late.get(CODE_PAGE)
    world.clock.advance(timedelta(minutes=10, seconds=1))
    token = re.search(r'value="([0-9a-f]{128})"', (await late.get(PAGE)).text)
    data = {"code": code, "csrf_token": token[1], "return_to": ARTICLE}  # type: ignore[index]
    refused = await late.client.post(CODE_PAGE, data=data, headers={"Origin": OWN})
    assert refused.status_code == 422 and "Gửi mã cho tôi" in refused.text
    assert ARTICLE.replace("&", "&amp;") in refused.text, "where one was going is kept"
    assert not await signed_in(late)


async def test_two_presses_send_one_mail_and_the_page_says_when_the_next_may_go(world: World):
    browser = world.browser()
    await browser.get(PAGE)
    answers = await asyncio.gather(*(ask(browser) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {303}
    assert await world.value("SELECT count(*) FROM mail_message") == 1
    shown = (await browser.get(CODE_PAGE)).text
    assert "lan@example.vn" in shown and "10:00:00" in shown
    assert 'class="countdown" data-seconds="30"' in shown
    world.clock.advance(timedelta(seconds=12))
    assert 'class="countdown" data-seconds="18"' in (await browser.get(CODE_PAGE)).text
    world.clock.advance(NEXT)
    assert "countdown" not in (await browser.get(CODE_PAGE)).text
    data = {"email": "lan@example.vn", "again": "1", "consent": "newsletter", "return_to": ARTICLE}
    sent = await browser.submit(CODE_PAGE, PAGE, data)
    assert sent.status_code == 200 and 'value="newsletter" checked' in sent.text
    assert 'value="offers">' in sent.text and ARTICLE in sent.text
    assert await world.value("SELECT count(*) FROM mail_message") == 2


async def test_a_wrong_code_keeps_the_tick_and_is_named_for_screen_readers(world: World):
    browser = world.browser()
    await ask(browser)
    code = await world.last_code()
    answer = await enter(browser, wrong(code), consent="newsletter", return_to=ARTICLE)
    assert answer.status_code == 422
    assert 'value="newsletter" checked' in answer.text and 'value="offers">' in answer.text
    assert 'aria-invalid="true"' in answer.text and 'aria-describedby="problem"' in answer.text
    assert "<title>Xin xem lại" in answer.text and ARTICLE in answer.text
    assert (await enter(browser, code)).status_code == 303


async def test_mail_that_cannot_be_sent_leaves_no_code_and_keeps_the_address(world: World):
    class Away:
        async def send(self, _mail: object) -> None:
            raise UnavailableError("no route", slug="mail-unavailable")

    works, world.billing.sign_in._mail = world.billing.sign_in._mail, Away()
    browser = world.browser()
    answer = await ask(browser)
    assert answer.status_code == 503 and 'value="lan@example.vn"' in answer.text
    assert await world.value("SELECT count(*) FROM sign_in_code") == 0
    world.billing.sign_in._mail = works
    assert (await ask(browser)).status_code == 303
    assert await world.value("SELECT count(*) FROM mail_message") == 1


# Limits


async def test_five_wrong_codes_spoil_a_code_and_a_new_one_works(world: World):
    browser = world.browser()
    await ask(browser)
    code = await world.last_code()
    for _ in range(5):
        assert (await enter(browser, wrong(code))).status_code == 422
    spent = await enter(browser, code)
    assert spent.status_code == 422 and "nhập sai quá nhiều lần" in spent.text
    world.clock.advance(NEXT)
    await ask(browser)
    assert (await enter(browser, await world.last_code())).status_code == 303
    stored = await world.rows("SELECT code_hash FROM sign_in_code")
    assert all(code.encode() not in row[0] for row in stored), "codes are kept as hashes"


async def test_strangers_wrong_codes_never_refuse_a_readers_right_one(world: World):
    """Sixty wrong codes of the same network, five of them for the reader's own mailbox."""
    reader = world.browser(address="203.0.113.7")
    await ask(reader)
    code = await world.last_code()
    strangers = [world.browser(address=f"203.0.113.{50 + n}") for n in range(12)]
    for number, stranger in enumerate(strangers):
        email = "lan@example.vn" if number == 0 else f"x{number}@example.vn"
        assert (await ask(stranger, email)).status_code == 303
    for stranger in strangers:
        for _ in range(5):
            assert (await enter(stranger, wrong(code))).status_code == 422
    assert (await enter(reader, code)).status_code == 303
    assert await signed_in(reader)
    slowed = await ask(world.browser(address="203.0.113.9"), "new@example.vn")
    assert slowed.status_code == 429 and "cùng mạng" in slowed.text, "failures slow the network"


async def test_guesses_of_one_browser_count_against_every_code_it_could_hit(world: World):
    """Whoever asks for a reader's mailbox in browser after browser has five tries at each code, no more."""
    reader = world.browser()
    await ask(reader)
    code = await world.last_code()
    for number in range(2):
        stranger = world.browser(address=f"198.51.{number}.1")
        await ask(stranger)
        codes = [code, await world.last_code()]
        for _ in range(4):
            await enter(stranger, wrong(*codes))
    tries = "SELECT max(tries), max(other_tries) FROM sign_in_code"
    assert await world.rows(tries) == [(4, 5)]
    late = world.browser(address="198.51.9.1")
    await ask(late)
    assert (await enter(late, code)).status_code == 422, "spent for others"
    assert (await enter(reader, code)).status_code == 303, "and not for the one who asked"


async def test_a_shared_network_waits_its_turn_is_told_why_and_is_never_shut(world: World):
    """42 addresses of one /24: the last two wait some seconds, once, and their addresses are kept."""
    statuses, waiting = [], []
    for number in range(42):
        browser = world.browser(address=f"203.0.113.{number}")
        answer = await ask(browser, f"reader{number}@example.vn", return_to=ARTICLE)
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            waiting.append((browser, answer))
    assert statuses == [303] * 40 + [429] * 2
    for number, (browser, answer) in enumerate(waiting, start=40):
        seconds = int(answer.headers["retry-after"])
        assert 1 <= seconds <= 60
        assert f"Đến lượt bạn sau {seconds} giây" in answer.text and "cùng mạng" in answer.text
        assert f'value="reader{number}@example.vn"' in answer.text and ARTICLE in answer.text
        impatient = await ask(browser, f"reader{number}@example.vn")
        assert impatient.status_code == 429
        assert int(impatient.headers["retry-after"]) <= seconds, "pressing again costs nothing"
    world.clock.advance(timedelta(seconds=60))
    for number, (browser, _) in enumerate(waiting, start=40):
        assert (await ask(browser, f"reader{number}@example.vn")).status_code == 303
    code = await world.last_code()
    assert len(code) == MORE_DIGITS, "guessing is worth nothing while a network is busy"
    assert (await enter(waiting[-1][0], code)).status_code == 303
    elsewhere = world.browser(address="198.51.100.1")
    assert (await ask(elsewhere)).status_code == 303


async def test_a_turn_is_for_one_ask_only(world: World):
    for number in range(40):
        await ask(world.browser(address="203.0.113.1"), f"reader{number}@example.vn")
    browser = world.browser(address="203.0.113.1")
    assert (await ask(browser, "a@example.vn")).status_code == 429
    world.clock.advance(timedelta(seconds=10))
    assert (await ask(browser, "a@example.vn")).status_code == 303
    assert (await ask(browser, "b@example.vn")).status_code == 429


async def test_a_mailbox_is_not_flooded_and_its_reader_is_not_locked_out(world: World):
    known = await world.signed_in("victim@example.vn")
    await known.submit(f"/r/{AGENCY}/account", f"/r/{AGENCY}/account/sessions/end", {"session": ""})
    statuses = []
    for number in range(100):
        stranger = world.browser(address=f"192.0.{number % 5}.1")
        answer = await ask(stranger, "victim@example.vn")
        statuses.append(answer.status_code)
    assert statuses.count(303) <= 15 and 429 in statuses
    assert f"sau {-(-int(answer.headers['retry-after']) // 60)} phút" in answer.text
    assert 60 <= int(answer.headers["retry-after"]) <= 900
    codes = [
        message.subject.split(" ", 1)[0] for message in await recent_mail(world.billing.database)
    ]
    assert {len(code) for code in codes[:8]} == {8}, "many codes for one mailbox are longer"
    assert (await ask(known, "victim@example.vn")).status_code == 303, "a known browser gets in"
    assert (await enter(known, await world.last_code())).status_code == 303


async def test_limits_slide_with_the_clock(world: World):
    """No window begins anew for everybody: after five at once, one more each three minutes."""
    for _ in range(5):
        assert (await ask(world.browser())).status_code == 303
    assert (await ask(world.browser())).status_code == 429
    world.clock.advance(timedelta(seconds=181))
    assert (await ask(world.browser())).status_code == 303
    assert (await ask(world.browser())).status_code == 429


async def test_limits_hold_when_everything_is_asked_at_once(world: World):
    browsers = [world.browser() for _ in range(12)]
    answers = await asyncio.gather(*(ask(browser) for browser in browsers))
    assert sorted(answer.status_code for answer in answers) == [303] * 5 + [429] * 7
    await world.billing.sign_in.forget_old()
    assert (await ask(world.browser())).status_code == 429, "housekeeping keeps what still counts"
    world.clock.advance(timedelta(days=3))
    await world.billing.sign_in.forget_old()
    assert await world.value("SELECT count(*) FROM rate_bucket") == 0
    assert await world.value("SELECT count(*) FROM sign_in_code") == 0


# Sessions


async def test_a_session_has_an_end_however_often_one_reads(world: World):
    browser = await world.signed_in()
    for _ in range(12):
        world.clock.advance(timedelta(days=30))
        assert await signed_in(browser)
    world.clock.advance(timedelta(days=6))
    assert not await signed_in(browser), "366 days after signing in"


async def test_signing_in_again_ends_the_session_of_before(world: World):
    browser = world.browser()
    await ask(browser, "lan@example.vn")
    lan = await world.last_code()
    await ask(browser, "minh@example.vn")
    minh = await world.last_code()
    shown = await browser.get(CODE_PAGE)
    token = re.search(r'value="([0-9a-f]{128})"', shown.text)[1]  # type: ignore[index]
    for code in (lan, minh):  # the second in a tab that was open all the time
        data = {"csrf_token": token, "code": code}
        answer = await browser.client.post(CODE_PAGE, data=data, headers={"Origin": OWN})
        assert answer.status_code == 303
    session = (await browser.get(f"/v1/agencies/{AGENCY}/session")).json()
    assert session["reader"]["email"] == "minh@example.vn"
    open_sessions = """SELECT r.email FROM reader_session s JOIN reader r ON r.id = s.reader_id
                       WHERE s.ended_at IS NULL"""
    assert await world.rows(open_sessions) == [("minh@example.vn",)]


async def test_signing_out_clears_what_the_browser_kept_and_says_so(world: World):
    browser = await world.signed_in()
    account = f"/r/{AGENCY}/account"
    ended = await browser.submit(account, f"{account}/sessions/end", {"session": ""})
    assert ended.headers["clear-site-data"] == '"cache", "storage"'
    assert cookie(browser, "reader") == ""
    shown = await browser.get(ended.headers["location"])
    assert "Bạn đã đăng xuất khỏi thiết bị này" in shown.text


# Where one comes out


async def test_the_policy_lets_the_forms_lead_to_this_agencys_website_and_to_no_other(world: World):
    async with world.billing.database.transaction() as session:
        agency = {"id": OTHER_AGENCY, "name": "Đài", "time_zone": "Asia/Ho_Chi_Minh"}
        await save_agencies(
            session, [agency | {"website": "https://dai.example.vn"}], actor=Actor.command("test")
        )
    reader = await world.signed_in()
    asker = world.browser()
    await ask(asker)
    pages = {
        "": (world.browser(), PAGE),
        "code": (asker, CODE_PAGE),
        "plans": (world.browser(), f"/r/{AGENCY}/plans"),
        "account": (reader, f"/r/{AGENCY}/account"),
    }
    for name, (browser, page) in pages.items():
        answer = await browser.get(page)
        assert answer.status_code == 200, name
        targets = re.search("form-action ([^;]+);", answer.headers["content-security-policy"])
        assert targets is not None and SITE in targets[1].split(), name
        assert "dai.example.vn" not in targets[1] and "*" not in targets[1], name
    other = await world.browser().get(f"/r/{OTHER_AGENCY}/sign-in")
    targets = re.search("form-action ([^;]+);", other.headers["content-security-policy"])
    assert targets is not None and "https://dai.example.vn" in targets[1].split()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/x",
        "//evil.example",
        "javascript:alert(1)",
        f"{SITE}.evil/x",
        f"{SITE}@evil.example/",
        "https://dai.example.vn/",
    ],
)
async def test_nobody_is_sent_to_a_foreign_address_after_signing_in(world: World, target: str):
    browser = world.browser()
    await ask(browser, return_to=target)
    answer = await enter(browser, await world.last_code(), return_to=target)
    assert answer.headers["location"] == f"{OWN}/r/{AGENCY}/account"
    again = await browser.get(f"{PAGE}?return_to={quote(target, safe='')}")
    assert again.headers["location"] == f"{OWN}/r/{AGENCY}/account"
    nested = quote(f"{OWN}/r/{AGENCY}/plans?return_to={quote(target, safe='')}", safe="")
    plans = await browser.get((await browser.get(f"{PAGE}?return_to={nested}")).headers["location"])
    assert plans.status_code == 200 and target not in plans.text


async def test_pressing_again_in_a_browser_that_is_signed_in_leads_to_the_article(world: World):
    browser = world.browser()
    await ask(browser, return_to=ARTICLE)
    code = await world.last_code()
    shown = await browser.get(CODE_PAGE)
    token = re.search(r'value="([0-9a-f]{128})"', shown.text)[1]  # type: ignore[index]
    data = {"csrf_token": token, "code": code, "return_to": ARTICLE}
    for _ in range(2):
        answer = await browser.client.post(CODE_PAGE, data=data, headers={"Origin": OWN})
        assert (answer.status_code, answer.headers["location"]) == (303, ARTICLE)
    data["csrf_token"] = "0" * 128
    for page in (CODE_PAGE, PAGE):
        answer = await browser.client.post(
            page, data=data | {"email": "lan@example.vn"}, headers={"Origin": OWN}
        )
        assert (answer.status_code, answer.headers["location"]) == (303, ARTICLE)
    shown = await browser.get(f"{CODE_PAGE}?return_to={quote(ARTICLE, safe='')}")
    assert shown.headers["location"] == ARTICLE


async def test_a_form_that_has_grown_old_says_so_and_keeps_what_was_typed(world: World):
    browser = world.browser()
    data = {"email": "lan@example.vn", "return_to": ARTICLE, "csrf_token": "0" * 128}
    headers = {"Origin": OWN, "Accept": "text/html"}
    old = await browser.client.post(PAGE, data=data, headers=headers)
    assert old.status_code == 403 and "Trang đã cũ, hãy thử lại" in old.text
    assert 'value="lan@example.vn"' in old.text and ARTICLE in old.text
    assert await world.value("SELECT count(*) FROM mail_message") == 0
    token = re.search(r'value="([0-9a-f]{128})"', old.text)[1]  # type: ignore[index]
    again = await browser.client.post(PAGE, data=data | {"csrf_token": token}, headers=headers)
    assert again.status_code == 303
    data = {"code": "12 34", "consent": "offers", "csrf_token": "x", "return_to": ARTICLE}
    old = await browser.client.post(CODE_PAGE, data=data, headers=headers)
    assert old.status_code == 403 and "Trang đã cũ" in old.text
    assert 'value="12 34"' in old.text and 'value="offers" checked' in old.text
    data = {"email": "lan@example.vn", "again": "yes", "consent": "offers", "return_to": ARTICLE}
    old = await browser.client.post(PAGE, data=data, headers=headers)
    assert old.status_code == 403 and "Trang đã cũ" in old.text
    assert 'value="offers" checked' in old.text, "asked for on the code page, which stays"
    for path in ("checkout", "account/cancel", "account/consents"):
        data = {"consent": "offers", "price": "p", "subscription": "s"}
        old = await browser.client.post(f"/r/{AGENCY}/{path}", data=data, headers=headers)
        assert old.status_code == 403 and "Trang đã cũ" in old.text and "vai trò" not in old.text
        assert 'name="consent" value="offers"' in old.text
        assert SITE in old.headers["content-security-policy"]
        assert f'href="{SITE}"' in old.text, "the first page of a reader is the newspaper's"


async def test_a_form_sent_from_another_site_needs_no_cookie_to_be_refused(world: World):
    stranger = world.browser()
    data = {"email": "victim@example.vn"}
    answer = await stranger.client.post(PAGE, data=data, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    answer = await stranger.client.post(PAGE, data=data, headers={"Origin": OWN})
    assert answer.status_code == 403, "a form token belongs to a browser that was shown one"
    assert await world.value("SELECT count(*) FROM mail_message") == 0


async def test_the_chosen_plan_survives_signing_in(world: World):
    browser = world.browser()
    offers = await world.billing.plans.offers(AGENCY)
    price = str(next(offer for offer in offers if offer.period == "year").price_id)
    plans = f"/r/{AGENCY}/plans?return_to={quote(ARTICLE, safe='')}"
    chosen = await browser.submit(
        plans, f"/r/{AGENCY}/checkout", {"price": price, "way": "card", "return_to": ARTICLE}
    )
    back = parse_qs(urlsplit(chosen.headers["location"]).query)["return_to"][0]
    await browser.submit(
        chosen.headers["location"], PAGE, {"email": "lan@example.vn", "return_to": back}
    )
    answer = await enter(browser, await world.last_code(), return_to=back)
    payment = await browser.get(answer.headers["location"])
    assert payment.status_code == 303 and "/c/pay/" in payment.headers["location"]
    rows = await world.rows("SELECT price_id::text, return_to FROM sales_order")
    assert rows == [(price, ARTICLE)]
    thief = await world.signed_in("minh@example.vn")
    led = await thief.get(answer.headers["location"])
    assert led.status_code == 303 and f"/r/{AGENCY}/plans" in led.headers["location"]
    assert await world.value("SELECT count(*) FROM sales_order") == 1, "a link starts no payment"


@pytest.mark.parametrize(
    ("language", "words"), [("vi", "Dùng địa chỉ khác"), ("en", "Use another address")]
)
async def test_another_address_is_one_link_away_and_keeps_the_article_and_the_plan(
    world: World, language: str, words: str
):
    browser = world.browser()
    offers = await world.billing.plans.offers(AGENCY)
    price = str(offers[0].price_id)
    plans = f"/r/{AGENCY}/plans?return_to={quote(ARTICLE, safe='')}"
    chosen = await browser.submit(
        plans, f"/r/{AGENCY}/checkout", {"price": price, "way": "card", "return_to": ARTICLE}
    )
    back = parse_qs(urlsplit(chosen.headers["location"]).query)["return_to"][0]
    assert price in back and quote(ARTICLE, safe="") in back, "the plan, and behind it the article"
    for return_to in (ARTICLE, back):
        asked = await ask(browser, "mistyped@example.vn", return_to=return_to)
        page = (await browser.get(f"{asked.headers['location']}&lang={language}")).text
        assert "mistyped@example.vn" in page
        [link] = re.findall(rf'<a href="([^"]+)">{words}</a>', page)
        form = await browser.get(unescape(link))
        assert form.status_code == 200 and 'name="email"' in form.text
        [kept] = re.findall(r'name="return_to" value="([^"]*)"', form.text)
        assert unescape(kept) == return_to
        world.clock.advance(NEXT)
    # As typed there: the code goes to the other address, and one comes out at the plan.
    await ask(browser, "lan@example.vn", return_to=unescape(kept))
    answer = await enter(browser, await world.last_code(), return_to=unescape(kept))
    payment = await browser.get(answer.headers["location"])
    assert "/c/pay/" in payment.headers["location"]
    rows = await world.rows("SELECT price_id::text, return_to FROM sales_order")
    assert rows == [(price, ARTICLE)]
    assert await world.value("SELECT email FROM reader") == "lan@example.vn"


async def test_a_reader_who_has_a_plan_already_is_shown_it_with_the_way_back(world: World):
    browser = await world.subscribed()
    await world.deliver()
    offers = await world.billing.plans.offers(AGENCY)
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": str(offers[0].price_id), "return_to": ARTICLE},
    )
    account = await browser.get(answer.headers["location"])
    assert "Bạn đã có gói" in account.text and f'href="{ARTICLE}"' in account.text


async def test_a_reader_returns_to_any_website_of_the_agency(world: World):
    """A paper may have a second website; its addresses are as good as the first one's."""
    target = "https://moi.bao.example/bai/2"
    async with world.billing.database.transaction() as session:
        agency = {"id": AGENCY, "name": "Báo", "time_zone": "Asia/Ho_Chi_Minh", "website": SITE}
        await save_agencies(
            session,
            [agency | {"further_websites": ["https://moi.bao.example/"]}],
            actor=Actor.command("test"),
        )
    browser = world.browser()
    await ask(browser, return_to=target)
    answer = await enter(browser, await world.last_code(), return_to=target)
    assert answer.headers["location"] == target


async def test_codes_are_hashed_with_a_secret_no_other_process_has(world: World):
    settings = world.billing.settings
    assert settings.code_secret not in ("", settings.form_secret)
    production = settings.model_copy(update={"sign_in_secret": "s" * 32})
    assert production.code_secret == "s" * 32


async def test_behind_tls_the_cookies_names_make_browsers_hold_to_how_they_were_set(world: World):
    """``__Host-``: from this host only, over TLS only, for every path. Nobody else's host can plant one, and signing out
    takes it away as it was set."""
    host = "https://doc.bao.example"
    app = world.with_settings(billing_url=host)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=host) as client:

        async def press(page: str, action: str, **fields: str) -> httpx.Response:
            token = form_token((await client.get(page)).text)
            data = {"csrf_token": token, **fields}
            return await client.post(action, data=data, headers={"Origin": host})

        start, code, account = (
            f"/r/{AGENCY}/{path}" for path in ("sign-in", "sign-in/code", "account")
        )
        await press(start, start, email="lan@example.vn")
        answer = await press(code, code, code=await world.last_code())
        assert answer.status_code == 303, answer.text
        set_then = answer.headers.get_list("set-cookie")
        assert {one.partition("=")[0] for one in set_then} == {
            f"__Host-press_reader_{AGENCY}",
            f"__Host-press_browser_{AGENCY}",
        }
        token = client.cookies[f"__Host-press_reader_{AGENCY}"]
        assert (await client.get(account)).status_code == 200
        planted = {f"press_reader_{AGENCY}": token}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=host, cookies=planted
        ) as other:
            assert (await other.get(account)).status_code == 303, (
                "any host below ours could set that one"
            )
        gone = await press(account, f"{account}/sessions/end")
        [taken] = [one for one in gone.headers.get_list("set-cookie") if "reader" in one]
        assert taken.startswith(f'__Host-press_reader_{AGENCY}=""; ') and "Max-Age=0" in taken
        for one in (*set_then, taken):
            words = set(one.split("; "))
            assert {"Secure", "Path=/", "HttpOnly", "SameSite=lax"} <= words
            assert not any(word.lower().startswith("domain=") for word in words)
        assert f"__Host-press_reader_{AGENCY}" not in client.cookies
