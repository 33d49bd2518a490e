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

#: What a reader may give; the price is what is suggested first.
CONTRIBUTION: dict[str, Any] = {
    "code": "ung-ho",
    "kind": "contribution",
    "least_vnd": 10_000,
    "most_vnd": 20_000_000,
    "suggested_vnd": [50_000, 100_000, 200_000, 500_000],
    "name_vi": "Ủng hộ tòa soạn",
    "name_en": "Support the newsroom",
    "description_vi": "Số tiền tùy bạn, một lần, không mua quyền đọc.",
    "description_en": "An amount of your own, once; it buys no right to read.",
}

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
                "code": "gia-dinh",
                "name_vi": "Gói gia đình",
                "name_en": "Family plan",
                "description_vi": "Bốn người cùng đọc, mỗi người một tài khoản riêng.",
                "description_en": "Four readers, each with an account of their own.",
                "seats": 4,
            },
            {"month": 119_000, "year": 1_190_000},
        ),
        (
            {
                "code": "to-chuc",
                "name_vi": "Gói cơ quan, trường học",
                "name_en": "Plan for companies and schools",
                "description_vi": "Từ năm người đọc; ai có địa chỉ thư của cơ quan thì tự nhận chỗ.",
                "description_en": "From five readers on; whoever has an address of yours takes a seat by themselves.",
                "seats": 5,
                "per_seat": True,
            },
            {"month": 45_000, "year": 450_000},
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
        (
            {
                "code": "muoi-bai",
                "kind": "bundle",
                "days": 90,
                "uses": 10,
                "name_vi": "10 bài",
                "name_en": "10 articles",
                "description_vi": "Chọn dần 10 bài trong 90 ngày; bài đã mở đọc lại được trong một năm.",
                "description_en": "Choose 10 articles within 90 days; each stays open for a year.",
            },
            {"once": 20_000},
        ),
        (CONTRIBUTION, {"once": 50_000}),
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
        (CONTRIBUTION, {"once": 50_000}),
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
