"""A reader changes their e-mail address: who proves what, who is told, who is signed in, and what the old mailbox may do about it."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.billing.addresses import repository
from services.billing.letters.links import Link, UndoLink
from services.billing.readers.service import Visitor
from services.billing.subscriptions.repository import lock_reader
from shared.errors import ConflictError, NotFoundError
from shared.mail.outbox import recent_mail
from tests.fixtures.waiting import eventually
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import person
from tests.integration.billing.test_account_pages import words_of
from tests.integration.billing.test_movers import Before
from tests.integration.billing.test_seats import Groups, letters, submit
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, Browser, World

LAN, NEW, MINH = "lan@example.vn", "lan.moi@example.vn", "minh@example.vn"
PAGE = f"/r/{AGENCY}/account/address"
DAY = timedelta(days=1)
EMAILS = "SELECT email FROM reader ORDER BY email"


async def asks(browser: Browser, email: str) -> Any:
    return await browser.submit(PAGE, PAGE, {"email": email})


async def enters(browser: Browser, code: str) -> Any:
    return await browser.submit(PAGE, f"{PAGE}/code", {"code": code, "sent": "x"})


async def changes(world: World, browser: Browser, email: str) -> Any:
    assert (await asks(browser, email)).status_code == 200
    return await enters(browser, await world.last_code(email))


async def mails(world: World, to: str) -> list[Any]:
    return [one for one in await recent_mail(world.billing.database) if one.recipient == to]


async def undo_path(world: World, to: str) -> str:
    """Of the newest letter with such a link to a mailbox."""
    await world.billing.letters.send_due()
    for mail in await mails(world, to):
        found = re.search(r"http://billing\.test(/r/\S+/address/\S+)\?lang=", mail.body)
        if found:
            return found[1]
    raise AssertionError("no letter with a link")


async def press(browser: Browser, path: str) -> Any:
    return await browser.client.post(f"{path}/back", headers={"Origin": "http://billing.test"})


async def is_signed_in(browser: Browser) -> bool:
    return (await browser.get(f"/r/{AGENCY}/account")).status_code == 200


async def waits_for_a_row(world: World) -> Any:
    query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    return await eventually(lambda: world.value(query), "it waits for who changes the address")


async def test_the_address_changes_and_the_old_mailbox_is_told(world: World) -> None:
    browser, phone = await world.signed_in(LAN), await world.signed_in(LAN)
    before = dict(browser.client.cookies)
    account = await browser.get(f"/r/{AGENCY}/account")
    assert f'href="{PAGE}"' in account.text
    shown = await asks(browser, f"  {NEW.upper()} ")
    assert "Chúng tôi đã gửi thư đến LAN.MOI@EXAMPLE.VN" in words_of(shown.text)
    (mail,) = await mails(world, NEW)
    assert mail.subject.endswith("là mã xác nhận địa chỉ e-mail mới")
    done = await enters(browser, await world.last_code(NEW))
    assert done.headers["location"] == f"/r/{AGENCY}/account?notice=address"
    account = await browser.get(done.headers["location"])
    assert "Địa chỉ e-mail của bạn đã được đổi." in account.text and NEW in account.text
    assert not await is_signed_in(phone), "another browser is signed out"
    thief = world.browser(**before)
    assert not await is_signed_in(thief), "the token before is worth nothing"
    assert await world.value("SELECT count(*) FROM reader_session WHERE ended_at IS NULL") == 1
    await world.billing.letters.send_due()
    old = (await mails(world, LAN))[0]
    assert "Địa chỉ e-mail của tài khoản đã được đổi" in old.subject
    assert "l…@example.vn" in old.body and NEW not in old.body
    assert "Hủy được đến: 30/11/2026 10:00" in old.body
    again = await world.signed_in(NEW)
    assert await is_signed_in(again) and await world.rows(EMAILS) == [(NEW,)]


async def test_in_english_as_well(world: World) -> None:
    browser = await world.signed_in(LAN)
    browser.client.cookies.set("press_lang", "en")
    page = await browser.get(f"{PAGE}?lang=en")
    assert "Change your e-mail address" in page.text and "Now you sign in with" in page.text
    await world.billing.letters.send_due()
    await browser.submit(f"{PAGE}?lang=en", f"{PAGE}?lang=en", {"email": NEW})
    assert (await mails(world, NEW))[0].subject.endswith("confirms your new e-mail address")
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE reader SET language = 'en'"))
    await enters(browser, await world.last_code(NEW))
    path = await undo_path(world, LAN)
    shown = words_of((await world.browser().get(f"{path}?lang=en")).text)
    assert "Before lan@example.vn Now l…@example.vn" in shown and "Take the change back" in shown


async def test_letters_that_wait_go_to_the_new_address(world: World) -> None:
    browser = await world.signed_in(LAN)  # the welcome waits
    await changes(world, browser, NEW)
    await world.billing.letters.send_due()
    assert "chào mừng bạn" in (await mails(world, NEW))[0].subject
    assert not [one for one in await mails(world, LAN) if "chào mừng" in one.subject]


@pytest.mark.parametrize(
    ("email", "status", "says"),
    [
        ("nothing", 422, "Đây không phải là địa chỉ e-mail"),
        (" LAN@example.vn", 422, "Đây đang là địa chỉ của bạn."),
    ],
)
async def test_what_is_no_other_address_is_refused(
    world: World, email: str, status: int, says: str
) -> None:
    answer = await asks(await world.signed_in(LAN), email)
    assert answer.status_code == status and says in words_of(answer.text)
    assert await world.value("SELECT count(*) FROM address_code") == 0


async def test_nothing_on_the_screen_tells_whether_an_address_has_an_account(world: World) -> None:
    await world.signed_in(MINH)
    browser = await world.signed_in(LAN)
    free, taken = [(await asks(browser, one)) for one in ("tho@example.vn", MINH)]
    csrf = re.compile(r'name="csrf_token" value="[0-9a-f]+"')
    assert free.status_code == taken.status_code == 200
    assert csrf.sub("", free.text).replace("tho@", "minh@") == csrf.sub("", taken.text)
    mail = (await mails(world, MINH))[0]
    assert mail.subject.startswith("Địa chỉ này đã có tài khoản")
    assert not re.search(r"\b\d{6,8}\b", mail.subject + mail.body), "no code"
    wrong = [await enters(browser, "12345678") for _ in range(5)]
    assert {one.status_code for one in wrong} == {422}
    assert await world.rows(EMAILS) == [(LAN,), (MINH,)]


async def test_after_five_wrong_codes_only_a_new_one_helps(world: World) -> None:
    browser = await world.signed_in(LAN)
    await asks(browser, NEW)
    code = await world.last_code(NEW)
    for _ in range(5):
        assert (await enters(browser, "00000001")).status_code == 422
    assert (await enters(browser, code)).status_code == 422
    await world.advance(timedelta(minutes=1))
    assert (await changes(world, browser, NEW)).status_code == 303


async def test_a_code_is_of_its_reader_its_purpose_and_its_ten_minutes(world: World) -> None:
    browser, other = await world.signed_in(LAN), await world.signed_in(MINH)
    await asks(browser, NEW)
    code = await world.last_code(NEW)
    assert (await enters(other, code)).status_code == 422
    page = f"/r/{AGENCY}/student"
    await other.submit(page, f"{page}/code", {"code": code})
    await world.advance(timedelta(minutes=10))
    assert (await enters(browser, code)).status_code == 422
    assert await world.rows(EMAILS) == [(LAN,), (MINH,)]


async def test_a_reader_names_so_many_mailboxes_a_day(world: World) -> None:
    browser = await world.signed_in(LAN)
    answers = [await asks(browser, f"n{number}@example.vn") for number in range(11)]
    assert [one.status_code for one in answers] == [200] * 10 + [429]
    assert "Hãy đợi một giờ" in words_of(answers[-1].text)
    assert not await mails(world, "n10@example.vn")


async def test_the_old_mailbox_takes_it_back_in_two_presses_without_signing_in(
    world: World,
) -> None:
    thief = await world.signed_in(LAN)
    await changes(world, thief, NEW)
    await world.advance(timedelta(minutes=1))
    first = await undo_path(world, LAN)
    await changes(world, thief, "xa@example.vn")  # once more, to shake it off
    second = await undo_path(world, NEW)
    await world.advance(6 * DAY)
    lan = world.browser()
    shown = await lan.get(first)
    assert shown.status_code == 200 and shown.headers["referrer-policy"] == "same-origin"
    assert "lan@example.vn" in words_of(shown.text) and NEW not in shown.text
    assert await world.rows(EMAILS) == [("xa@example.vn",)], "to look changes nothing"
    assert (await press(lan, first)).headers["location"] == first
    assert "Bạn lại đăng nhập bằng lan@example.vn" in words_of((await lan.get(first)).text)
    assert await world.rows(EMAILS) == [(LAN,)]
    assert not await is_signed_in(thief)
    # The link to the address between is worth nothing any more, nor is a second press.
    assert (await press(thief, second)).status_code == 303
    assert (await press(lan, first)).status_code == 303
    assert await world.rows(EMAILS) == [(LAN,)]
    await world.billing.letters.send_due()
    told = (await mails(world, "xa@example.vn"))[0]
    assert told.subject == "Việc đổi địa chỉ e-mail đã bị hủy"
    assert not re.search("/address/", told.body)
    assert await is_signed_in(await world.signed_in(LAN))


async def test_a_link_is_good_for_seven_days_at_its_own_agency_and_for_its_use(
    world: World,
) -> None:
    browser = await world.signed_in(LAN)
    await changes(world, browser, NEW)
    path, anybody = await undo_path(world, LAN), world.browser()
    token = path.rsplit("/", 1)[1]
    lan = await person(world, NEW)
    links, now = world.billing.links, world.clock.now()
    change_id = await world.value("SELECT id FROM address_change")
    other_use = links.token(Link(AGENCY, lan.id, change_id), now)
    no_change = links.undo_token(UndoLink(AGENCY, lan.id, lan.id), now + DAY)
    for wrong in (
        f"/r/{OTHER_AGENCY}/address/{token}",
        f"/r/{AGENCY}/address/{token[:-4]}AAAA",
        f"/r/{AGENCY}/address/{other_use}",
        f"/r/{AGENCY}/address/{no_change}",
        f"/r/{AGENCY}/s/{token}",
    ):
        assert (await anybody.get(wrong)).status_code == 404, wrong
    for wrong in (f"/r/{AGENCY}/address/{other_use}", f"/r/{AGENCY}/address/{no_change}"):
        assert (await press(anybody, wrong)).status_code == 404
    cross = await anybody.client.post(f"{path}/back", headers={"Origin": "https://evil.example"})
    assert cross.status_code == 403
    await world.advance(7 * DAY)
    assert (await press(anybody, path)).status_code == 404
    with pytest.raises(ConflictError) as over:
        await world.billing.addresses.undo(links.read_undo(AGENCY, token, now))
    assert over.value.slug == "address-over"
    assert await world.rows(EMAILS) == [(NEW,)]


async def test_for_seven_days_nobody_else_has_the_old_address(world: World) -> None:
    browser = await world.signed_in(LAN)
    await changes(world, browser, NEW)
    # Another reader who wants it is answered as for any address that has an account.
    minh = await world.signed_in(MINH)
    assert (await asks(minh, LAN)).status_code == 200
    assert "đã có tài khoản" in (await mails(world, LAN))[0].subject
    # Who signs in by it has proved the old mailbox: they may take the change back, and are nobody new.
    owner = world.browser()
    page = f"/r/{AGENCY}/sign-in"
    await owner.submit(page, page, {"email": LAN})
    code = await world.last_code(LAN)
    answer = await owner.submit(f"{page}/code", f"{page}/code", {"code": code})
    path = answer.headers["location"]
    assert path.startswith(f"/r/{AGENCY}/address/") and not await is_signed_in(owner)
    assert await world.rows(EMAILS) == [(NEW,), (MINH,)]
    assert "Hủy việc đổi địa chỉ" in (await owner.get(path)).text
    # Its own reader may go back to it by a code, and then again.
    await world.advance(timedelta(minutes=1))
    assert (await changes(world, browser, LAN)).status_code == 303
    await world.advance(timedelta(minutes=1))
    assert (await changes(world, browser, NEW)).status_code == 303
    await world.advance(8 * DAY)
    await world.signed_in(LAN)
    assert await world.rows(EMAILS) == [(NEW,), (LAN,), (MINH,)]


async def test_a_price_for_who_is_new_is_not_had_again_by_a_change_of_address(world: World) -> None:
    """Neither by the old mailbox later, nor after a deletion."""
    browser = await world.subscribed(LAN)
    await world.deliver()
    minh = await world.signed_in(MINH)
    await changes(world, browser, NEW)
    await changes(world, minh, "minh.moi@example.vn")
    await world.advance(8 * DAY)
    await world.signed_in(LAN)
    await world.signed_in(MINH)
    assert not await world.billing.accounts.is_new((await person(world, LAN)).id)
    assert await world.billing.accounts.is_new((await person(world, MINH)).id), "never subscribed"


async def test_two_readers_who_change_to_one_address_at_once(world: World) -> None:
    browsers = [await world.signed_in(LAN), await world.signed_in(MINH)]
    codes = []
    for browser in browsers:
        await asks(browser, NEW)
        codes.append(await world.last_code(NEW))
        await world.advance(timedelta(minutes=1))
    answers = await asyncio.gather(*map(enters, browsers, codes))
    assert sorted(one.status_code for one in answers) == [303, 409]
    refused = next(one for one in answers if one.status_code == 409)
    assert "Địa chỉ của bạn không thay đổi." in words_of(refused.text)
    emails = [row[0] for row in await world.rows(EMAILS)]
    assert len(emails) == 2 and NEW in emails
    assert await world.value("SELECT count(*) FROM address_change") == 1
    assert [await is_signed_in(one) for one in browsers] == [True, True]


async def test_who_signs_up_with_it_at_the_same_moment_keeps_it(world: World) -> None:
    browser = await world.signed_in(LAN)
    await asks(browser, NEW)
    code = await world.last_code(NEW)
    async with world.billing.database.transaction() as session:
        # Not committed yet: no query of the other transaction sees it, its unique index does.
        await session.execute(
            text(
                "INSERT INTO reader (id, agency, email) VALUES (gen_random_uuid(), :agency, :email)"
            ),
            {"agency": AGENCY, "email": NEW},
        )
        changing = asyncio.create_task(enters(browser, code))
        await waits_for_a_row(world)
    answer = await changing
    assert answer.status_code == 409 and "không thay đổi" in words_of(answer.text)
    assert await is_signed_in(browser) and await world.rows(EMAILS) == [(NEW,), (LAN,)]
    assert await world.value("SELECT count(*) FROM address_change") == 0


async def test_who_signs_in_by_the_old_address_at_the_same_moment_gets_no_session(
    world: World,
) -> None:
    await world.signed_in(LAN)
    late, page = world.browser(), f"/r/{AGENCY}/sign-in"
    await late.submit(page, page, {"email": LAN})
    code = await world.last_code(LAN)
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE reader SET email = :new"), {"new": NEW})
        await session.execute(
            text(
                """INSERT INTO address_change (id, agency, reader_id, old_email, new_email, changed_at, undo_until, network, user_agent)
                   SELECT gen_random_uuid(), agency, id, :old, :new, :now, :until, '', '' FROM reader"""
            ),
            {
                "old": LAN,
                "new": NEW,
                "now": world.clock.now(),
                "until": world.clock.now() + 7 * DAY,
            },
        )
        signing_in = asyncio.create_task(
            late.submit(f"{page}/code", f"{page}/code", {"code": code})
        )
        await waits_for_a_row(world)
    answer = await signing_in
    assert f"/r/{AGENCY}/address/" in answer.headers["location"]
    assert not await is_signed_in(late) and await world.rows(EMAILS) == [(NEW,)]


async def test_a_session_that_is_being_opened_by_the_old_address_ends_with_the_change(
    world: World,
) -> None:
    browser = await world.signed_in(LAN)
    await asks(browser, NEW)
    code, visitor = await world.last_code(NEW), Visitor("", "", "vi")
    async with world.billing.database.transaction() as session:
        late = await world.billing.readers.enter(
            session, AGENCY, LAN, frozenset(), visitor, browser=b"late", replaces=""
        )
        changing = asyncio.create_task(enters(browser, code))
        await waits_for_a_row(world)
    assert (await changing).status_code == 303
    assert await world.billing.readers.current(AGENCY, late.token) is None
    assert await is_signed_in(browser)


async def test_a_session_that_was_ended_changes_nothing(world: World) -> None:
    browser = await world.signed_in(LAN)
    await asks(browser, NEW)
    code, lan = await world.last_code(NEW), await person(world, LAN)
    session = await world.value("SELECT id FROM reader_session")
    async with world.billing.database.transaction() as ending:
        await ending.execute(
            text("UPDATE reader_session SET ended_at = :now"), {"now": world.clock.now()}
        )
    with pytest.raises(ConflictError) as ended:
        await world.billing.addresses.enter(lan, session, code, Visitor("", "", "vi"))
    assert ended.value.slug == "address-signed-out"
    assert await world.rows(EMAILS) == [(LAN,)]


async def test_a_seat_by_a_mail_domain_ends_with_the_domain_and_an_invited_one_stays(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    groups, boss, member, guest = Groups(world), "sep@cong-ty.vn", "an@cong-ty.vn", "ban@x.vn"
    await groups.pays(boss, "to-chuc", seats=5)
    row, owner = (await groups.group(boss)).row, await world.signed_in(boss)
    await submit(owner, "domain", subscription=row.id, address="a@cong-ty.vn")
    code = await world.last_code("a@cong-ty.vn")
    await submit(owner, "domain/verify", subscription=row.id, code=code)
    await groups.joins(boss, guest)
    await world.billing.seats.join(await groups.reader(member), row.id)
    assert await groups.reads() == {boss, member, guest}
    browser, stale = await world.signed_in(member), await groups.reader(member)
    page = await browser.get(PAGE)
    assert "tên miền e-mail của cơ quan" in words_of(page.text)
    # Within the domain it stays.
    await changes(world, browser, "an.tran@cong-ty.vn")
    assert await groups.reads() == {boss, "an.tran@cong-ty.vn", guest}
    await world.advance(timedelta(minutes=1))
    await changes(world, browser, "an@nha.vn")
    assert await groups.reads() == {boss, guest}
    await world.assert_sound()
    with pytest.raises(NotFoundError):  # a page that was loaded before the change
        await world.billing.seats.join(stale, row.id)
    assert "tên miền e-mail" not in words_of((await browser.get(PAGE)).text)
    friend = await world.signed_in(guest)
    await changes(world, friend, "ban@nha.vn")
    assert await groups.reads() == {boss, "ban@nha.vn"}
    # Who comes back to the domain may take a seat again.
    await world.advance(timedelta(minutes=1))
    await changes(world, browser, member)
    await world.billing.seats.join(await groups.reader(member), row.id)
    assert await groups.reads() == {boss, member, "ban@nha.vn"}
    await world.assert_sound()


async def test_an_invitation_is_of_the_mailbox_it_was_sent_to(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    groups = Groups(world)
    await groups.pays("me@example.vn")
    invitation, stale = await groups.invites("me@example.vn", LAN), await groups.reader(LAN)
    assert [to for to, _ in await letters(world, "invited")] == [LAN]
    await changes(world, await world.signed_in(LAN), NEW)
    for reader in (stale, await groups.reader(NEW)):
        with pytest.raises(ConflictError) as other:
            await world.billing.seats.accept(reader, invitation)
        assert other.value.slug == "seat-other"


async def test_who_is_taken_over_by_an_address_of_before_is_the_same_reader(
    paid_by_transfer: World,
) -> None:
    before = Before(paid_by_transfer, {})
    world = before.world
    await changes(world, await world.signed_in(LAN), NEW)
    await before.subscribes(LAN)
    await before.pass_time(3 * DAY)
    assert (await before.moves()).count("moved") == 1
    await world.deliver()
    assert await world.rows(EMAILS) == [(NEW,)]
    assert await Lives(world).rights() == {NEW}


async def test_a_take_over_and_a_change_do_not_wait_for_each_other(
    paid_by_transfer: World,
) -> None:
    before = Before(paid_by_transfer, {})
    world = before.world
    await world.signed_in(LAN)
    lan = await person(world, LAN)
    await before.subscribes(LAN)
    await before.pass_time(3 * DAY)
    async with world.billing.database.transaction() as session:
        await lock_reader(session, lan.id)
        moving = asyncio.create_task(before.moves())
        await waits_for_a_row(world)
        await repository.set_email(session, lan.id, NEW)  # a row that is held would be a deadlock
    assert (await moving).count("moved") == 1
    await world.deliver()
    assert await Lives(world).rights() == {NEW}


async def test_support_sees_the_former_address(world: World) -> None:
    await changes(world, await world.signed_in(LAN), NEW)
    reader = await person(world, NEW)
    staff = world.browser(press_staff="support-token")
    page = words_of((await staff.get(f"/staff/{AGENCY}/readers/{reader.id}")).text)
    assert f"đến 23/11/2026: {LAN}" in page


async def test_a_change_is_a_proof_that_stays(world: World) -> None:
    await changes(world, await world.signed_in(LAN), NEW)
    for edit in ("old_email = 'x@y.vn'", "undo_until = now() + interval '1 year'"):
        with pytest.raises(Exception, match="taken back once"):
            async with world.billing.database.transaction() as session:
                await session.execute(text(f"UPDATE address_change SET {edit}, undone_at = now()"))
