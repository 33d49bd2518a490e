"""Reader tokens signed by billing: verified with its published keys, remembered while they live."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from services.paywall.decisions.rules import Right
from shared.auth import ExpiredTokenError, InvalidTokenError, RemoteKeySet

AUDIENCE = "press-paywall"
BILLING_ISSUER = "press-billing"
REMEMBERED = 50_000
MAX_TOKEN_LENGTH = 8_192
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reader:
    """A signed-in reader and the rights the token carries (a fresh payment works at once)."""

    agency: str
    id: UUID
    rights: tuple[Right, ...]
    expires_at: float


class ReaderVerifier(Protocol):
    """Tells who a reader token belongs to."""

    async def verify(self, token: str, now: datetime) -> Reader:
        """Raises ``InvalidTokenError``."""
        ...


class ReaderTokens:
    """A signature is checked once per token and process."""

    def __init__(self, keys: RemoteKeySet) -> None:
        self._keys = keys
        self._known: OrderedDict[str, Reader] = OrderedDict()

    async def verify(self, token: str, now: datetime) -> Reader:
        known = self._known.get(token)
        if known is None:
            if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
                raise InvalidTokenError("not a reader token")
            claims = await self._keys.verify(token, audience=AUDIENCE, now=now)
            known = self._known[token] = reader_from(claims)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if known.expires_at <= now.timestamp():
            self._known.pop(token, None)
            raise ExpiredTokenError("expired")
        return known


def reader_from(claims: dict[str, Any]) -> Reader:
    """The reader in a verified token's claims. Raises :class:`InvalidTokenError`."""
    try:
        return Reader(
            str(claims["agency"]),
            UUID(claims["sub"]),
            tuple(
                Right(str(right["scope"]), _ALWAYS, datetime.fromtimestamp(right["until"], UTC))
                for right in claims.get("ent", ())
            ),
            float(claims["exp"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise InvalidTokenError("not a reader token") from error
