"""Nobody is charged twice for a period, for what was not agreed, or after their right has ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from infra.stripe_sandbox.inprocess import BASE
from services.billing.charges import asking
from services.billing.payments.adapters.port import ProviderRefusedError
from services.billing.subscriptions import repository
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import API, DAY, HOUR, Lives
from tests.integration.billing.paying import ACCOUNT, credited, person
from tests.integration.billing.test_account_pages import trial
from tests.integration.billing.test_real_cases import LAN, booked, subscription, taken
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, World

CHARGED = "SELECT count(*) FROM charge WHERE kind = 'mandate'"
PERIODS = "SELECT period_start, period_end FROM payment WHERE order_id IS NOT NULL ORDER BY 1"


async def due(world: World, card: str = FAILS_ON_RENEWAL, period: str = "week") -> Lives:
    """Lan's subscription, at the end of what is paid for; the next period was tried."""
    lives = Lives(world)
    await lives.buys(LAN, period, card)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.deliver()
    return lives


async def bank(world: World) -> None:
    with acting(Actor.system("test")):
        await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")


async def code_of(world: World, purpose: str) -> str:
    return str(
        await world.value("SELECT code FROM sales_order WHERE purpose = :purpose", purpose=purpose)
    )


async def test_a_change_whose_first_answer_was_a_failure_is_charged_once(world: World) -> None:
    """The page asks before the worker does, and the provider took the money though it says that it failed."""
    lives = Lives(world)
    await lives.buys(LAN)
    await world.deliver()
    row, offer, reader = await lives.live(LAN), await lives.price("year"), await person(world, LAN)
    assert row is not None
    found = await world.billing.changes.preview(reader, row.id, offer.price_id)
    done = await world.billing.changes.confirm(reader, row.id, offer.price_id, found.pay_vnd, "vi")
    assert done.charge_id is not None
    switches = world.sandbox.state.sandbox.switches
    switches.fail_creates, switches.fail_after_effect = 1, True
    await world.billing.charges.ask_now(done.charge_id)
    switches.fail_creates = 0
    world.clock.advance(timedelta(minutes=6))
    await world.deliver()
    assert await taken(world) == await booked(world) == 59_000 + found.pay_vnd
    await world.assert_sound()


async def test_the_card_is_not_charged_while_a_bank_decides_about_the_page(world: World) -> None:
    """Nobody has told yet that the page was filled in: that is seen when it is closed."""
    world.sandbox.state.sandbox.switches.bank_debits = True
    lives = await due(world)
    page = await lives.page(LAN, await code_of(world, "renewal"))
    debit = {"method": "sepa_debit", "iban": "AT321904300235473204", "name": "Lan"}
    await world.payer.post(urlsplit(page).path, data=debit, headers={"Origin": BASE})
    await lives.gives_card(LAN)
    card = await world.value("SELECT id FROM charge WHERE subscription_id IS NOT NULL")
    await world.billing.charges.look(card, (await person(world, LAN)).id)
    await world.billing.charges.run_due()
    assert await taken(world) == 19_000
    assert (
        await world.value(
            "SELECT state FROM charge WHERE page_id IS NOT NULL AND state <> 'captured'"
        )
        == "processing"
    )
    assert (
        await world.value(CHARGED + " AND state <> 'failed'")
        == await world.value(CHARGED + " AND state = 'closed'")
        == 1
    )


async def test_no_page_is_shown_while_the_card_is_charged(world: World) -> None:
    lives = await due(world)
    await lives.gives_card(LAN)
    await world.sandbox.state.deliverer.deliver_due()
    charges, reader = world.billing.charges, await person(world, LAN)
    charge, order = await charges._page_row(reader, await code_of(world, "renewal"), "vi")
    await world.billing.applier.apply_due()  # the card was given: it is tried at once
    with pytest.raises(ConflictError):
        await charges._open(charge, reader, await charges._spec(charge, reader, order))
    await world.deliver()
    assert await taken(world) == await booked(world) == 2 * 19_000


async def test_money_of_a_closed_order_pays_the_period_and_the_order_after_it_is_closed(
    world: World,
) -> None:
    """Cancelled, resumed, and paid on the page that was opened before: two orders of one period, and it is paid once."""
    async with world.billing.database.transaction() as session:
        early = "INSERT INTO dunning (agency, ahead_hours, retry_days, grace_days) VALUES (:agency, 48, '{1,3}', 7)"
        await session.execute(text(early), {"agency": AGENCY})
    lives = Lives(world)
    await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription") - 47 * HOUR)
    await world.deliver()
    page = await lives.page(LAN, await code_of(world, "renewal"))
    await lives.gives_card(LAN)
    await lives.cancels(LAN)
    await world.pay(page)
    await lives.resumes(LAN)
    for _ in range(3):
        await world.billing.charges.run_due()
        await world.deliver()
        world.clock.advance(2 * HOUR)
    assert await taken(world) == await booked(world) == 2 * 19_000
    assert await subscription(world) == ("active", False)
    await world.assert_sound()


