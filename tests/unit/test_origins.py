"""Whose page a request comes from, and what that page may read."""

from __future__ import annotations

import pytest

from shared.agencies import Agency
from shared.origins import cors_headers, website_origin

BAO = "https://bao.example"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (BAO, BAO),
        ("HTTPS://Bao.Example:443/tin/?a=1#b", BAO),
        ("http://bao.example:80/", "http://bao.example"),
        ("https://bao.example:8443", "https://bao.example:8443"),
        ("https://báo.example", "https://xn--bo-mia.example"),
        ("http://[::1]:8000/x", "http://[::1]:8000"),
        ("https://someone@bao.example/", BAO),
        ("https://[::1", ""),
        ("https://bao.example:99999", ""),
        ("javascript:alert(1)", ""),
        ("null", ""),
        ("", ""),
        ("https://", ""),
        ("http:///bai/1", ""),
    ],
)
def test_an_address_has_the_origin_browsers_send(url, origin):
    assert website_origin(url) == origin


def test_only_an_agencys_own_websites_are_its_origins():
    agency = Agency("bao", "Báo", "Asia/Ho_Chi_Minh", BAO, ("https://tv.example/", "nonsense"))
    assert agency.origins == {BAO, "https://tv.example"}
    assert Agency("dai", "Đài", "Asia/Ho_Chi_Minh").origins == frozenset()


@pytest.mark.parametrize(
    "origin", ["", "null", "https://evil.example", "https://bao.example.evil", BAO + "/"]
)
def test_a_page_of_another_origin_is_told_nothing(origin):
    assert cors_headers(origin, frozenset({BAO}), credentials=True) == {"Vary": "Origin"}


def test_credentials_are_for_routes_that_ask_for_them():
    own = {"Vary": "Origin", "Access-Control-Allow-Origin": BAO}
    assert cors_headers(BAO, frozenset({BAO})) == own
    assert cors_headers(BAO, frozenset({BAO}), credentials=True) == own | {
        "Access-Control-Allow-Credentials": "true"
    }
