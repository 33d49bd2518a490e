"""What a good password is, when an account sleeps, and who may change whom."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shared.auth.roles import Role

PASSWORD_MIN = 12
PASSWORD_MAX = 128
PASSWORDS_REMEMBERED = 10
DORMANT_AFTER = timedelta(days=45)
ONE_TIME_LIFETIME = timedelta(days=7)
EMAIL_MAX = 254
NAME_MAX = 120

#: Each role's name on screen, in English; the catalogue has the Vietnamese.
ROLE_WORDS = {
    Role.ADMIN: "Administrator",
    Role.SELLER: "Ad sales",
    Role.TRAFFIC: "Ad traffic",
    Role.APPROVER: "Ad approval",
    Role.FINANCE: "Finance",
    Role.EDITOR: "Editor",
    Role.SUPPORT: "Reader support",
    Role.VIEWER: "Figures, view only",
}

_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])"
)


def normalise_email(typed: str) -> str | None:
    """Trimmed and in lower case, or None when it cannot be an e-mail address."""
    email = unicodedata.normalize("NFKC", typed).strip().lower()
    return email if len(email) <= EMAIL_MAX and _EMAIL.fullmatch(email) else None


def normalise_password(typed: str) -> str:
    """One form for each text: Vietnamese keyboards compose letters differently (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", typed)


def normalise_name(typed: str) -> str | None:
    """On one line, without control characters; None when nothing or too much is left."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in typed):
        return None
    name = " ".join(unicodedata.normalize("NFC", typed).split())
    return name if 1 <= len(name) <= NAME_MAX else None


def password_problem(password: str, email: str) -> str | None:
    """Why a (normalised) password will not do, as a word for the page; None when it will."""
    if len(password) < PASSWORD_MIN:
        return "too-short"
    if len(password) > PASSWORD_MAX:
        return "too-long"
    lowered = password.lower()
    if lowered in (email, email.partition("@")[0]) or email in lowered:
        return "is-email"
    if len(set(password)) < 4:
        return "too-simple"
    return None


def is_dormant(last_active_at: datetime, now: datetime) -> bool:
    """Accounts idle for 45 days are disabled."""
    return now - last_active_at >= DORMANT_AFTER


def may_use_password(one_time_until: datetime | None, now: datetime) -> bool:
    """A one-time password lasts a week."""
    return one_time_until is None or now < one_time_until


def may_manage_whole_account(
    account_agencies: Iterable[str], manager_roles: Mapping[str, Iterable[str]]
) -> bool:
    """Disabling or resetting reaches every agency of the account, so one must administer all of them."""
    administered = {agency for agency, roles in manager_roles.items() if Role.ADMIN in roles}
    return set(account_agencies) <= administered


def parse_roles(values: Iterable[str]) -> frozenset[Role] | None:
    """Known roles, or None when one is unknown."""
    try:
        return frozenset(Role(value) for value in values)
    except ValueError:
        return None
