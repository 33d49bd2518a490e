"""A mobile number as a way to sign in: added, given up, registered with, another person's by now, another agency's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from services.billing.phones import repository
from services.billing.readers.rules import hash_token
from services.billing.readers.service import Visitor
from services.billing.readers.web import browser_cookie
from services.billing.sign_in.repository import is_known
from shared.audit import Actor
from shared.audit.caller import acting
from shared.errors import UnavailableError
from shared.mail.outbox import recent_mail
from tests.integration.billing.test_account_pages import words_of
from tests.integration.billing.test_addresses import (
    changes,
    press,
    undo_path,
    waits_for_a_row,
)
from tests.integration.billing.test_erasing import places_of
from tests.integration.billing.world import (
    AGENCY,
    OTHER_AGENCY,
    OWN,
    SITE,
    Browser,
    World,
    make_world,
)

LAN, MINH, NEW = "lan@example.vn", "minh@example.vn", "moi@example.vn"
NUMBER, SHOWN, OTHER = "+84912345678", "0912 345 678", "+84382345678"
SIGN_IN, CODE, ADDRESS = (f"/r/{AGENCY}/sign-in{rest}" for rest in ("", "/code", "/address"))
ACCOUNT = f"/r/{AGENCY}/account"
PHONE, CONFIRM = f"{ACCOUNT}/phone", f"{ACCOUNT}/confirm"
ARTICLE = f"{SITE}/bai/mot-bai?x=1"
NUMBERS = "SELECT r.email, p.number FROM reader_phone p JOIN reader r ON r.id = p.reader_id ORDER BY r.email"


async def texts(world: World, number: str = NUMBER) -> list[str]:
    """To a number, the newest first."""
    found = await recent_mail(world.billing.database, 200)
    return [one.body for one in found if one.is_text and one.recipient == number]


async def text_code(world: World, number: str = NUMBER) -> str:
    found = re.match(r"[0-9]{6,8}\b", (await texts(world, number))[0])
    assert found is not None
    return found[0]


async def letters(world: World, to: str, words: str) -> list[str]:
    """Whose subject has some words."""
    await world.billing.letters.send_due()
    found = await recent_mail(world.billing.database, 200)
    return [one.body for one in found if one.recipient == to and words in one.subject]


async def ask(browser: Browser, typed: str, **more: str) -> httpx.Response:
    return await browser.submit(SIGN_IN, SIGN_IN, {"email": typed, **more})


async def enter(browser: Browser, code: str, **more: str) -> httpx.Response:
    return await browser.submit(CODE, CODE, {"code": code, **more})


async def adds(world: World, browser: Browser, typed: str = SHOWN, number: str = NUMBER) -> Any:
    asked = await browser.submit(PHONE, PHONE, {"number": typed})
    assert asked.status_code == 200, asked.text
    return await browser.submit(
        PHONE, f"{PHONE}/code", {"code": await text_code(world, number), "sent": typed}
    )


async def with_number(world: World, email: str = LAN) -> Browser:
    """Signed in by the mailbox, with the number."""
    browser = await world.signed_in(email)
    assert (await adds(world, browser)).status_code == 303
    return browser


async def by_number(world: World, address: str = "203.0.113.9") -> Browser:
    """Another browser, signed in by the number."""
    browser = world.browser(address)
    assert (await ask(browser, SHOWN)).status_code == 303
    done = await enter(browser, await text_code(world))
    assert done.headers["location"].endswith(f"{AGENCY}/account"), done.text
    return browser


async def proves(world: World, browser: Browser, **more: str) -> httpx.Response:
    """A number that nobody has."""
    assert (await ask(browser, SHOWN, **more)).status_code == 303
    return await enter(browser, await text_code(world), **more)


async def gives(browser: Browser, email: str, **more: str) -> httpx.Response:
    return await browser.submit(ADDRESS, ADDRESS, {"email": email, **more})


async def is_in(browser: Browser) -> str:
    """Whose session a browser has; empty for nobody's."""
    found = (await browser.get(f"/v1/agencies/{AGENCY}/session")).json()
    return found["reader"]["email"] if found["signed_in"] else ""


