"""Bodies of the catalogue's API."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.ads.catalogue.models import Placement
from services.ads.catalogue.repository import ProductCard
from shared.web.params import CalendarDay, Whole

#: Text as people type it; no control characters (PostgreSQL refuses NUL).
PlainText = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200)
]
Name = Annotated[PlainText, StringConstraints(min_length=1)]
Code = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=60)
]


class AdvertiserIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Nhãn lồng Hồng Nam"}]})
    name: Name
    website: PlainText = ""


class AdvertiserOut(BaseModel):
    id: UUID
    name: str
    website: str


class PlacementIn(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "home-top",
                    "name": "Đầu trang chủ",
                    "section": "home",
                    "width": 728,
                    "height": 90,
                    "daily_capacity": 20000,
                }
            ]
        }
    )
    code: Code
    name: Name
    section: PlainText = ""
    width: Whole = Field(ge=1, le=4000)
    height: Whole = Field(ge=1, le=4000)
    daily_capacity: Whole = Field(ge=0, le=1_000_000_000, description="Impressions a day")


class PlacementOut(PlacementIn):
    id: UUID

    @classmethod
    def of(cls, row: Placement) -> PlacementOut:
        return cls.model_validate(row, from_attributes=True)


class RateBody(BaseModel):
    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [{"valid_from": "2026-01-01", "cpm_vnd": 60000, "vat_percent": 10}]
        },
    )
    valid_from: CalendarDay
    cpm_vnd: Whole = Field(ge=0, le=1_000_000_000, description="đồng per thousand, before VAT")
    vat_percent: Whole = Field(default=10, ge=0, le=100)


class ProductIn(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": "article", "name": "Trong bài viết", "placements": ["article-inline"]}
            ]
        }
    )
    code: Code
    name: Name
    placements: list[Code] = Field(min_length=1, max_length=50)


class ProductOut(BaseModel):
    code: str
    name: str
    medium: str
    placement_ids: list[UUID]
    rates: list[RateBody]

    @classmethod
    def of(cls, card: ProductCard) -> ProductOut:
        return cls(
            code=card.code,
            name=card.name,
            medium=card.medium,
            placement_ids=sorted(card.placement_ids),
            rates=[RateBody.model_validate(rate) for rate in card.rates],
        )
