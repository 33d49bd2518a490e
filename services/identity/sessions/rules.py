"""What a session still lacks, how long it lives, where sign-in may lead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode, urlsplit

from shared.auth.roles import Role

LIFETIME = timedelta(hours=12)
IDLE = timedelta(minutes=15)
ADMIN_IDLE = timedelta(minutes=5)
TOUCH_EVERY = timedelta(seconds=30)
KEEP_ENDED = timedelta(days=30)
PENDING_LIFETIME = timedelta(minutes=15)
FRESH = timedelta(minutes=10)


class Factor(StrEnum):
    """How somebody has proved who they are, in one session."""

    PASSWORD = "password"  # noqa: S105 (a name)
    TOTP = "totp"
    RECOVERY_CODE = "recovery-code"
    INVITATION = "invitation"  # a mailed link was followed
    OIDC = "oidc"  # another provider says so
    PROVIDER_MFA = "provider-mfa"  # and it asked for a second factor (``amr``, RFC 8176)


#: What counts as a second factor.
SECOND_FACTORS = frozenset({Factor.TOTP, Factor.RECOVERY_CODE, Factor.PROVIDER_MFA})


class Step(StrEnum):
    """What a pending session still has to do; the value is the page's path below ``/sign-in/``."""

    SECOND_FACTOR = "code"
    OWN_PASSWORD = "password"  # noqa: S105 (a name)
    ENROL = "enrol"


def due_step(
    factors: Collection[str], *, one_time_password: bool, has_totp: bool, administrator: bool
) -> Step | None:
    """The next step of a pending session; None when it is complete.

    It follows from the account as it is now: who becomes an administrator in mid-session has to enrol at once. The
    second factor comes before the own password, so that a one-time password alone changes nothing.
    """
    proved = SECOND_FACTORS.intersection(factors)
    if has_totp and not proved:
        return Step.SECOND_FACTOR
    if one_time_password and Factor.PASSWORD in factors:
        return Step.OWN_PASSWORD
    if administrator and not has_totp and Factor.PROVIDER_MFA not in factors:
        return Step.ENROL
    return None


def location(step: Step | None, next: str) -> str:
    """Where the browser goes: the step's page, which leads on to ``next``, or ``next`` itself."""
    return next if step is None else f"/sign-in/{step}?{urlencode({'next': next})}"


def is_fresh(authenticated_at: datetime, now: datetime) -> bool:
    """Whether somebody proved who they are in the last ten minutes."""
    return now - authenticated_at < FRESH


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
