"""Payouts: booked once, for each agency what is its own, and what nobody knows stays open for finance to see."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from services.billing.charges.apply import apply
from services.billing.payments.adapters.port import Captured, PayoutLine, PayoutMoved
from services.billing.settlements.service import payout_moved
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import read_invariants
from tests.integration.billing.returning import (
    MONTH,
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    notified,
    picture,
    reference_of,
    tell,
    with_vat,
)
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

DAY = timedelta(days=1)
FEE = MONTH * 290 // 10_000
OTHER_MONTH = 39_000
OTHER_FEE = OTHER_MONTH * 290 // 10_000


async def pay_out(world: World, outcome: str = "succeed") -> str:
    """The provider's id of a payout of everything."""
    made = await at_the_bank(world, "payouts", everything=True)
    await at_the_bank(world, f"payouts/{made['id']}/settle", outcome="succeed")
    if outcome == "fail":
        await at_the_bank(world, f"payouts/{made['id']}/settle", outcome="fail")
    return str(made["id"])


async def subscribed(world: World, email: str = "lan@example.vn", agency: str = AGENCY) -> str:
    browser = await world.signed_in(email, agency)
    await world.pay(await world.start_checkout(browser, agency=agency))
    await world.deliver()
    return await reference_of(world, email)


async def fees_of(world: World, payout: str, agency: str) -> tuple[int, int]:
    """(net, fees) of an agency's share."""
    [row] = await world.rows(
        """SELECT sum(s.net_vnd)::bigint, sum(s.fees_vnd)::bigint FROM payout_share s
           JOIN payout o ON o.id = s.payout_id WHERE o.provider_payout = :payout AND s.agency = :agency""",
        payout=payout,
        agency=agency,
    )
    return row[0], row[1]


async def test_a_payout_is_split_by_agency_and_empties_what_the_provider_owed(world: World) -> None:
    await with_vat(world)
    mine = await subscribed(world)
    other = await subscribed(world, "minh@example.vn", OTHER_AGENCY)
    given = await subscribed(world, "hoa@example.vn")
    disputed = await subscribed(world, "cuc@example.vn")
    await dashboard_refund(world, given, amount=20_000)
    await at_the_bank(world, "control", drop=0.0)
    await dispute(world, other, amount=1_000)
    id_ = await dispute(world, disputed)
    await world.deliver()
    await at_the_bank(world, f"disputes/{id_}/close", outcome="won")
    await world.deliver()
    for number in range(16):  # a payout is more than nothing
        await subscribed(world, f"reader{number}@example.vn")
    assert mine
    world.clock.advance(3 * DAY)
    payout = await pay_out(world)
    await world.deliver()
    first, second = await booked(world, AGENCY), await booked(world, OTHER_AGENCY)
    assert "stripe_receivable" not in first and "stripe_receivable" not in second
    net, fees = await fees_of(world, payout, AGENCY)
    assert first["bank"] == net and first["payment_fees"] == fees + 350_000
    assert first["bank"] + first["payment_fees"] == 19 * MONTH - 20_000
    assert second["bank"] + second["payment_fees"] == OTHER_MONTH - 1_000
    amount = await world.value("SELECT amount_vnd FROM payout")
    assert first["bank"] + second["bank"] == amount
    await world.assert_sound()
    before = await picture(world)
    assert await world.billing.settlements.read() == 0
    await tell(world, *await notified(world, "payout.paid", "payout.reconciliation_completed"))
    assert await picture(world) == before


async def test_one_that_came_back_is_the_opposite_and_goes_with_the_next(world: World) -> None:
    await subscribed(world)
    await subscribed(world, "minh@example.vn", OTHER_AGENCY)
    world.clock.advance(3 * DAY)
    await pay_out(world, "fail")
    await world.deliver()
    for agency, month, fee in ((AGENCY, MONTH, FEE), (OTHER_AGENCY, OTHER_MONTH, OTHER_FEE)):
        sums = await booked(world, agency)
        assert "bank" not in sums, "nothing arrived"
        assert sums["stripe_receivable"] == month - fee and sums["payment_fees"] == fee
    await world.assert_sound()
    await subscribed(world, "hoa@example.vn")
    world.clock.advance(3 * DAY)
    await pay_out(world)
    await world.deliver()
    for agency, net in ((AGENCY, 2 * (MONTH - FEE)), (OTHER_AGENCY, OTHER_MONTH - OTHER_FEE)):
        sums = await booked(world, agency)
        assert "stripe_receivable" not in sums and sums["bank"] == net
    await world.assert_sound()


async def test_the_providers_list_brings_what_was_never_told(world: World) -> None:
    await subscribed(world)
    await at_the_bank(world, "control", drop=1.0)
    world.clock.advance(3 * DAY)
    await pay_out(world)
    assert await world.billing.settlements.read() == 1
    assert (await booked(world))["bank"] == MONTH - FEE
    assert await world.billing.settlements.read() == 0
    assert await world.value("SELECT seen_until FROM payout_cursor") == world.clock.now()
    await world.assert_sound()


def moved(world: World, *lines: PayoutLine, **changes: Any) -> PayoutMoved:
    plain: dict[str, Any] = {
        "id": "po_1",
        "amount": sum(one.net for one in lines),
        "currency": "VND",
        "paid": True,
        "failed": False,
        "arrives_on": world.clock.now().date(),
        "lines": lines,
    }
    return PayoutMoved(**plain | changes)


