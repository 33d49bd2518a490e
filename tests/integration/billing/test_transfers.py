"""Bank transfers end to end: an order, its credits by whichever way, the books, and the right to read."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from services.billing import seed
from services.billing.__main__ import app
from services.billing.transfers.facts import CreditNotice
from shared.audit import Action, Actor, acting
from shared.errors import ConflictError, NotFoundError
from tests.fixtures.audited import entries
from tests.fixtures.command_line import command
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import (
    ACCOUNT,
    KEY,
    MONTH,
    OTHER_ACCOUNT,
    SECRETS,
    balances,
    credited,
    credits,
    order,
    ordered,
    person,
    tell,
    told,
)
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World, make_world


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def test_the_seed_enters_the_demos_accounts_and_leaves_what_was_entered_after_it(
    world: World,
) -> None:
    transfers = world.billing.transfers
    await seed.load(world.billing)
    shown = [one.number for one in await transfers.accounts(AGENCY)]
    assert shown == [ACCOUNT]
    with acting(Actor.system("test")):
        await transfers.save_account(AGENCY, "1903777", "970407", "BAO HUNG YEN")
    await seed.load(world.billing)
    assert [one.number for one in await transfers.accounts(AGENCY)] == ["1903777", ACCOUNT]


async def test_a_transfer_with_the_code_pays_and_the_reader_reads_at_once(world: World) -> None:
    browser, code = await ordered(world)
    page = await browser.get(f"/r/{AGENCY}/orders/{code}")
    assert ACCOUNT in page.text and code in page.text and "data:image/svg+xml" in page.text
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json() == {
        "state": "open",
        "received_vnd": 0,
        "collecting": False,
    }
    await credited(world, f"MBVCB.11.{code.lower()}.CT tu 0123456789 NGUYEN VAN A")
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json()["state"] == "paid"
    page = await browser.get(f"/r/{AGENCY}/orders/{code}")
    assert "59.000\u00a0₫" in page.text and 'id="read-on"' in page.text
    rows = await world.rows("SELECT scope, valid_from, valid_until FROM entitlement")
    now = world.clock.now()
    assert rows == [("site", now, datetime(2026, 12, 23, 3, 0, tzinfo=UTC))]
    assert await credits(world) == [(MONTH, 0, "")]
    assert await balances(world) == {"bank": MONTH, "deferred_subscription": -MONTH}
    (event,) = [e for e in await world.events() if "entitlement" in e["type"]]
    assert event["type"].endswith("entitlement.granted.v1")
    await world.billing.recognition.run_due()
    await world.assert_sound()


@pytest.mark.parametrize(
    ("amounts", "left", "state"),
    [
        ([MONTH], [(MONTH, 0, "")], "paid"),
        ([20_000], [(20_000, 20_000, "under")], "open"),
        ([20_000, 39_000], [(20_000, 0, ""), (39_000, 0, "")], "paid"),
        ([20_000, 50_000], [(20_000, 0, ""), (50_000, 11_000, "over")], "paid"),
        ([70_000], [(70_000, 11_000, "over")], "paid"),
        ([MONTH, MONTH], [(MONTH, 0, ""), (MONTH, MONTH, "paid_already")], "paid"),
        ([1, 1, 58_998], [(1, 0, ""), (1, 0, ""), (58_998, 0, "")], "paid"),
    ],
)
async def test_what_is_too_little_waits_and_what_is_too_much_stays(
    world: World, amounts: list[int], left: list[tuple[int, int, str]], state: str
) -> None:
    browser, code = await ordered(world)
    for number, amount in enumerate(amounts):
        await credited(world, code, amount, id_=number)
        world.clock.advance(timedelta(minutes=1))
    assert await credits(world) == left
    assert await world.rows("SELECT state FROM sales_order") == [(state,)]
    waiting = sum(one[1] for one in left)
    booked = await balances(world)
    assert booked["bank"] == sum(amounts)
    assert -booked.get("unallocated_receipts", 0) == waiting
    assert await world.value("SELECT count(*) FROM payment") == (state == "paid")
    page = (await browser.get(f"/r/{AGENCY}/orders/{code}")).text
    if state == "open":
        assert (
            "20.000\u00a0₫" in page and "39.000\u00a0₫" in page
        )  # what came, and what the code asks for now
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_what_nobody_can_place_waits_with_its_reason(world: World) -> None:
    _, lan = await ordered(world)
    _, minh = await ordered(world, "minh@example.vn")
    _, hoa = await ordered(world, "hoa@example.vn")
    await credited(world, "tien mua bao thang 11", 10, id_=1)
    await credited(world, lan[:-1] + ("3" if lan[-1] != "3" else "4"), 20, id_=2)
    await credited(world, f"{lan} {minh}", 30, id_=3)
    world.clock.advance(timedelta(hours=72))
    await world.billing.orders.close_expired()
    await credited(world, lan, id_=4)
    await credited(world, minh, id_=5, at=world.clock.now() - timedelta(hours=1))
    assert [row[2] for row in await credits(world)] == [
        *("no_order", "no_order", "several_orders", "late", "late")
    ]
    await credited(world, hoa, id_=6)
    assert await world.value("SELECT count(*) FROM payment") == 0
    booked = await balances(world)
    assert booked == {"bank": 60 + 3 * MONTH, "unallocated_receipts": -(60 + 3 * MONTH)}
    await world.assert_sound()


async def test_an_order_waits_for_money_that_was_transferred_in_time(world: World) -> None:
    """The bank booked it before the order ended; its notice came an hour later, before the order was closed."""
    _, code = await ordered(world)
    booked_at = world.clock.now() + timedelta(hours=71, minutes=59)
    world.clock.advance(timedelta(hours=73))
    await credited(world, code, at=booked_at)
    assert await credits(world) == [(MONTH, 0, "")]


async def test_one_bank_transaction_is_one_credit_whoever_tells_of_it(world: World) -> None:
    _, code = await ordered(world)
    for _ in range(3):
        await credited(world, code, id_=7, reference="FT1")
    take = world.billing.transfers.take
    async with world.billing.database.transaction() as session:
        assert not await take(session, AGENCY, "statement", notice(world, code, reference="FT1"))
    assert await credits(world) == [(MONTH, 0, "")]
    assert await world.value("SELECT count(*) FROM bank_notice") == 2
    # The same reference and amount once more from one source: perhaps another transaction, so kept, and not used.
    _, other = await ordered(world, "minh@example.vn")
    await credited(world, other, id_=8, reference="FT1")
    assert await credits(world) == [(MONTH, 0, ""), (MONTH, MONTH, "doubled")]
    async with world.billing.database.transaction() as session:
        assert not await take(
            session, AGENCY, "statement", notice(world, other, reference="FT1", id_="FT1#2")
        )
    assert len(await credits(world)) == 2
    await world.assert_sound()


def notice(
    world: World, note: str, amount: int = MONTH, *, reference: str = "", id_: str = "1"
) -> CreditNotice:
    return CreditNotice(ACCOUNT, id_, reference, amount, note, "", world.clock.now())


async def test_two_sources_and_two_processes_at_the_same_second_are_one_payment(
    world: World,
) -> None:
    _, code = await ordered(world)

    async def told_by(source: str) -> bool:
        async with world.billing.database.transaction() as session:
            return await world.billing.transfers.take(
                session, AGENCY, source, notice(world, code, reference="FT9")
            )

    heard = await asyncio.gather(
        *(told_by(source) for source in ("a", "b", "c", "a", "b", "c")), return_exceptions=True
    )
    assert sorted(map(str, heard)) == ["False"] * 5 + ["True"]
    assert await credits(world) == [(MONTH, 0, "")]
    assert await world.value("SELECT count(*) FROM payment") == 1


async def test_two_transfers_for_one_order_at_the_same_second_pay_it_once(world: World) -> None:
    _, code = await ordered(world)

    async def one(number: int) -> None:
        async with world.billing.database.transaction() as session:
            await world.billing.transfers.take(
                session, AGENCY, "a", notice(world, code, reference=f"FT{number}", id_=str(number))
            )

    await asyncio.gather(*(one(number) for number in range(5)))
    reasons = [row[2] for row in await credits(world)]
    assert sorted(reasons) == ["", *["paid_already"] * 4]
    assert await world.value("SELECT count(*) FROM payment") == 1
    assert (await balances(world))["unallocated_receipts"] == -4 * MONTH


async def test_a_notice_counts_with_its_agencys_secret_and_account_only(world: World) -> None:
    _, code = await ordered(world)
    body = told(world, code)
    for key, agency, kind in (
        ("wrong", AGENCY, "sepay"),
        ("", AGENCY, "sepay"),
        (f"other-{KEY}", AGENCY, "sepay"),
        (KEY, OTHER_AGENCY, "sepay"),
        (KEY, AGENCY, "payos"),
        (KEY, "nobody", "sepay"),
    ):
        answer = await tell(world, body, agency=agency, key=key, kind=kind)
        assert answer.status_code == 400, (key, agency, kind)
        assert answer.json()["type"].endswith("signature-invalid")
    assert await world.value("SELECT count(*) FROM webhook_event") == 0
    # The other agency's own secret, about this agency's account and order: parked with them, nothing paid.
    answer = await tell(world, body, agency=OTHER_AGENCY, key=f"other-{KEY}")
    assert answer.status_code == 200
    # Its own account, this agency's order: its own money, and nobody's order.
    foreign = told(world, code, id_=2, account=OTHER_ACCOUNT)
    await tell(world, foreign, agency=OTHER_AGENCY, key=f"other-{KEY}")
    await world.billing.applier.apply_due()
    assert await world.rows("SELECT agency, amount_vnd, reason FROM bank_credit") == [
        (OTHER_AGENCY, MONTH, "no_order")
    ]
    (parked,) = await world.billing.webhooks.parked_of(OTHER_AGENCY)
    assert ACCOUNT in parked.error
    assert await world.billing.webhooks.parked_of(AGENCY) == []
    assert await world.rows("SELECT state FROM sales_order") == [("open",)]


NO_NOTICES = (
    *(b"", b"[]", b"{", b"null", b"\xff\xfe", b"{" * 10_000),
    *(b'{"id": {"a": 1}}', b'{"id": null}'),
)


async def test_what_is_no_notice_is_refused(world: World) -> None:
    for body in NO_NOTICES:
        answer = await tell(world, body)
        told = (answer.status_code, answer.json()["type"].rsplit(":", 1)[-1])
        assert told == (400, "event-malformed"), body


MALFORMED = (
    ({"transferAmount": "59000.5"}, "transferAmount"),
    ({"transferAmount": True}, "transferAmount"),
    ({"transferAmount": 0}, "transferAmount"),
    ({"transactionDate": "2026-02-30 10:00:00"}, "transactionDate"),
    ({"accountNumber": "1" * 200}, "accountNumber"),
    ({"content": 7}, "content"),
)


async def test_a_malformed_notice_is_parked_with_its_field_and_visible_to_its_agency(
    world: World,
) -> None:
    for number, (change, _) in enumerate(MALFORMED):
        body = json.dumps(json.loads(told(world, "x", id_=number)) | change).encode()
        assert (await tell(world, body)).status_code == 200
    await world.billing.applier.apply_due()
    parked = {one.event_id: one.error for one in await world.billing.webhooks.parked_of(AGENCY)}
    for number, (change, named) in enumerate(MALFORMED):
        assert named in parked[f"{AGENCY}/{number}"], change
    assert await credits(world) == []


async def test_money_that_leaves_the_account_is_none_of_ours(world: World) -> None:
    body = json.dumps(json.loads(told(world, "x")) | {"transferType": "out"}).encode()
    assert (await tell(world, body)).status_code == 200
    await world.billing.applier.apply_due()
    assert await credits(world) == []
    assert await world.rows("SELECT state FROM webhook_event") == [("handled",)]


async def test_terms_follow_each_other_and_keep_the_day_of_the_month(
    empty_url: str, tmp_path: Path
) -> None:
    """31 January, 10:00 → 28 February → 31 March → 30 April; a lapse begins anew on its own day."""
    at = datetime(2027, 1, 31, 3, 0, tzinfo=UTC)
    async with make_world(
        empty_url, tmp_path, at=at, on_create=seed.load, bank_webhook_secrets=SECRETS
    ) as world:
        with acting(Actor.system("test")):
            await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")
        browser, code = await ordered(world)
        ends = []
        for number in range(3):
            await credited(world, code, id_=number)
            ends += await world.rows("SELECT max(period_end) FROM payment")
            code = await order(world, browser)
        assert [f"{end:%d.%m. %H}" for (end,) in ends] == ["28.02. 03", "31.03. 03", "30.04. 03"]
        world.clock.set(datetime(2027, 5, 15, 3, 0, tzinfo=UTC))
        await world.billing.renewals.run_due()
        assert await world.rows("SELECT state, mrr_vnd FROM subscription") == [("expired", 0)]
        _, code = await ordered(world)
        await credited(world, code, id_=9)
        assert await world.rows("SELECT max(period_end) FROM payment") == [
            (datetime(2027, 6, 15, 3, 0, tzinfo=UTC),)
        ]
        movements = await world.rows("SELECT movement, amount_vnd FROM mrr_movement ORDER BY id")
        assert movements == [("new", MONTH), ("churn", -MONTH), ("reactivation", MONTH)]
        await world.billing.recognition.run_due()
        await world.assert_sound()


async def test_a_term_begins_when_the_canceled_card_subscription_ends(world: World) -> None:
    browser = await world.subscribed()
    await world.deliver()
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": await price(world), "way": "transfer"},
    )
    assert answer.headers["location"].endswith(
        "notice=subscribed"
    )  # it renews: nothing is sold beside it
    (subscription,) = await world.rows("SELECT id::text FROM subscription")
    await browser.submit(
        f"/r/{AGENCY}/account", f"/r/{AGENCY}/account/cancel", {"subscription": subscription[0]}
    )
    code = await order(world, browser)
    await credited(world, code)
    (card, term) = await world.rows(
        "SELECT period_start, period_end FROM payment ORDER BY period_start"
    )
    assert card[1] == term[0]
    # Until then only the first one counts.
    assert await world.value("SELECT sum(mrr_vnd) FROM subscription") == MONTH
    world.clock.set(card[1] + timedelta(seconds=1))
    await world.billing.renewals.run_due()
    assert await world.value("SELECT sum(mrr_vnd) FROM subscription") == MONTH
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def price(world: World, period: str = "month") -> str:
    offers = await world.billing.plans.offers(AGENCY)
    return str(next(offer.price_id for offer in offers if offer.period == period))


async def test_money_of_a_reader_whose_subscription_renews_waits(world: World) -> None:
    """The order was open in one tab when the card was charged in another."""
    lives = Lives(world)
    card = await lives.chooses("lan@example.vn", "month")
    page = await lives.page("lan@example.vn", card.code)
    other = await lives.chooses("lan@example.vn", "month", renews=False)
    await world.pay(page)
    await world.deliver()
    await credited(world, other.code)
    assert await credits(world) == [(MONTH, MONTH, "subscribed")]
    assert await world.value("SELECT count(*) FROM payment") == 1


async def test_beside_a_term_that_runs_no_card_pays_for_the_same_days(world: World) -> None:
    browser, code = await ordered(world)
    await credited(world, code)
    until = await world.value("SELECT period_end FROM payment")
    page = await browser.get(f"/r/{AGENCY}/plans")
    assert 'value="transfer"' in page.text and 'value="card"' in page.text
    await world.pay(await world.start_checkout(browser))
    await world.deliver()
    periods = await world.rows("SELECT period_start FROM payment ORDER BY paid_at, period_start")
    assert periods[1] == (until,), "the card's first month follows the term"
    assert await world.value("SELECT sum(mrr_vnd) FROM subscription") == MONTH
    world.clock.set(until)
    await world.deliver()
    assert await world.value("SELECT sum(mrr_vnd) FROM subscription") == MONTH
    await world.assert_sound()


async def test_a_reader_has_one_open_order_in_however_many_windows(world: World) -> None:
    browser, month = await ordered(world)
    assert await order(world, browser) == month
    year = await order(world, browser, "year")
    assert year != month
    assert "Đơn này đã đóng" in (await browser.get(f"/r/{AGENCY}/orders/{month}")).text
    somebody = await person(world)
    offers = {offer.period: offer.price_id for offer in await world.billing.plans.offers(AGENCY)}
    await asyncio.gather(
        *(
            world.billing.orders.start(somebody, offers[period], "", "vi")
            for period in ("month", "year", "week", "month", "year", "week")
        )
    )
    assert await world.value("SELECT count(*) FROM sales_order WHERE state = 'open'") == 1


async def test_an_order_that_was_begun_to_be_paid_stays_the_one_to_pay(world: World) -> None:
    browser, code = await ordered(world)
    await credited(world, code, 20_000)
    assert await order(world, browser, "year") == code
    await credited(world, code, 39_000, id_=2)
    assert await world.rows("SELECT state FROM sales_order") == [("paid",)]


async def test_nobody_sees_another_readers_order(world: World) -> None:
    _, code = await ordered(world)
    other = await world.signed_in("minh@example.vn")
    stranger = world.browser()
    for path in (f"/r/{AGENCY}/orders/{code}", f"/r/{AGENCY}/orders/{code}/state"):
        assert (await other.get(path)).status_code == 404
        answer = await stranger.get(path)
        assert answer.status_code == 303 and "/sign-in" in answer.headers["location"]
    assert (await other.get(f"/r/{AGENCY}/orders/..%2f..%2fx")).status_code in (303, 404)
    assert (await other.get(f"/r/{OTHER_AGENCY}/orders/{code}")).status_code in (303, 404)


async def test_finance_gives_a_credit_to_an_order_or_sends_it_back(world: World) -> None:
    _, code = await ordered(world)
    transfers = world.billing.transfers
    await credited(world, "bao thang 11", 60_000, id_=1)
    await credited(world, "nham", 5_000, id_=2)
    ids = [
        row[0] for row in await world.rows("SELECT id FROM bank_credit ORDER BY amount_vnd DESC")
    ]
    with acting(Actor.system("finance")):
        with pytest.raises(NotFoundError):
            await transfers.assign(AGENCY, ids[0], "PR000000000", "called")
        with pytest.raises(NotFoundError):
            await transfers.assign(OTHER_AGENCY, ids[0], code, "called")
        assert await transfers.assign(AGENCY, ids[0], code, "called") is True
        assert await credits(world) == [(60_000, 1_000, "over"), (5_000, 5_000, "no_order")]
        with pytest.raises(ConflictError):
            await transfers.assign(AGENCY, ids[1], code, "again")
        await transfers.give_back(AGENCY, ids[1], "FT-BACK-1", "not ours")
        with pytest.raises(ConflictError):
            await transfers.give_back(AGENCY, ids[1], "FT-BACK-2", "twice")
        with pytest.raises(ConflictError):
            await transfers.give_back(AGENCY, ids[0], "FT-BACK-1", "the same transfer")
        with pytest.raises(NotFoundError):
            await transfers.give_back(OTHER_AGENCY, ids[0], "FT-BACK-3", "another agency")
    booked = await balances(world)
    assert booked == {
        "bank": 60_000,
        "unallocated_receipts": -1_000,
        "deferred_subscription": -MONTH,
    }
    assert await world.value("SELECT count(*) FROM payment") == 1
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_two_people_settle_one_credit_once(world: World) -> None:
    _, lan = await ordered(world)
    _, minh = await ordered(world, "minh@example.vn")
    await credited(world, "khong ghi gi")
    (credit_id,) = (await world.rows("SELECT id FROM bank_credit"))[0]
    transfers = world.billing.transfers

    async def act(number: int) -> str:
        with acting(Actor.system("finance")):
            try:
                if number % 3 == 2:
                    await transfers.give_back(AGENCY, credit_id, f"FT{number}", "x")
                else:
                    await transfers.assign(AGENCY, credit_id, (lan, minh)[number % 3], "x")
            except ConflictError as error:
                return error.slug
            return "done"

    said = await asyncio.gather(*(act(number) for number in range(9)))
    assert sorted(said) == ["credit-settled"] * 8 + ["done"]
    await world.assert_sound()


REFUSED = {
    "changed": "UPDATE bank_credit SET amount_vnd = amount_vnd + 1",
    "left": "UPDATE bank_credit SET left_vnd = 0, reason = ''",
    "moved": "UPDATE bank_credit SET agency = 'dai-song-hong', account = '9900000002', order_id = NULL",
    "removed": "DELETE FROM bank_credit",
    "overdrawn": """INSERT INTO credit_use (id, agency, credit_id, returned_as, amount_vnd, used_at)
        SELECT gen_random_uuid(), agency, id, 'x', left_vnd + 1, now() FROM bank_credit WHERE left_vnd > 0""",
    "another agency's use": """INSERT INTO credit_use (id, agency, credit_id, returned_as, amount_vnd, used_at)
        SELECT gen_random_uuid(), 'dai-song-hong', id, 'x', 1, now() FROM bank_credit WHERE left_vnd > 0""",
    "neither order nor return": """INSERT INTO credit_use (id, agency, credit_id, amount_vnd, used_at)
        SELECT gen_random_uuid(), agency, id, 1, now() FROM bank_credit WHERE left_vnd > 0""",
    "use changed": "UPDATE credit_use SET amount_vnd = 1",
    "use removed": "DELETE FROM credit_use",
    "notice removed": "DELETE FROM bank_notice",
    "notice twice": "INSERT INTO bank_notice SELECT * FROM bank_notice",
    "account removed": "DELETE FROM bank_account",
    "begins with less": """INSERT INTO bank_credit (id, agency, account, reference, amount_vnd, note, payer,
            occurred_at, received_at, left_vnd, reason)
        SELECT gen_random_uuid(), agency, number, '', 2, '', '', now(), now(), 1, 'no_order' FROM bank_account""",
    "order's amount": "UPDATE sales_order SET amount_vnd = 1",
    "order unpaid again": "UPDATE sales_order SET state = 'open', paid_at = NULL WHERE state = 'paid'",
    "order paid again": "UPDATE sales_order SET paid_at = now() WHERE state = 'paid'",
    "order removed": "DELETE FROM sales_order",
    "a second payment of an order": """INSERT INTO payment (id, agency, subscription_id, reader_id, order_id,
            provider, reference, amount_vnd, period_start, period_end, paid_at)
        SELECT gen_random_uuid(), agency, subscription_id, reader_id, order_id, provider, 'x', amount_vnd,
            period_start, period_end, paid_at FROM payment""",
}


async def test_the_database_refuses_what_would_lose_or_double_money(
    world: World, billing_url: str
) -> None:
    _, code = await ordered(world)
    await credited(world, code, 60_000)
    connection = await asyncpg.connect(billing_url)
    try:
        for name, sql in REFUSED.items():
            with pytest.raises(
                (asyncpg.IntegrityConstraintViolationError, asyncpg.InsufficientPrivilegeError)
            ):
                await connection.execute(sql)
                pytest.fail(f"not refused: {name}")
    finally:
        await connection.close()


async def test_an_operator_enters_an_agencys_account_and_sees_which_one_is_shown(
    world: World,
) -> None:
    async def run(*words: str) -> tuple[int, str, str]:
        url = world.billing.settings.database_url
        done = await asyncio.to_thread(command, "services.billing", *words, DATABASE_URL=url)
        return done.returncode, done.stdout, done.stderr

    new = ("--bank", "970436", "--number", "1012 345-678", "--holder", "bao  hung yen")
    code, out, err = await run("bank-account", AGENCY, *new, "--by", "Lan")
    said = f"{AGENCY}: readers transfer to 1012345678 (Vietcombank, BAO HUNG YEN)\n"
    assert (code, out, err) == (0, said, "")
    code, out, _ = await run("bank-accounts", AGENCY)
    lines = out.splitlines()
    assert lines[0] == "1012345678  970436 Vietcombank  BAO HUNG YEN  shown to readers"
    assert (code, len(lines), lines[-1]) == (0, 3, "2 accounts")
    told = [e for e in await entries(world.billing.database) if e.actor_kind == "command"]
    assert [(e.action, e.actor, e.subject) for e in told] == [
        (Action.BANK_ACCOUNT_SAVED, "bank-account (Lan)", "bank-account/1012345678")
    ]
    code, _, err = await run("bank-account", "nobody", *new)
    assert (code, err) == (1, "nobody is no agency\n")
    for place, wrong in ((1, "97043"), (1, "97043x"), (3, "1" * 20), (3, "--"), (5, " ")):
        words = [*new]
        words[place] = wrong
        refused = await asyncio.to_thread(CliRunner().invoke, app, ["bank-account", AGENCY, *words])
        assert refused.exit_code == 2, wrong
    code, _, err = await run("bank-account", AGENCY, "--bank", "111111", *new[2:])
    assert code == 0 and "no bank that is known here" in err
