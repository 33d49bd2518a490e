"""Readers who pay by bank transfer, and a bank that tells of it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import select

from services.billing.readers.models import Reader
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, Browser, World

ACCOUNT, OTHER_ACCOUNT = "9900000001", "9900000002"
KEY = "sepay-key-0123456789abcdef0123456789"
SECRETS = f"{AGENCY}/sepay:{KEY},{OTHER_AGENCY}/sepay:other-{KEY}"
MONTH = 59_000


async def ordered(
    world: World, email: str = "lan@example.vn", period: str = "month"
) -> tuple[Browser, str]:
    """A signed-in reader with an order to pay by transfer: the browser and the code."""
    browser = await world.signed_in(email)
    return browser, await order(world, browser, period)


async def order(world: World, browser: Browser, period: str = "month") -> str:
    offers = await world.billing.plans.offers(AGENCY)
    price = next(offer for offer in offers if offer.period == period)
    answer = await browser.submit(
        f"/r/{AGENCY}/plans",
        f"/r/{AGENCY}/checkout",
        {"price": str(price.price_id), "way": "transfer", "return_to": ""},
    )
    assert answer.status_code == 303, answer.text
    path: str = answer.headers["location"]
    assert path.startswith(f"/r/{AGENCY}/orders/")
    return path.rsplit("/", 1)[1]


def told(
    world: World,
    note: str,
    amount: int = MONTH,
    *,
    id_: int = 1,
    reference: str = "",
    account: str = ACCOUNT,
    at: datetime | None = None,
) -> bytes:
    """A notification as SePay sends it."""
    local = (at or world.clock.now()) + timedelta(hours=7)
    return json.dumps(
        {
            "id": id_,
            "gateway": "Vietcombank",
            "transactionDate": f"{local:%Y-%m-%d %H:%M:%S}",
            "accountNumber": account,
            "code": None,
            "content": note,
            "transferType": "in",
            "transferAmount": amount,
            "accumulated": 10_000_000,
            "subAccount": None,
            "referenceCode": reference or f"FT{id_:014}",
            "description": "",
        }
    ).encode()


async def tell(
    world: World, body: bytes, *, agency: str = AGENCY, key: str = KEY, kind: str = "sepay"
) -> httpx.Response:
    return await world.browser().client.post(
        f"/v1/webhooks/bank/{agency}/{kind}",
        content=body,
        headers={"Authorization": f"Apikey {key}", "Content-Type": "application/json"},
    )


async def credited(world: World, note: str, amount: int = MONTH, **more: Any) -> None:
    """The bank tells of a credit and billing applies it."""
    answer = await tell(world, told(world, note, amount, **more))
    assert (answer.status_code, answer.json()) == (200, {"success": True}), answer.text
    await world.billing.applier.apply_due()


async def credits(world: World) -> list[tuple[Any, ...]]:
    """(amount, left, reason) of every credit, as they came."""
    return await world.rows(
        "SELECT amount_vnd, left_vnd, reason FROM bank_credit ORDER BY received_at, id"
    )


async def balances(world: World, agency: str = AGENCY) -> dict[str, int]:
    return {
        row.code: row.balance_vnd
        for row in await world.billing.ledger.trial_balance(agency)
        if row.balance_vnd
    }


async def person(world: World, email: str = "lan@example.vn") -> Reader:
    """The reader's row."""
    async with world.billing.database.read() as session:
        found: Reader = (await session.scalars(select(Reader).where(Reader.email == email))).one()  # type: ignore[arg-type]
        return found
