"""A password for who wants one: who sets it by what proof, what it opens, what is limited and what never is, and where it ends."""

from __future__ import annotations

import asyncio
import json
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import argon2
import pytest
from sqlalchemy import event, text

from services.billing.passwords import tries
from services.billing.passwords.service import throw_out
from services.billing.passwords.tries import PasswordBusyError
from services.billing.readers.service import Visitor
from services.billing.subscriptions.repository import lock_reader
from shared.agencies import get_agency
from shared.errors import ConflictError
from shared.mail.outbox import recent_mail
from tests.fixtures.waiting import eventually
from tests.integration.billing import test_addresses as addresses
from tests.integration.billing.paying import person
from tests.integration.billing.test_account_pages import words_of
from tests.integration.billing.world import (
    AGENCY,
    OTHER_AGENCY,
    OWN,
    SITE,
    Browser,
    World,
    form_token,
    make_world,
)

LAN, MINH, NOBODY = "lan@example.vn", "minh@example.vn", "khong.ai@example.vn"
PAGE, SIGN_IN = f"/r/{AGENCY}/account/password", f"/r/{AGENCY}/sign-in"
DOOR = f"{SIGN_IN}/password"
ARTICLE = f"{SITE}/bai/mot-bai?x=1"
GOOD, OTHER = "nhãn lồng tháng tám", "sen nở muộn bên đê"
HELD = "SELECT count(*) FROM reader_password"
MINUTE = timedelta(minutes=1)


async def asks(world: World, browser: Browser, email: str = LAN) -> str:
    """The code that was sent. A moment passes: the next one is another mail."""
    answer = await browser.submit(PAGE, f"{PAGE}/code", {})
    assert answer.status_code == 303, words_of(answer.text)
    code = await world.last_code(email)
    world.clock.advance(timedelta(seconds=1))
    return code


async def chooses(browser: Browser, code: str, new: str = GOOD) -> Any:
    return await browser.submit(PAGE, PAGE, {"code": code, "new": new})


async def changes(browser: Browser, old: str, new: str) -> Any:
    return await browser.submit(PAGE, f"{PAGE}/new", {"old": old, "new": new})


async def has_one(world: World, email: str = LAN, password: str = GOOD) -> Browser:
    """Signed in, with a password."""
    browser = await world.signed_in(email)
    answer = await chooses(browser, await asks(world, browser, email), password)
    assert answer.status_code == 303, words_of(answer.text)
    return browser


async def tried(browser: Browser, password: str, email: str = LAN, **more: str) -> Any:
    return await browser.submit(DOOR, DOOR, {"email": email, "password": password, **more})


async def opens(world: World, password: str, email: str = LAN) -> bool:
    """In a browser and a network that nobody has seen. A try that is refused counts."""
    world.strangers = getattr(world, "strangers", 0) + 1  # type: ignore[attr-defined]
    address = f"10.{world.strangers}.0.1"  # type: ignore[attr-defined]
    answer = await tried(world.browser(address), password, email)
    assert answer.status_code in (303, 422), answer.status_code
    return bool(answer.status_code == 303)


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get(f"/r/{AGENCY}/account")).status_code == 200


async def by_code(world: World, browser: Browser, email: str = LAN) -> bool:
    """Whether a code signs in here."""
    await browser.submit(SIGN_IN, SIGN_IN, {"email": email})
    code = await world.last_code(email)
    answer = await browser.submit(f"{SIGN_IN}/code", f"{SIGN_IN}/code", {"code": code})
    return bool(answer.status_code == 303)


async def letters(world: World, to: str = LAN) -> list[Any]:
    """About the password, the newest first."""
    await world.billing.letters.send_due()
    mails = await recent_mail(world.billing.database)
    return [one for one in mails if one.recipient == to and "/account/password" in one.body]


