"""Bodies of the creatives' API."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.ads.catalogue.schemas import Name, PlainText
from services.ads.creatives.service import CreativeText
from shared.web.params import Truth


class CreativeIn(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "headline": "Nhãn lồng đầu mùa",
                    "body": "Đặt trước hôm nay, giao tận nhà ngày mai.",
                    "call_to_action": "Đặt ngay",
                    "click_url": "https://example.vn/nhan-long",
                    "theme": "green",
                }
            ]
        }
    )
    headline: Name = Field(max_length=90)
    body: PlainText = ""
    call_to_action: PlainText = Field(default="", max_length=30)
    click_url: str = Field(max_length=2000)
    theme: Literal["red", "green", "blue", "amber", "slate"] = "red"
    active: Truth = True

    def words(self) -> CreativeText:
        return CreativeText(**self.model_dump())


class CreativeOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: UUID
    line_id: UUID
    kind: str
    headline: str
    body: str
    call_to_action: str
    click_url: str
    theme: str
    active: bool
    version: int
