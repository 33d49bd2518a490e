"""Use cases of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from services.ads.availability.service import changing_inventory, database_time, lock_inventory
from services.ads.catalogue import repository
from services.ads.catalogue.models import Advertiser, Medium, Placement
from services.ads.catalogue.repository import AnySession, ProductCard
from services.ads.catalogue.rules import RateOn
from shared import audit
from shared.audit import Action
from shared.audit.rules import difference
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
    found, new = await repository.save_advertiser(session, agency, clean, website)
    if new:
        await audit.record(
            session,
            Action.ADVERTISER_CREATED,
            agency=agency,
            at=await database_time(session),
            subject=f"advertiser/{found}",
            label=clean,
            after={"website": website},
        )
    return found


async def set_placement(session: Session, agency: str, values: dict[str, Any]) -> UUID:
    """Add a placement or change the one of that code. Raises :class:`ConflictError` when it would oversell."""
    async with changing_inventory(session, agency):
        placed = [
            p for p in await repository.placements(session, agency) if p.code == values["code"]
        ]
        before = {name: getattr(placed[0], name) for name in values} if placed else {}
        found = await repository.save_placement(session, agency, values)
    was, now = difference(before, values)
    await audit.record(
        session,
        Action.PLACEMENT_SAVED,
        agency=agency,
        at=await database_time(session),
        subject=f"placement/{values['code']}",
        label=values["name"],
        before=was,
        after=now,
    )
    return found


async def set_product(
    session: Session, agency: str, code: str, name: str, placement_codes: Sequence[str]
) -> UUID:
    """Add a product or change the one of that code.

    Raises :class:`InvalidInputError`, and :class:`ConflictError` when what is sold would no longer fit.
    """
    known = {p.code: p.id for p in await repository.placements(session, agency)}
    codes = {id_: code for code, id_ in known.items()}
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
        before = (
            {
                "name": card.name,
                "placements": sorted(codes[place] for place in card.placement_ids),
            }
            if (card := await _product(session, agency, code))
            else {}
        )
        found = await repository.save_product(
            session, agency, code, name, Medium.WEB, [known[c] for c in placement_codes]
        )
    was, now = difference(before, {"name": name, "placements": sorted(placement_codes)})
    await audit.record(
        session,
        Action.AD_PRODUCT_SAVED,
        agency=agency,
        at=await database_time(session),
        subject=f"product/{code}",
        label=name,
        before=was,
        after=now,
    )
    return found


async def set_rate(session: Session, agency: str, product_code: str, rate: RateOn) -> None:
    """Price of a product from a day on. Raises :class:`NotFoundError`."""
    await lock_inventory(session, agency)  # the trail tells what this price takes the place of
    product = await get_product(session, agency, product_code)
    before = next((r for r in product.rates if r.valid_from == rate.valid_from), None)
    await repository.save_rate(session, agency, product.id, rate)
    await audit.record(
        session,
        Action.RATE_SET,
        agency=agency,
        at=await database_time(session),
        subject=f"product/{product_code}",
        label=product.name,
        before=asdict(before) if before else None,
        after=asdict(rate),
    )


async def get_product(session: AnySession, agency: str, code: str) -> ProductCard:
    """Raises :class:`NotFoundError`."""
    product = await _product(session, agency, code)
    if product is not None:
        return product
    raise NotFoundError(f"There is no product {code!r}", slug="product-unknown")


async def _product(session: AnySession, agency: str, code: str) -> ProductCard | None:
    found = [card for card in await repository.products(session, agency) if card.code == code]
    return found[0] if found else None
