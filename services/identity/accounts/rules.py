"""When an account sleeps, whose roles work, and who looks after whom."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shared.auth.roles import Role

DORMANT_AFTER = timedelta(days=45)
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


def normalise_name(typed: str) -> str | None:
    """On one line, without control characters; None when nothing or too much is left."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in typed):
        return None
    name = " ".join(unicodedata.normalize("NFC", typed).split())
    return name if 1 <= len(name) <= NAME_MAX else None


def is_dormant(last_active_at: datetime, now: datetime) -> bool:
    """Accounts idle for 45 days are disabled."""
    return now - last_active_at >= DORMANT_AFTER


def effective_roles(
    roles: Mapping[str, frozenset[str]], handed_by: str | None
) -> dict[str, frozenset[str]]:
    """The roles that work. A password handed out by one agency's administrator opens that agency and no other."""
    return {
        agency: held for agency, held in roles.items() if handed_by is None or agency == handed_by
    }


def looks_after(agency: str, home_agency: str | None) -> bool:
    """An account is looked after by its home agency alone, whoever else gave it roles."""
    return agency == home_agency


def may_be_handed(agency: str, home_agency: str | None, role_agencies: Iterable[str]) -> bool:
    """A one-time password opens the whole account: only where all of it is the home agency's own."""
    return looks_after(agency, home_agency) and set(role_agencies) <= {agency}


def is_administrator(roles: Mapping[str, Iterable[str]]) -> bool:
    """Of any agency."""
    return any(Role.ADMIN in held for held in roles.values())


def parse_roles(values: Iterable[str]) -> frozenset[Role] | None:
    """Known roles, or None when one is unknown."""
    try:
        return frozenset(Role(value) for value in values)
    except ValueError:
        return None
