"""Money that goes back by bank transfer: who may, what follows in the books and the right to read, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.billing.refunds.models import RefundRequest
from services.billing.refunds.service import By, Refunds
from shared.audit import Actor, acting
from shared.errors import ConflictError, NotFoundError
from tests.integration.billing.invariants_read import read_invariants
from tests.integration.billing.paying import balances, credited, order, ordered, person
from tests.integration.billing.test_once_and_gifts import ARTICLE, PASS, chosen, given
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

MONTH, YEAR = 59_000, 590_000
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LAN, MINH = By("1", "Lan"), By("2", "Minh")


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


async def payment_of(world: World, code: str) -> tuple[UUID, UUID]:
    """(reader, payment) of a paid order."""
    [row] = await world.rows("SELECT reader_id, id FROM payment WHERE reference = :code", code=code)
    return row[0], row[1]


async def ask(world: World, code: str, amount: int, by: By = LAN) -> RefundRequest:
    reader, payment = await payment_of(world, code)
    with acting(Actor.system("test")):
        return await world.billing.refunds.ask(AGENCY, reader, payment, amount, "asked", by)


async def pay(world: World, request: UUID, reference: str, by: By = MINH) -> None:
    with acting(Actor.system("test")):
        await world.billing.refunds.pay(AGENCY, request, reference, by)


async def refunded(world: World, code: str, amount: int, reference: str) -> None:
    """Asked for, approved where it must be, and paid."""
    request = await ask(world, code, amount)
    if request.state == "asked":
        with acting(Actor.system("test")):
            await world.billing.refunds.approve(AGENCY, request.id, MINH)
    await pay(world, request.id, reference)


async def rights(world: World) -> list[tuple[Any, ...]]:
    return await world.rows(
        "SELECT scope, valid_until, revoked, version FROM entitlement ORDER BY scope"
    )


async def monthly(world: World) -> str:
    _, code = await ordered(world, "lan@example.vn")
    await credited(world, code)
    return code


async def test_nothing_moves_before_the_money_has_gone_back_and_everything_then(
    world: World,
) -> None:
    code = await monthly(world)
    world.clock.advance(timedelta(days=9))
    await world.billing.recognition.run_due()
    before, reads = await balances(world), await rights(world)
    request = await ask(world, code, MONTH)
    assert request.state == "approved" and request.approved_by is None, "below the limit"
    assert (await balances(world), await rights(world)) == (before, reads)
    await pay(world, request.id, " ft-back-1 ")
    earned = MONTH * 10 // 30
    assert await balances(world) == {
        "revenue_subscription": -earned,
        "refunds_subscription": earned,
    }
    assert await rights(world) == [("site", world.clock.now(), True, 2)]
    events = [one for one in await world.events() if "entitlement" in one["type"]]
    assert events[-1]["type"].endswith("entitlement.revoked.v1")
    assert events[-1]["data"]["reason"] == "refund"
    assert await world.rows(
        "SELECT provider, provider_refund, amount_vnd, deferred_vnd FROM refund"
    ) == [("transfer", "FT-BACK-1", MONTH, MONTH - earned)]
    assert await world.rows("SELECT state, mrr_vnd FROM subscription") == [("expired", 0)]
    await world.assert_sound()
    world.clock.advance(timedelta(days=40))
    await world.billing.recognition.run_due()
    assert "deferred_subscription" not in await balances(world)
    await world.assert_sound()


async def test_a_part_leaves_what_was_bought_and_is_earned_less(world: World) -> None:
    code = await monthly(world)
    await refunded(world, code, 20_000, "B1")
    assert await rights(world) == [("site", datetime(2026, 12, 23, 3, 0, tzinfo=UTC), False, 1)]
    await world.assert_sound()
    await refunded(world, code, 39_000, "B2")
    assert (await rights(world))[0][2] is True, "both parts are all of it"
    await world.assert_sound()
    with pytest.raises(ConflictError):
        await ask(world, code, 1)


async def test_the_last_period_goes_and_the_one_before_it_stays(world: World) -> None:
    browser, first = await ordered(world, "lan@example.vn")
    await credited(world, first)
    second = await order(world, browser, "year")
    await credited(world, second, YEAR, id_=2)
    await refunded(world, second, YEAR, "B1")
    assert (await rights(world))[0][:3] == ("site", datetime(2026, 12, 23, 3, 0, tzinfo=UTC), False)
    lan = await person(world)
    assert await world.billing.subscriptions.term_until(lan.id) == datetime(
        2026, 12, 23, 3, 0, tzinfo=UTC
    )
    assert await world.value("SELECT mrr_vnd FROM subscription") == MONTH
    await world.assert_sound()
    third = await order(world, browser, "month")
    await credited(world, third, id_=3)
    assert (await rights(world))[0][1] == datetime(2027, 1, 23, 3, 0, tzinfo=UTC)
    await world.assert_sound()


async def test_the_running_period_goes_and_the_later_one_is_read_from_its_own_beginning(
    world: World,
) -> None:
    browser, first = await ordered(world, "lan@example.vn")
    await credited(world, first)
    second = await order(world, browser)
    await credited(world, second, id_=2)
    await refunded(world, first, MONTH, "B1")
    assert await world.rows("SELECT valid_from, valid_until, revoked FROM entitlement") == [
        (datetime(2026, 12, 23, 3, tzinfo=UTC), datetime(2027, 1, 23, 3, tzinfo=UTC), False)
    ]
    lan = await person(world)
    assert await world.billing.subscriptions.rights(lan.id) == [], "a gap until the second begins"
    await world.assert_sound()


@pytest.mark.parametrize(("plan", "price"), [("ngay", PASS), ("mot-bai", ARTICLE)])
async def test_what_was_bought_once_is_revoked(world: World, plan: str, price: int) -> None:
    browser = await world.signed_in()
    code = await chosen(world, browser, plan, **({"article": "x"} if plan == "mot-bai" else {}))
    await credited(world, code, price)
    await refunded(world, code, 1_000, "B1")
    assert (await rights(world))[0][2:] == (False, 1)
    await refunded(world, code, price - 1_000, "B2")
    assert (await rights(world))[0][1:] == (NOW, True, 2)
    lan = await person(world)
    assert await world.billing.subscriptions.rights(lan.id) == []
    [*_, event] = [one for one in await world.events() if "entitlement" in one["type"]]
    assert event["type"].endswith("revoked.v1") and event["data"]["reason"] == "refund"
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_a_gifts_code_dies_with_its_money(world: World) -> None:
    giver, code = await given(world)
    order_code = await world.value("SELECT code FROM sales_order")
    await refunded(world, order_code, MONTH, "B1")
    assert await balances(world) == {}
    friend = await world.signed_in("friend@example.vn")
    answer = await friend.submit(f"/r/{AGENCY}/gifts", f"/r/{AGENCY}/gifts/redeem", {"code": code})
    assert answer.status_code == 409 and "đã được hoàn lại" in answer.text
    page = await giver.get(f"/r/{AGENCY}/orders/{order_code}")
    assert code not in page.text and "đã được hoàn lại" in page.text
    await world.assert_sound()


async def test_of_a_gift_that_is_partly_paid_back_the_rest_is_redeemed_and_earned(
    world: World,
) -> None:
    _, code = await given(world)
    order_code = await world.value("SELECT code FROM sales_order")
    await refunded(world, order_code, 20_000, "B1")
    await world.assert_sound()
    await world.signed_in("friend@example.vn")
    friend = await person(world, "friend@example.vn")
    await world.billing.orders.redeem(friend, code)
    assert (await balances(world))["deferred_subscription"] == -39_000
    await world.assert_sound()
    await refunded(world, order_code, 39_000, "B2")
    assert await world.billing.subscriptions.rights(friend.id) == [], "the redeemer's right"
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_a_second_person_approves_what_is_large_also_in_small_pieces(world: World) -> None:
    browser, code = await ordered(world, "lan@example.vn", "year")
    await credited(world, code, YEAR)
    refunds, small = world.billing.refunds, await ask(world, code, 499_999)
    assert small.state == "approved"
    rest = await ask(world, code, 1)
    assert rest.state == "asked", "with the first piece it reaches the limit"
    with acting(Actor.system("test")):
        with pytest.raises(ConflictError) as same:
            await refunds.approve(AGENCY, rest.id, LAN)
        assert same.value.slug == "refund-same-person"
        with pytest.raises(ConflictError):
            await refunds.pay(AGENCY, rest.id, "B1", MINH)
        for call in (
            refunds.approve(OTHER_AGENCY, rest.id, MINH),
            refunds.pay(OTHER_AGENCY, small.id, "B1", MINH),
            refunds.refuse(OTHER_AGENCY, rest.id, "x", MINH),
            refunds.approve(AGENCY, uuid4(), MINH),
        ):
            with pytest.raises(NotFoundError):
                await call
        await refunds.approve(AGENCY, rest.id, MINH)
        for again in (
            refunds.approve(AGENCY, rest.id, MINH),
            refunds.approve(AGENCY, small.id, MINH),
        ):
            with pytest.raises(ConflictError):
                await again
        await refunds.refuse(AGENCY, rest.id, "no", LAN)
        with pytest.raises(ConflictError):
            await refunds.pay(AGENCY, rest.id, "B1", MINH)
    assert (await ask(world, code, 90_001)).state == "asked", "what was refused is left again"
    account = await browser.get(f"/r/{AGENCY}/account")
    assert "đang hoàn 590.000" in account.text


async def test_more_than_is_left_and_somebody_elses_is_refused(world: World) -> None:
    code = await monthly(world)
    reader, payment = await payment_of(world, code)
    refunds = world.billing.refunds
    for amount in (MONTH + 1, 0, -1):
        with pytest.raises(ConflictError):
            await ask(world, code, amount)
    await ask(world, code, 30_000)
    for amount in (29_001, 0, -1):
        with pytest.raises(ConflictError):
            await ask(world, code, amount)
    await world.signed_in("else@example.vn")
    other = (await person(world, "else@example.vn")).id
    with acting(Actor.system("test")):
        for agency, who, what in (
            (OTHER_AGENCY, reader, payment),
            (AGENCY, other, payment),
            (AGENCY, reader, uuid4()),
        ):
            with pytest.raises(NotFoundError):
                await refunds.ask(agency, who, what, 1_000, "x", LAN)


async def slug_of(doing: Any) -> str:
    try:
        with acting(Actor.system("test")):
            await doing
    except ConflictError as error:
        return error.slug
    return "done"


async def test_two_at_once_give_nothing_twice(world: World) -> None:
    code = await monthly(world)
    reader, payment = await payment_of(world, code)
    refunds = world.billing.refunds
    said = await asyncio.gather(
        *(slug_of(refunds.ask(AGENCY, reader, payment, 30_000, "x", LAN)) for _ in range(4))
    )
    assert sorted(said) == ["done"] + ["refund-too-much"] * 3
    request = await world.value("SELECT id FROM refund_request")
    said = await asyncio.gather(
        *(slug_of(refunds.pay(AGENCY, request, f"B{n}", MINH)) for n in range(4))
    )
    assert sorted(said) == ["done"] + ["refund-decided"] * 3
    assert await world.value("SELECT refunded_vnd FROM payment") == 30_000
    await world.assert_sound()


async def test_a_gift_is_redeemed_or_paid_back_and_never_both(world: World) -> None:
    _, code = await given(world)
    order_code = await world.value("SELECT code FROM sales_order")
    await world.signed_in("friend@example.vn")
    friend = await person(world, "friend@example.vn")
    request = await ask(world, order_code, MONTH)
    said = await asyncio.gather(
        slug_of(world.billing.orders.redeem(friend, code)),
        slug_of(world.billing.refunds.pay(AGENCY, request.id, "B1", MINH)),
    )
    assert said[1] == "done" and said[0] in ("done", "gift-returned")
    assert await world.billing.subscriptions.rights(friend.id) == []
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_a_banks_reference_is_used_once_for_returns_and_refunds_alike(world: World) -> None:
    code = await monthly(world)
    await credited(world, "nobody's", 5_000, id_=2)
    await credited(world, "nobody's either", 6_000, id_=3)
    one, other = await world.rows(
        "SELECT id FROM bank_credit WHERE left_vnd > 0 ORDER BY amount_vnd"
    )
    transfers, request = world.billing.transfers, await ask(world, code, 10_000)
    again = await ask(world, code, 10_000)
    assert await slug_of(transfers.give_back(AGENCY, one[0], "ft-1", "x")) == "done"
    assert (
        await slug_of(world.billing.refunds.pay(AGENCY, request.id, "FT-1", MINH))
        == "returned-before"
    )
    assert await slug_of(world.billing.refunds.pay(AGENCY, request.id, "FT-2", MINH)) == "done"
    assert (
        await slug_of(world.billing.refunds.pay(AGENCY, again.id, "ft-2", MINH))
        == "returned-before"
    )
    assert await slug_of(transfers.give_back(AGENCY, other[0], "FT-2", "x")) == "returned-before"
    await world.assert_sound()


REQUEST = """INSERT INTO refund_request (id, agency, payment_id, amount_vnd, reason, approval_from_vnd, asked_by, asked_name,
    asked_at) SELECT gen_random_uuid(), {agency}, id, {amount}, 'x', {limit}, '1', 'Lan', now() FROM payment {where}"""
WAITS = "WHERE state = 'asked'"
READY = "WHERE state = 'approved'"
APPROVE = "UPDATE refund_request SET state = 'approved', approved_at = now(), approved_name = 'x'"
PAY = "UPDATE refund_request SET state = 'paid', paid_at = now(), paid_by = '2', paid_name = 'x', bank_reference = 'B9'"
REFUSED = {
    "more than is left": REQUEST.format(agency="agency", amount=60_001, limit=1, where=""),
    "of another agency": REQUEST.format(agency="'dai-song-hong'", amount=1, limit=1, where=""),
    "more than a card paid": REQUEST.format(
        agency="agency", amount=59_001, limit=1, where="WHERE provider = 'stripe'"
    ),
    "nothing": REQUEST.format(agency="agency", amount=0, limit=1, where=""),
    "by who asked": f"{APPROVE}, approved_by = asked_by {WAITS}",
    "by nobody": f"{APPROVE}, approved_by = NULL {WAITS}",
    "paid unapproved": f"{PAY} {WAITS}",
    "without a reference": f"{PAY.replace(chr(39) + 'B9' + chr(39), 'NULL')} {READY}",
    "a used reference": f"{PAY.replace('B9', 'USED')} {READY}",
    "a reference in small letters": f"{PAY.replace('B9', 'b9')} {READY}",
    "another amount": f"UPDATE refund_request SET amount_vnd = 1 {READY}",
    "no second person": f"UPDATE refund_request SET second_person = false {WAITS}",
    "asked by another": f"UPDATE refund_request SET asked_by = '3' {WAITS}",
    "refused without a reason": f"UPDATE refund_request SET state = 'refused', refused_at = now(), refused_by = '2' {READY}",
    "sent, of a transfer": f"UPDATE refund_request SET state = 'sent', sent_at = now() {READY} AND NOT by_card",
    "transferred, of a card": f"{PAY} {READY} AND by_card",
    "paid before it was sent": f"UPDATE refund_request SET state = 'paid', paid_at = now() {READY} AND by_card",
    "another way": f"UPDATE refund_request SET by_card = NOT by_card {READY}",
    "opened again": "UPDATE refund_request SET state = 'approved', paid_at = NULL, paid_by = NULL, bank_reference = NULL WHERE state = 'paid'",
    "removed": "DELETE FROM refund_request",
    "a reference taken": "INSERT INTO bank_payout VALUES ('bao-hung-yen', 'B10')",
    "a reference freed": "DELETE FROM bank_payout",
    "a refund nobody asked for": """INSERT INTO refund (id, agency, payment_id, provider, provider_refund, amount_vnd, deferred_vnd,
        refunded_at) SELECT gen_random_uuid(), agency, id, 'transfer', 'B11', 1, 0, now() FROM payment WHERE order_id IS NOT NULL""",
    "a return under a used reference": """INSERT INTO credit_use (id, agency, credit_id, amount_vnd, returned_as, used_at)
        SELECT gen_random_uuid(), agency, id, 1, 'used ', now() FROM bank_credit WHERE left_vnd > 0""",
}


async def test_the_database_refuses_what_the_desk_would(world: World, billing_url: str) -> None:
    """As the run-time role."""
    _, code = await ordered(world, "lan@example.vn", "year")
    await credited(world, code, YEAR)
    await credited(world, "nobody's", 5_000, id_=2)
    await world.subscribed("card@example.vn")
    await world.deliver()
    card = await world.value("SELECT reference FROM payment WHERE provider = 'stripe'")
    await ask(world, card, 1_000)
    await world.billing.sent_refunds.send_one()
    await ask(world, card, 2_000)
    await pay(world, (await ask(world, code, 9_999)).id, "USED")
    await ask(world, code, 20_000)
    await ask(world, code, 500_000)
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
    await world.assert_sound()


async def test_the_database_redeems_no_gift_whose_money_is_back(
    world: World, billing_url: str
) -> None:
    await given(world)
    await refunded(world, await world.value("SELECT code FROM sales_order"), MONTH, "B1")
    connection = await asyncpg.connect(billing_url)
    try:
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute(
                "UPDATE gift SET redeemed_at = now(), redeemed_by = (SELECT id FROM reader LIMIT 1)"
            )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("invariant", "harm"),
    [
        ("refunds_within_captured", "UPDATE payment SET refunded_vnd = refunded_vnd + 1"),
        (
            "refunds_within_captured",
            "UPDATE refund_request SET amount_vnd = amount_vnd + 50000 WHERE state = 'approved'",
        ),
        (
            "refunds_within_captured",
            "UPDATE refund_request SET state = 'refused', refused_at = now(), refused_by = '2', refused_why = 'x', "
            "paid_at = NULL, paid_by = NULL, bank_reference = NULL WHERE state = 'paid'",
        ),
        (
            "refunds_within_captured",
            "UPDATE refund_request SET amount_vnd = amount_vnd + 1 WHERE state = 'paid'",
        ),
        ("transfers_are_booked", "UPDATE refund SET amount_vnd = amount_vnd + 1"),
        ("gifts_are_owed", "UPDATE refund SET deferred_vnd = deferred_vnd - 1"),
    ],
)
async def test_each_invariant_notices(
    world: World, billing_url: str, invariant: str, harm: str
) -> None:
    from tests.fixtures.roles import as_superuser

    await given(world)
    code = await world.value("SELECT code FROM sales_order")
    await refunded(world, code, 9_000, "B1")
    await ask(world, code, 10_000)
    await world.assert_sound()
    connection = await asyncpg.connect(as_superuser(billing_url))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(harm)
    finally:
        await connection.close()
    for whole in (False, True):
        assert (await read_invariants(world.billing, whole=whole))[invariant] > 0, whole


async def test_without_a_limit_every_refund_has_a_second_person(world: World) -> None:
    code = await monthly(world)
    reader, payment = await payment_of(world, code)
    strict = Refunds(world.billing.database, world.clock, approval_vnd=0)
    with acting(Actor.system("test")):
        request = await strict.ask(AGENCY, reader, payment, 1, "x", LAN)
    assert request.state == "asked"
