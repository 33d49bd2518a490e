"""``/invitation?token=``: what a mailed link leads to. A look changes nothing: mail scanners follow links too."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.identity.access import Access
from services.identity.accounts.rules import ROLE_WORDS
from services.identity.invitations.rules import Way
from services.identity.invitations.service import InvitationService, Offer
from services.identity.sessions.rules import location
from services.identity.sessions.service import Current
from shared.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from shared.web import Pages

Token = Annotated[str, Form(max_length=200)]
Field = Annotated[str, Form(max_length=1024)]


def back_to(token: str) -> str:
    return f"/invitation?{urlencode({'token': token})}"


def router(
    access: Access, invitations: InvitationService, pages: Pages, provider: str
) -> APIRouter:
    """Look, accept. ``provider``: the name of the one that staff may also sign in with, or empty."""
    routes = APIRouter(include_in_schema=False)

    def show(
        request: Request,
        token: str,
        offer: Offer | None,
        current: Current | None,
        *,
        status: int = 200,
        name: str = "",
        problem: str = "",
    ) -> Response:
        whose = None if current is None else current.principal.email
        return pages.render(
            request,
            "invitation.html",
            status,
            own_url=back_to(token),
            token=token,
            offer=offer,
            mine=offer is not None and whose == offer.invitation.email,
            whose=whose,
            name=name or (offer.invitation.name if offer is not None else ""),
            role_words=ROLE_WORDS,
            problem=problem,
            provider=provider,
            sign_in=f"/sign-in?{urlencode({'next': back_to(token)})}",
        )

    @routes.get("/invitation")
    async def invitation(request: Request, token: str = "") -> Response:
        current = await access.current(request)
        try:
            offer = await invitations.look(token)
        except NotFoundError:
            return show(request, token, None, current, status=404)
        if offer.way is Way.SIGN_IN and current is not None and current.due is not None:
            return RedirectResponse(location(current.due, back_to(token)), status_code=303)
        return show(request, token, offer, current)

    @routes.post("/invitation", dependencies=[Depends(access.verify_form)])
    async def accept(request: Request, token: Token = "") -> Response:
        """As the account one is signed in to."""
        current = await access.page(request)
        try:
            await invitations.accept_as(token, current)
        except (NotFoundError, ForbiddenError, ConflictError) as error:
            return show(request, token, None, current, status=error.status, problem=error.slug)
        return RedirectResponse("/", status_code=303)

    @routes.post("/invitation/password", dependencies=[Depends(access.verify_form)])
    async def accept_with_password(
        request: Request,
        token: Token = "",
        name: Field = "",
        new: Field = "",
        repeat: Field = "",
    ) -> Response:
        """By the link alone, choosing a password."""
        current = await access.current(request)
        try:
            offer = await invitations.look(token)
        except NotFoundError:
            return show(request, token, None, current, status=404)
        if offer.way is Way.SIGN_IN:
            return show(request, token, offer, current, status=409)
        if new != repeat:
            return show(
                request, token, offer, current, status=422, name=name, problem="not-repeated"
            )
        try:
            begun = await invitations.accept_with_password(
                token, name, new, access.visitor(request), access.token(request)
            )
        except InvalidInputError as error:
            return show(request, token, offer, current, status=422, name=name, problem=error.slug)
        except (NotFoundError, ConflictError) as error:
            return show(request, token, None, current, status=error.status, problem=error.slug)
        return access.enter(RedirectResponse(begun.location, status_code=303), begun)

    return routes
