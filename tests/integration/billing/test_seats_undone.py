"""Groups whose money goes back: of a change, of a whole or a part, in a dispute; who reads, what is paid next, who is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.billing.lives import DAY
from tests.integration.billing.returning import (
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    reference_of,
    with_vat,
)
from tests.integration.billing.test_changes_undone import COMES_BACK
from tests.integration.billing.test_offers_undone import month_of
from tests.integration.billing.test_seats import CHILD, OTHER, OWNER, Groups, letters
from tests.integration.billing.world import World

MONTH, FAMILY, SEAT = 59_000, 119_000, 45_000


@pytest.fixture
def groups(paid_by_transfer: World) -> Groups:
    return Groups(paid_by_transfer)


async def stands(world: World) -> tuple[Any, ...]:
    """(plan, seats, state, MRR) of the owner's subscription."""
    return (
        await world.rows(
            """SELECT p.code, s.seats, s.state, s.mrr_vnd FROM subscription s JOIN reader r ON r.id = s.reader_id
               JOIN plan_price pp ON pp.id = s.price_id JOIN plan p ON p.id = pp.plan_id WHERE r.email = :email""",
            email=OWNER,
        )
    )[0]


async def changes_to(groups: Groups, code: str, seats: int | None = None) -> int:
    """Another plan or number of seats, at once; what was paid for it."""
    row, reader, offer = (
        await groups.live(OWNER),
        await groups.reader(OWNER),
        await groups.offer(code),
    )
    assert row is not None
    changes = groups.world.billing.changes
    found = await changes.preview(reader, row.id, offer.price_id, seats)
    assert found.at_once
    await changes.confirm(reader, row.id, offer.price_id, found.pay_vnd, "vi", seats)
    await groups.world.deliver()
    return found.pay_vnd


async def orders(world: World) -> list[tuple[Any, ...]]:
    """(plan, seats, amount) of what the owner paid, in that order."""
    return await world.rows(
        """SELECT p.code, o.seats, o.amount_vnd FROM sales_order o JOIN reader r ON r.id = o.reader_id
           JOIN plan_price pp ON pp.id = o.price_id JOIN plan p ON p.id = pp.plan_id
           WHERE r.email = :email AND o.state = 'paid' ORDER BY o.paid_at, o.id""",
        email=OWNER,
    )


async def test_a_family_plan_taken_back_is_a_plan_for_one_again(groups: Groups) -> None:
    """A plan for one, a family's in its place, all of its money back: members read no more and are told; the next month is for one."""
    world = groups.world
    await with_vat(world)
    await groups.buys(OWNER, card=COMES_BACK)
    await world.deliver()
    await world.advance(2 * DAY)
    await world.deliver()
    await changes_to(groups, "gia-dinh")
    await groups.joins(OWNER, CHILD)
    assert await groups.reads() == {OWNER, CHILD}
    await world.advance(DAY)
    await world.deliver()
    family = await reference_of(world, OWNER)
    refund = await dashboard_refund(world, family)
    await world.deliver()
    assert await groups.reads() == {OWNER}
    assert await stands(world) == ("doc-bao", 1, "ending", month_of(MONTH))
    told = [
        (to, facts["by"], facts["plan"]["vi"]) for to, facts in await letters(world, "seat_ended")
    ]
    assert told == [(CHILD, "plan", "Gói gia đình")], "of the plan that they had a seat in"
    await world.assert_sound()
    assert await groups.resumes(OWNER)
    await world.advance(29 * DAY)
    await world.deliver()
    assert (await orders(world))[-1] == ("doc-bao", 1, MONTH)
    assert await groups.reads() == {OWNER}
    await world.assert_sound()
    # It comes back weeks later: what was bought by it is over by then, and the month that was paid meanwhile is for one.
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    await world.assert_sound()