# Added, and signed in with


async def test_a_number_is_added_told_of_and_signs_in_where_one_was(world: World) -> None:
    browser = await world.signed_in(LAN)
    assert f'href="{PHONE}"' in (await browser.get(ACCOUNT)).text
    asked = await browser.submit(PHONE, PHONE, {"number": " +84 912.345.678 "})
    assert f"Đã gửi tin nhắn đến {SHOWN}" in words_of(asked.text)
    assert await world.rows(NUMBERS) == [], "nothing without the code"
    done = await browser.submit(PHONE, f"{PHONE}/code", {"code": await text_code(world)})
    assert done.headers["location"].endswith("notice=number")
    assert await world.rows(NUMBERS) == [(LAN, NUMBER)]
    assert SHOWN in words_of((await browser.get(ACCOUNT)).text)
    [told] = await letters(world, LAN, "đăng nhập được bằng số di động")
    assert "09…678" in told and f"{OWN}{PHONE}" in told
    facts = await world.value("SELECT facts FROM letter WHERE kind = 'number_added'")
    assert "345" not in json.dumps(facts), "no letter's row has the number"

    phone = world.browser("203.0.113.9")
    asked = await ask(phone, "84 912 345 678", return_to=ARTICLE)
    page = await phone.get(asked.headers["location"])
    assert SHOWN in page.text and 'name="consent"' not in page.text
    body = (await texts(world))[0]
    assert body.isascii() and len(body) <= 160
    done = await enter(phone, f"  {body} ", return_to=ARTICLE)  # pasted whole
    assert (done.status_code, done.headers["location"]) == (303, ARTICLE)
    assert await is_in(phone) == LAN == await is_in(browser)
    assert await world.value("SELECT count(*) FROM reader") == 1
    await world.assert_sound()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("024 3825 1234", "số cố định"),
        ("0168 234 5678", "0168 nay là 038"),
        ("+1 415 555 2671", "chỉ gửi đến số Việt Nam"),
        ("0912 345", "Số có 10 chữ số"),
    ],
)
async def test_what_is_no_mobile_number_is_refused_by_name(
    world: World, typed: str, words: str
) -> None:
    browser = await world.signed_in(LAN)
    for page, field in ((PHONE, "number"), (SIGN_IN, "email")):
        who = browser if page == PHONE else world.browser()
        refused = await who.submit(page, page, {field: typed})
        assert refused.status_code == 422
        assert "Số di động:" in refused.text and words in refused.text
        assert f'value="{typed}"' in refused.text and 'aria-invalid="true"' in refused.text
    neither = await ask(world.browser(), "lan(at)example")
    assert neither.status_code == 422 and "không phải địa chỉ e-mail hay số di động" in neither.text
    assert await world.value("SELECT count(*) FROM mail_message WHERE is_text") == 0


async def test_a_text_that_cannot_be_sent_leaves_no_code(world: World) -> None:
    class Away:
        def serves(self, agency: str) -> bool:
            return True

        async def send(self, agency: str, text: object) -> None:
            raise UnavailableError("no route", slug="text-unavailable")

    texting = world.billing.phones.texting
    works, texting._sender = texting._sender, Away()
    refused = await ask(world.browser(), SHOWN)
    assert refused.status_code == 503 and f'value="{SHOWN}"' in refused.text
    browser = await world.signed_in(LAN)
    refused = await browser.submit(PHONE, PHONE, {"number": SHOWN})
    assert refused.status_code == 503 and "Chưa gửi được tin nhắn" in refused.text
    assert await world.value("SELECT count(*) FROM sign_in_code WHERE sent_to LIKE '+%'") == 0
    assert await world.value("SELECT count(*) FROM proof_code") == 0
    texting._sender = works
    assert (await adds(world, browser)).status_code == 303


# Registered with


