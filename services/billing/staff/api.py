"""The staff API: another agency's anything is 404."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.billing.composition import Billing
from services.billing.staff.schemas import (
    AccountBalance,
    JournalEntryOut,
    SubscriptionOut,
    TrialBalance,
)
from services.billing.subscriptions.rules import State
from shared.auth import KeyPrincipal
from shared.auth.roles import Role, Scope
from shared.web.known_first import known_first
from shared.web.params import Instant
from shared.web.staff import StaffAccess

READERS = (Role.FINANCE, Role.SUPPORT)


def router(billing: Billing, access: StaffAccess) -> APIRouter:
    routes = APIRouter(
        prefix="/v1/agencies/{agency}", tags=["staff"], route_class=known_first(access)
    )

    async def allow(request: Request, agency: str, *roles: Role) -> None:
        """Staff with one of the roles, or a key of the agency that may read billing."""
        principal = await access.staff_or_key(request)
        if isinstance(principal, KeyPrincipal):
            principal.require(agency, Scope.BILLING_READ)
        else:
            principal.require(agency, *roles)

    @routes.get("/subscriptions")
    async def subscriptions(
        request: Request,
        agency: str,
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> list[SubscriptionOut]:
        """The agency's subscriptions, newest first."""
        await allow(request, agency, *READERS)
        rows = await billing.subscriptions.list_for_staff(
            agency, state=state, limit=limit, offset=offset
        )
        return [SubscriptionOut(**row) for row in rows]

    @routes.get("/ledger/trial-balance")
    async def trial_balance(request: Request, agency: str) -> TrialBalance:
        """Every account with its two sides. The two totals are equal, always."""
        await allow(request, agency, Role.FINANCE)
        accounts = [
            AccountBalance(
                code=row.code,
                kind=row.kind,
                local_code=row.local_code,
                name_vi=row.name_vi,
                name_en=row.name_en,
                debit_vnd=row.debit_vnd,
                credit_vnd=row.credit_vnd,
                balance_vnd=row.balance_vnd,
            )
            for row in await billing.ledger.trial_balance(agency)
        ]
        return TrialBalance(
            agency=agency,
            accounts=accounts,
            total_debit_vnd=sum(account.debit_vnd for account in accounts),
            total_credit_vnd=sum(account.credit_vnd for account in accounts),
        )

    @routes.get("/ledger/entries")
    async def entries(
        request: Request,
        agency: str,
        source_id: UUID | None = None,
        before: Instant | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> list[JournalEntryOut]:
        """Journal entries, newest first; ``source_id`` drills down to one payment, refund or schedule."""
        await allow(request, agency, Role.FINANCE)
        found = await billing.ledger.entries(
            agency, limit=limit, source_id=source_id, before=before
        )
        return [JournalEntryOut(**row) for row in found]

    @routes.get("/ledger/entries/{entry_id}")
    async def entry(request: Request, agency: str, entry_id: UUID) -> JournalEntryOut:
        """One journal entry with its lines and what stands behind it."""
        await allow(request, agency, Role.FINANCE)
        return JournalEntryOut(**await billing.ledger.entry(agency, entry_id))

    return routes
