"""Web origins (RFC 6454): whose page a browser says a request comes from, and what that page may read.

CORS here is per route and per agency, never around an application: a page of an agency's website may read the two
or three answers made for it, and nothing else that its visitor's cookies would open.
"""

from __future__ import annotations

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def website_origin(url: str) -> str:
    """The ``Origin`` that browsers send from a page at ``url``; empty when it is no web address."""
    try:
        parts = urlsplit(url.strip().lower())
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:  # UnicodeError is one
        return ""
    if parts.scheme not in _DEFAULT_PORTS or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    standard = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if standard else f"{parts.scheme}://{host}:{port}"


def cors_headers(
    origin: str, allowed: frozenset[str], *, credentials: bool = False
) -> dict[str, str]:
    """Headers that let a page of ``origin`` read this answer: only ``Vary`` when it may not (Fetch standard)."""
    headers = {"Vary": "Origin"}
    if origin in allowed:
        headers["Access-Control-Allow-Origin"] = origin
        if credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
    return headers
