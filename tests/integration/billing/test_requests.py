"""What a request says of itself: whose website it comes from, which network, which instants."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.integration.billing.world import AGENCY, OTHER_AGENCY, SITE, World

OTHER_SITE = "https://other.test"


async def have_website(world: World, agency: str, website: str) -> None:
    async with world.billing.database.transaction() as session:
        await session.execute(
            text("UPDATE agency SET website = :website WHERE id = :agency"),
            {"agency": agency, "website": website},
        )


async def test_an_agencys_website_is_not_told_who_reads_another_agency(world: World):
    browser = await world.signed_in()
    await have_website(world, OTHER_AGENCY, f"{OTHER_SITE}:443/bao/")
    path = f"/v1/agencies/{AGENCY}/session"
    refused = await browser.get(path, headers={"Origin": OTHER_SITE})
    assert refused.status_code == 403
    assert refused.json()["type"].endswith(":another-agencys-website")
    assert "lan@example.vn" not in refused.text and "token" not in refused.json()
    assert (await browser.get(path, headers={"Origin": SITE})).json()["signed_in"]
    assert (await browser.get(path)).json()["signed_in"]
    await have_website(world, OTHER_AGENCY, SITE)
    shared = await browser.get(path, headers={"Origin": SITE})
    assert shared.json()["signed_in"], "a website two agencies share is this one's as well"
