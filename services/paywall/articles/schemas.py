"""Bodies of the article registry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.paywall.articles.models import Access
from shared.contracts.articles import ARTICLE_ID
from shared.web.params import Instant

ID_PATTERN = f"^{ARTICLE_ID}$"

# PostgreSQL's text has no NUL character; the pattern refuses it with the field's name.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class ArticleIn(BaseModel):
    """What the website's back end says about an article."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "title": "Mùa nhãn lồng Hưng Yên được giá",
                    "url": "https://baohungyen.vn/mua-nhan-long.html",
                    "section": "kinh-te",
                    "tags": ["nhãn lồng"],
                    "access": "metered",
                    "published_at": "2026-07-20T07:00:00+07:00",
                }
            ]
        },
    )

    title: Text = Field(min_length=1, max_length=500)
    url: str = Field(max_length=2000, pattern=r"^https?://[^\s\x00]+$")
    section: Text = Field(default="", max_length=120)
    tags: list[Annotated[str, StringConstraints(max_length=120, pattern=r"^[^\x00]*$")]] = Field(
        default_factory=list, max_length=50
    )
    access: Access
    published_at: Instant


class ArticleOut(BaseModel):
    """An article as registered."""

    agency: str
    id: str
    title: str
    url: str
    section: str
    tags: list[str]
    access: Access
    published_at: datetime
