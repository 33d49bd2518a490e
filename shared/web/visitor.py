"""Where a request comes from, also behind proxies."""

from __future__ import annotations

from starlette.requests import HTTPConnection


def forwarded_address(header: str, hops: int, direct: str) -> str:
    """The caller's address behind ``hops`` trusted proxies; what the caller wrote further left is not believed."""
    if hops == 0:
        return direct
    addresses = [part.strip() for part in header.split(",") if part.strip()]
    return addresses[-hops] if len(addresses) >= hops else direct


def caller_address(request: HTTPConnection, hops: int) -> str:
    """The address of whoever sent ``request``; ``hops`` is the setting ``forwarded_hops``."""
    # A proxy may add a header of its own instead of lengthening the caller's: together they are one list.
    header = ",".join(request.headers.getlist("x-forwarded-for"))
    return forwarded_address(header, hops, request.client.host if request.client else "")
