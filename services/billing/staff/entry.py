"""How a page for an agency's staff begins: who may see it, and which month is meant."""

from __future__ import annotations

from datetime import date

from fastapi import Request

from services.billing.staff import rules
from shared.agencies import Agency, get_agency
from shared.auth.roles import Role
from shared.database import Database
from shared.errors import NotFoundError
from shared.web.staff import StaffAccess


async def enter(
    access: StaffAccess, database: Database, request: Request, agency: str, *roles: Role
) -> Agency:
    """Who may: to sign-in without a session, 404 for another agency, 403 without one of the roles."""
    principal = await access.page(request)
    principal.require(agency, *roles)
    async with database.read() as session:
        return await get_agency(session, agency)


def period_named(name: str, today: date) -> rules.Period:
    """The present month without a name. Raises :class:`NotFoundError` for what is no period."""
    try:
        return rules.parse_period(name) if name else rules.month_of(today)
    except ValueError:
        raise NotFoundError from None
