"""Routes of policies, for staff."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response

from services.paywall.policies.schemas import PolicyBody, PolicyOut
from services.paywall.policies.service import PolicyService
from shared.audit import Actor
from shared.auth import Role, StaffPrincipal
from shared.errors import BadRequestError, FieldError
from shared.web.known_first import known_first
from shared.web.staff import StaffAccess

_VERSION = re.compile(r'^(?:W/)?"?(\d{1,9})"?$')


def router(service: PolicyService, access: StaffAccess) -> APIRouter:
    async def editor(request: Request, agency: str) -> StaffPrincipal:
        principal = await access.staff(request)
        principal.require(agency, Role.EDITOR, Role.ADMIN)
        return principal

    routes = APIRouter(
        prefix="/v1/agencies/{agency}/policy", tags=["policies"], route_class=known_first(access)
    )

    @routes.get("", dependencies=[Depends(editor)])
    async def get_policy(agency: str, response: Response) -> PolicyOut:
        """The policy in force. ``ETag`` is its version."""
        policy = await service.get(agency)
        response.headers["ETag"] = f'"{policy.version}"'
        return policy

    @routes.put("")
    async def put_policy(
        agency: str,
        body: PolicyBody,
        response: Response,
        if_match: Annotated[str, Header(description="The version this replaces.")] = "",
        principal: StaffPrincipal = Depends(editor),
    ) -> PolicyOut:
        """Put a new version in force. 412 when ``If-Match`` is not the version in force."""
        found = _VERSION.match(if_match)
        if found is None:
            raise BadRequestError(
                "Send the version you have seen",
                slug="if-match-needed",
                errors=(FieldError("If-Match", "is missing or not a version", 'e.g. "3"'),),
            )
        policy = await service.put(
            agency,
            body,
            expected=int(found[1]),
            editor=Actor.staff(principal),
        )
        response.headers["ETag"] = f'"{policy.version}"'
        return policy

    return routes
