"""Acts that are cut off in the middle: nothing of them is done, and done again they are done once."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from services.billing.refunds import sending
from services.billing.refunds.service import By
from shared.audit import Actor, acting
from tests.integration.billing.paying import credited
from tests.integration.billing.returning import API, booked
from tests.integration.billing.test_others_ids import everything
from tests.integration.billing.test_seats import CHILD, OWNER, Groups
from tests.integration.billing.world import AGENCY, World

HA = By("018f0000-0000-7000-8000-000000000001", "Hà")


class Killed(BaseException):
    """The process is gone."""


async def once_whole(world: World, act: Any) -> Any:
    """Killed before it commits it has done nothing; the second time it is one transaction. What it gives."""
    engine, before, commits = world.billing.database.engine.sync_engine, await everything(world), 0

    def killed(_: Any) -> None:
        raise Killed

    def counted(_: Any) -> None:
        nonlocal commits
        commits += 1

    async def run(listener: Any) -> Any:
        event.listen(engine, "commit", listener)
        try:
            with acting(Actor.system("test")):
                return await act()
        finally:
            event.remove(engine, "commit", listener)

    with pytest.raises(Killed):
        await run(killed)
    assert await everything(world) == before
    done = await run(counted)
    assert commits == 1 and await everything(world) != before
    return done


async def test_who_is_killed_in_an_act_has_done_nothing_of_it(paid_by_transfer: World) -> None:
    """A seat is offered and taken, a gift redeemed, a transfer given to an order, a refund asked for and paid."""
    world = paid_by_transfer
    groups, billing = Groups(world), world.billing
    await groups.pays(OWNER, card=False)
    gift = await groups.transfers("ban@example.vn", id_=21, gift=True)
    order = await groups.chooses("em@example.vn", "month", renews=False)
    await credited(world, "khong biet", 59_000, id_=22)
    code, owner = await groups.gift_code(gift), await groups.reader(OWNER)
    child, row = await groups.reader(CHILD), (await groups.subscriptions(OWNER))[0].id
    credit = await world.value("SELECT id FROM bank_credit WHERE left_vnd > 0")
    payment = await world.value("SELECT id FROM payment WHERE subscription_id IS NOT NULL")

    invitation = await once_whole(world, lambda: billing.seats.invite(owner, row, CHILD))
    await once_whole(world, lambda: billing.seats.accept(child, invitation.id))
    await once_whole(world, lambda: billing.orders.redeem(child, code))
    await once_whole(world, lambda: billing.transfers.assign(AGENCY, credit, order.code, "x"))
    asked = await once_whole(
        world, lambda: billing.refunds.ask(AGENCY, owner.id, payment, 119_000, "x", HA)
    )
    await once_whole(world, lambda: billing.refunds.pay(AGENCY, asked.id, "FT-1", HA))
    assert await groups.reads() == {CHILD, "em@example.vn"}
    await world.deliver()
    await world.assert_sound()


async def test_a_refund_whose_worker_is_killed_by_the_answer_goes_back_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = Groups(world)
    await groups.buys(OWNER)
    await world.deliver()
    payment, reader = await world.value("SELECT id FROM payment"), await groups.reader(OWNER)
    with acting(Actor.system("test")):
        await world.billing.refunds.ask(AGENCY, reader.id, payment, 59_000, "x", HA)

    def killed(point: str) -> Awaitable[None]:
        raise Killed(point)

    worker = sending.SentRefunds(world.billing.database, world.clock, world.billing.provider)
    with monkeypatch.context() as patch, pytest.raises(Killed, match=r"refund\.answered"):
        patch.setattr(sending, "fault_point", killed)
        await worker.send_one()
    assert await world.rows("SELECT state FROM refund_request") == [("sent",)]
    world.clock.advance(timedelta(hours=1))
    assert await worker.run_due() == 1
    await world.deliver()
    assert await world.rows("SELECT state, asks FROM refund_request") == [("paid", 2)]
    found = await world.payer.get("/v1/refunds", headers=API)
    assert len(found.json()["data"]) == 1
    assert "stripe_receivable" not in await booked(world)
    await world.assert_sound()
