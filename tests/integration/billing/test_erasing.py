"""A reader has their data deleted: what is personal goes, the books stay, and nothing is won by it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from services.billing.letters import service as letters_service
from services.billing.letters.links import Link
from services.billing.mydata.erasing import Answer, HinderedError
from services.billing.mydata.rules import Why
from services.billing.offers import repository as offers
from services.billing.offers.rules import Kind
from services.billing.readers import repository as readers
from services.billing.readers.models import Reader
from services.billing.readers.rules import erased_address
from services.billing.refunds.service import By
from services.billing.subscriptions.repository import lock_reader
from shared.audit import Actor, acting
from shared.errors import NotFoundError
from shared.ids import new_id
from shared.mail.outbox import recent_mail
from tests.fixtures.roles import as_owner
from tests.fixtures.waiting import eventually
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import credited
from tests.integration.billing.returning import at_the_bank, dispute
from tests.integration.billing.test_account_pages import ACCOUNT, ENGLISH, words_of
from tests.integration.billing.test_offers import offered
from tests.integration.billing.test_seats import CHILD, OWNER, Groups
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, Browser, World, form_token

PAGE = f"{ACCOUNT}/data"
LAN, MAI = "lan@example.vn", "mai@example.vn"
DAY = timedelta(days=1)
SIGNED_OUT = f"/r/{AGENCY}/sign-in?notice=erased"


async def asks(world: World, browser: Browser, email: str = LAN) -> str:
    """The code that was sent."""
    answer = await browser.submit(PAGE, f"{PAGE}/delete/code", {})
    assert answer.status_code == 303, words_of(answer.text)
    return await world.last_code(email)


async def erases(world: World, browser: Browser, email: str = LAN) -> Any:
    code = await asks(world, browser, email)
    return await browser.submit(PAGE, f"{PAGE}/delete", {"code": code})


async def ended(world: World, email: str = LAN) -> Browser:
    """A reader whose subscription was canceled and is over."""
    browser = await world.subscribed(email)
    await world.deliver()
    await world.billing.charges.name_cards()
    reader, row = (await world.rows("SELECT reader_id, id FROM subscription"))[0]
    await world.billing.wishes.cancel(AGENCY, reader, row)
    await world.advance(32 * DAY)
    await world.deliver()
    assert await world.value("SELECT state FROM subscription") == "canceled"
    return browser


async def reader_id(world: World, email: str = LAN) -> UUID:
    found: UUID = await world.value("SELECT id FROM reader WHERE email = :email", email=email)
    return found


#: Where the mailbox stays, and why.
STAYS = {
    "invoice.buyer_email": "a lawful document",
    "webhook_event.payload": "the provider's notices, as they were signed",
    "mail_message.recipient": "the outbox of a developer's machine",
    "mail_message.body": "the outbox of a developer's machine",
    "mail_message.html": "the outbox of a developer's machine",
    "rate_bucket.bucket": "how many codes a mailbox got; gone within a day",
}


async def places_of(world: World, words: str) -> set[str]:
    """Every column of the database, of whatever type, in which some words stand."""
    columns = await world.rows(
        """SELECT table_name, column_name, data_type FROM information_schema.columns c JOIN information_schema.tables t
             USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"""
    )
    found = set()
    for table, column, kind in columns:
        shown = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
        sql = f"SELECT count(*) FROM {table} WHERE position(:words IN {shown}) > 0"
        if await world.value(sql, words=words):
            found.add(f"{table}.{column}")
    return found


async def test_what_is_personal_goes_and_the_books_stay(world: World) -> None:
    browser = await ended(world)
    id_ = await reader_id(world)
    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE reader SET name = 'Nguyễn Thị Lan' WHERE id = :id"), {"id": id_}
        )
        await session.execute(
            text(
                "UPDATE sales_order SET return_to = 'http://site.test/bai-1' WHERE state <> 'paid'"
            )
        )
    await browser.submit(ACCOUNT, f"{ACCOUNT}/consents", {"consent": "offers"})
    await world.billing.letters.send_due()
    kept = "SELECT id, amount_vnd, refunded_vnd FROM payment"
    books = "SELECT to_jsonb(l)::text FROM journal_line l ORDER BY 1"
    invoices = "SELECT to_jsonb(i)::text FROM invoice i"
    before = [await world.rows(sql) for sql in (kept, books, invoices)]
    assert {"reader.email", "invoice.buyer_email"} <= await places_of(world, LAN)
    shown = words_of((await browser.get(PAGE)).text)
    assert "Xóa dữ liệu của tôi" in shown and "Gửi mã cho tôi" in shown
    answer = await erases(world, browser)
    assert answer.status_code == 303 and answer.headers["location"] == SIGNED_OUT
    assert "Dữ liệu của bạn đã được xóa." in (await browser.get(SIGNED_OUT)).text
    assert (await browser.get(ACCOUNT)).status_code == 303, "signed out"
    assert [await world.rows(sql) for sql in (kept, books, invoices)] == before
    mailed = len(await recent_mail(world.billing.database))
    assert await world.rows("SELECT kind, recipient, state FROM letter") == [
        ("erased", LAN, "waiting")
    ]
    await world.billing.letters.send_due()
    last = (await recent_mail(world.billing.database))[0]
    assert len(await recent_mail(world.billing.database)) == mailed + 1
    assert last.recipient == LAN and "đã được xóa" in last.subject
    assert await world.rows("SELECT 1 FROM letter") == [], (
        "the address is forgotten with the letter"
    )
    assert await places_of(world, LAN) <= STAYS.keys()
    assert await places_of(world, "Nguyễn Thị Lan") <= {"invoice.buyer_name"}
    assert await places_of(world, "4242") <= {"webhook_event.payload"}, "the card's digits"
    assert await world.rows("SELECT network, user_agent, granted FROM consent") == [("", "", True)]
    row = await world.rows(
        "SELECT email, name, erased_at IS NOT NULL FROM reader WHERE id = :id", id=id_
    )
    assert row == [(erased_address(id_), "", True)]
    for table in ("reader_session", "erasure_code", "provider_customer", "sign_in_code"):
        assert await world.value(f"SELECT count(*) FROM {table}") == 0, table
    [entry] = await world.rows(
        "SELECT actor_kind, subject, label, after::text FROM audit_entry WHERE action = 'reader-erased'"
    )
    assert entry[:3] == ("system", f"reader/{id_}", "") and LAN not in entry[3]
    await world.assert_sound()


async def test_the_card_is_let_go_at_the_provider(world: World) -> None:
    browser = await ended(world)
    method = await world.value("SELECT method FROM mandate")
    await erases(world, browser)
    assert await world.rows("SELECT revoked_at IS NULL, label, expires_on FROM mandate") == [
        (False, "", None)
    ]
    assert await world.billing.charges.let_go() == 1
    held = await world.payer.get(
        f"/v1/payment_methods/{method}", headers={"Authorization": "Bearer sk_test_world"}
    )
    assert held.json()["customer"] is None


async def test_a_code_confirms_it_and_a_wrong_one_does_not(world: World) -> None:
    browser = await world.signed_in(LAN)
    code = await asks(world, browser)
    wrong = "000000" if code != "000000" else "000001"
    for typed in (wrong, "", "12"):
        answer = await browser.submit(PAGE, f"{PAGE}/delete", {"code": typed})
        assert answer.status_code == 422 and "Mã này sai" in answer.text
    stranger = await world.signed_in(MAI)
    assert (await stranger.submit(PAGE, f"{PAGE}/delete", {"code": code})).status_code == 422, (
        "their own code only"
    )
    sign_in = (await world.signed_in(LAN)) and await world.last_code(LAN)
    assert (await browser.submit(PAGE, f"{PAGE}/delete", {"code": sign_in})).status_code == 422, (
        "of another purpose"
    )
    assert (
        await world.value(
            "SELECT tries FROM erasure_code WHERE reader_id = :id", id=await reader_id(world)
        )
        == 4
    )
    assert (await browser.client.post(f"{PAGE}/delete", data={"code": code})).status_code in (
        400,
        403,
    )
    await world.advance(timedelta(minutes=11))
    assert (await browser.submit(PAGE, f"{PAGE}/delete", {"code": code})).status_code == 422, (
        "its time is over"
    )
    await world.billing.erasing.forget_old()
    assert await world.rows("SELECT 1 FROM erasure_code") == []
    assert (await erases(world, browser)).status_code == 303


async def test_five_wrong_codes_spend_it(world: World) -> None:
    browser = await world.signed_in(LAN)
    code = await asks(world, browser)
    wrong = "000000" if code != "000000" else "000001"
    for _ in range(5):
        assert (await browser.submit(PAGE, f"{PAGE}/delete", {"code": wrong})).status_code == 422
    assert (await browser.submit(PAGE, f"{PAGE}/delete", {"code": code})).status_code == 422
    assert await reader_id(world)


async def test_codes_have_a_measure(world: World) -> None:
    browser = await world.signed_in(LAN)
    for _ in range(5):
        await asks(world, browser)
    refused = await browser.submit(PAGE, f"{PAGE}/delete/code", {})
    assert refused.status_code == 429 and "quá nhiều mã" in refused.text


async def why_not(world: World, email: str = LAN) -> list[Why]:
    return [one.why for one in await world.billing.erasing.obstacles(await reader_id(world, email))]


async def test_what_runs_is_to_be_over_first(world: World) -> None:
    browser = await world.signed_in(LAN)
    code = await asks(world, browser)
    await world.pay(await world.start_checkout(browser))
    await world.deliver()
    assert await why_not(world) == [Why.RENEWS]
    answer = await browser.submit(PAGE, f"{PAGE}/delete", {"code": code})
    assert (
        answer.status_code == 409
        and "Bạn có gói tự gia hạn, đã trả đến ngày 23/12/2026" in words_of(answer.text)
    )
    assert not ENGLISH.search(answer.text.split("<main", 1)[1])
    assert (await browser.submit(PAGE, f"{PAGE}/delete/code", {})).status_code == 409, (
        "and no code is sent"
    )
    row = await world.value("SELECT id FROM subscription")
    await world.billing.wishes.cancel(AGENCY, await reader_id(world), row)
    assert await why_not(world) == [Why.RUNS]
    english = words_of((await browser.get(f"{PAGE}?lang=en")).text)
    assert "is paid for until 23 Dec 2026" in english
    assert await reader_id(world), "nothing happened"


async def test_money_on_its_way_is_to_arrive_first(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    lives = Lives(world)
    order = await lives.chooses(LAN, "ngay", renews=False)
    await lives.page(LAN, order.code)
    assert await why_not(world) == [], "an order that nobody pays is closed with the account"
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE charge SET state = 'processing'"))
    assert await why_not(world) == [Why.MONEY]
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE charge SET state = 'failed', ask_at = NULL"))
    assert await why_not(world) == []
    await credited(world, order.code, 1_000, id_=3)
    assert await why_not(world) == [Why.MONEY], "a part of the amount waits for the rest"


async def test_a_refund_and_a_dispute_are_to_be_over_first(world: World) -> None:
    browser = await ended(world)
    payment, reference = (await world.rows("SELECT id, reference FROM payment"))[0]
    by = By("018f0000-0000-7000-8000-000000000009", "Support")
    with acting(Actor.system("test")):
        asked = await world.billing.refunds.ask(
            AGENCY, await reader_id(world), payment, 1_000, "asked", by
        )
    assert await why_not(world) == [Why.REFUND]
    shown = words_of((await browser.get(PAGE)).text)
    assert "Tiền hoàn đang trên đường về với bạn." in shown and "Gửi mã cho tôi" not in shown
    await world.billing.sent_refunds.run_due()
    await world.deliver()
    assert (
        await world.value("SELECT state FROM refund_request WHERE id = :id", id=asked.id) == "paid"
    )
    assert await why_not(world) == []
    await dispute(world, reference)
    await world.deliver()
    assert await why_not(world) == [Why.DISPUTE]
    assert "chưa quyết định" in words_of((await browser.get(PAGE)).text)


async def test_others_in_a_group_are_to_leave_first_and_a_member_leaves_by_it(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    groups = Groups(world)
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    assert await why_not(world, OWNER) == [Why.RENEWS, Why.MEMBERS]
    child = await world.signed_in(CHILD)
    assert (await erases(world, child, CHILD)).status_code == 303
    assert await groups.reads() == {OWNER}
    assert await why_not(world, OWNER) == [Why.RENEWS]
    assert await world.rows("SELECT ended_by FROM seat") == [("member",)]
    assert await places_of(world, CHILD) <= STAYS.keys() | {"letter.recipient"}
    await world.billing.letters.send_due()
    assert await places_of(world, CHILD) <= STAYS.keys(), (
        "also the invitation, and the owner's letter"
    )
    await world.assert_sound()


async def test_the_mailbox_may_register_again_and_has_nothing_of_before(world: World) -> None:
    browser = await ended(world)
    old = await reader_id(world)
    await erases(world, browser)
    again = await world.signed_in(LAN)
    new = await reader_id(world)
    assert new != old
    copy = (await again.submit(PAGE, f"{PAGE}/copy", {})).json()
    assert copy["payments"] == copy["orders"] == copy["subscriptions"] == copy["invoices"] == []
    assert [one["kind"] for one in copy["letters"]] == ["welcome"]
    assert "Chưa có khoản thanh toán nào" in words_of((await again.get(ACCOUNT)).text)
    assert (
        await again.get(f"/r/{AGENCY}/invoices/{await world.value('SELECT id FROM invoice')}.pdf")
    ).status_code == 404
    assert (await erases(world, again)).status_code == 303, "and be deleted again"
    await world.assert_sound()


@pytest.mark.parametrize("address", [LAN, "lan+2@example.vn"])
async def test_a_trial_and_an_introductory_price_are_not_had_twice(
    world: World, address: str
) -> None:
    billing = world.billing
    browser = await ended(world)
    await erases(world, browser)
    await world.signed_in(address)
    await world.signed_in(MAI)
    assert not await billing.accounts.is_new(await reader_id(world, address))
    assert await billing.accounts.is_new(await reader_id(world, MAI)), "who is new is new"
    async with billing.database.read() as session:
        assert not (await offers.person(session, await reader_id(world, address))).new
        assert (await offers.person(session, await reader_id(world, MAI))).new


async def test_who_never_had_a_subscription_leaves_no_trace(world: World) -> None:
    browser = await world.signed_in(LAN)
    await erases(world, browser)
    assert await world.rows("SELECT 1 FROM former_reader") == []
    await world.signed_in(LAN)
    assert await world.billing.accounts.is_new(await reader_id(world))


async def test_late_refunds_and_disputes_are_booked_and_write_no_letter(world: World) -> None:
    browser = await ended(world)
    await erases(world, browser)
    await world.billing.letters.send_due()
    headers = {"Authorization": "Bearer sk_test_world"}
    intent = await world.value("SELECT reference FROM payment")
    answer = await world.payer.post(
        "/v1/refunds", data={"payment_intent": intent, "amount": 9_000}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    await world.deliver()
    assert await world.value("SELECT refunded_vnd FROM payment") == 9_000
    assert await world.rows("SELECT 1 FROM letter") == []
    await world.assert_sound()


async def test_a_late_dispute_is_booked_and_lost_and_writes_no_letter(world: World) -> None:
    browser = await ended(world)
    reference = await world.value("SELECT reference FROM payment")
    await erases(world, browser)
    await world.billing.letters.send_due()
    id_ = await dispute(world, reference)
    await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    assert await world.rows("SELECT state FROM dispute") == [("lost",)]
    assert await world.value("SELECT refunded_vnd FROM payment") == 59_000
    assert await world.rows("SELECT 1 FROM letter") == []
    await world.assert_sound()


async def test_money_for_an_order_that_was_closed_is_booked_as_nobodys(world: World) -> None:
    """The payment page was open in another tab."""
    browser = await world.signed_in(LAN)
    page = await world.start_checkout(browser)
    await erases(world, browser)
    assert await world.value("SELECT state FROM sales_order") == "closed"
    assert (await world.pay(page)).status_code == 303
    await world.deliver()
    assert await world.rows("SELECT order_id, amount_vnd FROM payment") == [(None, 59_000)]
    assert await world.rows("SELECT 1 FROM subscription") == []
    assert await world.rows("SELECT revoked_at IS NULL FROM mandate") == [(False,)], (
        "the card is not kept"
    )
    assert await world.rows("SELECT 1 FROM provider_customer") == []
    assert await world.rows("SELECT kind FROM letter WHERE kind <> 'erased'") == []
    await world.assert_sound()


async def test_two_tabs_delete_once(world: World) -> None:
    browser = await world.signed_in(LAN)
    code, reader = await asks(world, browser), await Lives(world).reader(LAN)
    token = form_token((await browser.get(PAGE)).text)

    async def press() -> Any:
        form = {"csrf_token": token, "code": code}
        return await browser.client.post(f"{PAGE}/delete", data=form, headers={"Origin": OWN})

    answers = await asyncio.gather(press(), press(), press())
    assert {one.status_code for one in answers} == {303}
    assert await world.value("SELECT count(*) FROM audit_entry WHERE action = 'reader-erased'") == 1
    assert await world.value("SELECT count(*) FROM letter") == 1
    with pytest.raises(NotFoundError):  # a tab that was a moment slower
        await world.billing.erasing.ask_code(reader, lambda to, code: pytest.fail(to))


async def test_a_transfer_for_an_order_that_was_closed_waits_for_a_person(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    order = await Lives(world).chooses(LAN, "month", renews=False)
    await erases(world, await world.signed_in(LAN))
    await credited(world, order.code, 59_000, id_=3)
    [(id_, left, named)] = await world.rows("SELECT id, left_vnd, order_id FROM bank_credit")
    assert (left, named) == (59_000, None), "it is booked, and nobody's"
    with acting(Actor.system("test")), pytest.raises(NotFoundError):
        await world.billing.transfers.assign(AGENCY, id_, order.code, "by its note")
    assert await world.rows("SELECT 1 FROM payment UNION ALL SELECT 1 FROM subscription") == []
    await world.assert_sound()


async def deletes(world: World, reader: Reader, code: str, after: float) -> str:
    """What became of it."""
    await asyncio.sleep(after)
    try:
        return (await world.billing.erasing.enter_code(reader, code)).value
    except HinderedError as error:
        return error.obstacles[0].why.value


async def test_money_and_a_deletion_meet(world: World) -> None:
    """Whichever comes first: a subscription that was paid for is not erased, and who was erased has none."""
    seen = set()
    for number in range(6):
        email = f"lan{number}@example.vn"
        browser = await world.signed_in(email)
        page = await world.start_checkout(browser)
        code = await asks(world, browser, email)
        id_ = await reader_id(world, email)
        reader = await Lives(world).reader(email)
        await world.pay(page)
        await world.sandbox.state.deliverer.deliver_due()

        said, _ = await asyncio.gather(
            deletes(world, reader, code, 0.05 * (number % 3)), world.billing.applier.apply_due()
        )
        await world.deliver()
        [(erased, subscribed)] = await world.rows(
            """SELECT erased_at IS NOT NULL, EXISTS (SELECT FROM subscription WHERE reader_id = r.id) FROM reader r WHERE id = :id""",
            id=id_,
        )
        assert erased is not subscribed, said
        assert (said == "erased") is erased
        seen.add(said)
        assert await world.value("SELECT count(*) FROM payment WHERE reader_id = :id", id=id_) == 1
    assert seen, seen
    await world.assert_sound()


async def test_signing_in_and_a_deletion_meet(world: World) -> None:
    """A session is of the reader before, and ends; or of one that is made anew."""
    for number in range(5):
        email = f"mai{number}@example.vn"
        browser = await world.signed_in(email)
        code = await asks(world, browser, email)
        reader = await Lives(world).reader(email)
        other = world.browser()
        sign_in = f"/r/{AGENCY}/sign-in"
        await other.submit(sign_in, sign_in, {"email": email})
        await world.last_code(email)
        typed = await world.last_code(email)
        answer, said = await asyncio.gather(
            other.submit(f"{sign_in}/code", f"{sign_in}/code", {"code": typed}),
            world.billing.erasing.enter_code(reader, code),
        )
        assert said is Answer.ERASED
        assert answer.status_code in (303, 422)
        sessions = "SELECT count(*) FROM reader_session WHERE reader_id = :id"
        assert await world.value(sessions, id=reader.id) == 0
        now = await world.rows("SELECT id FROM reader WHERE email = :email", email=email)
        assert (reader.id,) not in now


async def somebody_waits(world: World, so_many: int = 1) -> None:
    waits = """SELECT count(*) >= :so_many FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    await eventually(lambda: world.value(waits, so_many=so_many), "somebody waits for a lock")