async def test_who_begins_with_a_number_gives_an_address_and_has_both(world: World) -> None:
    browser = world.browser()
    proved = await proves(world, browser, return_to=ARTICLE)
    address = proved.headers["location"]
    assert address.startswith(ADDRESS) and quote(ARTICLE, safe="") in address
    page = words_of((await browser.get(address)).text)
    assert f"Số {SHOWN} đã được xác nhận" in page and "hóa đơn và thư" in page
    assert await is_in(browser) == "" and await world.value("SELECT count(*) FROM reader") == 0
    again = await browser.submit(ADDRESS, CODE, {"code": await text_code(world)})  # pressed twice
    assert again.status_code == 303 and again.headers["location"].startswith(ADDRESS)
    mistyped = await gives(browser, SHOWN)
    assert mistyped.status_code == 422, "an address, and no second number"
    sent = await gives(browser, NEW, return_to=ARTICLE)
    assert sent.headers["location"].startswith(CODE)
    page = (await browser.get(sent.headers["location"])).text
    assert f"số {SHOWN} sẽ đăng nhập được" in words_of(page) and f'href="{ADDRESS}?' in page
    done = await enter(browser, await world.last_code(NEW), return_to=ARTICLE, consent="newsletter")
    assert done.headers["location"] == ARTICLE and await is_in(browser) == NEW
    assert await world.rows(NUMBERS) == [(NEW, NUMBER)]
    assert len(await letters(world, NEW, "chào mừng")) == 1
    assert len(await letters(world, NEW, "đăng nhập được bằng số di động")) == 1
    assert await world.value("SELECT count(*) FROM consent") == 1
    assert await world.value("SELECT count(*) FROM number_proof") == 0
    assert await is_in(await by_number(world)) == NEW
    await world.assert_sound()


async def test_an_account_of_before_gets_the_number_and_the_answer_is_the_same(
    world: World,
) -> None:
    await world.signed_in(LAN)
    answers = []
    for email in (LAN, "nobody@example.vn"):
        browser = world.browser()
        await proves(world, browser)
        sent = await gives(browser, email)
        page = (await browser.get(sent.headers["location"])).text
        answers.append((sent.status_code, sent.headers["location"], page.replace(email, "")))
        world.clock.advance(timedelta(minutes=20))
    plain = [re.sub(r"[0-9a-f]{32,}|\d\d:\d\d:\d\d", "", page) for _, _, page in answers]
    assert plain[0] == plain[1] and answers[0][:2] == answers[1][:2]
    browser = world.browser()
    await proves(world, browser)
    await gives(browser, LAN)
    await enter(browser, await world.last_code(LAN))
    assert await world.rows(NUMBERS) == [(LAN, NUMBER)]
    assert await world.value("SELECT count(*) FROM reader") == 1


async def test_a_proved_number_is_not_given_to_who_comes_to_the_browser_next(world: World) -> None:
    """A browser that people share: somebody proves a number and goes; the next one signs in by mail as always."""
    shared = world.browser()
    await proves(world, shared)
    await ask(shared, LAN)
    await enter(shared, await world.last_code(LAN))
    assert await is_in(shared) == LAN and await world.rows(NUMBERS) == []
    # Also where the address of who comes next was given for the number: whoever begins anew gives it to nobody.
    lent = world.browser()
    world.clock.advance(timedelta(hours=1))
    await proves(world, lent)
    await gives(lent, LAN)
    world.clock.advance(timedelta(minutes=1))
    await ask(lent, LAN)
    await enter(lent, await world.last_code(LAN))
    assert await is_in(lent) == LAN and await world.rows(NUMBERS) == []
    # Nor to another address than the one that was given for it.
    other = world.browser()
    world.clock.advance(timedelta(hours=1))
    await proves(world, other)
    await gives(other, MINH)
    world.clock.advance(timedelta(minutes=1))
    await other.submit(CODE, SIGN_IN, {"email": LAN, "again": "1"})
    await enter(other, await world.last_code(LAN))
    assert await is_in(other) == LAN and await world.rows(NUMBERS) == []