async def said(world: World, fact: PayoutMoved) -> None:
    async with world.billing.database.transaction() as session:
        await payout_moved(session, "stripe", fact, world.clock.now())


def line(
    number: int, reference: str, amount: int, fee: int = 0, kind: str = "charge"
) -> PayoutLine:
    return PayoutLine(f"txn_{number}", kind, reference, amount, fee, amount - fee)


async def test_a_line_of_a_payment_that_becomes_known_is_booked_then(world: World) -> None:
    await subscribed(world)
    reference = await reference_of(world)
    lines = (
        line(1, reference, MONTH, 9),
        line(2, "pi_late", MONTH, 9),
        line(3, "", -77, 0, "other"),
    )
    await said(world, moved(world, *lines))
    sums = await booked(world)
    assert (sums["bank"], sums["payment_fees"]) == (MONTH - 9, 9)
    await world.assert_sound()
    charge = await world.value("SELECT id FROM charge")
    fact = Captured(charge, "pi_late", MONTH, "VND", world.clock.now())
    async with world.billing.database.transaction() as session:
        await apply(session, "stripe", fact, world.clock.now())
    assert await world.billing.settlements.compare() == 1
    assert await world.billing.settlements.compare() == 0
    sums = await booked(world)
    assert (sums["bank"], sums["payment_fees"]) == (2 * (MONTH - 9), 18)
    assert await world.rows("SELECT number FROM payout_share ORDER BY 1") == [(1,), (2,)]
    open_ = await world.rows(
        """SELECT provider_line FROM payout_line l
           WHERE NOT EXISTS (SELECT FROM payout_part t WHERE t.line_id = l.id)"""
    )
    assert open_ == [("txn_3",)]
    await world.assert_sound()


@pytest.mark.parametrize("seed", range(4))
async def test_every_order_of_two_payouts_of_which_one_came_back_ends_the_same(
    world: World, seed: int
) -> None:
    mine = await subscribed(world)
    other = await subscribed(world, "minh@example.vn", OTHER_AGENCY)
    late = await subscribed(world, "hoa@example.vn")
    first = (line(1, mine, MONTH, 1_711), line(2, other, MONTH, 1_711))
    came = sum(one.net for one in first)
    second = (
        line(3, "po_1", came, 0, "payout"),
        line(4, late, MONTH, 1_711),
        line(5, late, -7_000, 0, "refund"),
    )
    words = [
        moved(world, *first, paid=False),
        moved(world, *first),
        moved(world, *first, paid=False, failed=True),
        moved(world, *second, id="po_2", paid=False),
        moved(world, *second, id="po_2"),
    ]
    dice = random.Random(seed)
    order = [*words, *dice.sample(words, 3)]
    dice.shuffle(order)
    for fact in order:
        await said(world, fact)
    await world.billing.settlements.compare()
    sums = await booked(world, AGENCY)
    assert sums["bank"] == 2 * (MONTH - 1_711) - 7_000
    assert sums["payment_fees"] == 2 * 1_711
    assert (await booked(world, OTHER_AGENCY))["bank"] == MONTH - 1_711
    await world.assert_sound()
    before = await picture(world)
    for fact in words:
        await said(world, fact)
    assert await picture(world) == before


async def test_another_currency_is_never_booked_as_dong(world: World) -> None:
    reference = await subscribed(world)
    await said(world, moved(world, line(1, reference, MONTH), currency="USD"))
    assert "bank" not in await booked(world)
    assert await world.value("SELECT count(*) FROM payout") == 1
    await world.assert_sound()


@pytest.mark.parametrize(
    ("invariant", "harm"),
    [
        ("captured_is_settled", "UPDATE payment SET amount_vnd = amount_vnd + 1"),
        ("captured_is_settled", "UPDATE payout_share SET fees_vnd = fees_vnd + 1"),
        ("captured_is_settled", "UPDATE dispute SET fee_vnd = fee_vnd + 1"),
        ("disputes_are_booked", "UPDATE dispute SET amount_vnd = amount_vnd + 1"),
        ("transfers_are_booked", "UPDATE payout_share SET net_vnd = net_vnd + 1"),
        ("payouts_are_booked", "UPDATE payout_share SET net_vnd = net_vnd + 1"),
        ("payouts_are_booked", "UPDATE payout_share SET failed_at = now()"),
        ("payouts_are_booked", "DELETE FROM payout_part"),
        ("refunds_are_booked", "UPDATE refund SET failed_at = now()"),
        (
            "refunds_within_captured",
            "UPDATE refund SET provider_refund = 'else'",
        ),
    ],
)
async def test_each_invariant_notices(world: World, invariant: str, harm: str) -> None:
    from tests.integration.billing.test_returns import ask

    reference = await subscribed(world)
    await dispute(world, reference, amount=5_000)
    world.clock.advance(timedelta(minutes=1))
    await subscribed(world, "minh@example.vn")
    await ask(world, 2_000)
    await world.billing.sent_refunds.run_due()
    await world.deliver()
    await said(world, moved(world, line(1, reference, MONTH, 9)))
    await world.assert_sound()
    connection = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(harm)
    finally:
        await connection.close()
    for whole in (False, True):
        assert (await read_invariants(world.billing, whole=whole))[invariant] > 0, whole
