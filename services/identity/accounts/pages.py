"""``/accounts/{agency}``: who works for an agency and in which roles, for its administrators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.accounts.rules import ROLE_WORDS
from services.identity.accounts.service import AccountService
from services.identity.invitations.service import InvitationService
from services.identity.sessions.service import Current
from shared.agencies import get_agency
from shared.database import Database
from shared.errors import ConflictError, ForbiddenError, InvalidInputError, UnavailableError
from shared.web import Pages
from shared.web.params import Confirmed

AgencyId = Annotated[str, Path(max_length=40, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Roles = Annotated[list[str] | None, Form(max_length=20)]
Act = Callable[[str, UUID], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Typed:
    """What the form of a new invitation held."""

    email: str = ""
    name: str = ""
    roles: tuple[str, ...] = ()


def router(
    access: Access,
    accounts: AccountService,
    invitations: InvitationService,
    pages: Pages,
    database: Database,
) -> APIRouter:
    """List, invite, roles, disable, enable, reset, unlock. Each act needs a fresh proof."""
    routes = APIRouter(prefix="/accounts", include_in_schema=False)

    async def show(
        request: Request,
        agency: str,
        current: Current,
        *,
        status: int = 200,
        password: str = "",
        problem: str = "",
        asked: str = "",
        typed: Typed | None = None,
    ) -> Response:
        async with database.read() as session:
            shown = await get_agency(session, agency)
        members = await accounts.members(agency)
        return pages.render(
            request,
            "accounts.html",
            status,
            current=current,
            agency=shown,
            members=members,
            invitations=await invitations.open(agency),
            roles=ROLE_WORDS,
            password=password,
            problem=problem,
            asked=asked,
            typed=typed or Typed(),
            done=request.query_params.get("done", ""),
        )

    @routes.get("/{agency}")
    async def list_accounts(request: Request, agency: AgencyId) -> Response:
        return await show(request, agency, await access.administrator(request, agency))

    @routes.post("/{agency}", dependencies=[Depends(access.verify_form)])
    async def invite(
        request: Request,
        agency: AgencyId,
        email: Annotated[str, Form(max_length=1024)] = "",
        name: Annotated[str, Form(max_length=1024)] = "",
        roles: Roles = None,
    ) -> Response:
        current = await access.administrator(request, agency, fresh=True)
        try:
            await invitations.invite(agency, email, name, roles or [], current.principal.account_id)
        except (InvalidInputError, ConflictError, UnavailableError) as error:
            return await show(
                request,
                agency,
                current,
                status=error.status,
                problem=error.slug,
                typed=Typed(email, name, tuple(roles or ())),
            )
        return RedirectResponse(f"/accounts/{agency}?done=invited", status_code=303)

    @routes.post(
        "/{agency}/invitations/{invitation_id}/withdraw",
        dependencies=[Depends(access.verify_form)],
    )
    async def withdraw(request: Request, agency: AgencyId, invitation_id: UUID) -> Response:
        return await act(request, agency, invitation_id, invitations.withdraw)

    @routes.post("/{agency}/{account_id}/roles", dependencies=[Depends(access.verify_form)])
    async def change_roles(
        request: Request,
        agency: AgencyId,
        account_id: UUID,
        roles: Roles = None,
        confirmed: Confirmed = False,
    ) -> Response:
        """Without any role the account leaves the agency: that is asked first."""

        async def change(agency: str, account_id: UUID) -> None:
            await accounts.change_roles(agency, account_id, roles or [])

        return await act(request, agency, account_id, change, confirmed=confirmed or bool(roles))

    @routes.post("/{agency}/{account_id}/reset", dependencies=[Depends(access.verify_form)])
    async def reset_password(request: Request, agency: AgencyId, account_id: UUID) -> Response:
        """By mail: the person proves the address."""
        return await act(request, agency, account_id, invitations.mail_reset, done="mailed")

    @routes.post("/{agency}/{account_id}/hand-out", dependencies=[Depends(access.verify_form)])
    async def hand_out(
        request: Request, agency: AgencyId, account_id: UUID, confirmed: Confirmed = False
    ) -> Response:
        """In person, where mail does not reach and the account is this agency's alone."""
        current = await access.administrator(request, agency, fresh=True)
        if not confirmed:
            return await show(request, agency, current, asked=request.url.path)
        try:
            password = await accounts.hand_out_password(agency, account_id)
        except ForbiddenError as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        if password is None:
            return await show(request, agency, current, status=409, problem="account-shared")
        return await show(request, agency, current, status=201, password=password)

    async def act(
        request: Request,
        agency: str,
        subject_id: UUID,
        use_case: Act,
        *,
        done: str = "",
        confirmed: bool = True,
    ) -> Response:
        current = await access.administrator(request, agency, fresh=True)
        if not confirmed:
            return await show(request, agency, current, asked=request.url.path)
        try:
            await use_case(agency, subject_id)
        except (InvalidInputError, ForbiddenError, ConflictError, UnavailableError) as error:
            return await show(request, agency, current, status=error.status, problem=error.slug)
        back = f"/accounts/{agency}" + (f"?done={done}" if done else "")
        return RedirectResponse(back, status_code=303)

    def plain(word: str, use_case: Act, *, asks: bool = False) -> None:
        """A form with a button and nothing else. ``asks``: its consequences are shown first."""

        async def handler(
            request: Request, agency: AgencyId, account_id: UUID, confirmed: Confirmed = False
        ) -> Response:
            return await act(request, agency, account_id, use_case, confirmed=confirmed or not asks)

        routes.add_api_route(
            f"/{{agency}}/{{account_id}}/{word}",
            handler,
            methods=["POST"],
            dependencies=[Depends(access.verify_form)],
        )

    plain("disable", accounts.disable, asks=True)
    plain("enable", accounts.enable)
    plain("unlock", accounts.unlock)
    plain("factor", accounts.reset_factor, asks=True)
    return routes
