"""Reader-revenue metrics of readers whose month is known by heart."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from services.billing import metrics
from services.billing.insight.rules import ReaderRevenue
from tests.fixtures.roles import as_owner
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.lives import API, Lives
from tests.integration.billing.test_account_pages import trial
from tests.integration.billing.test_books_pages import rows_of, workbook_of
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, OTHER_AGENCY, World

MONTH = 59_000
NOVEMBER, DECEMBER, JANUARY = date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)
PAGE = f"/staff/{AGENCY}/readers-revenue"
API_PATH = f"/v1/agencies/{AGENCY}/reader-revenue"


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 5, tzinfo=UTC)


async def until(world: World, day: date) -> None:
    """Days pass, each with all that falls due on it."""
    while world.clock.now() < noon(day):
        world.clock.set(min(world.clock.now() + timedelta(days=1), noon(day)))
        await world.deliver()


async def of(world: World, first: date, agency: str = AGENCY) -> ReaderRevenue:
    return await world.billing.insight.month(agency, first)


async def gave_back(world: World, email: str) -> None:
    """All of the newest card payment of a reader goes back, from the provider's own pages."""
    reference = await world.value(
        """SELECT p.reference FROM payment p JOIN reader r ON r.id = p.reader_id
           WHERE r.email = :email ORDER BY p.paid_at DESC LIMIT 1""",
        email=email,
    )
    data = {"payment_intent": reference}
    answer = await world.payer.post("/v1/refunds", data=data, headers=API)
    assert answer.status_code == 200, answer.text
    await world.deliver()


async def six_readers(world: World) -> Lives:
    """On 23 November, a month each: one cancels, one's card is refused for good and one's until another is given, one pays a term, one
    pauses, one's money goes back."""
    lives = Lives(world)
    for name in ("cancels", "pauses", "refunded"):
        await lives.buys(f"{name}@x.vn")
    for name in ("refused", "recovers"):
        await lives.buys(f"{name}@x.vn", card=FAILS_ON_RENEWAL)
    await lives.transfers("term@x.vn")
    await world.deliver()
    await until(world, date(2026, 11, 30))
    await lives.cancels("cancels@x.vn")
    await lives.pauses("pauses@x.vn", date(2027, 2, 1))
    return lives


async def test_every_reason_and_every_share_of_a_month(world: World):
    lives = await six_readers(world)
    await until(world, DECEMBER)
    november = await of(world, NOVEMBER)
    assert november.recurring.moved_vnd["new"] == november.recurring.closing_vnd == 6 * MONTH
    assert (november.recurring.ending_vnd, november.recurring.prepaid_vnd) == (MONTH, MONTH)
    assert november.recurring.committed_vnd == 4 * MONTH
    assert (november.recurring.yearly_vnd, november.arpu_vnd) == (12 * 6 * MONTH, MONTH)
    paid = november.paid
    assert (paid.committed, paid.ending, paid.prepaid, paid.passes) == (4, 1, 1, 0)
    await until(world, date(2026, 12, 5))
    await gave_back(world, "refunded@x.vn")
    await until(world, date(2026, 12, 24))
    await lives.gives_card("recovers@x.vn")
    await until(world, date(2027, 1, 8))
    december = await of(world, DECEMBER)
    assert december.month.settled and (await of(world, NOVEMBER)).recurring == november.recurring
    assert december.recurring.opening_vnd == 6 * MONTH
    assert december.recurring.closing_vnd == MONTH, "who gave another card"
    reasons = ("canceled", "returned", "unpaid", "lapsed", "paused")
    assert december.churn.lost == dict.fromkeys(reasons, 1)
    assert december.churn.lost_vnd == dict.fromkeys(reasons, MONTH)
    assert december.churn.rates_of("canceled", "returned") == (0.3333, 0.3333)
    assert (december.churn.logo_rate, december.churn.revenue_rate) == (0.8333, 0.8333)
    assert (december.dunning.recovered, december.dunning.recovered_vnd) == (1, MONTH)
    assert (december.dunning.lost, december.dunning.lost_vnd) == (1, MONTH)
    renewing, term = december.renewals["renewal"], december.renewals["term"]
    assert (renewing.ended, renewing.followed) == (4, 1), "what was given back did not end"
    assert (term.ended, term.followed) == (1, 0)
    assert [(one.first, one.readers, one.paying) for one in december.cohorts] == [
        (NOVEMBER, 6, (1,)),
    ]
    assert (await of(world, DECEMBER, OTHER_AGENCY)).recurring.closing_vnd == 0
    await world.assert_sound()


async def test_trials_and_who_paid_after_them(world: World):
    await trial(world)
    await world.deliver()
    lives = Lives(world)
    order = await lives.chooses("minh@example.vn", "month")
    assert (await world.pay(await lives.page("minh@example.vn", order.code))).status_code == 303
    await world.deliver()
    await lives.cancels("minh@example.vn")
    found = await of(world, NOVEMBER)
    assert (found.trials.ended, found.paid.active, found.recurring.closing_vnd) == (0, 0, 0)
    await until(world, date(2026, 12, 10))
    found = await of(world, NOVEMBER)
    assert (found.trials.ended, found.trials.followed, found.trials.rate) == (2, 1, 0.5)
    assert not found.renewals["renewal"].ended, "a trial is no period that was paid for"
    await world.billing.insight.measure()
    assert metrics.MRR.labels(AGENCY)._value.get() == MONTH
    assert metrics.ACTIVE_PAID_READERS.labels(AGENCY)._value.get() == 1
    assert metrics.MRR_ENDING.labels(AGENCY)._value.get() == 0


