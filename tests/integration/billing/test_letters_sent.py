"""Sending letters: a mail server that is away, two workers, crashes, letters that nobody takes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text

from services.billing import metrics
from services.billing.letters import rules, service
from services.billing.letters.service import Letters, write
from services.billing.webhooks.repository import Claimed
from services.billing.webhooks.service import Applier
from shared.audit import Actor, acting
from shared.loops import Heartbeat
from shared.mail import Mail, MailRefusedError, OutboxMail
from shared.mail.pages import HTML_POLICY
from tests.fixtures.roles import as_owner
from tests.fixtures.waiting import eventually
from tests.integration.billing.post_office import PostOffice, post_office
from tests.integration.billing.world import AGENCY, OWN, World

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as made:
        yield made


@pytest.fixture
def letters(world: World, office: PostOffice) -> Letters:
    return worker(world, office)


def worker(world: World, office: PostOffice) -> Letters:
    return Letters(
        world.billing.database, world.clock, office.sender(), world.billing.links, public_url=OWN
    )


async def welcomed(world: World, count: int, first: int = 0) -> None:
    """So many new readers, each with a letter that waits."""
    async with world.billing.database.transaction() as session:
        for number in range(first, first + count):
            id_ = await session.scalar(
                text(
                    """INSERT INTO reader (id, agency, email, created_at)
                       VALUES (gen_random_uuid(), :agency, :email, :now) RETURNING id"""
                ),
                {
                    "agency": AGENCY,
                    "email": f"reader{number}@example.vn",
                    "now": world.clock.now(),
                },
            )
            draft = rules.welcome(id_)
            now = world.clock.now()
            assert [await write(session, AGENCY, id_, draft, now) for _ in range(2)] == [
                True,
                False,
            ]


async def states(world: World) -> Counter[str]:
    return Counter(row[0] for row in await world.rows("SELECT state FROM letter"))


async def test_two_workers_at_once_send_each_letter_once(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await welcomed(world, 12)
    office.slow_seconds = 0.05
    other = worker(world, office)
    done = await asyncio.gather(letters.send_due(), other.send_due())
    assert sum(done) == 12 and min(done) > 0
    assert len({message["To"] for message in office.messages}) == len(office.messages) == 12
    assert await states(world) == {"sent": 12}


async def test_a_mail_server_that_is_away_costs_no_letter(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await welcomed(world, 3)
    office.close()
    for _ in range(200):  # a day and a half
        assert await letters.send_due() == 0
        world.clock.advance(10 * MINUTE)
    assert await states(world) == {"waiting": 3}
    assert await world.value("SELECT min(attempts) FROM letter") > 20
    errors = {row[0] for row in await world.rows("SELECT error FROM letter")}
    assert errors == {"SMTPConnectError"}
    await letters.measure()
    assert metrics.LETTERS_WAITING.made()._value.get() == 3
    assert metrics.LETTERS_AGE.made()._value.get() == 200 * 600
    office.open()
    world.clock.advance(timedelta(hours=1))
    assert await letters.send_due() == 3
    assert len(office.messages) == 3
    await letters.measure()
    assert metrics.LETTERS_WAITING.made()._value.get() == 0
    assert metrics.LETTERS_AGE.made()._value.get() == 0


async def test_letters_wait_behind_money_and_not_for_ever(
    world: World, letters: Letters, office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await welcomed(world, 1)
    stop, looked, waits = asyncio.Event(), Counter[bool](), [True]

    def money_waits() -> bool:
        looked[waits[0]] += 1
        return waits[0]

    sending = asyncio.create_task(letters.run(stop, Heartbeat(60), money_waits))
    await eventually(lambda: looked[True] > 2, "it looked again and again")
    assert not office.messages
    waits[0] = False
    await eventually(lambda: len(office.messages) == 1, "no money waits any more")
    waits[0] = True
    monkeypatch.setattr(service, "BEHIND_SECONDS", 0.5)
    await welcomed(world, 1, first=1)
    await eventually(lambda: len(office.messages) == 2, "it has waited long enough")
    stop.set()
    await sending


async def test_money_waits_while_batches_are_large(world: World) -> None:
    sizes = [(150, []), (99, []), (0, [])]

    async def batch() -> tuple[int, list[Claimed]]:
        return sizes.pop(0)

    applier = Applier(world.billing.database, world.clock, {}, max_attempts=1, batch=batch)
    behind = []
    while await applier.apply_next():
        behind.append(applier.is_behind)
    assert (behind, applier.is_behind) == ([True, False], False)


async def test_while_no_mail_goes_one_letter_is_tried_and_not_all(
    world: World, office: PostOffice
) -> None:
    await welcomed(world, 5)
    office.close()
    await worker(world, office).send_due()
    assert await world.value("SELECT sum(attempts) FROM letter") == 1


async def test_a_letter_that_is_refused_does_not_hold_up_the_others_and_is_given_up(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await welcomed(world, 3)
    office.refused.add("reader0@example.vn")
    assert await letters.send_due() == 2
    ended = world.clock.now() + 3 * DAY
    while world.clock.now() < ended:
        assert await letters.send_due() == 0
        assert await states(world) == {"sent": 2, "waiting": 1}
        world.clock.advance(timedelta(hours=1))
    await letters.send_due()
    assert await states(world) == {"sent": 2, "given_up": 1}
    (row,) = await letters.listing("given_up", 10)
    assert row.error == "SMTPRecipientsRefused" and row.attempts > 60
    await letters.measure()
    assert metrics.LETTERS_GIVEN_UP.made()._value.get() == 1
    world.clock.advance(DAY)
    assert await letters.send_due() == 0  # it is not tried by itself any more
    office.refused.clear()
    with acting(Actor.system("operator")):
        assert await letters.settle_given_up(None, again=True) == 1
        assert await letters.settle_given_up(None, again=True) == 0
    assert await letters.send_due() == 1
    assert office.messages[-1]["To"] == "reader0@example.vn"


async def test_a_letter_to_a_mailbox_that_is_no_more_is_let_go(
    world: World, letters: Letters
) -> None:
    await welcomed(world, 2)
    ids = [row[0] for row in await world.rows("SELECT id FROM letter ORDER BY id")]
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE letter SET state = 'given_up'"))
    with acting(Actor.system("operator")):
        assert await letters.settle_given_up(ids[:1], again=False) == 1
    assert await states(world) == {"dropped": 1, "given_up": 1}
    assert [row[0] for row in await world.rows("SELECT action FROM audit_entry")][-1] == (
        "letters-dropped"
    )


async def test_a_letter_that_cannot_be_made_does_not_hold_up_the_others(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await welcomed(world, 2)
    reader = await world.value("SELECT reader_id FROM letter LIMIT 1")
    async with world.billing.database.transaction() as session:
        early = world.clock.now() - MINUTE
        for key, facts in (
            ("no-facts", {}),
            ("no-id", {"subscription": "x"}),
            ("nobodys", {"subscription": str(reader)}),
        ):
            draft = rules.Draft(rules.Kind.RECEIPT, key, facts)
            await write(session, AGENCY, reader, draft, early)
    assert await letters.send_due() == 2
    assert await world.rows(
        "SELECT business_key, state, error FROM letter WHERE kind = 'receipt' ORDER BY 1"
    ) == [
        ("no-facts", "waiting", "KeyError"),
        ("no-id", "waiting", "ValueError"),
        ("nobodys", "waiting", "KeyError"),
    ]


class CrashError(BaseException):
    """What a killed process looks like from inside."""


@pytest.mark.parametrize(("point", "arrived"), [("letter.before_send", 0), ("letter.sent", 1)])
async def test_a_crash_sends_again_under_the_same_message_id(
    world: World,
    letters: Letters,
    office: PostOffice,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    arrived: int,
) -> None:
    await welcomed(world, 1)

    async def crash(name: str) -> None:
        if name == point:
            raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(service, "fault_point", crash)
        with pytest.raises(CrashError):
            await letters.send_due()
    assert len(office.messages) == arrived
    assert await letters.send_due() == 1
    assert len({message["Message-ID"] for message in office.messages}) == 1
    assert len(office.messages) == arrived + 1


async def test_a_reader_who_was_deleted_meanwhile_gets_nothing(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await welcomed(world, 2)
    async with world.billing.database.transaction() as session:
        await session.execute(text("DELETE FROM reader WHERE email LIKE 'reader0%'"))
    assert await letters.send_due() == 1
    assert [message["To"] for message in office.messages] == ["reader1@example.vn"]


async def test_a_letter_goes_to_the_address_of_the_day(
    world: World, letters: Letters, office: PostOffice
) -> None:
    await welcomed(world, 1)
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE reader SET email = 'moi@example.vn'"))
    await letters.send_due()
    assert office.messages[0]["To"] == "moi@example.vn"


async def test_no_name_makes_a_header(world: World, letters: Letters, office: PostOffice) -> None:
    await welcomed(world, 1)
    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE agency SET name = :name WHERE id = :id"),
            {"id": AGENCY, "name": 'Báo "Hưng", Yên <x@y.vn>\r\nBcc: all@example.vn\r\n\r\nxx'},
        )
    assert await letters.send_due() == 1
    (message,) = office.messages
    assert message["Bcc"] is None
    assert message["From"].addresses[0].addr_spec == "tin@bao.vn"
    (shown,) = office.senders()
    assert shown == 'Báo "Hưng", Yên <x@y.vn> Bcc: all@example.vn xx <tin@bao.vn>'
    assert len(message["Subject"]) <= 78


async def test_no_row_but_the_letter_is_locked_while_it_is_sent(
    world: World, office: PostOffice, billing_url: str
) -> None:
    await welcomed(world, 1)
    seen: list[str] = []

    class Looks:
        async def send(self, mail: Mail) -> None:
            connection = await asyncpg.connect(billing_url)
            try:
                for table in ("reader", "agency", "letter"):
                    rows = await connection.fetch(f"SELECT FROM {table} FOR UPDATE SKIP LOCKED")
                    total = await connection.fetchval(f"SELECT count(*) FROM {table}")
                    seen.append(f"{table} {total - len(rows)}")
            finally:
                await connection.close()

    looking = Letters(
        world.billing.database, world.clock, Looks(), world.billing.links, public_url=OWN
    )
    assert await looking.send_due() == 1
    assert seen == ["reader 0", "agency 0", "letter 1"]


async def test_the_loop_sends_goes_on_after_a_refusal_and_stops(world: World) -> None:
    await welcomed(world, 3)
    sent: list[str] = []
    stop = asyncio.Event()

    class Once:
        async def send(self, mail: Mail) -> None:
            if mail.recipient.startswith("reader1"):
                raise MailRefusedError
            sent.append(mail.recipient)
            if len(sent) == 2:
                stop.set()

    from shared.loops import Heartbeat

    looping = Letters(
        world.billing.database, world.clock, Once(), world.billing.links, public_url=OWN
    )
    await asyncio.wait_for(looping.run(stop, Heartbeat(60.0)), 10)
    assert sorted(sent) == ["reader0@example.vn", "reader2@example.vn"]


async def test_the_outbox_page_shows_text_and_html_in_a_sandbox(world: World) -> None:
    await world.signed_in()
    await world.billing.letters.send_due()
    browser = world.browser()
    page = await browser.get("/dev/mail")
    name = "Báo và Phát thanh, Truyền hình Hưng Yên"
    assert f"{name} chào mừng bạn" in page.text and f"Người gửi: {name}" in page.text
    assert "<h1 style" not in page.text
    link = page.text.split('href="/dev/mail/', 1)[1].split('"', 1)[0]
    shown = await browser.get(f"/dev/mail/{link}")
    assert shown.headers["content-security-policy"] == HTML_POLICY
    assert "sandbox" in HTML_POLICY and "script-src" not in HTML_POLICY
    assert shown.headers["content-type"].startswith("text/html") and "<h1" in shown.text
    for missing in ("x", link[:-1] + ("0" if link[-1] != "0" else "1")):
        assert (await browser.get(f"/dev/mail/{missing}")).status_code == 404
    assert isinstance(world.billing.letters._mail, OutboxMail)
    closed = world.with_settings(mail_transport="smtp", text_transport="none")
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(closed), base_url=OWN) as without:
        assert (await without.get(f"/dev/mail/{link}")).status_code == 404


REFUSED = {
    "told otherwise": "UPDATE letter SET facts = '{\"a\": 1}'",
    "another reader's": "UPDATE letter SET reader_id = gen_random_uuid()",
    "sent again": "UPDATE letter SET state = 'waiting', sent_at = NULL",
    "told twice": """INSERT INTO letter (id, agency, reader_id, kind, business_key, language, facts, created_at,
            due_at, next_attempt_at)
        SELECT gen_random_uuid(), agency, reader_id, kind, business_key, language, facts, created_at, due_at, due_at
        FROM letter""",
    "no kind": """INSERT INTO letter (id, agency, reader_id, kind, business_key, language, facts, created_at, due_at,
            next_attempt_at)
        SELECT gen_random_uuid(), agency, reader_id, 'offer', 'x', language, facts, created_at, due_at, due_at
        FROM letter""",
    "another agency's reader": """INSERT INTO letter (id, agency, reader_id, kind, business_key, language, facts,
            created_at, due_at, next_attempt_at)
        SELECT gen_random_uuid(), 'dai-song-hong', reader_id, kind, 'x', language, facts, created_at, due_at, due_at
        FROM letter""",
    "a language that is none": "UPDATE reader SET language = 'fr'",
}


async def test_the_database_refuses_what_would_tell_twice_or_otherwise(
    world: World, letters: Letters, billing_url: str
) -> None:
    await welcomed(world, 1)
    await letters.send_due()
    connection = await asyncpg.connect(as_owner(billing_url))
    try:
        for name, sql in REFUSED.items():
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await connection.execute(sql)
                pytest.fail(f"not refused: {name}")
    finally:
        await connection.close()
