"""The hot routes as OpenAPI operations: the framework does not see them."""

from __future__ import annotations

from typing import Any


def _operation(summary: str, example: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "x-public": True,
        "tags": ["delivery"],
        "summary": summary,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": example},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {
                "description": "OK",
                "content": {"application/json": {"schema": {"type": "object"}, "example": answer}},
            },
            "404": {"description": "No such agency or place"},
            "410": {"description": "The token is too old"},
        },
    }


DECISIONS = _operation(
    "An ad for each place of a page (public, from the website)",
    {
        "agency": "bao-hung-yen",
        "page": {"url": "https://baohungyen.vn/", "section": "home"},
        "placements": [{"slot": "a", "placement": "home-top"}],
    },
    {
        "decisions": [
            {
                "slot": "a",
                "placement": "home-top",
                "line_id": None,
                "creative": None,
                "token": None,
                "impression_url": None,
                "click_url": None,
            }
        ]
    },
)
IMPRESSIONS = _operation(
    "Count an impression or a viewable ping at most once (public, from the website)",
    {"token": "…", "event": "impression"},
    {"counted": True},
)
