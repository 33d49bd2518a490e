"""Every SQL statement of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.ads.catalogue.models import Advertiser, Placement, Product, ProductPlacement, Rate
from services.ads.catalogue.rules import RateOn, without_diacritics
from shared.database import ReadSession, Session
from shared.ids import new_id

AnySession = Session | ReadSession


@dataclass(frozen=True, slots=True)
class ProductCard:
    """A product with its placements and its rates."""

    id: UUID
    code: str
    name: str
    medium: str
    placement_ids: frozenset[UUID]
    rates: tuple[RateOn, ...]


async def placements(session: AnySession, agency: str) -> Sequence[Placement]:
    found = await session.execute(
        select(Placement).where(col(Placement.agency_id) == agency).order_by(col(Placement.code))
    )
    return found.scalars().all()


async def products(session: AnySession, agency: str) -> list[ProductCard]:
    rows = await session.execute(
        select(Product).where(col(Product.agency_id) == agency).order_by(col(Product.code))
    )
    members = await session.execute(
        select(ProductPlacement).where(col(ProductPlacement.agency_id) == agency)
    )
    rates = await session.execute(
        select(Rate).where(col(Rate.agency_id) == agency).order_by(col(Rate.valid_from))
    )
    places: dict[UUID, set[UUID]] = {}
    for member in members.scalars():
        places.setdefault(member.product_id, set()).add(member.placement_id)
    card: dict[UUID, list[RateOn]] = {}
    for rate in rates.scalars():
        card.setdefault(rate.product_id, []).append(
            RateOn(rate.valid_from, rate.cpm_vnd, rate.vat_percent)
        )
    return [
        ProductCard(
            p.id,
            p.code,
            p.name,
            p.medium,
            frozenset(places.get(p.id, ())),
            tuple(card.get(p.id, ())),
        )
        for p in rows.scalars()
    ]


async def advertisers(session: AnySession, agency: str, search: str = "") -> Sequence[Advertiser]:
    query = select(Advertiser).where(col(Advertiser.agency_id) == agency)
    if search:
        query = query.where(
            col(Advertiser.search_name).contains(without_diacritics(search), autoescape=True)
        )
    found = await session.execute(query.order_by(col(Advertiser.search_name)).limit(200))
    return found.scalars().all()


async def advertiser(session: AnySession, agency: str, advertiser_id: UUID) -> Advertiser | None:
    found = await session.execute(
        select(Advertiser).where(
            col(Advertiser.agency_id) == agency, col(Advertiser.id) == advertiser_id
        )
    )
    return found.scalar_one_or_none()


async def save_advertiser(
    session: Session, agency: str, name: str, website: str
) -> tuple[UUID, bool]:
    """Insert, or find the one of that name. Its id, and whether it is new."""
    found = await session.execute(
        text(
            """INSERT INTO advertiser (id, agency_id, name, search_name, website)
               VALUES (:id, :agency, :name, :search, :website)
               ON CONFLICT (agency_id, name) DO UPDATE SET search_name = excluded.search_name
               RETURNING id, xmax = 0 AS new"""  # xmax: PostgreSQL's mark of a row that was there
        ),
        {
            "id": new_id(),
            "agency": agency,
            "name": name,
            "search": without_diacritics(name),
            "website": website,
        },
    )
    row = found.one()
    return UUID(str(row.id)), bool(row.new)


async def save_placement(session: Session, agency: str, values: dict[str, Any]) -> UUID:
    """Insert or update by code."""
    found = await session.execute(
        text(
            """INSERT INTO placement (id, agency_id, code, name, section, width, height, daily_capacity)
               VALUES (:id, :agency, :code, :name, :section, :width, :height, :daily_capacity)
               ON CONFLICT (agency_id, code) DO UPDATE SET name = excluded.name,
                   section = excluded.section, width = excluded.width, height = excluded.height,
                   daily_capacity = excluded.daily_capacity
               RETURNING id"""
        ),
        values | {"id": new_id(), "agency": agency},
    )
    return UUID(str(found.scalar_one()))


async def save_product(
    session: Session, agency: str, code: str, name: str, medium: str, placement_ids: Sequence[UUID]
) -> UUID:
    """Insert or update by code; its placements become exactly these."""
    found = await session.execute(
        text(
            """INSERT INTO product (id, agency_id, code, name, medium)
               VALUES (:id, :agency, :code, :name, :medium)
               ON CONFLICT (agency_id, code) DO UPDATE SET name = excluded.name RETURNING id"""
        ),
        {"id": new_id(), "agency": agency, "code": code, "name": name, "medium": medium},
    )
    product_id = UUID(str(found.scalar_one()))
    await session.execute(
        text(
            "DELETE FROM product_placement WHERE product_id = :id AND NOT placement_id = ANY(:keep)"
        ),
        {"id": product_id, "keep": list(placement_ids)},
    )
    await session.execute(
        text(
            """INSERT INTO product_placement (product_id, placement_id, agency_id)
               SELECT :id, unnest(CAST(:places AS uuid[])), :agency ON CONFLICT DO NOTHING"""
        ),
        {"id": product_id, "places": list(placement_ids), "agency": agency},
    )
    return product_id


async def save_rate(session: Session, agency: str, product_id: UUID, rate: RateOn) -> None:
    await session.execute(
        text(
            """INSERT INTO rate (id, agency_id, product_id, valid_from, cpm_vnd, vat_percent)
               VALUES (:id, :agency, :product, :valid_from, :cpm, :vat)
               ON CONFLICT (product_id, valid_from) DO UPDATE
                   SET cpm_vnd = excluded.cpm_vnd, vat_percent = excluded.vat_percent"""
        ),
        {
            "id": new_id(),
            "agency": agency,
            "product": product_id,
            "valid_from": rate.valid_from,
            "cpm": rate.cpm_vnd,
            "vat": rate.vat_percent,
        },
    )
