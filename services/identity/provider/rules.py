"""What a provider's answer is good for. Values in, values out; instants in UTC."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.identity.sessions.rules import ADMIN_IDLE

#: Where the provider sends the browser back to; it knows the whole address by heart (``redirect_uri``).
CALLBACK = "/sign-in/provider/callback"
VISIT_LIFETIME = timedelta(minutes=10)
#: So many visits in the sliding window of ``authenticators.rules`` are free, then one each pause.
VISITS_ALLOWED = 200
VISIT_PAUSE = timedelta(seconds=3)
SKEW = timedelta(seconds=30)
MAX_FORM_BYTES = 16 * 1024


class ProviderUnavailableError(Exception):
    """It does not answer, not in time, or not with what was asked for."""


class ProviderAnswerError(Exception):
    """It answered, and the answer proves nothing. The text is for the log."""


class Purpose(StrEnum):
    """Why the browser was sent to the provider."""

    SIGN_IN = "sign-in"
    LINK = "link"
    CONFIRM = "confirm"
    INVITATION = "invitation"


class Problem(StrEnum):
    """Why nothing came of it, as a word for the page."""

    UNKNOWN = "unknown"  # another browser, too old, used already
    DECLINED = "declined"
    UNAVAILABLE = "unavailable"
    INVALID = "invalid"
    TOO_MANY = "too-many"
    NOT_LINKED = "not-linked"
    DISABLED = "disabled"
    UNVERIFIED = "unverified"
    OTHER_ADDRESS = "other-address"
    HANDED = "handed"
    ELSEWHERE = "elsewhere"
    LINKED_ALREADY = "linked-already"
    NOT_FRESH = "not-fresh"
    NO_SECOND_FACTOR = "no-second-factor"
    HAS_APP = "has-app"
    SESSION_ENDED = "session-ended"
    NO_PASSWORD = "no-password"  # noqa: S105 (a name)
    INVITATION_ENDED = "invitation-ended"


#: How old the person's own proof at the provider may be. A session there that goes on by itself must not be the way round
#: the idle lock here, and whose session it will be is not known before: so the shortest lock counts.
MAX_AGE = {
    Purpose.SIGN_IN: ADMIN_IDLE,
    Purpose.LINK: ADMIN_IDLE,
    Purpose.INVITATION: ADMIN_IDLE,
    Purpose.CONFIRM: timedelta(0),
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What the provider says, verified. ``second_factor``: by the words that this deployment takes for one."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    second_factor: bool
    authenticated_at: datetime | None


#: Values of ``amr`` that mean something one knows (RFC 8176): no second factor beside a password.
ONE_FACTOR = frozenset({"pwd", "pin", "kba"})


def words(setting: str) -> frozenset[str]:
    """A setting's words, separated by spaces or commas."""
    return frozenset(setting.replace(",", " ").split())


def has_second_factor(
    amr: object, acr: object, amr_words: Collection[str], acr_words: Collection[str]
) -> bool:
    """Whether ``amr`` (RFC 8176) or ``acr`` holds one of the deployment's words. Without words nothing does."""
    methods = amr if isinstance(amr, list) else []
    return any(isinstance(one, str) and one in amr_words for one in methods) or (
        isinstance(acr, str) and acr in acr_words
    )


def link_problem(
    claims: Claims, address: str | None, email: str, *, handed: bool
) -> Problem | None:
    """Why this subject may not open the account with the address ``email``.

    ``address``: the claim's address in our form. ``handed``: the account's password was handed out and the address not
    proved by mail since, so that whoever holds the session need not be its person.
    """
    if handed:
        return Problem.HANDED
    if not claims.email_verified:
        return Problem.UNVERIFIED
    return None if address == email else Problem.OTHER_ADDRESS


def proved_at(
    claims: Claims, purpose: Purpose, started_at: datetime, now: datetime
) -> datetime | None:
    """When the person proved to the provider who they are, never later than ``now``.

    None when that is longer ago than was asked for (``max_age``), or untold, as it must not be then (Core 2): the
    provider only reused its own session, and nobody need be there.
    """
    at = claims.authenticated_at
    if at is None or at < started_at - MAX_AGE[purpose] - SKEW:
        return None
    return min(at, now)
