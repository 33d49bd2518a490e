"""A reader's own data: the copy has everything of theirs and nothing of anybody else, and no table is forgotten."""

from __future__ import annotations

import inspect
import json
import re
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy import text

from services.billing.mydata import repository
from services.billing.mydata.repository import SECTIONS
from services.billing.mydata.rules import COPIES, STAYS, TABLES
from shared.audit import Actor, acting
from tests.fixtures.roles import as_owner
from tests.integration.billing.lives import Lives
from tests.integration.billing.test_account_pages import ENGLISH
from tests.integration.billing.test_schema import read_in_full
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, Browser, World

PAGE = f"/r/{AGENCY}/account/data"
LAN, MAI = "lan@example.vn", "mai@example.vn"

#: Tables that refer to a reader, directly or over others.
REFERS = """WITH RECURSIVE refers AS (
      SELECT 'reader'::regclass::oid AS id
      UNION SELECT c.conrelid FROM pg_constraint c JOIN refers r ON c.confrelid = r.id WHERE c.contype = 'f')
    SELECT DISTINCT id::regclass::text FROM refers"""
#: Columns that by their name hold somebody's address or what is known of their device.
NAMED = """SELECT DISTINCT table_name::text FROM information_schema.columns WHERE table_schema = 'public'
    AND column_name ~ '(^|_)(reader|reader_id|email|mailbox|recipient|payer|user_agent|address|sent_to)$'"""
#: What names a reader inside of a text: an act of staff, a notice.
NO_COLUMN_SAYS_SO = {"audit_entry", "webhook_event"}
#: What such a table is, where it is no reader's.
NOT_A_READERS = {
    "coupon": "the agency's: `once_a_reader` is a rule of it",
    "mail_message": "the outbox of a developer's machine, where no mail is sent; its oldest messages go",
}


async def copy_of(browser: Browser) -> Any:
    return await browser.submit(PAGE, f"{PAGE}/copy", {})


async def test_no_table_about_readers_is_forgotten(world: World) -> None:
    found = {row[0] for row in await world.rows(REFERS)} | {
        row[0] for row in await world.rows(NAMED)
    }
    found |= NO_COLUMN_SAYS_SO
    assert found - NOT_A_READERS.keys() == set(TABLES), (
        "each is in rules.TABLES, with its section or the reason"
    )
    assert len(found) > 30, "the walk finds something"
    for name, table in TABLES.items():
        assert bool(table.sections) is not bool(table.why_not), name
        for section in table.sections:
            assert re.search(rf"\b(FROM|JOIN) {name}\b", SECTIONS[section]), (name, section)
    assert {one for table in TABLES.values() for one in table.sections} == set(SECTIONS)


def test_a_deletion_says_what_becomes_of_every_table() -> None:
    """Each is written by it, or named with the reason why it stays."""
    written = set(re.findall(r"\b(?:DELETE FROM|UPDATE) (\w+)", inspect.getsource(repository)))
    assert written.isdisjoint(STAYS), written & STAYS.keys()
    assert written | STAYS.keys() == set(TABLES)


async def test_a_new_table_about_readers_is_noticed(world: World) -> None:
    """The walk itself: a table over two steps, and one with an address only."""
    owner = await asyncpg.connect(as_owner(world.billing.settings.database_url))
    await owner.execute(
        """CREATE TABLE a_note (id int PRIMARY KEY, session uuid REFERENCES reader_session);
           CREATE TABLE an_answer (note int REFERENCES a_note);
           CREATE TABLE a_survey (contact_email text);
           GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC"""
    )
    await owner.close()
    found = {row[0] for row in await world.rows(REFERS)} | {
        row[0] for row in await world.rows(NAMED)
    }
    assert {"a_note", "an_answer", "a_survey"} <= found - set(TABLES)


async def test_the_copy_has_what_a_reader_has_and_nothing_of_others(
    paid_by_transfer: World,
) -> None:
    world = paid_by_transfer
    lives = Lives(world)
    lan = await world.subscribed(LAN)
    await world.deliver()
    await world.billing.charges.name_cards()
    with acting(Actor.system("test")):
        for email in (MAI, LAN):
            id_ = (await lives.reader(email)).id
            await world.billing.readers.sign_out_everywhere(AGENCY, id_, "lost a phone")
    lan = await world.signed_in(LAN)
    await lives.transfers(MAI, "month", id_=7)
    await world.billing.letters.send_due()
    answer = await copy_of(lan)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert (
        answer.headers["content-disposition"]
        == f'attachment; filename="{AGENCY}-my-data-2026-11-23.json"'
    )
    assert answer.headers["cache-control"] == "private, no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    copy = json.loads(answer.text)
    assert list(copy) == ["format", "agency", "made_at", *SECTIONS], (
        "stable names, in a stable order"
    )
    assert copy["made_at"] == "2026-11-23T03:00:00Z"
    [own] = copy["account"]
    assert (own["email"], own["language"]) == (LAN, "vi")
    [payment], [invoice], [order] = copy["payments"], copy["invoices"], copy["orders"]
    assert payment["amount_vnd"] == invoice["gross_vnd"] == order["amount_vnd"] == 59_000
    assert invoice["buyer_email"] == LAN and len(invoice["lines"]) == 1
    assert copy["cards"][0]["label"] == "Visa •••• 4242"
    assert copy["subscriptions"][0]["state"] == "active"
    assert [one["to_state"] for one in copy["subscription_transitions"]][-1] == "active"
    assert copy["entitlements"][0]["scope"] == "site"
    [act] = copy["acts_of_staff"]
    assert (act["action"], act["after"]["why"]) == ("reader-signed-out", "lost a phone")
    subjects = {one["kind"]: one["subject"] for one in copy["letters"]}
    assert subjects["welcome"].endswith("chào mừng bạn") and "receipt" in subjects
    assert all(one["sent_to"] == LAN and one["sent_at"].endswith("Z") for one in copy["letters"])
    assert MAI not in answer.text and str((await lives.reader(MAI)).id) not in answer.text
    for secret in ("token_hash", "browser_hash", "code_hash", "pm_", "\\u"):
        assert secret not in answer.text, secret