async def test_more_seats_taken_back_are_the_seats_before(groups: Groups) -> None:
    """5 seats, 7 in mid period, all money of that back; then the refund fails: 7 again, and 7 are renewed."""
    world = groups.world
    await with_vat(world)
    reader, offer = await groups.reader(OWNER), await groups.offer("to-chuc")
    order = await world.billing.orders.start(reader, offer.price_id, "", "vi", renews=True, seats=5)
    await world.pay(await groups.page(OWNER, order.code), COMES_BACK)
    await world.deliver()
    await world.advance(3 * DAY)
    await world.deliver()
    await changes_to(groups, "to-chuc", 7)
    names = [f"n{number}@xa.example.vn" for number in range(6)]
    for name in names:
        await groups.joins(OWNER, name)
    await world.advance(DAY)
    await world.deliver()
    assert await groups.reads() == {OWNER, *names}
    refund = await dashboard_refund(world, await reference_of(world, OWNER))
    await world.deliver()
    assert await groups.reads() == {OWNER, *names[:4]}, "those who came first"
    assert await stands(world) == ("to-chuc", 5, "ending", month_of(5 * SEAT))
    row = (await groups.group(OWNER)).row
    assert (row.next_price_id, row.next_seats) == (None, None)
    assert {to for to, _ in await letters(world, "seat_ended")} == set(names[4:])
    await world.assert_sound()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert await stands(world) == ("to-chuc", 7, "active", month_of(7 * SEAT))
    await world.assert_sound()
    await groups.joins(OWNER, names[5])
    await world.advance(31 * DAY)
    await world.deliver()
    assert (await orders(world))[-1] == ("to-chuc", 7, 7 * SEAT)
    assert await groups.reads() == {OWNER, *names[:4], names[5]}
    await world.assert_sound()


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_a_disputed_group_reads_until_it_is_lost(groups: Groups, outcome: str) -> None:
    """A member with a plan of their own reads on by that."""
    world = groups.world
    await with_vat(world)
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    await groups.joins(OWNER, OTHER)
    await groups.buys(OTHER, "week")
    await world.advance(2 * DAY)
    await world.deliver()
    first = await reference_of(world, OWNER)
    id_ = await dispute(world, first)
    await world.deliver()
    assert await groups.reads() == {OWNER, CHILD, OTHER}
    assert (await stands(world))[1:3] == (4, "ending")
    await at_the_bank(world, f"disputes/{id_}/close", outcome=outcome)
    await world.deliver()
    won = outcome == "won"
    assert await groups.reads() == ({OWNER, CHILD, OTHER} if won else {OTHER})
    assert (await stands(world))[2:] == (("ending", month_of(FAMILY)) if won else ("expired", 0))
    told = {to for to, _ in await letters(world, "group_ended")}
    assert told == (set() if won else {CHILD, OTHER})
    assert (await booked(world)).get("disputed_card_money", 0) == 0
    await world.assert_sound()


async def test_a_group_in_grace_and_its_money_back_and_the_owner_comes_back(groups: Groups) -> None:
    """A part back changes nothing of who reads; in grace everybody reads; all back ends it; a new group begins with its owner alone."""
    world = groups.world
    await with_vat(world)
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    first = await reference_of(world, OWNER)
    await dashboard_refund(world, first, amount=19_000)
    await world.deliver()
    assert await groups.reads() == {OWNER, CHILD}
    assert await stands(world) == ("gia-dinh", 4, "active", month_of(FAMILY))
    await world.assert_sound()
    await groups.gives_card(OWNER, "4000000000000341")
    await world.deliver()
    await world.advance(32 * DAY)
    await world.deliver()
    assert (await stands(world))[2] == "grace" and await groups.reads() == {OWNER, CHILD}
    await dashboard_refund(world, first)
    await world.deliver()
    assert await groups.reads() == set() and (await stands(world))[2:] == ("expired", 0)
    assert {to for to, _ in await letters(world, "group_ended")} == {CHILD}
    await world.assert_sound()
    books = await booked(world)
    assert books.get("stripe_receivable", 0) == 0 and books.get("vat_payable", 0) == 0
    await groups.pays(OWNER)
    await world.deliver()
    assert await groups.reads() == {OWNER}, "a new plan, and new invitations"
    live = await groups.live(OWNER)
    assert live is not None and live.seats == 4
    await groups.joins(OWNER, CHILD)
    assert await groups.reads() == {OWNER, CHILD}
    await world.assert_sound()


async def test_an_owner_cancels_and_resumes_and_pauses_and_a_whole_refund_in_the_pause(
    groups: Groups,
) -> None:
    world = groups.world
    await with_vat(world)
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    await groups.cancels(OWNER)
    assert await groups.reads() == {OWNER, CHILD}
    await groups.resumes(OWNER)
    row = await groups.live(OWNER)
    assert row is not None
    await groups.pauses(OWNER, (row.period_end + 20 * DAY).date())
    await world.advance(35 * DAY)
    await world.deliver()
    assert (await stands(world))[2:] == ("paused", 0) and await groups.reads() == set()
    await world.assert_sound()
    refund = await dashboard_refund(world, await reference_of(world, OWNER))
    await world.deliver()
    assert refund and (await stands(world))[2] == "expired"
    assert {to for to, _ in await letters(world, "group_ended")} == {CHILD}
    await world.advance(30 * DAY)
    await world.deliver()
    assert await groups.reads() == set() and len(await orders(world)) == 1
    await world.assert_sound()
