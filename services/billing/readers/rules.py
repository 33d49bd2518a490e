"""Decisions about readers: values in, values out."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

CODE_DIGITS = 6
CODE_LIFETIME = timedelta(minutes=10)
CODE_TRIES = 5
SESSION_TOUCH = timedelta(hours=1)

_EMAIL = re.compile(r"^[^@\s\"<>()\\,;:\[\]\x00-\x1f]+@[a-z0-9.-]+\.[a-z0-9-]{2,}$")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class RateRule:
    """At most ``limit`` times in each window of ``seconds``."""

    name: str
    limit: int
    seconds: int


#: A mailbox is not flooded, and a network cannot try many. Tries need no rule by address: ASK_EMAIL's five codes of
#: CODE_TRIES each are 25 guesses in a million for one window, and a rule would let a stranger lock the reader out
#: of entering a code that has reached them.
ASK_EMAIL = RateRule("ask-email", 5, 900)
ASK_NETWORK = RateRule("ask-network", 40, 900)
TRY_NETWORK = RateRule("try-network", 60, 900)


def window_start(at: datetime, seconds: int) -> datetime:
    """The beginning of the window ``at`` is in; windows are the same for everybody."""
    epoch = int(at.timestamp())
    return datetime.fromtimestamp(epoch - epoch % seconds, at.tzinfo)


def retry_after(at: datetime, seconds: int) -> int:
    """Whole seconds until the next window begins, at least 1."""
    return max(1, seconds - int(at.timestamp()) % seconds)


def normalise_email(text: str) -> str | None:
    """An address as it is kept (NFC, lower case), or None when it is not one."""
    email = unicodedata.normalize("NFC", text.strip()).lower()
    local, _, domain = email.rpartition("@")
    if len(email) > 254 or not _EMAIL.match(email) or len(local) > 64:
        return None
    if (
        ".." in email
        or local.startswith(".")
        or local.endswith(".")
        or domain.startswith((".", "-"))
    ):
        return None
    return email


def network_of(address: str) -> str:
    """The network an address is counted under: /24 for IPv4, /64 for IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    prefix = 24 if ip.version == 4 else 64
    return str(ipaddress.ip_network(f"{ip}/{prefix}", strict=False))


def hash_token(token: str) -> bytes:
    """How a random token is kept."""
    return hashlib.sha256(token.encode()).digest()


def hash_code(secret: str, attempt: str, code: str) -> bytes:
    """How a six-digit code is kept: bound to the browser's attempt, and useless without the server's secret."""
    return hmac.new(secret.encode(), f"{attempt}|{code}".encode(), hashlib.sha256).digest()


def clean_code(text: str) -> str:
    """Digits of what was typed: people paste spaces and dashes."""
    digits = "".join(char for char in text if char.isascii() and char.isdigit())
    return digits if len(digits) == CODE_DIGITS else ""


def safe_return(url: str, origins: frozenset[str]) -> str:
    """``url`` when it leads to one of our origins, else empty: no open redirect."""
    if not url or len(url) > 2_000 or _CONTROL.search(url):
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return ""
    return url if f"{parts.scheme}://{parts.netloc}" in origins else ""


def session_expiry(now: datetime, days: int) -> datetime:
    """Sliding: counted from the last visit."""
    return now + timedelta(days=days)


def device_name(user_agent: str) -> str:
    """A few words that let people recognise a browser of theirs."""
    system = next(
        (
            name
            for mark, name in (
                ("iPhone", "iPhone"),
                ("iPad", "iPad"),
                ("Android", "Android"),
                ("Windows", "Windows"),
                ("Mac OS", "macOS"),
                ("Linux", "Linux"),
            )
            if mark in user_agent
        ),
        "",
    )
    browser = next(
        (
            name
            for mark, name in (
                ("coc_coc", "Cốc Cốc"),
                ("Zalo", "Zalo"),
                ("Edg/", "Edge"),
                ("OPR/", "Opera"),
                ("Firefox/", "Firefox"),
                ("Chrome/", "Chrome"),
                ("Safari/", "Safari"),
            )
            if mark in user_agent
        ),
        "",
    )
    return " · ".join(part for part in (browser, system) if part) or "?"