async def test_a_proof_is_for_half_an_hour(world: World) -> None:
    browser = world.browser()
    await proves(world, browser)
    world.clock.advance(timedelta(minutes=29))
    await gives(browser, NEW)
    world.clock.advance(timedelta(minutes=2))
    late = await browser.get(ADDRESS)
    assert late.status_code == 303 and late.headers["location"].startswith(SIGN_IN)
    await enter(browser, await world.last_code(NEW))
    assert await is_in(browser) == NEW and await world.rows(NUMBERS) == []
    await world.billing.phones.forget_old()
    assert await world.value("SELECT count(*) FROM number_proof") == 0


# Rivals


async def test_of_two_who_prove_a_number_at_once_one_has_it(world: World) -> None:
    browsers = [world.browser(), world.browser("203.0.113.8")]
    for browser, email in zip(browsers, (LAN, MINH), strict=True):
        await proves(world, browser)
        await gives(browser, email)
        world.clock.advance(timedelta(seconds=31))
    codes = [await world.last_code(LAN), await world.last_code(MINH)]
    done = await asyncio.gather(
        *(enter(browser, code) for browser, code in zip(browsers, codes, strict=True))
    )
    assert [one.status_code for one in done] == [303, 303]
    left_out = [one for one in done if one.headers["location"].endswith("notice=left-out")]
    assert len(left_out) == 1 == len(await world.rows(NUMBERS))
    assert {await is_in(one) for one in browsers} == {LAN, MINH}, "both are signed in"
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'number_added'") == 1
    loser = browsers[done.index(left_out[0])]
    assert "số chưa được thêm" in words_of((await loser.get(f"{PHONE}?notice=left-out")).text)


async def test_of_two_readers_who_add_a_number_at_once_one_has_it(world: World) -> None:
    browsers = [await world.signed_in(LAN), await world.signed_in(MINH)]
    codes = []
    for browser in browsers:
        assert (await browser.submit(PHONE, PHONE, {"number": SHOWN})).status_code == 200
        codes.append(await text_code(world))
        world.clock.advance(timedelta(seconds=1))
    done = await asyncio.gather(
        *(
            browser.submit(PHONE, f"{PHONE}/code", {"code": code})
            for browser, code in zip(browsers, codes, strict=True)
        )
    )
    assert sorted(one.status_code for one in done) == [303, 409]
    assert len(await world.rows(NUMBERS)) == 1


async def test_a_number_of_another_reader_is_told_itself_and_the_page_says_the_same(
    world: World,
) -> None:
    await with_number(world, LAN)
    minh = await world.signed_in(MINH)
    taken = await minh.submit(PHONE, PHONE, {"number": SHOWN})
    told = (await texts(world))[0]
    assert "co nguoi muon them so nay" in told and not re.search(r"[0-9]{6}", told)
    free = await minh.submit(PHONE, PHONE, {"number": OTHER})
    same = [words_of(page.text) for page in (taken, free)]
    assert same[0] == same[1].replace("0382 345 678", SHOWN) and taken.status_code == 200
    refused = await minh.submit(PHONE, f"{PHONE}/code", {"code": "12345678"})
    assert refused.status_code == 422
    own = await minh.submit(PHONE, f"{PHONE}/code", {"code": await text_code(world, OTHER)})
    assert own.status_code == 303, "somebody else's number is in nobody's way"
    assert await world.rows(NUMBERS) == [(LAN, NUMBER), (MINH, OTHER)]


async def test_the_answer_to_a_number_is_the_same_whether_it_is_known(world: World) -> None:
    await with_number(world, LAN)
    answers = []
    for typed, number in ((SHOWN, NUMBER), ("0382 345 678", OTHER)):
        asked = await ask(world.browser(), typed)
        body = re.sub(r"^[0-9]{6}\b", "", (await texts(world, number))[0])
        answers.append((asked.status_code, asked.headers["location"], body))
    assert answers[0] == answers[1]


