"""A refund that a second person approves late: the money went another way meanwhile. And disputes that take back what was replaced, or
come back."""

from __future__ import annotations

from typing import Any

import pytest

from services.billing.charges.apply import apply
from services.billing.payments.adapters.port import DisputeMoved, DisputeState
from services.billing.refunds.sending import SentRefunds
from services.billing.refunds.service import By
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.returning import (
    at_the_bank,
    booked,
    dashboard_refund,
    dispute,
    reference_of,
    with_vat,
)
from tests.integration.billing.test_changes_undone import LAN, changed
from tests.integration.billing.test_seats import CHILD, OWNER, Groups
from tests.integration.billing.world import AGENCY, World

YEAR = 590_000
HA = By("018f0000-0000-7000-8000-000000000001", "Hà")
MINH = By("018f0000-0000-7000-8000-000000000002", "Minh")


@pytest.mark.parametrize("decided", ["before", "after"])
@pytest.mark.parametrize("meanwhile", ["all", "part", "dispute"])
async def test_what_went_back_another_way_is_not_sent_too(
    world: World, meanwhile: str, decided: str
) -> None:
    """In the provider's dashboard, or taken by the holder's bank. No đồng goes twice; who approves afterwards is told, and finance sees
    that what was approved before failed."""
    await with_vat(world)
    lives = Lives(world)
    await lives.buys(LAN, "year")
    await world.deliver()
    reader, payment = await lives.reader(LAN), await world.value("SELECT id FROM payment")
    with acting(Actor.system("test")):
        request = await world.billing.refunds.ask(AGENCY, reader.id, payment, YEAR, "x", HA)
        assert request.state == "asked"
        if decided == "before":
            await world.billing.refunds.approve(AGENCY, request.id, MINH)
    reference = await reference_of(world)
    if meanwhile == "dispute":
        await dispute(world, reference)
    else:
        await dashboard_refund(world, reference, **{} if meanwhile == "all" else {"amount": 1})
    await world.deliver()
    before = await booked(world)
    if decided == "after":
        with acting(Actor.system("test")), pytest.raises(ConflictError) as told:
            await world.billing.refunds.approve(AGENCY, request.id, MINH)
        assert told.value.slug == f"refund-{'disputed' if meanwhile == 'dispute' else 'too-much'}"
        with acting(Actor.system("test")):
            await world.billing.refunds.refuse(AGENCY, request.id, "went back already", HA)
    await SentRefunds(world.billing.database, world.clock, world.billing.provider).run_due()
    await world.deliver()
    state = {"before": "failed", "after": "refused"}[decided]
    assert await world.rows("SELECT state FROM refund_request") == [(state,)]
    assert await booked(world) == before
    seen = (await world.billing.exceptions.listing(AGENCY, 9))["refund"]
    shown = [(one["subject"], one["amount_vnd"]) for one in seen]
    assert shown == ([(request.id, YEAR)] if decided == "before" else [])
    await world.assert_sound()


async def test_a_month_and_the_year_in_its_place_are_both_lost(world: World) -> None:
    """What is left then: the fees of the bank."""
    month, year = await changed(world, "year")
    for lost in (month, year):
        id_ = await dispute(world, lost)
        await world.deliver()
        await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
        await world.deliver()
        await world.assert_sound()
    books = await booked(world)
    assert books.pop("revenue_subscription") == -books.pop("refunds_subscription")
    assert books == {"payment_fees": 700_000, "stripe_receivable": -700_000}
    assert await world.rows("SELECT state, mrr_vnd FROM subscription") == [("expired", 0)]
    assert await Lives(world).rights() == set()


async def test_members_read_again_where_a_lost_dispute_is_won_after_all(world: World) -> None:
    groups = Groups(world)
    await with_vat(world)
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    paid: dict[str, Any] = {"reference": await reference_of(world, OWNER), "amount": 119_000}
    id_ = await dispute(world, paid["reference"])
    await world.deliver()
    before = await booked(world)
    await at_the_bank(world, f"disputes/{id_}/close", outcome="lost")
    await world.deliver()
    assert await groups.reads() == set()
    await world.advance(DAY)
    now = world.clock.now()
    won = DisputeMoved(
        id=id_, fee=350_000, currency="VND", state=DisputeState.WON, withdrawn=False, opened_at=now, **paid
    )  # fmt: skip
    async with world.billing.database.transaction() as session:
        await apply(session, "stripe", won, now)
    assert await groups.reads() == {OWNER, CHILD}
    books = await booked(world)
    assert books["stripe_receivable"] == before["stripe_receivable"] + 119_000
    assert await world.rows("SELECT state, cancel_at_period_end FROM subscription") == [
        ("ending", True)
    ]
    await world.assert_sound()
