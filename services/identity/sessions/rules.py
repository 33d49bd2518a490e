"""How long a session lives, where sign-in may lead, and which consoles a role opens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from shared.auth.roles import Role

LIFETIME = timedelta(hours=12)
IDLE = timedelta(minutes=15)
ADMIN_IDLE = timedelta(minutes=5)
TOUCH_EVERY = timedelta(seconds=30)
KEEP_ENDED = timedelta(days=30)


def idle_limit(roles: Mapping[str, Collection[str]]) -> timedelta:
    """Administrators of any agency are locked sooner."""
    return ADMIN_IDLE if any(Role.ADMIN in held for held in roles.values()) else IDLE


def is_live(
    *,
    last_seen_at: datetime,
    expires_at: datetime,
    ended_at: datetime | None,
    idle: timedelta,
    now: datetime,
) -> bool:
    """Neither ended, nor past its absolute end, nor idle for too long."""
    return ended_at is None and now < expires_at and now - last_seen_at < idle


def needs_touch(last_seen_at: datetime, now: datetime) -> bool:
    """Activity is written at most once in 30 seconds."""
    return now - last_seen_at >= TOUCH_EVERY


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def safe_next(wanted: str, origins: Iterable[str]) -> str:
    """Where to go after sign-in: a path of our own, or an address at a known origin; else ``/``.

    Browsers read ``\\`` as ``/`` and skip tabs and line ends, so any of these is refused.
    """
    if any(letter == "\\" or ord(letter) <= 32 or ord(letter) == 127 for letter in wanted):
        return "/"
    if wanted.startswith("/"):
        return "/" if wanted.startswith("//") else wanted
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    known = {origin_of(url) for url in origins}
    return wanted if f"{parts.scheme}://{parts.netloc}" in known else "/"


@dataclass(frozen=True, slots=True)
class Console:
    """A place staff may open: its words (English, translated on the page) and its address."""

    title: str
    about: str
    url: str


_CONSOLES: tuple[tuple[str, frozenset[Role], str, str, str], ...] = (
    (
        "ads",
        frozenset({Role.SELLER, Role.TRAFFIC, Role.APPROVER}),
        "/console/{agency}",
        "Advertising console",
        "Avails, bookings, creatives, delivery",
    ),
    (
        "metrics",
        frozenset({Role.FINANCE, Role.VIEWER}),
        "/finance/{agency}",
        "Finance",
        "Revenue against the baseline year and the target",
    ),
    (
        "billing",
        frozenset({Role.FINANCE, Role.SUPPORT}),
        "/staff/{agency}",
        "Readers and subscriptions",
        "Plans, subscriptions, payments, ledger",
    ),
    (
        "paywall",
        frozenset({Role.EDITOR}),
        "/policies/{agency}",
        "Paywall policy",
        "Free articles, meter, premium content",
    ),
    ("identity", frozenset(), "/accounts/{agency}", "Accounts and roles", "Who may do what"),
    ("identity", frozenset(), "/keys/{agency}", "Service keys", "Keys of websites and systems"),
)


def consoles_for(
    agency: str, roles: Collection[str], base_urls: Mapping[str, str]
) -> list[Console]:
    """What these roles open at one agency. Administrators open everything."""
    return [
        Console(title, about, base_urls[service].rstrip("/") + path.format(agency=agency))
        for service, needed, path, title, about in _CONSOLES
        if Role.ADMIN in roles or needed.intersection(roles)
    ]
