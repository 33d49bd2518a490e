"""Decisions about readers: values in, values out."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from shared.origins import website_origin

SESSION_TOUCH = timedelta(hours=1)

_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")


def network_of(address: str) -> str:
    """The network an address is counted under: /24 for IPv4, /48 for IPv6 (what one customer may be given)."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network(f"{ip}/{prefix}", strict=False))


def hash_token(token: str) -> bytes:
    """How a random token is kept."""
    return hashlib.sha256(token.encode()).digest()


def former_hash(secret: str, agency: str, mailbox: str) -> bytes:
    """How the mailbox of who was erased is known again, if it registers again: useless without the service's secret."""
    return hmac.new(secret.encode(), f"former|{agency}|{mailbox}".encode(), hashlib.sha256).digest()


def erased_address(reader_id: UUID) -> str:
    """What stands in the place of the address of who was erased; no mail is delivered there (RFC 2606)."""
    return f"reader-{reader_id}@erased.invalid"


LONGEST_RETURN = 2_000  # of an address on a website
LONGEST_NESTED = 8_000  # of one of our own pages, with such an address in it


def safe_return(url: str, websites: frozenset[str], own: str) -> str:
    """``url`` when it leads to one of the ``websites`` (origins) or to ``own`` pages, else empty: no open redirect."""
    if not url or len(url) > LONGEST_NESTED or _CONTROL.search(url):
        return ""
    try:
        netloc = urlsplit(url).netloc
    except ValueError:
        return ""
    origin = website_origin(url)
    if not origin or "@" in netloc:
        return ""
    return url if origin == own or (origin in websites and len(url) <= LONGEST_RETURN) else ""


def session_expiry(now: datetime, created_at: datetime, days: int, most_days: int) -> datetime:
    """Counted from the last visit, but never beyond ``most_days`` after signing in."""
    return min(now + timedelta(days=days), created_at + timedelta(days=most_days))