async def test_wrong_codes_of_others_refuse_nobodys_right_one(world: World) -> None:
    await with_number(world, LAN)
    own, attacker = world.browser(), world.browser("198.51.100.7")
    await ask(own, SHOWN)
    code = await text_code(world)
    world.clock.advance(timedelta(seconds=31))
    await ask(attacker, SHOWN)
    for _ in range(6):
        assert (await enter(attacker, "000000")).status_code == 422
    assert (await enter(own, code)).status_code == 303 and await is_in(own) == LAN


async def test_the_same_number_at_another_agency_is_another_readers(world: World) -> None:
    await with_number(world, LAN)
    there = f"/r/{OTHER_AGENCY}/sign-in"
    browser = world.browser()
    await browser.submit(there, there, {"email": SHOWN})
    done = await browser.submit(f"{there}/code", f"{there}/code", {"code": await text_code(world)})
    assert done.headers["location"].startswith(f"{there}/address"), "unknown there"
    # Neither does a code or a proof of one agency open anything of the other.
    assert (await browser.get(ADDRESS)).headers["location"].startswith(SIGN_IN)
    await browser.submit(f"{there}/address", f"{there}/address", {"email": MINH})
    code = await world.last_code(MINH)
    await browser.submit(f"{there}/code", f"{there}/code", {"code": code})
    assert await world.rows(NUMBERS) == [(LAN, NUMBER), (MINH, NUMBER)]


# A number that is somebody else's by now


async def test_a_number_alone_takes_no_account_from_its_mailbox(world: World) -> None:
    await with_number(world)
    phone = await by_number(world)
    own = f"{ACCOUNT}/address"
    held: list[tuple[str, str, dict[str, str]]] = [
        ("address", own, {"email": NEW}),
        ("address", f"{own}/code", {"code": "123456", "sent": NEW}),
        ("data", f"{ACCOUNT}/data/copy", {}),
        ("phone", PHONE, {"number": "0382345678"}),
        ("phone", f"{PHONE}/code", {"code": "123456"}),
    ]
    for then, action, data in held:
        answer = await phone.submit(ACCOUNT, action, data)
        assert answer.status_code == 303, action
        assert answer.headers["location"] == f"{CONFIRM}?then={then}"
    assert (await phone.get(own)).headers["location"] == f"{CONFIRM}?then=address"
    # Nor is it a known browser of the mailbox's, whose wrong passwords are counted apart.
    name = hash_token(phone.client.cookies[browser_cookie(AGENCY, secure=False)])
    async with world.billing.database.transaction() as session:
        assert await is_known(session, AGENCY, NUMBER, name)
        assert not await is_known(session, AGENCY, LAN, name)
    assert await world.value("SELECT count(*) FROM mail_message WHERE recipient = :to", to=NEW) == 0
    assert "l…@example.vn" in (await phone.get(f"{CONFIRM}?then=address")).text
    # Deleting asks for a code that the mailbox has.
    await phone.submit(f"{ACCOUNT}/data", f"{ACCOUNT}/data/delete/code", {})
    assert "xóa" in (await recent_mail(world.billing.database))[0].subject
    assert (await recent_mail(world.billing.database))[0].recipient == LAN
    # A code to the number confirms nothing; a code to the mailbox does, once.
    lan = await world.signed_in(LAN)
    await lan.submit(PHONE, PHONE, {"number": "0382345678"})
    to_number = await text_code(world, OTHER)
    asked = await phone.submit(f"{CONFIRM}?then=address", CONFIRM, {"then": "address"})
    assert asked.status_code == 200
    data = {"then": "address", "code": to_number}
    assert (await phone.submit(CONFIRM, f"{CONFIRM}/code", data)).status_code == 422
    data["code"] = await world.last_code(LAN)
    confirmed = await phone.submit(CONFIRM, f"{CONFIRM}/code", data)
    assert confirmed.headers["location"] == own
    assert (await phone.get(own)).status_code == 200
    assert (await changes(world, phone, NEW)).status_code == 303
    assert await world.value("SELECT email FROM reader") == NEW


