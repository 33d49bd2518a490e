"""Addresses in headers, which carry no other characters than ASCII."""

from __future__ import annotations

from urllib.parse import quote

_KEPT = ":/%#?=@[]!$&'()*+,;~"  # what has a meaning in an address, and what is escaped already


def header_address(url: str) -> str:
    """``url`` with every other character percent-encoded as UTF-8, as browsers do when they follow it.

    That goes for a host's name as well: browsers decode it before they look it up (URL standard, host parsing).
    """
    return quote(url, safe=_KEPT)