async def signing_in(world: World, session: Any) -> Reader:
    """The reader's row, as who signs in takes it."""
    now = world.clock.now()
    return await readers.held_by_email(session, new_id(), AGENCY, LAN, "vi", now)


async def test_a_deletion_waits_for_who_signs_in_and_ends_that_session(world: World) -> None:
    """A sign-in holds its code, then the reader: a deletion that held the reader and waited for the code would stop both."""
    browser = await world.signed_in(LAN)
    code, id_ = await asks(world, browser), await reader_id(world)
    sign_in = f"/r/{AGENCY}/sign-in"
    await world.browser().submit(sign_in, sign_in, {"email": LAN})
    reader = await Lives(world).reader(LAN)
    async with world.billing.database.transaction() as session:
        await session.execute(text("SELECT FROM sign_in_code FOR UPDATE"))
        deleting = asyncio.create_task(world.billing.erasing.enter_code(reader, code))
        await somebody_waits(world)
        assert (await signing_in(world, session)).id == id_
    assert await deleting is Answer.ERASED


async def test_an_order_from_another_tab_in_the_same_moment_is_told_that_nothing_is_there(
    world: World,
) -> None:
    browser = await world.signed_in(LAN)
    code, reader = await asks(world, browser), await Lives(world).reader(LAN)
    plans = f"/r/{AGENCY}/plans"
    price = (await world.billing.plans.offers(AGENCY))[0].price_id
    token = form_token((await browser.get(plans)).text)
    form = {"csrf_token": token, "price": str(price), "way": "transfer", "return_to": ""}
    async with world.billing.database.transaction() as session:
        await lock_reader(session, reader.id)
        deleting = asyncio.create_task(world.billing.erasing.enter_code(reader, code))
        await somebody_waits(world)
        ordering = asyncio.create_task(
            browser.client.post(f"/r/{AGENCY}/checkout", data=form, headers={"Origin": OWN})
        )
        await somebody_waits(world, 2)
    assert await deleting is Answer.ERASED
    assert (await ordering).status_code == 404
    assert await world.rows("SELECT 1 FROM sales_order") == []


