"""The form of a service key, and when it works."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from shared.auth.roles import Scope

USE_WRITTEN_EVERY = timedelta(minutes=1)
ROTATION_OVERLAP = timedelta(hours=24)
NAME_MAX = 80
KEYS_PER_AGENCY = 100
SHOWN_OF_SECRET = 4

_KEY = re.compile(r"prk_(?P<id>[a-z0-9]{4,32})_(?P<secret>[A-Za-z0-9_-]{32,128})")


class State(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


def compose(key_id: str, secret: str) -> str:
    return f"prk_{key_id}_{secret}"


def key_id_of(key: str) -> str | None:
    """The id inside a key, or None when this cannot be one of ours."""
    found = _KEY.fullmatch(key)
    return found["id"] if found else None


def display_prefix(key: str) -> str:
    """Enough to tell keys apart, useless to get in."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError("a service key is prk_<id>_<secret>, its secret 32 characters or more")
    return f"prk_{found['id']}_{found['secret'][:SHOWN_OF_SECRET]}…"


def state_of(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> State:
    if revoked_at is not None:
        return State.REVOKED
    if expires_at is not None and now >= expires_at:
        return State.EXPIRED
    return State.ACTIVE


def needs_use_written(last_used_at: datetime | None, now: datetime) -> bool:
    """The last use is written at most once a minute."""
    return last_used_at is None or now - last_used_at >= USE_WRITTEN_EVERY


def parse_scopes(values: Iterable[str]) -> list[str] | None:
    """Known scopes in a fixed order, or None when there is none or an unknown one."""
    chosen = set(values)
    known = [str(scope) for scope in Scope if scope in chosen]
    return known if known and len(known) == len(chosen) else None
