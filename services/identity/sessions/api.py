"""Introspection: services ask who a session or a key is. Not for the outside, and not in its documents."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from services.identity.keys.service import KeyService
from services.identity.metrics import INTROSPECTIONS
from services.identity.sessions.schemas import IntrospectionIn
from services.identity.sessions.service import SessionService
from shared.auth import KeyPrincipal
from shared.errors import UnauthorizedError
from shared.security.events import SecurityEvent
from shared.web.known_first import guarded

INACTIVE = {"active": False}


def caller_name(header: str, keys: Mapping[str, str]) -> str | None:
    """Whose internal key this is. Every key is compared, each in constant time."""
    scheme, _, sent = header.partition(" ")
    found = None
    for name, key in keys.items():
        if hmac.compare_digest(key.encode(), sent.encode("utf-8", "replace")):
            found = name
    return found if scheme.lower() == "bearer" else None


def router(
    sessions: SessionService,
    service_keys: KeyService,
    internal_keys: Mapping[str, str],
    sign_out_token: Callable[[str], str],
) -> APIRouter:
    """``POST /internal/v1/sessions/introspect`` and ``POST /internal/v1/keys/introspect``."""

    async def service(request: Request) -> None:
        if caller_name(request.headers.get("authorization", ""), internal_keys) is None:
            raise UnauthorizedError(
                headers={"WWW-Authenticate": "Bearer"}, security=SecurityEvent.INTERNAL_KEY_REFUSED
            )

    routes = APIRouter(prefix="/internal/v1", include_in_schema=False, route_class=guarded(service))

    @routes.post("/sessions/introspect")
    async def introspect_session(body: IntrospectionIn) -> dict[str, Any]:
        current = await sessions.current(body.token)
        # A pending session opens nothing but identity's pages of what is still due.
        if current is None or current.due is not None:
            INTROSPECTIONS.labels("session", "inactive").inc()
            return INACTIVE
        INTROSPECTIONS.labels("session", "active").inc()
        principal = current.principal
        return {
            "active": True,
            "account_id": str(principal.account_id),
            "email": principal.email,
            "name": principal.name,
            "roles": {agency: sorted(roles) for agency, roles in principal.roles.items()},
            "authenticated_at": current.authenticated_at.isoformat(),
            "factors": sorted(principal.factors),
            "sign_out_token": sign_out_token(body.token),
        }

    @routes.post("/keys/introspect")
    async def introspect_key(body: IntrospectionIn) -> dict[str, Any]:
        principal = await service_keys.recognise(body.token)
        if not isinstance(principal, KeyPrincipal):
            INTROSPECTIONS.labels("key", "inactive").inc()
            return INACTIVE | asdict(principal) if principal.key_id else INACTIVE
        INTROSPECTIONS.labels("key", "active").inc()
        return {
            "active": True,
            "key_id": principal.key_id,
            "agency": principal.agency,
            "scopes": sorted(principal.scopes),
        }

    return routes
