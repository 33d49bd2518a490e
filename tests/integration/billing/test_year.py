"""More than a year of readers on two rails, alone and in groups, at random: rights, money and recurring revenue are as in an account of our own.

``YEAR_READERS`` and ``YEAR_DAYS`` play it larger or smaller, ``YEAR_SEED`` another one.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.integration.billing.the_year import TICKS, Year
from tests.integration.billing.year_begun import begun_world

READERS, DAYS = int(os.environ.get("YEAR_READERS", "8")), int(os.environ.get("YEAR_DAYS", "100"))
SEED = int(os.environ.get("YEAR_SEED", "20280129"))

#: What readers do in a year of many.
HAPPENS = {
    *(
        "card",
        "bad card",
        "trial",
        "term at INTRO",
        "card at INTRO",
        "renewal at INTRO",
        "renewal after INTRO",
        "term at GIAM30",
        "term at MIENPHI",
        "card at GIAM30",
        "card at MIENPHI",
    ),
    *(
        "gift",
        "gift redeemed",
        "ngay by card",
        "ngay by transfer",
        "mot-bai by card",
        "mot-bai by transfer",
        "muoi-bai by card",
        "muoi-bai by transfer",
        "bundle used",
        "bundle given back",
    ),
    *("cancel", "resume", "pause", "change now", "change later", "new card", "card after failure"),
    *("cancel in grace", "refund", "refund that waited: succeed", "refund that waited: fail"),
    *("dispute won", "dispute lost"),
    # Of groups, and what reaches their members.
    *("gia-dinh by card", "gia-dinh by transfer", "to-chuc by card", "to-chuc by transfer"),
    *("gift of a family plan", "a domain", "joined by domain", "a seat taken", "back in a group"),
    *("invited", "invited again", "withdrawn", "accepted twice", "left", "removed"),
    *(f"not accepted: seat-{why}" for why in ("accepted", "withdrawn", "expired", "over", "full")),
    *("not joined: seat-ended", "not joined: seat-full", "not invited: seat-invitations"),
    *("more seats now", "fewer seats now", "fewer seats later"),
    *("doc-bao to gia-dinh", "gia-dinh to doc-bao", "gia-dinh to to-chuc", "to-chuc to doc-bao"),
    *(
        "change refused: seats are taken",
        "change of a group taken back",
        "places ended by the plan",
    ),
    *("change of a term", "change of two terms", "change of a term paid in the morning after"),
    *("change of a term of a group", "another term to follow"),
    *("reads in the grace of another", "a seat beside a plan of their own", "seats in two groups"),
    *(
        f"{what} of a group"
        for what in (
            *("cancel", "resume", "pause", "change now", "change later", "cancel in grace"),
            *("card after failure", "refund", "refund in part", "dispute won", "dispute lost"),
        )
    ),
}


@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("seed", [SEED])
async def test_a_year_of_readers_is_as_in_an_account_of_our_own(
    empty_url: str, tmp_path: Any, seed: int
):
    async with begun_world(empty_url, tmp_path) as world:
        year = Year(world, seed, READERS)
        for number in range(DAYS):
            for wait in TICKS:
                world.clock.advance(wait)
                await year.settle()
                if wait == TICKS[0]:
                    await year.decide_disputes()
                    await year.decide_refunds()
                    for person in year.people.values():
                        await year.act(person)
                    await year.settle()
                else:
                    await year.terms.pay_what_waits()
                await year.compare_now()
            if number % 50 == 49:
                await year.compare_books()
        await year.compare_books()
        missing = HAPPENS - set(year.done).union(*(one.happened for one in year.people.values()))
        assert READERS < 100 or DAYS < 300 or not missing, f"never happened: {missing}"
        print(
            f"{READERS} readers, {DAYS} days, {len(year.seen)} payments by card: {dict(year.done)}"
        )
