"""Links of letters that open one subscription, show an offer, or take a change of address back, without signing in.

Meaning: whoever holds the letter may see the plan and its dates, cancel or keep it, pay what is owed and give another card;
nothing else. What makes it true: a token is signed with a secret of its own use, names the agency, the reader and one subscription,
and ends by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

#: How long a link of a letter opens something: past the end of any month that the letter tells of.
GOOD_FOR = timedelta(days=35)
_ALGORITHM = "HS256"
_LONGEST = 1_000
#: What the library raises for hostile text, its own errors and those of the decoders below it.
_UNREADABLE = (jwt.InvalidTokenError, ValueError, RecursionError)


class BadLinkError(Exception):
    """A link that we never made, or that has ended (``expired``)."""

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "invalid")
        self.expired = expired


@dataclass(frozen=True, slots=True)
class Link:
    """What a link opens."""

    agency: str
    reader_id: UUID
    subscription_id: UUID


@dataclass(frozen=True, slots=True)
class BackLink:
    """What the link of an offer for who left shows: nothing else is opened by it."""

    agency: str
    reader_id: UUID
    offer_id: UUID


@dataclass(frozen=True, slots=True)
class UndoLink:
    """Which change of a reader's address a link takes back."""

    agency: str
    reader_id: UUID
    change_id: UUID


class Links:
    """Makes and reads the tokens in links."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def token(self, link: Link, now: datetime) -> str:
        ids = link.reader_id, link.subscription_id
        return self._made(_audience(link.agency), ids, now + GOOD_FOR)

    def back_token(self, link: BackLink, now: datetime) -> str:
        return self._made(_back(link.agency), (link.reader_id, link.offer_id), now + GOOD_FOR)

    def undo_token(self, link: UndoLink, ends_at: datetime) -> str:
        return self._made(_undo(link.agency), (link.reader_id, link.change_id), ends_at)

    def read(self, agency: str, token: str, now: datetime) -> Link:
        """What a token of this agency opens. Raises :class:`BadLinkError`."""
        return Link(agency, *self._read(_audience(agency), token, now))

    def read_back(self, agency: str, token: str, now: datetime) -> BackLink:
        """Whose offer a token of this agency shows. Raises :class:`BadLinkError`."""
        return BackLink(agency, *self._read(_back(agency), token, now))

    def read_undo(self, agency: str, token: str, now: datetime) -> UndoLink:
        """Which change a token of this agency takes back. Raises :class:`BadLinkError`."""
        return UndoLink(agency, *self._read(_undo(agency), token, now))

    def read_stop(self, agency: str, token: str) -> BackLink:
        """Who wants no more of such letters: that has no end. Raises :class:`BadLinkError`."""
        return self.read_back(agency, token, datetime(2000, 1, 1, tzinfo=UTC))

    def _made(self, audience: str, ids: tuple[UUID, UUID], ends_at: datetime) -> str:
        claims = {"aud": audience, "exp": ends_at, "sub": "".join(one.hex for one in ids)}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def _read(self, audience: str, token: str, now: datetime) -> tuple[UUID, UUID]:
        if len(token) > _LONGEST:
            raise BadLinkError(expired=False)
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=audience,
                # Its end is looked at below, by our own clock.
                options={"require": ["exp", "sub", "aud"], "verify_exp": False},
            )
            ids = str(claims["sub"])
            found = UUID(ids[:32]), UUID(ids[32:])
            ends_at = int(claims["exp"])
        except _UNREADABLE as error:
            raise BadLinkError(expired=False) from error
        if now.timestamp() >= ends_at:
            raise BadLinkError(expired=True)
        return found


def _audience(agency: str) -> str:
    """One use, one agency: a token of another one is none here."""
    return f"subscription-link:{agency}"


def _back(agency: str) -> str:
    return f"offer-link:{agency}"


def _undo(agency: str) -> str:
    return f"address-link:{agency}"