async def test_a_transfer_a_gift_and_a_group_are_in_the_copy(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    lives = Lives(world)
    order = await lives.transfers(LAN, "month", id_=7, gift=True)
    gift = await lives.gift_code(order)
    await lives.redeems(MAI, gift)
    lan, mai = await world.signed_in(LAN), await world.signed_in(MAI)
    given = json.loads((await copy_of(lan)).text)
    assert [one["gift_code"] for one in given["gifts_bought"]] == [gift]
    [credit] = given["bank_transfers"]
    assert credit["amount_vnd"] == 59_000 and credit["used"][0]["amount_vnd"] == 59_000
    taken = json.loads((await copy_of(mai)).text)
    assert [one["gift_code"] for one in taken["gifts_redeemed"]] == [gift]
    assert taken["gifts_bought"] == taken["bank_transfers"] == []
    assert LAN not in json.dumps(taken)


async def test_long_sections_are_whole(world: World) -> None:
    """More rows than are in memory at a time, and a file that outgrows memory."""
    browser = await world.signed_in(LAN)
    reader = await world.value("SELECT id FROM reader WHERE email = :email", email=LAN)
    async with world.billing.database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO consent (id, agency, reader_id, purpose, version, granted, language, wording, network, user_agent, given_at)
                   SELECT gen_random_uuid(), :agency, :reader, 'offers', 1, n % 2 = 0, 'vi', repeat('đ"\n', 300), '', '', now()
                   FROM generate_series(1, 1501) n"""
            ),
            {"agency": AGENCY, "reader": reader},
        )
    answer = await copy_of(browser)
    assert len(answer.content) > 1 << 20
    copy = json.loads(answer.text)
    assert len(copy["consents"]) == 1501
    assert copy["consents"][7]["wording"] == 'đ"\n' * 300


async def test_a_copy_is_taken_so_often_and_no_more(world: World) -> None:
    browser = await world.signed_in(LAN)
    for _ in range(COPIES.burst):
        assert (await copy_of(browser)).status_code == 200
    refused = await copy_of(browser)
    assert refused.status_code == 429 and "thử lại sau" in refused.text
    assert int(refused.headers["retry-after"]) == COPIES.seconds / COPIES.burst
    other = await world.signed_in(MAI)
    assert (await copy_of(other)).status_code == 200, "each by their own measure"
    await world.advance(timedelta(seconds=COPIES.seconds))
    assert (await copy_of(browser)).status_code == 200


async def test_the_page_needs_a_session_and_speaks_two_languages(world: World) -> None:
    stranger = world.browser()
    sent = await stranger.get(PAGE)
    assert sent.status_code == 303 and "/sign-in?return_to=" in sent.headers["location"]
    assert "account%2Fdata" in sent.headers["location"]
    browser = await world.signed_in(LAN)
    shown = await browser.get(PAGE)
    assert shown.headers["cache-control"] == "no-store"
    assert "Hóa đơn" in shown.text and not ENGLISH.search(shown.text.split("<main", 1)[1])
    assert "Kept until you have your data deleted." in (await browser.get(f"{PAGE}?lang=en")).text
    assert f'href="{PAGE}"' in (await browser.get(f"/r/{AGENCY}/account?lang=vi")).text
    assert (await browser.client.post(f"{PAGE}/copy")).status_code in (400, 403), "no form of ours"
    elsewhere = PAGE.replace(AGENCY, OTHER_AGENCY)
    assert (await browser.get(elsewhere)).status_code == 303, "a session is of one agency"


async def test_every_section_is_found_by_an_index(world: World) -> None:
    slow = {
        name: await read_in_full(world, re.sub(r":(email|agency)\b", "'x'", sql))
        for name, sql in SECTIONS.items()
    }
    assert {name: tables for name, tables in slow.items() if tables} == {}
