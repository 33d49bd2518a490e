"""Which agency a notification names, read without the rest of it."""

from __future__ import annotations

import re

import msgspec

_AGENCY = re.compile(r"[a-z0-9-]{1,40}")


class _Object(msgspec.Struct):
    metadata: dict[str, msgspec.Raw] | None = None


class _Data(msgspec.Struct):
    object: _Object


class _Notification(msgspec.Struct):
    data: _Data


_NOTIFICATION = msgspec.json.Decoder(_Notification)


def agency_named(payload: bytes) -> str | None:
    """The agency a notification names, or None when it names none that there could be: then it is everybody's care."""
    try:
        named = (_NOTIFICATION.decode(payload).data.object.metadata or {}).get("agency", b"null")
        agency = msgspec.json.decode(named, type=str)
    except (ValueError, RecursionError):
        return None
    return agency if _AGENCY.fullmatch(agency) else None
