"""How long a mailed link works, how many an agency may send, and what following one asks for."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

INVITATION_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(hours=24)
PER_AGENCY_AND_DAY = 50


class Way(StrEnum):
    """What the person has to do to accept."""

    NEW = "new"  # give a name and a password: there is no account yet
    RENEW = "renew"  # choose a new password: the present one is worth nothing here
    SIGN_IN = "sign-in"  # prove to be the owner of the account there is


def is_open(
    expires_at: datetime, accepted_at: datetime | None, withdrawn_at: datetime | None, now: datetime
) -> bool:
    return accepted_at is None and withdrawn_at is None and now < expires_at


def way(*, reset: bool, known: bool, handed: bool, has_own_proof: bool) -> Way:
    """``handed``: an administrator handed the present password out; ``has_own_proof``: a password or provider."""
    if not known:
        return Way.NEW
    if reset or handed or not has_own_proof:
        return Way.RENEW
    return Way.SIGN_IN
