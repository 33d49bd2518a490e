"""Which names belong to one site: a browser sends a cookie to its own site only, and never sets one for a public suffix.

A site is a registrable domain, one label below a public suffix (``vn``, ``com.vn``, and also ``hungyen.vn``). The list is
Mozilla's, in the package ``publicsuffixlist``: no network.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from publicsuffixlist import PublicSuffixList

from shared.startup.rules import host_of


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def is_public_suffix(domain: str) -> bool:
    """Whether anybody may register names below ``domain``: browsers refuse a cookie for it."""
    return bool(_suffixes().is_public(domain.strip(".").lower()))


def registrable_domain(host: str) -> str:
    """``doc.baohungyen.vn`` → ``baohungyen.vn``. An address or a public suffix is its own site."""
    name = host.strip(".").lower()
    try:
        return str(ip_address(name))
    except ValueError:
        return str(_suffixes().privatesuffix(name) or name)


def same_site(*urls: str) -> bool:
    """Whether all addresses belong to one site, so that cookies of one travel in requests from the others."""
    return len({registrable_domain(host_of(url)) for url in urls}) <= 1
