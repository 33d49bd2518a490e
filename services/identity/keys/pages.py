"""``/keys/{agency}``: an agency's service keys, for its administrators."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.keys.rules import State, state_of
from services.identity.keys.service import Issuer, KeyService
from services.identity.sessions.service import Current
from shared.agencies import get_agency
from shared.auth.roles import Scope
from shared.clock import Clock
from shared.database import Database
from shared.errors import ConflictError, InvalidInputError
from shared.web import Pages
from shared.web.params import Confirmed

AgencyId = Annotated[str, Path(max_length=40, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
KeyId = Annotated[str, Path(pattern=r"^[a-z0-9]{4,32}$")]

SCOPE_WORDS = {
    Scope.DECISIONS: "Ask whether a reader may read",
    Scope.ARTICLES: "Register articles",
    Scope.AD_DECISIONS: "Ask for ads",
    Scope.ADS_BOOK: "Book ads",
    Scope.BILLING_READ: "Read subscriptions and invoices",
    Scope.METRICS_READ: "Read revenue figures",
}


def router(
    access: Access, keys: KeyService, pages: Pages, database: Database, clock: Clock
) -> APIRouter:
    """List, create (shown once), rotate, revoke."""
    routes = APIRouter(prefix="/keys", include_in_schema=False)

    async def show(
        request: Request,
        agency: str,
        current: Current,
        *,
        status: int = 200,
        fresh: str = "",
        problem: str = "",
        asked: str = "",
        name: str = "",
        chosen: list[str] | None = None,
    ) -> Response:
        async with database.read() as session:
            shown = await get_agency(session, agency)
        now = clock.now()
        rows = [
            {
                "key": key,
                "state": state_of(key.revoked_at, key.expires_at, now),
                "request_id": uuid4(),
            }
            for key in await keys.list(agency)
        ]
        return pages.render(
            request,
            "keys.html",
            status,
            current=current,
            agency=shown,
            rows=rows,
            active=State.ACTIVE,
            scopes=SCOPE_WORDS,
            request_id=uuid4(),
            fresh=fresh,
            problem=problem,
            asked=asked,
            name=name,
            chosen=chosen or [],
        )

    def issuer(current: Current) -> Issuer:
        return Issuer(current.principal.account_id)

    @routes.get("/{agency}")
    async def list_keys(request: Request, agency: AgencyId) -> Response:
        return await show(request, agency, await access.administrator(request, agency))

    @routes.post("/{agency}", dependencies=[Depends(access.verify_form)])
    async def create_key(
        request: Request,
        agency: AgencyId,
        request_id: Annotated[UUID, Form()],
        name: Annotated[str, Form(max_length=200)] = "",
        scopes: Annotated[list[str] | None, Form(max_length=20)] = None,
    ) -> Response:
        current = await access.administrator(request, agency, fresh=True)
        try:
            fresh = await keys.create(agency, name, scopes or [], request_id, issuer(current))
        except (InvalidInputError, ConflictError) as error:
            return await show(
                request,
                agency,
                current,
                status=error.status,
                problem=error.slug,
                name=name,
                chosen=scopes,
            )
        return await show(request, agency, current, status=201, fresh=fresh)

    @routes.post("/{agency}/{key_id}/rotate", dependencies=[Depends(access.verify_form)])
    async def rotate_key(
        request: Request,
        agency: AgencyId,
        key_id: KeyId,
        request_id: Annotated[UUID, Form()],
        confirmed: Confirmed = False,
    ) -> Response:
        current = await access.administrator(request, agency, fresh=True)
        if not confirmed:
            return await show(request, agency, current, asked=request.url.path)
        try:
            fresh = await keys.rotate(agency, key_id, request_id, issuer(current))
        except ConflictError as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        return await show(request, agency, current, status=201, fresh=fresh)

    @routes.post("/{agency}/{key_id}/revoke", dependencies=[Depends(access.verify_form)])
    async def revoke_key(
        request: Request, agency: AgencyId, key_id: KeyId, confirmed: Confirmed = False
    ) -> Response:
        current = await access.administrator(request, agency, fresh=True)
        if not confirmed:
            return await show(request, agency, current, asked=request.url.path)
        await keys.revoke(agency, key_id, issuer(current))
        return RedirectResponse(f"/keys/{agency}", status_code=303)

    return routes
