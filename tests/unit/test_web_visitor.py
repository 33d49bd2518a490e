"""Where a request comes from."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from shared.web.visitor import caller_address, forwarded_address


@pytest.mark.parametrize(
    ("header", "hops", "believed"),
    [
        ("6.6.6.6", 0, "10.0.0.1"),
        ("6.6.6.6, 203.0.113.9", 1, "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("203.0.113.9", 1, "203.0.113.9"),
        ("203.0.113.9, 10.0.0.2", 2, "203.0.113.9"),
        ("", 1, "10.0.0.1"),
        ("203.0.113.9", 2, "10.0.0.1"),
    ],
)
def test_only_what_trusted_proxies_wrote_counts_as_the_caller(header, hops, believed):
    assert forwarded_address(header, hops, "10.0.0.1") == believed


def test_what_a_proxy_added_as_a_header_of_its_own_counts_as_the_end_of_the_list():
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"203.0.113.9")]
    request = Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 40000)})
    assert caller_address(request, 1) == "203.0.113.9"
    assert caller_address(request, 0) == "10.0.0.1"


def test_who_has_no_address_has_none():
    request = Request({"type": "http", "headers": [], "client": None})
    assert caller_address(request, 0) == caller_address(request, 1) == ""