async def test_a_confirmed_session_goes_to_our_own_pages_only(world: World) -> None:
    await with_number(world)
    phone = await by_number(world)
    await phone.submit(CONFIRM, CONFIRM, {"then": "https://evil.example"})
    data = {"then": "https://evil.example", "code": await world.last_code(LAN)}
    assert (await phone.submit(CONFIRM, f"{CONFIRM}/code", data)).headers["location"] == PHONE


async def test_who_has_a_number_now_takes_it_out_of_a_strangers_account(world: World) -> None:
    lan = await with_number(world)
    stranger, tab = await by_number(world), await by_number(world, "203.0.113.10")
    assert "Đây không phải tài khoản của tôi" in (await stranger.get(PHONE)).text
    out = await stranger.submit(PHONE, f"{PHONE}/remove", {})
    assert out.headers["location"] == f"{SIGN_IN}?notice=number-removed"
    assert await is_in(stranger) == "" == await is_in(tab) and await is_in(lan) == LAN
    [told] = await letters(world, LAN, "không còn đăng nhập được")
    assert "số là của họ" in told and "09…678" in told
    world.clock.advance(timedelta(hours=1))
    await proves(world, stranger)
    await gives(stranger, NEW)
    await enter(stranger, await world.last_code(NEW))
    assert await is_in(stranger) == NEW and await world.rows(NUMBERS) == [(NEW, NUMBER)]


async def test_a_number_that_is_removed_or_changed_signs_in_no_more(world: World) -> None:
    lan = await with_number(world)
    phone, other = await by_number(world), await world.signed_in(LAN)
    changed = await adds(world, lan, "0382 345 678", OTHER)
    assert changed.status_code == 303 and await world.rows(NUMBERS) == [(LAN, OTHER)]
    assert await is_in(phone) == "" and await is_in(other) == LAN, "who came in by it is out"
    [told, _] = await letters(world, LAN, "đăng nhập được bằng số di động")
    assert "03…678" in told and "Thay cho số: 09…678" in told
    world.clock.advance(timedelta(hours=1))
    assert (await proves(world, phone)).headers["location"].startswith(ADDRESS)
    removed = await lan.submit(PHONE, f"{PHONE}/remove", {})
    assert removed.headers["location"].endswith("notice=number-removed")
    assert await world.rows(NUMBERS) == [] and await is_in(lan) == LAN
    again = await lan.submit(ACCOUNT, f"{PHONE}/remove", {})  # in another tab
    assert again.status_code == 303
    assert len(await letters(world, LAN, "không còn đăng nhập được")) == 1


async def test_who_is_signing_in_by_a_number_while_it_is_removed_is_out(world: World) -> None:
    lan, database = await with_number(world), world.billing.database
    visitor = Visitor("203.0.113.9", "", "vi")
    async with database.transaction() as session:
        entered = await world.billing.readers.enter_by_number(
            session, AGENCY, NUMBER, visitor, browser=b"x", replaces=""
        )
        assert entered is not None
        await session.flush()
        removing = asyncio.ensure_future(lan.submit(PHONE, f"{PHONE}/remove", {}))
        await waits_for_a_row(world)
    assert (await removing).status_code == 303
    assert await world.billing.readers.current(AGENCY, entered.token) is None
    assert await world.rows(NUMBERS) == []


async def test_who_signs_in_a_moment_after_the_removal_finds_nobody(world: World) -> None:
    await with_number(world)
    reader, phone = await world.value("SELECT id FROM reader"), world.browser("203.0.113.9")
    await ask(phone, SHOWN)
    code = await text_code(world)
    async with world.billing.database.transaction() as session:
        assert await repository.remove(session, reader) == NUMBER
        entering = asyncio.ensure_future(enter(phone, code))
        await waits_for_a_row(world)
    assert (await entering).headers["location"].startswith(ADDRESS)
    assert await is_in(phone) == ""


