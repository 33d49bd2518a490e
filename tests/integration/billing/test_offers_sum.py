"""What readers do by chance, week after week: the sum that cards were charged is what their stories say."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.integration.billing.lives import DAY, Lives
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, GOOD_CARD, World

WEEK, MONTH, INTRO, BACK = 19_000, 59_000, 9_000, 12_000
ACTS = (
    "",
    "",
    "",
    "buys",
    "buys",
    "cancels",
    "resumes",
    "pauses",
    "changes",
    "card fails",
    "card works",
)


async def act(world: World, lives: Lives, who: str, what: str) -> None:
    """One reader does something; what cannot be is refused, and changes nothing."""
    row = await lives.live(who)
    try:
        if what == "buys" and row is None:
            await lives.buys(who, "week")
        elif what == "pauses" and row is not None:
            await lives.pauses(who, (row.period_end + 3 * DAY).date())
        elif what == "changes" and row is not None:
            await lives.changes(who, "month")
        elif what.startswith("card"):
            await lives.gives_card(who, FAILS_ON_RENEWAL if what == "card fails" else GOOD_CARD)
        elif what in ("cancels", "resumes"):
            await getattr(lives, what)(who)
    except ConflictError:
        pass
    await world.deliver()


def expected(story: list[Any]) -> int:
    """What a reader's paid orders cost by the terms alone: (purpose, price, credit, when it began, when what came before ended)."""
    total, left, at, ended, won = 0, 0, 0, None, None
    for number, (purpose, price_vnd, credit_vnd, paid_at, starts_at, ends_at) in enumerate(story):
        if purpose == "sale":
            lapsed = ended is not None and paid_at >= ended + 10 * DAY
            again = won is None or paid_at >= won + 30 * DAY
            left, at = 0, 0
            if price_vnd == WEEK and number == 0:
                left, at = 3, INTRO
            elif price_vnd == WEEK and lapsed and again:
                left, at = 2, BACK
        if price_vnd != WEEK:
            left = 0
        total += (at if left else price_vnd) - credit_vnd
        if left and at == BACK:
            won = paid_at
        left = max(left - 1, 0)
        ended = max(ended, ends_at) if ended else ends_at
        assert starts_at <= ends_at
    return total


@pytest.mark.timeout(400)
async def test_the_sum_charged_is_what_the_stories_say(world: World) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance, lives = random.Random(seed), Lives(world)
    price = await lives.price("week")
    with acting(Actor.system("test")):
        for new in (
            NewOffer(price.price_id, Kind.INTRO, INTRO, 3),
            NewOffer(price.price_id, Kind.WINBACK, BACK, 2, lapsed_days=10, again_days=30),
        ):
            await world.billing.offers.make(AGENCY, new)
    names = [f"reader-{number}@example.vn" for number in range(4)]
    for who in names:
        await act(world, lives, who, "buys")
    for _ in range(16):
        for who in names:
            await act(world, lives, who, chance.choice(ACTS))
        await world.advance(timedelta(days=chance.choice((2, 4, 7))))
        await world.deliver()
    rows = await world.rows(
        """SELECT r.email, o.purpose, o.list_vnd, o.credit_vnd, p.paid_at, p.period_start, coalesce(p.cut_at, p.period_end), p.amount_vnd
           FROM payment p JOIN sales_order o ON o.id = p.order_id JOIN reader r ON r.id = p.reader_id ORDER BY p.paid_at, p.id"""
    )
    paid: Counter[str] = Counter()
    for row in rows:
        paid[row[0]] += row[7]
    for who in names:
        assert paid[who] == expected([row[1:7] for row in rows if row[0] == who]), (seed, who)
    charged = sum(
        one["amount_received"]
        for one in await lives.charges_at_provider()
        if one["status"] == "succeeded"
    )
    unclaimed = await world.value(
        "SELECT coalesce(sum(amount_vnd), 0) FROM payment WHERE order_id IS NULL"
    )
    assert charged == sum(paid.values()) + unclaimed, seed
    assert unclaimed == 0 and len(rows) > 10, seed
    await world.assert_sound()