async def test_who_is_let_in_is_not_erased_before_their_session_is_there(world: World) -> None:
    browser = await world.signed_in(LAN)
    code, id_ = await asks(world, browser), await reader_id(world)
    reader = await Lives(world).reader(LAN)
    async with world.billing.database.transaction() as session:
        assert (await signing_in(world, session)).id == id_
        deleting = asyncio.create_task(world.billing.erasing.enter_code(reader, code))
        await somebody_waits(world)
        await session.execute(
            text(
                """INSERT INTO reader_session (id, agency, reader_id, token_hash, browser_hash, last_seen_at, expires_at)
                   VALUES (gen_random_uuid(), :agency, :reader, 'a', 'b', now(), now())"""
            ),
            {"agency": AGENCY, "reader": id_},
        )
    assert await deleting is Answer.ERASED
    assert await world.value("SELECT count(*) FROM reader_session") == 0


async def test_who_signs_in_while_they_are_erased_is_a_new_reader(world: World) -> None:
    await world.signed_in(LAN)
    id_ = await reader_id(world)

    async def enters() -> UUID:
        async with world.billing.database.transaction() as session:
            return (await signing_in(world, session)).id

    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE reader SET email = :erased, name = '', erased_at = now() WHERE id = :id"),
            {"id": id_, "erased": erased_address(id_)},
        )
        entering = asyncio.create_task(enters())
        await somebody_waits(world)
    assert await entering != id_


