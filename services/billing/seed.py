"""The example agencies, their plans, offers and bank accounts. Safe to repeat: the same price stays the same row."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from services.billing.composition import Billing, build
from services.billing.ledger.service import open_books
from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer
from services.billing.settings import BillingSettings
from shared.agencies import at_website, read_agencies, save_agencies
from shared.audit import Actor, acting
from shared.process import Process

REPOSITORY = Path(__file__).resolve().parents[2]
AGENCIES = REPOSITORY / "infra" / "demo" / "agencies.toml"
ACCOUNTS = REPOSITORY / "infra" / "demo" / "bank_accounts.toml"

PLANS: dict[str, tuple[tuple[dict[str, Any], dict[str, int]], ...]] = {
    "bao-hung-yen": (
        (
            {
                "code": "doc-bao",
                "name_vi": "Đọc báo không giới hạn",
                "name_en": "Unlimited reading",
                "description_vi": "Mọi bài viết trên trang, trên mọi thiết bị của bạn.",
                "description_en": "Every article of the site, on all your devices.",
            },
            {"week": 19_000, "month": 59_000, "year": 590_000},
        ),
        (
            {
                "code": "ngay",
                "kind": "pass",
                "days": 1,
                "name_vi": "Thẻ ngày",
                "name_en": "Day pass",
                "description_vi": "Mọi bài viết trong 24 giờ, không tự gia hạn.",
                "description_en": "Every article for 24 hours; it does not renew.",
            },
            {"once": 5_000},
        ),
        (
            {
                "code": "mot-bai",
                "kind": "article",
                "days": 365,
                "name_vi": "Chỉ bài này",
                "name_en": "This article only",
                "description_vi": "Bài bạn vừa mở, đọc lại được trong một năm.",
                "description_en": "The article you have just opened, to read again for a year.",
            },
            {"once": 3_000},
        ),
    ),
    "dai-song-hong": (
        (
            {
                "code": "ban-nghe-dai",
                "name_vi": "Bạn nghe đài",
                "name_en": "Friend of the station",
                "description_vi": "Bài viết, chương trình phát thanh và truyền hình xem lại.",
                "description_en": "Articles, and radio and television on demand.",
            },
            {"month": 39_000, "year": 390_000},
        ),
    ),
}


#: (agency, plan, period): what is offered beside the price. None where readers of other examples would pay another amount by it.
OFFERS: dict[tuple[str, str, str], tuple[dict[str, Any], ...]] = {
    ("bao-hung-yen", "doc-bao", "month"): (
        {"kind": Kind.STUDENT, "amount_vnd": 29_000, "domains": ("edu.vn",)},
    ),
    ("dai-song-hong", "ban-nghe-dai", "year"): (
        {"kind": Kind.INTRO, "amount_vnd": 190_000, "periods": 1},
        {
            "kind": Kind.WINBACK,
            "amount_vnd": 290_000,
            "periods": 1,
            "lapsed_days": 30,
            "again_days": 365,
        },
    ),
}


async def offer(billing: Billing) -> None:
    """What the prices do not have yet."""
    for (agency, code, period), wanted in OFFERS.items():
        sold = await billing.plans.offers(agency)
        price = next(one for one in sold if (one.plan_code, one.period) == (code, period))
        known = {
            (one["price_id"], one["kind"])
            for one in await billing.offers.listing(agency)
            if one["ended_at"] is None
        }
        for terms in wanted:
            if (price.price_id, terms["kind"]) not in known:
                await billing.offers.make(agency, NewOffer(price.price_id, **terms))


async def load(billing: Billing) -> None:
    """Agencies, charts of accounts, plans, bank accounts."""
    agencies = at_website(read_agencies(AGENCIES), billing.settings.news_site_url)
    async with billing.database.transaction() as session:
        await save_agencies(session, agencies, actor=Actor.system("seed"))
        for agency in agencies:
            await open_books(session, agency["id"], billing.clock.now())
    with acting(Actor.system("seed")):
        for agency_id, plans in PLANS.items():
            for plan, prices in plans:
                await billing.plans.save_plan(agency_id, plan, prices)
        await offer(billing)
        for row in tomllib.loads(ACCOUNTS.read_text(encoding="utf-8"))["accounts"]:
            # One that is known stays as it is: an account entered after it is the one that readers are shown.
            known = await billing.transfers.accounts(row["agency"])
            if row["number"] not in [one.number for one in known]:
                await billing.transfers.save_account(
                    row["agency"], row["number"], row["bin"], row["holder"]
                )


async def run(process: Process[BillingSettings]) -> None:
    """``python -m services.billing seed``."""
    billing = build(process)
    try:
        await load(billing)
    finally:
        await billing.close()