async def test_nobody_is_charged_whose_right_ended_while_the_provider_was_away(
    world: World,
) -> None:
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.billing.renewals.run_due()
    switches = world.sandbox.state.sandbox.switches
    for _ in range(9):
        switches.no_answer = 9
        await world.billing.charges.ask_one()
        await world.billing.renewals.run_due()
        world.clock.advance(DAY)
    switches.no_answer = 0
    await world.deliver()
    await world.deliver()
    assert await taken(world) == 19_000
    assert await world.value("SELECT state FROM sales_order WHERE purpose = 'renewal'") == "closed"
    assert (await subscription(world))[0] == "expired"


@pytest.mark.parametrize("days, tries", [(0, 1), (2, 1), (6, 1)])
async def test_tries_whose_time_went_by_are_not_made_up_for(
    world: World, days: int, tries: int
) -> None:
    """The worker stood still for days: the card is tried once, and the reader told once."""
    lives = Lives(world)
    await lives.buys(LAN, "week", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription") + days * DAY)
    for _ in range(5):
        await world.deliver()
    assert await world.value(CHARGED) == tries
    assert await world.value("SELECT count(*) FROM letter WHERE kind = 'payment_failed'") == tries


async def test_who_gives_a_card_in_the_grace_is_tried_once(world: World) -> None:
    lives = await due(world)
    world.clock.advance(4 * DAY)
    await world.deliver()
    before = await world.value(CHARGED)
    await lives.gives_card(LAN, FAILS_ON_RENEWAL)
    for _ in range(5):
        await world.deliver()
    assert await world.value(CHARGED) == before + 1


async def test_a_charge_that_cannot_be_booked_stops_no_other(world: World) -> None:
    """Taken in another currency: it is kept for a person, booked as no payment, and the worker goes on."""
    lives = Lives(world)
    for email in (LAN, "hoa@example.vn"):
        await lives.buys(email, "week")
    await world.deliver()
    world.clock.set(await world.value("SELECT max(period_end) FROM subscription"))
    await world.billing.renewals.run_due()
    switches = world.sandbox.state.sandbox.switches
    switches.currency = "usd"
    await world.billing.charges.ask_one()
    switches.currency = ""
    assert await world.billing.charges.run_due() == 1
    states = await world.rows("SELECT state FROM charge WHERE kind = 'mandate' ORDER BY state")
    assert states == [("captured",), ("captured",)]
    assert await world.value("SELECT count(*) FROM foreign_money") == 1
    assert await world.value("SELECT count(*) FROM payment") == 3


async def test_who_resumes_cannot_pay_what_was_to_come_in_its_place(world: World) -> None:
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    await lives.cancels(LAN)
    order = await lives.chooses(LAN, "month")
    page = await lives.page(LAN, order.code)
    await lives.resumes(LAN)
    await world.deliver()
    with pytest.raises(ConflictError):
        await lives.page(LAN, order.code)
    await world.pay(page)
    assert await taken(world) == 19_000


async def test_a_change_that_was_not_paid_ends_with_the_period_it_counted_with(
    paid_by_transfer: World,
) -> None:
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    await bank(world)
    await lives.buys(LAN, "month", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription") - 23 * HOUR)
    pay = await lives.changes(LAN, "year")
    assert pay is not None
    await world.deliver()
    world.clock.advance(23 * HOUR)
    await world.deliver()
    assert (await subscription(world))[0] == "grace"
    await credited(world, await code_of(world, "change"), pay)
    await credited(world, await code_of(world, "renewal"), 59_000, id_=2)
    assert await booked(world) == 2 * 59_000
    assert await world.rows("SELECT amount_vnd, reason FROM bank_credit WHERE left_vnd > 0") == [
        (pay, "change_over")
    ]
    assert await subscription(world) == ("active", False)
    await world.assert_sound()


@pytest.mark.parametrize("taken_before", [True, False])
async def test_no_renewal_beside_a_change_whose_outcome_is_open(
    world: World, taken_before: bool
) -> None:
    lives = Lives(world)
    await lives.buys(LAN)
    await world.deliver()
    until = await world.value("SELECT period_end FROM subscription")
    world.clock.set(until - timedelta(minutes=1))
    pay = await lives.changes(LAN, "year")
    switches = world.sandbox.state.sandbox.switches
    switches.no_answer, switches.no_answer_after_effect = 9, taken_before
    await world.billing.charges.ask_one()
    switches.no_answer = 0
    world.clock.set(until)
    for _ in range(4):
        await world.deliver()
        world.clock.advance(timedelta(minutes=2))
    assert await taken(world) == await booked(world) == 59_000 + (pay or 0)
    assert await world.value("SELECT count(*) FROM sales_order WHERE purpose = 'renewal'") == 0
    await world.assert_sound()


@pytest.mark.parametrize("part", [59_000, 20_000])
async def test_what_was_given_back_is_not_taken_off_another_price(
    paid_by_transfer: World, part: int
) -> None:
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    await bank(world)
    await lives.buys(LAN, "month", FAILS_ON_RENEWAL)
    await world.deliver()
    world.clock.advance(DAY)
    pay = await lives.changes(LAN, "year")
    assert pay is not None and pay < 590_000
    await world.deliver()
    page = await lives.page(LAN, await code_of(world, "change"))
    body: dict[str, Any] = {
        "payment_intent": await world.value("SELECT reference FROM payment"),
        "amount": str(part),
    }
    await world.payer.post("/v1/refunds", data=body, headers=API)
    await world.sandbox.state.deliverer.deliver_due()
    await world.billing.applier.apply_due()
    await world.pay(page)  # it was still open: the money is nobody's, and a person looks
    await world.deliver()
    assert await world.rows("SELECT amount_vnd FROM payment WHERE order_id IS NULL") == [(pay,)]
    await credited(world, await code_of(world, "change"), pay)
    assert await world.value("SELECT reason FROM bank_credit") == "change_over"
    await world.assert_sound()


async def test_a_reader_who_is_held_keeps_nobody_elses_renewal_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(world)
    for email in (LAN, "hoa@example.vn"):
        await lives.buys(email, "week")
    await world.deliver()
    world.clock.set(await world.value("SELECT max(period_end) FROM subscription"))
    first = await world.value("SELECT reader_id FROM subscription ORDER BY review_at, id LIMIT 1")
    lock = repository.lock_reader

    async def held(session: Any, reader_id: Any) -> None:
        if reader_id == first:
            raise TimeoutError
        await lock(session, reader_id)

    monkeypatch.setattr(repository, "lock_reader", held)
    await world.billing.renewals.run_due()
    assert await world.value(CHARGED) == 1


async def test_a_month_after_a_trial_is_a_month(world: World) -> None:
    await trial(world, days=7)
    await world.deliver()
    for _ in range(2):
        world.clock.set(await world.value("SELECT period_end FROM subscription"))
        await world.deliver()
    days = [(one[0].day, one[1].day) for one in await world.rows(PERIODS)]
    assert days == [(23, 30), (30, 30), (30, 30)]


async def test_a_month_after_a_week_is_a_month(paid_by_transfer: World) -> None:
    world, lives = paid_by_transfer, Lives(paid_by_transfer)
    await bank(world)
    await lives.transfers(LAN, "week")
    await lives.transfers(LAN, "month", id_=2)
    await lives.transfers(LAN, "month", id_=3)
    days = [(one[0].day, one[1].day) for one in await world.rows(PERIODS)]
    assert days == [(23, 30), (30, 30), (30, 30)]


async def test_a_card_that_the_provider_does_not_name_keeps_no_other_nameless(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(world)
    for email in (LAN, "hoa@example.vn"):
        await lives.buys(email)
        await world.deliver()
        world.clock.advance(DAY)
    async with world.billing.database.transaction() as session:
        await session.execute(text("UPDATE mandate SET label = ''"))
    newest = await world.value("SELECT method FROM mandate ORDER BY created_at DESC LIMIT 1")
    named = world.billing.provider.method

    async def refused(method: str) -> Any:
        if method == newest:
            raise ProviderRefusedError("no")
        return await named(method)

    monkeypatch.setattr(asking, "NAMED_A_ROUND", 1)
    monkeypatch.setattr(world.billing.provider, "method", refused)
    for _ in range(3):
        await world.billing.charges.name_cards()
    labels = await world.rows("SELECT label FROM mandate ORDER BY created_at")
    assert labels == [("Visa •••• 4242",), ("•",)]


async def test_a_charge_that_the_providers_list_does_not_show_yet_is_asked_for_under_its_own_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(world)
    await lives.buys(LAN, "week")
    await world.deliver()
    world.clock.set(await world.value("SELECT period_end FROM subscription"))
    await world.billing.renewals.run_due()
    switches = world.sandbox.state.sandbox.switches
    switches.no_answer, switches.no_answer_after_effect = 9, True
    await world.billing.charges.ask_one()
    switches.no_answer = 0

    async def nothing_yet(*_: object) -> None:
        return None

    world.clock.advance(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(world.billing.provider, "find_charge", nothing_yet)
        assert await world.billing.charges.ask_one()
    await world.deliver()
    assert await taken(world) == await booked(world) == 38_000
    assert await subscription(world) == ("active", False)
    await world.assert_sound()
