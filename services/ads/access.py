"""Who may do what here: the agency in the path is theirs, and they hold a role or a scope for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Path, Request

from services.ads.creatives.adapters.pillow import Images
from services.ads.settings import AdsSettings
from shared.agencies import Agency, get_agency
from shared.auth import KeyPrincipal, Role
from shared.auth.roles import Scope
from shared.clock import Clock
from shared.database import Database
from shared.errors import ForbiddenError
from shared.security.events import SecurityEvent
from shared.web.staff import StaffAccess

AgencyPath = Annotated[str, Path(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=40)]
EVERYONE = (Role.SELLER, Role.TRAFFIC, Role.APPROVER, Role.FINANCE)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every route of the API and of the console stands on."""

    settings: AdsSettings
    database: Database
    access: StaffAccess
    clock: Clock
    images: Images


async def require(desk: Desk, request: Request, agency: str, *roles: Role) -> str:
    """Who asks (for the audit trail). Raises 401, 403, or 404 for another agency.

    A key with ``ads:book`` may do what a seller may; the rest has to be answered for by a person.
    """
    principal = await desk.access.staff_or_key(request)
    if isinstance(principal, KeyPrincipal):
        principal.require(agency, Scope.ADS_BOOK)
        if Role.SELLER not in roles:
            raise ForbiddenError(
                f"No key may do this; sign in with one of the roles: {', '.join(sorted(roles))}",
                slug="scope-missing",
                security=SecurityEvent.KEY_SCOPE_MISSING,
            )
        return f"key:{principal.key_id}"
    principal.require(agency, *roles)
    return principal.email


async def known_agency(desk: Desk, agency: str) -> Agency:
    """Raises :class:`NotFoundError`."""
    async with desk.database.read() as session:
        return await get_agency(session, agency)