@pytest.mark.parametrize(("days", "stays"), [(6, False), (8, True)])
async def test_taking_an_address_back_throws_out_the_number_of_who_changed_it(
    world: World, days: int, stays: bool
) -> None:
    """Also one that was added in the week before; one that had been there for longer is the reader's."""
    browser = await with_number(world)
    world.clock.advance(timedelta(days=days))
    await changes(world, browser, NEW)
    path = await undo_path(world, LAN)
    await press(browser, path)
    assert await world.value("SELECT email FROM reader") == LAN
    assert await world.rows(NUMBERS) == ([(LAN, NUMBER)] if stays else [])
    await world.assert_sound()


# Where there is no channel; what is kept


@pytest.fixture
async def silent(billing_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """As in production today: no agency has a channel for texts."""
    async with make_world(billing_url, tmp_path, text_transport="none") as made:
        yield made


async def test_without_a_channel_no_page_speaks_of_numbers(silent: World) -> None:
    world = silent
    page = await world.browser().get(SIGN_IN)
    assert 'type="email"' in page.text and "di động" not in page.text
    refused = await ask(world.browser(), SHOWN)
    assert refused.status_code == 422 and "di động" not in words_of(refused.text)
    browser = await world.signed_in(LAN)
    assert "di động" not in (await browser.get(ACCOUNT)).text
    assert (await browser.get(PHONE)).status_code == 404
    assert (await browser.submit(ACCOUNT, PHONE, {"number": SHOWN})).status_code == 404
    assert await world.value("SELECT count(*) FROM mail_message WHERE is_text") == 0
    # Who has a number of former times sees it, and may remove it.
    reader = await world.value("SELECT id FROM reader")
    async with world.billing.database.transaction() as session:
        assert await repository.add(session, AGENCY, reader, NUMBER, world.clock.now())
    shown = (await browser.get(PHONE)).text
    assert SHOWN in shown and 'name="number"' not in shown
    assert (await browser.submit(PHONE, PHONE, {"number": "0382345678"})).status_code == 404
    assert await world.value("SELECT count(*) FROM rate_bucket WHERE bucket LIKE 'number%'") == 0
    assert (await browser.submit(PHONE, f"{PHONE}/remove", {})).status_code == 303
    assert await world.rows(NUMBERS) == []


async def test_the_number_is_in_the_copy_and_goes_with_the_reader(world: World) -> None:
    lan = await with_number(world)
    copy = (await lan.submit(f"{ACCOUNT}/data", f"{ACCOUNT}/data/copy", {})).json()
    assert [one["number"] for one in copy["mobile_number"]] == [NUMBER]
    phone, waiting = await by_number(world), world.browser("203.0.113.20")
    world.clock.advance(timedelta(minutes=20))
    await ask(waiting, SHOWN)
    code = await text_code(world)
    reader: UUID = await world.value("SELECT id FROM reader")
    with acting(Actor.system("test")):
        await world.billing.erasing.on_request(AGENCY, reader, "a letter")
    assert await is_in(phone) == ""
    assert (await waiting.submit(SIGN_IN, CODE, {"code": code})).status_code == 422
    assert await places_of(world, NUMBER) == {"mail_message.recipient", "rate_bucket.bucket"}


async def test_staff_find_a_reader_by_the_number_however_it_is_typed(world: World) -> None:
    await with_number(world)
    await world.signed_in(MINH)
    desk = world.browser(press_staff="support-token")
    for typed in ("0912345678", "+84 912.345.678", "84912345678", "345 678"):
        found = await desk.get(f"/staff/{AGENCY}/readers?words={quote(typed)}")
        assert LAN in found.text and SHOWN in found.text and MINH not in found.text, typed
    for typed in ("0382345678", "345"):
        found = await desk.get(f"/staff/{AGENCY}/readers?words={quote(typed)}")
        assert LAN not in found.text, typed
    reader = await world.value("SELECT reader_id FROM reader_phone")
    assert SHOWN in (await desk.get(f"/staff/{AGENCY}/readers/{reader}")).text
    other = world.browser(press_staff="other-token")
    assert LAN not in (await other.get(f"/staff/{OTHER_AGENCY}/readers?words=0912345678")).text
