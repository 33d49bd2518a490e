"""Asks identity who a staff session or a service key is, and remembers the answer for a short while.

Sessions of staff are asked about every time: who signs out, is disabled or loses a role is out everywhere at once.
Keys are remembered, which makes the hot path free and bounds how long a revoked one still works: ``KEY_CACHE_SECONDS``.
When identity is away, keys known good stay good for ``KEY_STALE_SECONDS`` (a declared failure mode: reading goes on);
staff pages answer 503.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from shared.auth.roles import Role
from shared.errors import ForbiddenError, NotFoundError, UnauthorizedError, UnavailableError
from shared.security.events import SecurityEvent

KEY_CACHE_SECONDS = 30.0
KEY_STALE_SECONDS = 600.0
CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class StaffPrincipal:
    """A signed-in member of staff. ``roles`` by agency.

    ``authenticated_at``: when they last proved who they are (UTC); ``factors``: how, in this session.
    ``sign_out_token`` goes with their bar's form.
    """

    account_id: UUID
    email: str
    name: str
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    authenticated_at: datetime | None = None
    factors: frozenset[str] = frozenset()
    sign_out_token: str = field(default="", compare=False, repr=False)

    @property
    def agencies(self) -> tuple[str, ...]:
        return tuple(sorted(self.roles))

    def holds(self, agency: str, *allowed: Role) -> bool:
        """Whether one of the roles is held there; an administrator holds them all."""
        held = self.roles.get(agency, frozenset())
        return Role.ADMIN in held or not held.isdisjoint(allowed)

    def require(self, agency: str, *allowed: Role) -> None:
        """Raises 404 for an agency that is not theirs, 403 when none of the roles is held there."""
        if not self.roles.get(agency):
            raise NotFoundError(security=SecurityEvent.OTHER_AGENCY, about={"agency": agency})
        if allowed and not self.holds(agency, *allowed):
            raise ForbiddenError(
                f"This needs one of the roles: {', '.join(sorted(allowed))}",
                slug="role-missing",
                security=SecurityEvent.ROLE_MISSING,
                about={"agency": agency},
            )


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """A website or system that holds a service key."""

    key_id: str
    agency: str
    scopes: frozenset[str]

    def require(self, agency: str, scope: str = "") -> None:
        """Raises 404 for another agency, 403 for a missing scope."""
        about = {"agency": agency, "actor": f"key:{self.key_id}"}
        if agency != self.agency:
            raise NotFoundError(security=SecurityEvent.KEY_OTHER_AGENCY, about=about)
        if scope and scope not in self.scopes:
            raise ForbiddenError(
                f"This key lacks the scope {scope}",
                slug="scope-missing",
                security=SecurityEvent.KEY_SCOPE_MISSING,
                about=about,
            )


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """No key of ours; or, where ``key_id`` says which, one that was revoked or has expired."""

    key_id: str = ""
    agency: str = ""

    def error(self) -> UnauthorizedError:
        headers = {"WWW-Authenticate": "Bearer"}
        if not self.key_id:
            return UnauthorizedError(headers=headers, security=SecurityEvent.KEY_UNKNOWN)
        return UnauthorizedError(
            headers=headers,
            security=SecurityEvent.KEY_ENDED,
            about={"agency": self.agency, "actor": f"key:{self.key_id}"},
        )


class IdentityClient:
    """Introspection, for keys with a bounded cache. Keys are kept only as hashes."""

    def __init__(self, base_url: str, internal_key: str, client: httpx.AsyncClient) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {internal_key}"}
        self._client = client
        self._keys: OrderedDict[bytes, tuple[float, KeyPrincipal | RefusedKey]] = OrderedDict()

    async def staff(self, session_token: str) -> StaffPrincipal | None:
        """Who this session is, or None when it has ended. Raises :class:`UnavailableError`."""
        body = await self._introspect("sessions", session_token)
        if not body["active"]:
            return None
        return StaffPrincipal(
            UUID(body["account_id"]),
            body["email"],
            body["name"],
            {agency: frozenset(roles) for agency, roles in body["roles"].items()},
            _instant(body.get("authenticated_at")),
            frozenset(body.get("factors", ())),
            body.get("sign_out_token", ""),
        )

    def cached_key(self, key: str) -> KeyPrincipal | None:
        """The hot path: a key known good within ``KEY_CACHE_SECONDS``, without any await."""
        cached = self._keys.get(_digest(key))
        if cached and time.monotonic() - cached[0] < KEY_CACHE_SECONDS:
            return cached[1] if isinstance(cached[1], KeyPrincipal) else None
        return None

    async def key(self, key: str) -> KeyPrincipal:
        """Whose key this is. Raises :class:`UnauthorizedError` for an unknown or ended one, :class:`UnavailableError`."""
        found = await self._asked(key)
        if isinstance(found, RefusedKey):
            raise found.error()
        return found

    async def _asked(self, key: str) -> KeyPrincipal | RefusedKey:
        digest, now = _digest(key), time.monotonic()
        cached = self._keys.get(digest)
        if cached and now - cached[0] < KEY_CACHE_SECONDS:
            return cached[1]
        try:
            body = await self._introspect("keys", key)
        except UnavailableError:
            known_good = cached and isinstance(cached[1], KeyPrincipal)
            if cached and known_good and now - cached[0] < KEY_STALE_SECONDS:
                return cached[1]
            raise
        found = (
            KeyPrincipal(body["key_id"], body["agency"], frozenset(body["scopes"]))
            if body["active"]
            else RefusedKey(body.get("key_id", ""), body.get("agency", ""))
        )
        _remember(self._keys, digest, (now, found))
        return found

    async def _introspect(self, kind: str, token: str) -> dict[str, Any]:
        try:
            answer = await self._client.post(
                f"{self._base_url}/internal/v1/{kind}/introspect",
                json={"token": token},
                headers=self._headers,
                timeout=2.0,
            )
            answer.raise_for_status()
            body: dict[str, Any] = answer.json()
            if not isinstance(body, dict) or "active" not in body:
                raise ValueError("an answer of something else than identity")
        except (httpx.HTTPError, ValueError) as error:
            raise UnavailableError(
                "Sign-in cannot be checked right now", slug="identity-unavailable"
            ) from error
        return body


def _instant(told: str | None) -> datetime | None:
    """None is never fresh: an answer without the instant opens nothing that needs a fresh proof."""
    return datetime.fromisoformat(told) if told else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _remember(cache: OrderedDict[bytes, Any], key: bytes, value: Any) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > CACHE_SIZE:
        cache.popitem(last=False)
