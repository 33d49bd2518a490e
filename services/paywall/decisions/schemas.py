"""Bodies of ``POST /v1/decisions``. msgspec, because this is the hot path; documented in the same OpenAPI."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

AgencyId = Annotated[
    str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40, description="The agency.")
]
ArticleId = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]*$", max_length=120, description="The article."),
]
MeterId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]*$",
        min_length=8,
        max_length=128,
        description="With a service key: the pseudonymous id the website keeps for its reader.",
    ),
]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One article (``article_id``), or several of a front page (``articles``, never counted)."""

    agency: AgencyId
    article_id: ArticleId | None = None
    articles: Annotated[list[ArticleId], Meta(min_length=1, max_length=100)] | None = None
    count: Annotated[bool, Meta(description="False: a dry run that counts nothing.")] = True
    reader_token: Annotated[str, Meta(max_length=8_192)] | None = None
    meter_id: MeterId | None = None


class MeterOut(msgspec.Struct, frozen=True):
    """The reader's meter in the present window."""

    limit: int
    used: int
    left: int
    resets_at: datetime


class Offer(msgspec.Struct, frozen=True):
    """A page that helps: add ``return_to``."""

    kind: str
    url: str


class Answer(msgspec.Struct, frozen=True):
    """May this reader read this article now, and if not, what should they be offered?"""

    article_id: str
    granted: bool
    reason: str
    rule_id: str
    policy_version: int
    variant: str
    meter: MeterOut | None
    action: str
    offers: tuple[Offer, ...]
    degraded: bool = False
    grant: str | None = None


class Answers(msgspec.Struct, frozen=True):
    """One answer per article of a front page, in order."""

    decisions: list[Answer]


def openapi_parts() -> tuple[dict[str, Any], dict[str, Any]]:
    """The operation of the route and the components it refers to."""
    (question, answer, answers), components = msgspec.json.schema_components(
        [Question, Answer, Answers], ref_template="#/components/schemas/{name}"
    )
    refused = {
        "400": "The body is not JSON",
        "401": "The key or the reader token is not valid",
        "403": "The origin or the key may not ask",
        "404": "There is no such agency or article",
        "413": "The body is too large",
        "422": "A field is wrong",
        "503": "Too many wait; Retry-After says when to come back",
    }
    operation = {
        "tags": ["decisions"],
        "summary": "May this reader read this article now?",
        "description": "From a browser: the cookie `pr_meter` and, signed in, "
        "`Authorization: Bearer <reader token>`. From a website's back end: "
        "`Authorization: Bearer prk_…` with scope `paywall:decide`, and `reader_token` or "
        "`meter_id` in the body. A dry run (`count: false`) and a front page carry no grant.",
        "operationId": "decide",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": question,
                    "examples": {
                        "one": {
                            "value": {
                                "agency": "bao-hung-yen",
                                "article_id": "mua-nhan-long",
                            }
                        },
                        "front page": {
                            "value": {
                                "agency": "bao-hung-yen",
                                "articles": ["mua-nhan-long", "le-hoi-pho-hien"],
                                "count": False,
                            }
                        },
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer, or `decisions` for a front page",
                "content": {"application/json": {"schema": {"anyOf": [answer, answers]}}},
            },
            **{code: {"description": text} for code, text in refused.items()},
        },
        "security": [{}, {"bearer": []}],
    }
    return operation, {
        "schemas": components,
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }
