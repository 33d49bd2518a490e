"""The world in which a year of readers begins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from services.billing import seed
from services.billing.coupons.service import NewCoupon
from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer
from shared.audit import Actor, acting
from tests.fixtures.roles import as_owner
from tests.integration.billing.lives import Lives
from tests.integration.billing.own_plans import ALONE, INTRO, INTRO_PERIOD, INTRO_TIMES, PRICES
from tests.integration.billing.paying import ACCOUNT, SECRETS
from tests.integration.billing.world import AGENCY, World, make_world

#: Two days before the end of January: 31 January and 29 February are days on which periods begin.
BEGINS = datetime(2028, 1, 29, 2, 17, tzinfo=UTC)
#: Codes and how many per cent they take off.
COUPONS = {"GIAM30": 30, "MIENPHI": 100}
TRIAL_DAYS = 14


@asynccontextmanager
async def begun_world(empty_url: str, folder: Path) -> AsyncIterator[World]:
    """A billing in a time of 8 % tax, with a trial, coupons and a bank account, two days before the end of January 2028."""
    owner = await asyncpg.connect(as_owner(empty_url))
    try:
        await owner.execute(
            "UPDATE vat_rate SET treatment = 'rate', rate_basis_points = 800 "
            "WHERE kind = 'press_subscription'"
        )
    finally:
        await owner.close()
    async with make_world(
        empty_url, folder, at=BEGINS, on_create=seed.load, bank_webhook_secrets=SECRETS
    ) as world:
        plan, _ = seed.PLANS[AGENCY][0]
        with acting(Actor.system("test")):
            await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")
            await world.billing.plans.save_plan(AGENCY, plan, PRICES[ALONE], {"month": TRIAL_DAYS})
            for code, percent in COUPONS.items():
                coupon = NewCoupon(code, percent, None, None, BEGINS, None, None, False)
                await world.billing.coupons.make(AGENCY, coupon)
            price = (await Lives(world).price(INTRO_PERIOD.name)).price_id
            offer = NewOffer(price, Kind.INTRO, INTRO, INTRO_TIMES)
            await world.billing.offers.make(AGENCY, offer)
        yield world