async def test_the_database_holds_it(world: World) -> None:
    browser = await world.signed_in(LAN)
    await browser.submit(ACCOUNT, f"{ACCOUNT}/consents", {"consent": "offers"})
    owner = await asyncpg.connect(as_owner(world.billing.settings.database_url))
    for sql in (
        "UPDATE consent SET network = '', user_agent = ''",  # not of who is there
        "UPDATE consent SET granted = NOT granted",
        "DELETE FROM consent",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(sql)
    id_ = await reader_id(world)
    await erases(world, browser)
    for sql in (
        "UPDATE consent SET wording = ''",
        f"UPDATE reader SET erased_at = NULL WHERE id = '{id_}'",
        f"UPDATE reader SET email = 'x@y.vn' WHERE id = '{id_}'",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            await owner.execute(sql)
    for sql in (
        f"INSERT INTO reader_session SELECT gen_random_uuid(), '{AGENCY}', '{id_}', '', '', '', '', false, now(), now(), now()",
        f"INSERT INTO reader_phone VALUES ('{id_}', '{AGENCY}', '+84912345678', now())",
        f"INSERT INTO proof_code VALUES (gen_random_uuid(), '{AGENCY}', '{id_}', 'x', '', 0, now(), now())",
        f"INSERT INTO erasure_code VALUES (gen_random_uuid(), '{AGENCY}', '{id_}', '', 0, now(), now())",
    ):
        with pytest.raises(asyncpg.NoDataFoundError):
            await owner.execute(sql)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(
            "INSERT INTO reader (id, agency, email, erased_at) VALUES (gen_random_uuid(), $1, 'a@b.vn', now())",
            AGENCY,
        )
    await owner.close()


async def test_a_letters_link_opens_nothing_of_who_was_erased(world: World) -> None:
    browser = await ended(world)
    id_, row = (await world.rows("SELECT reader_id, id FROM subscription"))[0]
    token = world.billing.links.token(Link(AGENCY, id_, row), world.clock.now())
    link = f"/r/{AGENCY}/s/{token}"
    assert (await world.browser().get(link)).status_code == 200
    await erases(world, browser)
    assert (await world.browser().get(link)).status_code == 404


@pytest.mark.parametrize("what", ["term", "bundle", "win-back"])
async def test_a_sweep_of_reminders_does_not_meet_them(
    paid_by_transfer: World, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reminder that is never written must not be due for ever: rounds go on until nothing is."""
    world = paid_by_transfer
    lives = Lives(world)
    if what == "win-back":
        await offered(world, Kind.WINBACK, "year")
    for email, id_ in ((LAN, 1), (MAI, 2)):
        await lives.transfers(email, {"bundle": "muoi-bai"}.get(what, "year"), id_=id_)
        browser = await world.signed_in(email)
        await browser.submit(ACCOUNT, f"{ACCOUNT}/consents", {"consent": "offers"})
    if what != "bundle":
        await world.advance(366 * DAY)
        await world.deliver()
    assert (await erases(world, await world.signed_in(LAN))).status_code == 303
    await world.advance({"bundle": 86, "win-back": 40}.get(what, 1) * DAY)
    monkeypatch.setattr(letters_service, "REMINDERS_A_ROUND", 1)
    await asyncio.wait_for(world.billing.letters.sweep(), 20)
    told = await world.rows(
        "SELECT DISTINCT r.email FROM letter l JOIN reader r ON r.id = l.reader_id WHERE l.kind = :kind",
        kind={"term": "term_ended", "bundle": "bundle_ending", "win-back": "win_back"}[what],
    )
    assert told == [(MAI,)], "who is there is reminded"


async def test_staff_delete_on_a_written_request(world: World) -> None:
    browser = await world.subscribed(LAN)
    await world.deliver()
    id_ = await reader_id(world)
    staff, page = world.browser(press_staff="support-token"), f"/staff/{AGENCY}/readers/{id_}"
    sent = {"reason": "Letter 12 of 20 November", "confirmed": "true"}
    refused = await staff.submit(page, f"{page}/erase", sent)
    assert refused.status_code == 409 and "phải kết thúc trước" in refused.text
    await world.billing.wishes.cancel(AGENCY, id_, await world.value("SELECT id FROM subscription"))
    await world.advance(32 * DAY)
    await world.deliver()
    first = await staff.submit(page, f"{page}/erase", sent | {"confirmed": "false"})
    assert first.status_code == 200 and await reader_id(world), "the second press does it"
    assert (await staff.submit(page, f"{page}/erase", sent | {"reason": " "})).status_code == 422
    seller = world.browser(press_staff="seller-token")
    assert (await seller.client.post(f"{page}/erase", data=sent)).status_code == 403
    answer = await staff.submit(page, f"{page}/erase", sent)
    assert answer.headers["location"] == f"{page}?notice=erased"
    shown = (await staff.get(page)).text
    assert "Bạn đọc đã xóa" in shown and "Letter 12 of 20 November" in shown and LAN not in shown
    assert "/erase" not in shown and "/days" not in shown
    assert (await browser.get(ACCOUNT)).status_code == 303
    found = (await staff.get(f"/staff/{AGENCY}/readers?words=erased.invalid")).text
    assert "Bạn đọc đã xóa" in found
    late = await staff.client.post(
        f"{page}/days",
        data={"csrf_token": form_token(shown), "days": "3", **sent},
        headers={"Origin": OWN},
    )
    assert late.status_code == 409 and "đã được xóa" in late.text
    assert await world.value("SELECT kind FROM letter") == "erased"


async def test_another_agencys_reader_is_not_found(world: World) -> None:
    await world.signed_in(LAN)
    with pytest.raises(NotFoundError):
        await world.billing.erasing.on_request(OTHER_AGENCY, await reader_id(world), "asked")
