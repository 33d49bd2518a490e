"""``/accounts/{agency}``: who works for an agency and in which roles, for its administrators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.accounts.rules import ROLE_WORDS
from services.identity.accounts.service import AccountService, Manager
from services.identity.sessions.service import Current
from shared.agencies import get_agency
from shared.database import Database
from shared.errors import ConflictError, ForbiddenError, InvalidInputError
from shared.web import Pages

AgencyId = Annotated[str, Path(max_length=40, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Roles = Annotated[list[str] | None, Form(max_length=20)]


def router(access: Access, accounts: AccountService, pages: Pages, database: Database) -> APIRouter:
    """List, create with a one-time password, roles, disable, enable, reset, unlock."""
    routes = APIRouter(prefix="/accounts", include_in_schema=False)

    async def show(
        request: Request,
        agency: str,
        current: Current,
        *,
        status: int = 200,
        fresh: tuple[str, str] | None = None,
        problem: str = "",
    ) -> Response:
        async with database.read() as session:
            shown = await get_agency(session, agency)
        members = await accounts.members(agency, current.principal)
        return pages.render(
            request,
            "accounts.html",
            status,
            current=current,
            agency=shown,
            members=members,
            roles=ROLE_WORDS,
            fresh=fresh,
            problem=problem,
        )

    async def manager_of(request: Request, agency: str) -> tuple[Current, Manager]:
        current = await access.administrator(request, agency)
        return current, Manager(current.principal)

    @routes.get("/{agency}")
    async def list_accounts(request: Request, agency: AgencyId) -> Response:
        return await show(request, agency, await access.administrator(request, agency))

    @routes.post("/{agency}", dependencies=[Depends(access.verify_form)])
    async def create_account(
        request: Request,
        agency: AgencyId,
        email: Annotated[str, Form(max_length=1024)] = "",
        name: Annotated[str, Form(max_length=1024)] = "",
        roles: Roles = None,
    ) -> Response:
        current, manager = await manager_of(request, agency)
        try:
            password = await accounts.create(agency, email, name, roles or [], manager)
        except (InvalidInputError, ConflictError) as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        if password is None:
            return await show(request, agency, current, problem="added")
        return await show(request, agency, current, status=201, fresh=(email.strip(), password))

    @routes.post("/{agency}/{account_id}/roles", dependencies=[Depends(access.verify_form)])
    async def change_roles(
        request: Request, agency: AgencyId, account_id: UUID, roles: Roles = None
    ) -> Response:
        current, manager = await manager_of(request, agency)
        try:
            await accounts.change_roles(agency, account_id, roles or [], manager)
        except (InvalidInputError, ConflictError) as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        return RedirectResponse(f"/accounts/{agency}", status_code=303)

    @routes.post("/{agency}/{account_id}/reset", dependencies=[Depends(access.verify_form)])
    async def reset_password(request: Request, agency: AgencyId, account_id: UUID) -> Response:
        current, manager = await manager_of(request, agency)
        try:
            password = await accounts.reset_password(agency, account_id, manager)
        except ForbiddenError as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        return await show(request, agency, current, status=201, fresh=("", password))

    async def act(
        request: Request,
        agency: str,
        account_id: UUID,
        use_case: Callable[[str, UUID, Manager], Awaitable[None]],
    ) -> Response:
        current, manager = await manager_of(request, agency)
        try:
            await use_case(agency, account_id, manager)
        except (ForbiddenError, ConflictError) as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        return RedirectResponse(f"/accounts/{agency}", status_code=303)

    @routes.post("/{agency}/{account_id}/disable", dependencies=[Depends(access.verify_form)])
    async def disable(request: Request, agency: AgencyId, account_id: UUID) -> Response:
        return await act(request, agency, account_id, accounts.disable)

    @routes.post("/{agency}/{account_id}/enable", dependencies=[Depends(access.verify_form)])
    async def enable(request: Request, agency: AgencyId, account_id: UUID) -> Response:
        return await act(request, agency, account_id, accounts.enable)

    @routes.post("/{agency}/{account_id}/unlock", dependencies=[Depends(access.verify_form)])
    async def unlock(request: Request, agency: AgencyId, account_id: UUID) -> Response:
        return await act(request, agency, account_id, accounts.unlock)

    return routes
