"""What a request says of itself: whose website it comes from, which network, which instants."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import text

from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, SITE, World, form_token

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
    assert refused.json()["type"].endswith(":origin-not-allowed")
    assert "lan@example.vn" not in refused.text and "token" not in refused.json()
    assert (await browser.get(path, headers={"Origin": SITE})).json()["signed_in"]
    assert (await browser.get(path)).json()["signed_in"]
    await have_website(world, OTHER_AGENCY, SITE)
    shared = await browser.get(path, headers={"Origin": SITE})
    assert shared.json()["signed_in"], "a website two agencies share is this one's as well"


async def test_readers_behind_our_proxy_are_counted_by_their_own_networks(world: World):
    app = world.with_settings(forwarded_hops=1)
    page = f"/r/{AGENCY}/sign-in"
    for caller in ("198.51.100.7", "203.0.113.77"):
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("10.0.0.1", 40000)),
            base_url=OWN,
            headers={"X-Forwarded-For": f"6.6.6.6, {caller}"},
        ) as client:
            token = form_token((await client.get(page)).text)
            data = {"email": "lan@example.vn", "csrf_token": token}
            assert (await client.post(page, data=data, headers={"Origin": OWN})).status_code == 303
    counted = "SELECT bucket FROM rate_bucket WHERE bucket LIKE 'network:%' ORDER BY bucket"
    assert await world.rows(counted) == [
        ("network:198.51.100.0/24",),
        ("network:203.0.113.0/24",),
    ]


@pytest.mark.parametrize("path", ["trial-balance", "entries"])
@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("2026-02-29", 422),
        ("2026-11-23T00:00:00Z", 422),
        ("1795392000", 422),
        ("23/11/2026", 422),
        ("2026-11-23", 200),
    ],
)
async def test_a_day_that_is_none_is_refused_by_name(
    world: World, path: str, first: str, status: int
):
    staff = world.browser(press_staff="finance-token")
    answer = await staff.get(f"/v1/agencies/{AGENCY}/ledger/{path}", params={"first": first})
    assert answer.status_code == status, answer.text
    if status == 422:
        assert [error["field"].split(".")[-1] for error in answer.json()["errors"]] == ["first"]