async def test_money_that_becomes_known_after_the_end_does_not_count_twice(world: World):
    """The loss stands on 2 December; what pays for the time before it becomes known on the 5th, and is of 30 November."""
    lives = Lives(world)
    await lives.transfers("lan@example.vn")
    id_ = await world.value("SELECT id FROM subscription")
    owner = await asyncpg.connect(as_owner(world.billing.settings.database_url))
    for version, movement, vnd, day in (
        (900, "churn", -MONTH, date(2026, 12, 2)),
        (901, "reactivation", MONTH, date(2026, 11, 30)),
    ):
        await owner.execute(
            """INSERT INTO mrr_movement (subscription_id, version, movement, amount_vnd, occurred_on)
               VALUES ($1, $2, $3, $4, $5)""",
            *(id_, version, movement, vnd, day),
        )
    await owner.close()
    await until(world, date(2026, 12, 6))
    november, december = await of(world, NOVEMBER), await of(world, DECEMBER)
    assert november.recurring.closing_vnd == december.recurring.opening_vnd == MONTH
    assert december.recurring.closing_vnd == MONTH
    await world.assert_sound()


@pytest.mark.parametrize(
    ("movements", "fires"),
    [
        ([("expansion", 5), ("contraction", -5)], set()),
        ([("new", 5), ("contraction", -5)], {"mrr_rolls_forward"}),
        ([("contraction", -MONTH), ("reactivation", MONTH)], {"mrr_rolls_forward"}),
        ([("churn", -MONTH - 5), ("reactivation", MONTH + 5)], {"mrr_rolls_forward"}),
        ([("expansion", 5)], {"mrr_rolls_forward", "mrr_movements_sum"}),
    ],
)
async def test_movements_that_do_not_take_up_what_was_left_are_found(
    world: World, movements: list[tuple[str, int]], fires: set[str]
):
    await Lives(world).transfers("lan@example.vn")
    id_ = await world.value("SELECT id FROM subscription")
    async with world.billing.database.transaction() as session:
        for number, (movement, vnd) in enumerate(movements):
            await session.execute(
                text(
                    """INSERT INTO mrr_movement (subscription_id, version, movement, amount_vnd, occurred_on)
                       VALUES (:id, :version, :movement, :vnd, '2026-11-24')"""
                ),
                {"id": id_, "version": 900 + number, "movement": movement, "vnd": vnd},
            )
    for whole in (False, True):
        assert set(await broken(world.billing, whole=whole)) == fires, whole


# The page, its files, and programs


async def test_the_page_and_its_files_say_the_same(world: World):
    await six_readers(world)
    staff = world.browser(press_staff="support-token").client
    page = (await staff.get(f"{PAGE}?period=2026-11")).text
    for said in ("354.000", "Tháng 11/2026", "Tháng này chưa hết", "Cách tính", "16,7 %"):
        assert said in page, said
    rows = rows_of(await staff.get(f"{PAGE}.csv?period=2026-11"))
    assert ["2026-11", "Doanh thu định kỳ hằng tháng", "Cuối tháng", "354000", "đồng", ""] in rows
    assert rows[-1][1:4] == ["Nhóm bạn đọc theo tháng trả tiền đầu tiên", "2026-11", "6"]
    english = rows_of(await staff.get(f"{PAGE}.csv?period=2026-11&lang=en"))
    assert ["2026-11", "Active paid readers", "All", "6", "readers", ""] in english
    found = workbook_of(await staff.get(f"{PAGE}.xlsx?period=2026-11"))
    shown = [["" if cell is None else str(cell) for cell in row] for row in found]
    assert shown == rows


@pytest.mark.parametrize(
    ("token", "query", "status"),
    [
        ("finance-token", "", 200),
        ("support-token", "?period=2026-10", 200),
        ("seller-token", "", 403),
        ("other-token", "", 404),
        ("finance-token", "?period=2026-Q4", 404),
        ("finance-token", "?period=2026-12", 404),
        ("finance-token", "?period=never", 404),
    ],
)
async def test_who_sees_it_and_of_which_months(world: World, token: str, query: str, status: int):
    staff = world.browser(press_staff=token).client
    assert (await staff.get(f"{PAGE}{query}")).status_code == status


async def test_programs_read_a_month(world: World):
    await six_readers(world)
    staff = world.browser(press_staff="finance-token").client
    said: dict[str, Any] = (await staff.get(API_PATH, params={"month": "2026-11"})).json()
    assert said["recurring"]["closing_vnd"] == 6 * MONTH and not said["over"]
    assert said["readers"]["active"] == 6 and said["churn"]["lost_readers"] == 0
    assert said["cohorts"] == [{"month": "2026-11", "readers": 6, "paying": []}]
    for month, status in (("2026-12", 404), ("2026-13", 422), ("", 422)):
        assert (await staff.get(API_PATH, params={"month": month})).status_code == status, month
