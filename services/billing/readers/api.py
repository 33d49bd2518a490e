"""``GET /v1/agencies/{agency}/session``: who is reading, for the agency's website; and the public keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from services.billing.bundles.front import PATH as USE_PATH
from services.billing.bundles.repository import Held
from services.billing.composition import Billing
from services.billing.readers.rules import SESSION_TOUCH
from services.billing.readers.schemas import BundleOut, ReaderOut, SessionOut
from services.billing.readers.web import session_cookie
from shared.agencies import get_agency
from shared.auth import SigningKeySet
from shared.errors import ForbiddenError
from shared.origins import cors_headers
from shared.security.events import SecurityEvent
from shared.web.visitor import caller_address

TOKEN_SECONDS = 300
AUDIENCE = "press-paywall"


def _bundle(billing: Billing, held: Held, left: int) -> BundleOut:
    url = f"{billing.settings.billing_url.rstrip('/')}{USE_PATH}"
    return BundleOut(uses=held.uses, left=left, valid_until=held.valid_until, use_url=url)


def router(billing: Billing, keys: SigningKeySet) -> APIRouter:
    routes = APIRouter(tags=["readers"])

    @routes.get(
        "/v1/agencies/{agency}/session",
        responses={403: {"description": "A page of another website asks"}},
        openapi_extra={"x-public": True},
    )
    async def session(agency: str, request: Request, response: Response) -> SessionOut:
        """Who is reading (by the reader's cookie), with a short-lived token for the paywall."""
        async with billing.database.read() as reading:
            own = await get_agency(reading, agency)
        origin = request.headers.get("origin", "")
        if origin and origin not in own.origins:
            raise ForbiddenError(
                f"{origin} is not a website of {agency}: its pages are not told who reads",
                slug="origin-not-allowed",
                security=SecurityEvent.CROSS_SITE_REQUEST,
                about={"origin": origin},
                headers={"Cache-Control": "private, no-store", "Vary": "Origin"},
            )
        response.headers["Cache-Control"] = "private, no-store"
        response.headers.update(cors_headers(origin, own.origins, credentials=True))
        base = f"{billing.settings.billing_url.rstrip('/')}/r/{agency}"
        answer = SessionOut(
            signed_in=False,
            sign_in_url=f"{base}/sign-in",
            plans_url=f"{base}/plans",
            account_url=f"{base}/account",
        )
        cookie = request.cookies.get(
            session_cookie(agency, secure=billing.settings.secure_cookies), ""
        )
        found = await billing.readers.current(agency, cookie)
        if found is None:
            return answer
        row, reader = found
        now = billing.clock.now()
        # Every article that is read asks here: once an hour is enough, and at once after signing in.
        if row.last_seen_at == row.created_at or now - row.last_seen_at > SESSION_TOUCH:
            address = caller_address(request, billing.settings.hops)
            await billing.networks.seen(reader, address)
        rights = await billing.subscriptions.rights(reader.id)
        claims = {
            "sub": str(reader.id),
            "agency": agency,
            "ent": [{"scope": scope, "until": int(until.timestamp())} for scope, until in rights],
        }
        token = keys.sign(claims, audience=AUDIENCE, now=now, lifetime_seconds=TOKEN_SECONDS)
        held = await billing.bundles.offered(reader.id)
        return answer.model_copy(
            update={
                "bundle": _bundle(billing, *held) if held else None,
                "signed_in": True,
                "reader": ReaderOut(id=reader.id, name=reader.name, email=reader.email),
                "token": token,
                "expires_at": now.replace(microsecond=0) + timedelta(seconds=TOKEN_SECONDS),
            }
        )

    @routes.get("/.well-known/jwks.json", openapi_extra={"x-public": True})
    async def jwks(response: Response) -> dict[str, Any]:
        """The public keys of reader tokens (RFC 7517)."""
        response.headers["Cache-Control"] = "public, max-age=60"
        response.headers["Access-Control-Allow-Origin"] = "*"  # public keys, without credentials
        return keys.jwks()

    return routes
