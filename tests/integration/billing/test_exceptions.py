"""The page of what does not fit by itself, and its gauge."""

from __future__ import annotations

from typing import Any

import pytest

from services.billing import metrics
from services.billing.exceptions.service import KINDS
from tests.integration.billing.returning import at_the_bank, dashboard_refund, dispute, reference_of
from tests.integration.billing.test_reader_desk import press, support
from tests.integration.billing.test_returns import paid_twice
from tests.integration.billing.test_settlements import line, moved, said
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

PAGE = f"/staff/{AGENCY}/exceptions"


async def one_of_each(world: World) -> None:
    reference, _ = await paid_twice(world)
    await world.subscribed("minh@example.vn")
    await world.deliver()
    failing = await reference_of(world, "minh@example.vn")
    refund = await dashboard_refund(world, failing, amount=1_000)
    await world.deliver()
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await dispute(world, failing)
    await world.deliver()
    lines = (line(1, reference, 59_000, 9), line(2, "pi_else", 700), line(3, "", -77, 0, "other"))
    await said(world, moved(world, *lines, amount=1))


async def counted(world: World) -> dict[str, int]:
    await world.billing.exceptions.measure()
    found: dict[str, Any] = {
        kind: metrics.EXCEPTIONS.labels(AGENCY, kind)._value.get() for kind in KINDS
    }
    return {kind: int(value) for kind, value in found.items()}


async def test_finance_sees_everything_that_waits_and_puts_aside_what_is_settled(
    world: World,
) -> None:
    finance = support(world, "finance-token")
    assert "Không có" in (await finance.get(PAGE)).text
    assert set((await counted(world)).values()) == {0}
    await one_of_each(world)
    shown = (await finance.get(PAGE)).text
    assert "lan@example.vn" in shown and "minh@example.vn" in shown
    assert "txn_2" in shown and "txn_3" in shown and "txn_1" not in shown
    here = {"refund": 1, "dispute": 1, "unclaimed": 1, "payout": 1, "payout_line": 2}
    expected = {"credit": 0, "foreign": 0, "moved": 0, **here}
    assert await counted(world) == expected
    subject = await world.value("SELECT id FROM payout_line WHERE provider_line = 'txn_3'")
    action = f"{PAGE}/payout_line/{subject}/done"
    first, second = await press(finance, PAGE, action, reason="phí của cổng")
    assert first.status_code == 200 and "rời khỏi trang" in first.text
    assert second.status_code == 303
    assert "txn_3" not in (await finance.get(PAGE)).text
    assert await counted(world) == {**expected, "payout_line": 1}
    again = await finance.submit(PAGE, action, {"reason": "x", "confirmed": "true"})
    assert again.status_code == 404
    empty = await finance.submit(PAGE, action, {"reason": " ", "confirmed": "true"})
    assert empty.status_code == 422
    journal = await finance.get(f"/staff/{AGENCY}/journal")
    assert journal.status_code == 200 and "khiếu nại" in journal.text
    other = (await support(world, "other-token").get(f"/staff/{OTHER_AGENCY}/exceptions")).text
    assert "lan@example.vn" not in other and "txn_" not in other
    await world.assert_sound()


@pytest.mark.parametrize(
    ("token", "status"), [("support-token", 403), ("seller-token", 403), ("other-token", 404)]
)
async def test_it_is_finances_page(world: World, token: str, status: int) -> None:
    assert (await support(world, token).get(PAGE)).status_code == status


async def test_a_refund_that_is_asked_for_again_waits_no_more(world: World) -> None:
    from datetime import timedelta

    from tests.integration.billing.test_returns import ask

    await world.subscribed(card="4000000000005126")
    await world.deliver()
    await ask(world, 1_000)
    await world.billing.sent_refunds.run_due()
    refund = await world.value("SELECT provider_refund FROM refund")
    await at_the_bank(world, f"refunds/{refund}/settle", outcome="fail")
    await world.deliver()
    assert (await counted(world))["refund"] == 1
    world.clock.advance(timedelta(minutes=1))
    await ask(world, 1_000)
    assert (await counted(world))["refund"] == 0