async def somebody_waits(world: World) -> None:
    query = """SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    await eventually(lambda: world.value(query), "somebody waits for a lock")


@contextmanager
def work(world: World) -> Iterator[list[str]]:
    """What is computed and asked of the database: hashes by their parameters, statements by their text."""
    done: list[str] = []
    hasher: Any = world.billing.password_sign_in._hasher
    matches = hasher._matches

    def counted(password_hash: str, password: str) -> bool:
        done.append(f"argon2 {argon2.extract_parameters(password_hash)}")
        return bool(matches(password_hash, password))

    def asked(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        done.append(statement)

    engine = world.billing.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", asked)
    hasher._matches = counted
    try:
        yield done
    finally:
        hasher._matches = matches
        event.remove(engine, "before_cursor_execute", asked)


# Setting one


async def test_a_password_is_set_by_a_code_is_told_of_and_signs_in(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    browser, phone = await world.signed_in(LAN), await world.signed_in(LAN)
    before = dict(browser.client.cookies)
    account = await browser.get(f"/r/{AGENCY}/account")
    assert f'href="{PAGE}"' in account.text
    code = await asks(world, browser)
    shown = (await browser.get(PAGE)).text
    assert "Mã đã được gửi đến lan@example.vn" in words_of(shown)
    assert 'autocomplete="new-password"' in shown and 'autocomplete="one-time-code"' in shown
    done = await chooses(browser, code)
    assert done.headers["location"] == f"/r/{AGENCY}/account?notice=password-set"
    assert "Đã lưu mật khẩu của bạn" in (await browser.get(done.headers["location"])).text
    assert not await is_signed_in(world.browser(**before)), "the token before is worth nothing"
    assert await is_signed_in(phone), "nobody else was let in by a password"
    (letter,) = await letters(world)
    assert letter.subject.startswith("Tài khoản của bạn đã được đặt mật khẩu")
    assert "23/11/2026 10:00" in letter.body and GOOD not in letter.body

    kept = await world.value("SELECT password_hash FROM reader_password")
    parameters = argon2.extract_parameters(kept)
    assert (parameters.type, parameters.memory_cost, parameters.time_cost) == (
        argon2.Type.ID,
        19_456,
        2,
    )
    # As another keyboard composes it, from the page of the address, back to the article.
    stranger = world.browser("198.51.100.9")
    first = await stranger.submit(SIGN_IN, DOOR, {"email": LAN, "return_to": ARTICLE})
    assert first.status_code == 200 and f'value="{LAN}"' in first.text
    assert 'autocomplete="current-password"' in first.text
    assert ARTICLE in first.text
    answer = await tried(stranger, unicodedata.normalize("NFD", GOOD), return_to=ARTICLE)
    assert (answer.status_code, answer.headers["location"]) == (303, ARTICLE)
    assert await is_signed_in(stranger)
    assert (await stranger.get(DOOR)).headers["location"].endswith("/account"), "as for codes"

    # Neither the password nor its hash is anywhere else: no log, no event, no letter, no row.
    refused = await tried(world.browser(), OTHER)
    assert OTHER not in refused.text
    out = capsys.readouterr()
    assert "sign_in_failed" in out.out + out.err, "there are logs"
    tables = await world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for secret in (GOOD, OTHER, "argon2"):
        assert secret not in out.out + out.err
        holding = [
            name
            for (name,) in tables
            if await world.value(
                f"SELECT count(*) FROM {name} t WHERE t::text LIKE '%' || :secret || '%'",
                secret=secret,
            )
        ]
        assert holding == (["reader_password"] if secret == "argon2" else [])
    staff = world.browser(press_staff="support-token")
    lan = await person(world)
    file = await staff.get(f"/staff/{AGENCY}/readers/{lan.id}")
    assert file.status_code == 200 and not re.search("argon2|mật khẩu", file.text, re.IGNORECASE)


async def test_what_will_not_do_is_named_and_costs_no_code(world: World) -> None:
    email = "lan.nguyen.thi@example.vn"
    browser = await world.signed_in(email)
    code = await asks(world, browser, email)
    for new, says in (
        ("mười bốn ký tự", "cần từ 15 ký tự trở lên"),
        ("ă" * 129, "nhiều nhất 128 ký tự"),
        (email.upper(), "phải khác địa chỉ e-mail của bạn"),
        ("Báo Hưng Yên 2026", "mật khẩu này dễ đoán"),
        ("123456789012345", "mật khẩu này dễ đoán"),
        ("mật khẩu mật khẩu", "mật khẩu này dễ đoán"),
        ("lannguyenthi2026", "mật khẩu này dễ đoán"),
    ):
        refused = await chooses(browser, code, new)
        assert refused.status_code == 422 and says in words_of(refused.text), new
        assert "Mật khẩu mới:" in words_of(refused.text) and f'value="{code}"' in refused.text
        assert new not in refused.text, "a password is never written back"
    assert await world.value(HELD) == 0
    assert (await chooses(browser, code)).status_code == 303, "more often than it may be wrong"


async def test_any_characters_will_do_and_each_counts_as_one(world: World) -> None:
    browser = await world.signed_in(LAN)
    fifteen = "🌾🌊🐟🪷🛶🎋🏮🥢🍚🦆🌙🪁🐃🧧🎍"
    assert len(fifteen) == 15
    assert (await chooses(browser, await asks(world, browser), fifteen)).status_code == 303
    assert await opens(world, fifteen)


async def test_without_the_right_code_in_time_nothing_is_set(world: World) -> None:
    browser, minh = await world.signed_in(LAN), await world.signed_in(MINH)
    assert (await chooses(browser, "")).status_code == 422, "no code was sent"
    code = await asks(world, browser)
    refused = await chooses(minh, code)
    assert refused.status_code == 422 and "Mã: mã không đúng" in words_of(refused.text)
    erasing = f"/r/{AGENCY}/account/data"
    await browser.submit(erasing, f"{erasing}/delete", {"code": code})
    for _ in range(5):
        assert (await chooses(browser, "00000001")).status_code == 422
    assert (await chooses(browser, code)).status_code == 422, "spent"
    code = await asks(world, browser)
    world.clock.advance(10 * MINUTE)
    assert (await chooses(browser, code)).status_code == 422, "too late"
    assert await world.value(HELD) == 0 and await letters(world) == []
    await world.billing.passwords.forget_old()
    assert await world.value("SELECT count(*) FROM password_code") == 0


async def test_so_many_passwords_are_judged_for_one_reader(world: World) -> None:
    browser = await world.signed_in(LAN)
    code = await asks(world, browser)
    answers = [await chooses(browser, code, "123456789012345") for _ in range(21)]
    assert [one.status_code for one in answers] == [422] * 20 + [429]
    assert "Hãy đợi một giờ" in words_of(answers[-1].text)


async def test_a_code_in_two_processes_at_once_sets_one(
    world: World, billing_url: str, tmp_path: Path
) -> None:
    browser = await world.signed_in(LAN)
    code = await asks(world, browser)
    async with make_world(billing_url, tmp_path, at=world.clock.now()) as second:
        beside = second.browser(**dict(browser.client.cookies))
        answers = await asyncio.gather(chooses(browser, code, GOOD), chooses(beside, code, OTHER))
        assert sorted(one.status_code for one in answers) == [303, 422]
        right = GOOD if answers[0].status_code == 303 else OTHER
        assert [await opens(world, one) for one in (GOOD, OTHER)] == [right == GOOD, right == OTHER]
    assert len(await letters(world)) == 1


async def test_a_session_that_was_ended_meanwhile_sets_nothing(world: World) -> None:
    browser = await world.signed_in(LAN)
    code, lan = await asks(world, browser), await person(world)
    session_id = await world.value("SELECT id FROM reader_session")
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE reader_session SET ended_at = now()"))
        place = await get_agency(session, AGENCY)
    with pytest.raises(ConflictError) as ended:
        await world.billing.passwords.set_by_code(
            lan, session_id, code, GOOD, place, Visitor("", "", "vi")
        )
    assert ended.value.slug == "password-signed-out"
    assert await world.value(HELD) == 0


# Signing in


async def test_neither_the_answer_nor_the_work_tells_who_has_an_account_or_a_password(
    world: World,
) -> None:
    await has_one(world)
    await world.signed_in(MINH)
    seen = []
    for number, email in enumerate((LAN, MINH, NOBODY)):
        browser = world.browser(f"192.0.{number}.1")
        await browser.get(DOOR)
        token = form_token((await browser.get(DOOR)).text)
        with work(world) as done:
            answer = await browser.client.post(
                DOOR,
                data={"csrf_token": token, "email": email, "password": OTHER},
                headers={"Origin": OWN},
            )
        page = re.sub(r'name="csrf_token" value="[0-9a-f]+"', "", answer.text).replace(email, "")
        seen.append((answer.status_code, sorted({*answer.headers} - {"date"}), page, done))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][0] == 422 and "không khớp" in seen[0][2]
    hashes = [one for one in seen[0][3] if one.startswith("argon2 ")]
    assert len(hashes) == 1 and "memory_cost=19456" in hashes[0]
    assert await world.value("SELECT count(*) FROM reader") == 2, "to try makes no reader"
    assert await opens(world, GOOD) and not await opens(world, GOOD, MINH)


async def test_a_password_is_of_one_agency(world: World) -> None:
    await has_one(world)
    elsewhere, page = (
        await world.signed_in(LAN, OTHER_AGENCY),
        f"/r/{OTHER_AGENCY}/account/password",
    )
    await elsewhere.submit(page, f"{page}/code", {})
    sent = {"code": await world.last_code(LAN), "new": OTHER}
    assert (await elsewhere.submit(page, page, sent)).status_code == 303
    door = f"/r/{OTHER_AGENCY}/sign-in/password"
    for password, status in ((GOOD, 422), (OTHER, 303)):
        sent = {"email": LAN, "password": password}
        answer = await world.browser("198.51.100.8").submit(door, door, sent)
        assert answer.status_code == status
    assert await opens(world, GOOD) and not await opens(world, OTHER)


async def test_strangers_wrong_passwords_are_limited_and_lock_no_reader_out(world: World) -> None:
    known = await has_one(world)
    await known.submit(f"/r/{AGENCY}/account", f"/r/{AGENCY}/account/sessions/end", {"session": ""})
    assert not await is_signed_in(known)
    answers = [
        await tried(world.browser(f"192.0.{number // 5}.1"), OTHER, LAN) for number in range(16)
    ]
    assert [one.status_code for one in answers] == [422] * 15 + [429]
    said = words_of(answers[-1].text)
    assert "Địa chỉ này đã bị thử mật khẩu nhiều lần." in said and "đăng nhập được ngay" in said
    assert int(answers[-1].headers["retry-after"]) > 0
    # The right one too, from a stranger: or it could be guessed on.
    stranger = world.browser("198.51.100.1")
    assert (await tried(stranger, GOOD)).status_code == 429
    # A browser that was signed in here before is none of them, and a code signs in anywhere, at once.
    assert (await tried(known, GOOD)).status_code == 303
    assert await by_code(world, stranger)
    # An address that nobody has is limited alike.
    answers = [
        await tried(world.browser(f"192.1.{number // 5}.1"), OTHER, NOBODY) for number in range(16)
    ]
    assert [one.status_code for one in answers] == [422] * 15 + [429]


async def test_wrong_codes_hinder_no_password_and_right_ones_use_nothing_up(world: World) -> None:
    await has_one(world)
    browser = world.browser("198.51.100.1")
    await browser.submit(SIGN_IN, SIGN_IN, {"email": LAN})
    for _ in range(7):
        wrong = await browser.submit(f"{SIGN_IN}/code", f"{SIGN_IN}/code", {"code": "000000"})
        assert wrong.status_code == 422
    for _ in range(7):
        assert (await tried(world.browser("198.51.100.1"), GOOD)).status_code == 303


async def test_many_at_once_in_two_processes_are_no_more_than_one_after_the_other(
    world: World, billing_url: str, tmp_path: Path
) -> None:
    await has_one(world)
    async with make_world(billing_url, tmp_path, at=world.clock.now()) as second:
        browsers = [one.browser("198.51.100.1") for one in (world, second) for _ in range(5)]
        for one in browsers:
            await one.get(DOOR)
        answers = await asyncio.gather(*(tried(one, OTHER) for one in browsers))
    assert sorted(one.status_code for one in answers) == [422] * 5 + [429] * 5


async def test_in_a_month_strangers_try_a_hundred_times_and_a_few(world: World) -> None:
    """NIST SP 800-63B-4, 3.2.2: a hundred wrong ones, however patiently they are sent from however many networks."""
    let = 0
    for number in range(240):  # sixty a day are within the day's measure
        world.clock.advance(timedelta(minutes=24))
        async with world.billing.database.transaction() as session:
            try:
                await tries.take(session, AGENCY, LAN, f"n{number}", world.clock.now(), known=False)
            except PasswordBusyError:
                continue
            let += 1
    assert 100 <= let <= 100 + 4 * 24 / 7.2 + 1


async def test_a_busy_network_waits_its_turn_and_is_never_shut(world: World) -> None:
    for number in range(40):
        browser = world.browser(f"203.0.113.{number}")
        token = form_token((await browser.get(DOOR)).text)
        await browser.client.post(
            SIGN_IN,
            data={"csrf_token": token, "email": f"r{number}@example.vn"},
            headers={"Origin": OWN},
        )
    await has_one_elsewhere(world)
    late = world.browser("203.0.113.99")
    answer = await tried(late, GOOD, return_to=ARTICLE)
    seconds = int(answer.headers["retry-after"])
    assert answer.status_code == 429 and f"Đến lượt bạn sau {seconds} giây" in answer.text
    assert ARTICLE in answer.text and f'value="{LAN}"' in answer.text
    world.clock.advance(timedelta(seconds=seconds))
    assert (await tried(late, GOOD)).status_code == 303


async def has_one_elsewhere(world: World) -> None:
    browser = await world.signed_in(LAN, address="198.51.100.77")
    assert (await chooses(browser, await asks(world, browser))).status_code == 303


async def test_other_parameters_hash_it_anew_when_it_is_used(
    world: World, billing_url: str, tmp_path: Path
) -> None:
    await has_one(world)
    before = await world.rows("SELECT id, changed_at FROM reader_password")
    more = {"argon2_time_cost": 3, "argon2_memory_kib": 19_500}
    async with make_world(billing_url, tmp_path, at=world.clock.now(), **more) as later:
        assert not await opens(later, OTHER)
        assert "$m=19456,t=2,p=1$" in await world.value("SELECT password_hash FROM reader_password")
        assert await opens(later, GOOD)
        assert "$m=19500,t=3,p=1$" in await world.value("SELECT password_hash FROM reader_password")
        assert await opens(later, GOOD)
    assert before == await world.rows("SELECT id, changed_at FROM reader_password")


async def test_what_changes_while_a_password_is_verified_lets_nobody_in(world: World) -> None:
    for number, meanwhile in enumerate(
        (
            "UPDATE reader_password SET id = gen_random_uuid() WHERE reader_id = :id",  # as a change does
            "DELETE FROM reader_password WHERE reader_id = :id",
            "UPDATE reader SET email = 'xa@example.vn' WHERE id = :id",
        )
    ):
        email = f"lan{number}@example.vn"
        await has_one(world, email)
        lan, late = await person(world, email), world.browser("198.51.100.1")
        async with world.billing.database.transaction() as session:
            await lock_reader(session, lan.id)
            entering = asyncio.create_task(tried(late, GOOD, email))
            await somebody_waits(world)
            await session.execute(text(meanwhile), {"id": lan.id})
        assert (await entering).status_code == 422, meanwhile
        sessions = "SELECT count(*) FROM reader_session WHERE reader_id = :id"
        assert await world.value(sessions, id=lan.id) == 1


# Changing and removing it


async def test_a_change_by_the_present_one_ends_the_other_sessions(world: World) -> None:
    browser, phone = await has_one(world), await world.signed_in(LAN)
    before = dict(browser.client.cookies)
    world.clock.advance(MINUTE)
    done = await changes(browser, GOOD, OTHER)
    assert done.headers["location"] == f"/r/{AGENCY}/account?notice=password-set"
    assert await is_signed_in(browser) and not await is_signed_in(phone)
    assert not await is_signed_in(world.browser(**before))
    assert await opens(world, OTHER) and not await opens(world, GOOD)
    newest = (await letters(world))[0]
    assert newest.subject.startswith("Mật khẩu tài khoản của bạn đã được đổi")


async def test_an_open_session_is_no_way_to_guess_it_and_a_code_helps(world: World) -> None:
    browser = await has_one(world)
    answers = [await changes(browser, f"{OTHER} {number}", OTHER) for number in range(6)]
    assert [one.status_code for one in answers] == [422] * 5 + [429]
    assert "Mật khẩu hiện tại: không đúng" in words_of(answers[0].text)
    assert "đợi mười lăm phút" in words_of(answers[5].text)
    assert (await changes(browser, GOOD, OTHER)).status_code == 429, "not the right one either"
    assert await opens(world, GOOD)
    phone = await world.signed_in(LAN)
    assert (await chooses(browser, await asks(world, browser), OTHER)).status_code == 303
    assert not await is_signed_in(phone) and await opens(world, OTHER)


async def test_two_changes_at_once_are_one(world: World) -> None:
    browser = await has_one(world)
    third = "cá rô kho với nghệ"
    answers = await asyncio.gather(
        changes(browser, GOOD, OTHER),
        changes(world.browser(**dict(browser.client.cookies)), GOOD, third),
    )
    assert sorted(one.status_code for one in answers)[0] == 303
    assert [await opens(world, one) for one in (GOOD, OTHER, third)].count(True) == 1
    assert len(await letters(world)) == 2, "set, and changed once"


async def test_a_change_waits_for_who_throws_it_out_and_changes_nothing_then(world: World) -> None:
    """As who takes a change of address back does, in the same moment."""
    browser, lan = await has_one(world), await person(world)
    async with world.billing.database.transaction() as session:
        await lock_reader(session, lan.id)
        changing = asyncio.create_task(changes(browser, GOOD, OTHER))
        await somebody_waits(world)
        await throw_out(session, lan, LAN, world.clock.now())
    answer = await changing
    assert answer.status_code == 409 and "Vui lòng thử lại" in words_of(answer.text)
    assert await world.value(HELD) == 0


async def test_it_is_removed_by_a_code_only(world: World) -> None:
    browser, phone = await has_one(world), await world.signed_in(LAN)
    refused = await browser.submit(PAGE, f"{PAGE}/remove", {"code": "00000001"})
    assert refused.status_code == 422 and await world.value(HELD) == 1
    code = await asks(world, browser)
    page = await browser.get(PAGE)
    assert "Bỏ mật khẩu" in page.text and "từ ngày 23/11/2026" in words_of(page.text)
    done = await browser.submit(PAGE, f"{PAGE}/remove", {"code": code})
    assert done.headers["location"] == f"/r/{AGENCY}/account?notice=password-removed"
    assert "Đã bỏ mật khẩu" in (await browser.get(done.headers["location"])).text
    assert await is_signed_in(browser) and not await is_signed_in(phone)
    assert not await opens(world, GOOD) and await by_code(world, world.browser("198.51.100.3"))
    assert (await letters(world))[0].subject.startswith("Mật khẩu tài khoản của bạn đã bị bỏ")
    assert (await browser.submit(PAGE, f"{PAGE}/remove", {"code": code})).status_code == 409


# What else may become of it


async def test_who_takes_a_change_of_address_back_throws_out_the_password(world: World) -> None:
    """A thief in an open session gives the account his own mailbox, and then a password."""
    thief = await has_one(world)
    new = "ke.trom@example.vn"
    waiting = await asks(world, thief)
    assert (await addresses.changes(world, thief, new)).status_code == 303
    refused = await chooses(thief, waiting, OTHER)
    assert refused.status_code == 422, "a code of the mailbox before is worth nothing now"
    assert await opens(world, GOOD, new) and not await opens(world, GOOD), "it goes with the reader"
    assert (await chooses(thief, await asks(world, thief, new), OTHER)).status_code == 303
    once_more = await asks(world, thief, new)
    path = await addresses.undo_path(world, LAN)
    assert (await addresses.press(world.browser(), path)).status_code == 303
    assert await world.value(HELD) == 0
    assert await world.value("SELECT count(*) FROM password_code") == 0, once_more
    for email in (LAN, new):
        assert not await opens(world, OTHER, email) and not await opens(world, GOOD, email)
    told = (await letters(world))[0]
    assert "mật khẩu cũng bị bỏ theo" in told.body
    assert await by_code(world, world.browser("198.51.100.5"))


async def test_the_copy_says_that_there_is_one_and_a_deletion_takes_it(world: World) -> None:
    browser, data = await has_one(world), f"/r/{AGENCY}/account/data"
    await asks(world, browser)
    copy = await browser.submit(data, f"{data}/copy", {})
    assert "argon2" not in copy.text
    assert json.loads(copy.text)["password"] == [
        {"set_at": "2026-11-23T03:00:01Z", "changed_at": "2026-11-23T03:00:01Z"}
    ]
    world.clock.advance(MINUTE)
    await browser.submit(data, f"{data}/delete/code", {})
    code = await world.last_code(LAN)
    gone = await browser.submit(data, f"{data}/delete", {"code": code})
    assert gone.headers["location"].endswith("notice=erased")
    assert await world.value(HELD) == 0
    assert await world.value("SELECT count(*) FROM password_code") == 0
    assert not await opens(world, GOOD)
