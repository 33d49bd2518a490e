"""Where a reader's ways in meet: the mailbox, a mobile number, a password, a change of address and what takes it back, a deletion."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.billing.readers import repository
from services.billing.readers.rules import hash_token
from services.billing.readers.service import Visitor
from tests.integration.billing import test_passwords as passwords
from tests.integration.billing import test_phones as phones
from tests.integration.billing.test_addresses import (
    asks,
    changes,
    enters,
    is_signed_in,
    press,
    undo_path,
    waits_for_a_row,
)
from tests.integration.billing.world import AGENCY, Browser, World

LAN, THIEF = "lan@example.vn", "ke.trom@example.vn"
ACCOUNT, SIGN_IN = f"/r/{AGENCY}/account", f"/r/{AGENCY}/sign-in"
DATA = f"{ACCOUNT}/data"
VISITOR = Visitor("203.0.113.9", "", "vi")


async def deletes(world: World, browser: Browser, email: str) -> int:
    """Ask for the code that deletes an account, and enter it; the answer's status where the first is refused."""
    asked = await browser.submit(DATA, f"{DATA}/delete/code", {})
    if asked.status_code != 303:
        return asked.status_code
    code = await world.last_code(email)
    return (await browser.submit(DATA, f"{DATA}/delete", {"code": code})).status_code


async def test_what_the_old_mailbox_may_have_back_is_not_deleted_meanwhile(world: World) -> None:
    """A thief in an open session gives the account his mailbox, and has it deleted before the letter to the old one is sent."""
    thief = await world.signed_in(LAN)
    assert (await changes(world, thief, THIEF)).status_code == 303
    assert await deletes(world, thief, THIEF) == 409
    page = (await thief.get(DATA)).text
    assert "30/11/2026" in page and "Gửi mã cho tôi" not in page
    assert "30 Nov 2026" in (await thief.get(f"{DATA}?lang=en")).text
    owner = world.browser()
    assert (await press(owner, await undo_path(world, LAN))).status_code == 303
    assert await world.value("SELECT email FROM reader") == LAN
    world.clock.advance(timedelta(minutes=1))
    mine = await world.signed_in(LAN)
    assert await deletes(world, mine, LAN) == 303, "one that was taken back hinders nothing"
    await world.assert_sound()


async def test_a_deletion_waits_for_the_week_of_a_change_and_no_longer(world: World) -> None:
    reader = await world.signed_in(LAN)
    assert (await changes(world, reader, THIEF)).status_code == 303
    world.clock.advance(timedelta(days=7))
    assert await deletes(world, reader, THIEF) == 303


async def test_letters_about_a_number_go_to_the_mailbox_of_that_moment(world: World) -> None:
    """They wait while the mail server is away; a thief who changes the address meanwhile does not get them in the owner's place."""
    thief = await world.signed_in(LAN)
    assert (await phones.adds(world, thief)).status_code == 303
    await thief.submit(ACCOUNT, f"{phones.PHONE}/remove", {})
    assert (await changes(world, thief, THIEF)).status_code == 303
    for words in ("đăng nhập được bằng số", "không còn đăng nhập được"):
        assert len(await phones.letters(world, LAN, words)) == 1, words
        assert await phones.letters(world, THIEF, words) == []


@pytest.mark.parametrize(
    ("page", "action"),
    [
        (passwords.PAGE, f"{passwords.PAGE}/code"),
        (DATA, f"{DATA}/delete/code"),
        (phones.CONFIRM, phones.CONFIRM),
    ],
)
async def test_strangers_keep_no_reader_from_codes_to_their_own_mailbox(
    world: World, page: str, action: str
) -> None:
    lan = await phones.with_number(world)
    browser = await phones.by_number(world) if page == phones.CONFIRM else lan
    world.clock.advance(timedelta(minutes=1))
    for network in range(3):
        for _ in range(5):
            stranger = world.browser(f"198.51.{network}.7")
            asked = await stranger.submit(SIGN_IN, SIGN_IN, {"email": LAN})
            assert asked.status_code == 303
    stranger = world.browser("198.51.9.7")
    assert (await stranger.submit(SIGN_IN, SIGN_IN, {"email": LAN})).status_code == 429
    assert (await browser.submit(page, action, {})).status_code in (200, 303)


async def test_who_comes_in_by_a_number_while_an_address_goes_back_to_where_it_is_is_out(
    world: World,
) -> None:
    """The address was changed there and back, so taking the first change back changes none: nobody waits for the reader's row."""
    thief = await phones.with_number(world)
    assert (await changes(world, thief, THIEF)).status_code == 303
    assert (await changes(world, thief, LAN)).status_code == 303
    path = await undo_path(world, LAN)
    async with world.billing.database.transaction() as session:
        entered = await world.billing.readers.enter_by_number(
            session, AGENCY, phones.NUMBER, VISITOR, browser=b"x", replaces=""
        )
        assert entered is not None
        await session.flush()
        taking_back = asyncio.ensure_future(press(world.browser(), path))
        await waits_for_a_row(world)
    assert (await taking_back).status_code == 303
    assert await world.rows(phones.NUMBERS) == []
    assert await world.billing.readers.current(AGENCY, entered.token) is None
    assert len(await phones.letters(world, LAN, "không còn đăng nhập được")) == 1, "it is told"


@pytest.mark.parametrize("how", ["change", "undo"])
async def test_who_signs_in_again_and_a_change_of_address_do_not_wait_for_each_other(
    world: World, how: str
) -> None:
    """Whoever signs in holds the session that ends by it before the reader's row."""
    browser, tab = await world.signed_in(LAN), await world.signed_in(LAN)
    held = tab.client.cookies[f"press_reader_{AGENCY}"]
    email, path = LAN, ""
    if how == "undo":
        assert (await changes(world, browser, THIEF)).status_code == 303
        email, path = THIEF, await undo_path(world, LAN)
        tab = await world.signed_in(THIEF)
        held = tab.client.cookies[f"press_reader_{AGENCY}"]
    else:
        await asks(browser, THIEF)
    code, readers = await world.last_code(THIEF), world.billing.readers
    async with world.billing.database.transaction() as session:
        # What ``enter`` does first; then the other one comes in between.
        await repository.end_by_token(session, AGENCY, hash_token(held), world.clock.now())
        acting = asyncio.ensure_future(press(browser, path) if path else enters(browser, code))
        await waits_for_a_row(world)
        late = await readers.enter(
            session, AGENCY, email, frozenset(), VISITOR, browser=b"late", replaces=held
        )
    assert (await acting).status_code == 303
    assert await readers.current(AGENCY, late.token) is None
    assert await is_signed_in(browser) == (how == "change")
