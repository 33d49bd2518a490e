"""Decisions about a request: whose website sent it."""

from __future__ import annotations

import pytest

from services.billing.readers import rules

OWN, OTHER = "https://bao.example", "https://dai.example"


@pytest.mark.parametrize(
    ("origin", "websites", "another"),
    [
        (OWN, (OWN, OTHER), False),
        (OTHER, (OWN, OTHER), True),
        (OTHER, (OWN, "HTTPS://Dai.Example:443/tin/"), True),
        (OTHER, (OWN, "http://dai.example"), False),
        ("https://xn--bo-mia.example", (OWN, "https://báo.example"), True),
        ("https://stranger.example", (OWN, OTHER), False),
        (OWN, (OWN, OWN), False),
        ("null", (OWN, "", "null"), False),
        ("https://[::1", (OWN, OTHER), False),
        ("https://dai.example:99999", (OWN, OTHER), False),
    ],
)
def test_an_origin_is_another_agencys_when_only_their_website_is_there(origin, websites, another):
    assert rules.asks_for_another(origin, OWN, websites) is another
