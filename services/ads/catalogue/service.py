"""Use cases of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.ads.availability.service import changing_inventory
from services.ads.catalogue import repository
from services.ads.catalogue.models import Advertiser, Medium, Placement
from services.ads.catalogue.repository import AnySession, ProductCard
from services.ads.catalogue.rules import RateOn
from shared.database import Session
from shared.errors import FieldError, InvalidInputError, NotFoundError


async def list_placements(session: AnySession, agency: str) -> Sequence[Placement]:
    return await repository.placements(session, agency)


async def list_products(session: AnySession, agency: str) -> list[ProductCard]:
    return await repository.products(session, agency)


async def list_advertisers(
    session: AnySession, agency: str, search: str = ""
) -> Sequence[Advertiser]:
    """By name, with or without diacritics."""
    return await repository.advertisers(session, agency, search)


async def get_advertiser(session: AnySession, agency: str, advertiser_id: UUID) -> Advertiser:
    """Raises :class:`NotFoundError`."""
    found = await repository.advertiser(session, agency, advertiser_id)
    if found is None:
        raise NotFoundError("There is no such advertiser", slug="advertiser-unknown")
    return found


async def add_advertiser(session: Session, agency: str, name: str, website: str = "") -> UUID:
    """A brand by its name; one that exists is found again."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= 200:
        raise InvalidInputError(
            errors=(FieldError("name", "A name is needed", "1 to 200 characters"),)
        )
    return await repository.save_advertiser(session, agency, clean, website)


async def set_placement(session: Session, agency: str, values: dict[str, Any]) -> UUID:
    """Add a placement or change the one of that code. Raises :class:`ConflictError` when it would oversell."""
    async with changing_inventory(session, agency):
        return await repository.save_placement(session, agency, values)


async def set_product(
    session: Session, agency: str, code: str, name: str, placement_codes: Sequence[str]
) -> UUID:
    """Add a product or change the one of that code.

    Raises :class:`InvalidInputError`, and :class:`ConflictError` when what is sold would no longer fit.
    """
    known = {p.code: p.id for p in await repository.placements(session, agency)}
    unknown = [wanted for wanted in placement_codes if wanted not in known]
    if unknown or not placement_codes:
        raise InvalidInputError(
            errors=(
                FieldError(
                    "placements",
                    f"Unknown: {', '.join(unknown)}" if unknown else "At least one is needed",
                    ", ".join(known),
                ),
            )
        )
    async with changing_inventory(session, agency):
        return await repository.save_product(
            session, agency, code, name, Medium.WEB, [known[c] for c in placement_codes]
        )


async def set_rate(session: Session, agency: str, product_code: str, rate: RateOn) -> None:
    """Price of a product from a day on. Raises :class:`NotFoundError`."""
    product = await get_product(session, agency, product_code)
    await repository.save_rate(session, agency, product.id, rate)


async def get_product(session: AnySession, agency: str, code: str) -> ProductCard:
    """Raises :class:`NotFoundError`."""
    for product in await repository.products(session, agency):
        if product.code == code:
            return product
    raise NotFoundError(f"There is no product {code!r}", slug="product-unknown")
