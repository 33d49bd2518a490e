"""The staff API: another agency's anything is 404."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from services.billing.composition import Billing
from services.billing.staff.query import BEGINNING, LAST_DAY, JournalQuery, cursor_of
from services.billing.staff.schemas import (
    AccountBalance,
    JournalEntryOut,
    JournalPage,
    ShareOut,
    SubscriptionOut,
    TrialBalance,
)
from services.billing.subscriptions.rules import State
from shared.auth import KeyPrincipal
from shared.auth.roles import Role, Scope
from shared.web.known_first import known_first
from shared.web.params import Day
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
    async def trial_balance(
        request: Request, agency: str, first: Day | None = None, last: Day | None = None
    ) -> TrialBalance:
        """Every account with its two sides over the days ``first`` to ``last``, both included; without them over everything."""
        await allow(request, agency, Role.FINANCE)
        balances = await billing.ledger.trial_balance(agency, first or BEGINNING, last or LAST_DAY)
        books = await billing.ledger.books(agency)
        return TrialBalance(
            agency=agency,
            first=first,
            last=last,
            closed_through=books.closed_through,
            accounts=[
                AccountBalance(**asdict(row), balance_vnd=row.balance_vnd) for row in balances
            ],
        )

    @routes.get("/ledger/entries")
    async def entries(
        request: Request,
        agency: str,
        asked: Annotated[JournalQuery, Query()],
    ) -> JournalPage:
        """Journal entries by the day they are booked on, newest first."""
        await allow(request, agency, Role.FINANCE)
        page = await billing.ledger.journal(
            agency, asked.wanted(), limit=asked.limit, after=asked.cursor()
        )
        return JournalPage(
            total=None if asked.after else await billing.ledger.count(agency, asked.wanted()),
            entries=[JournalEntryOut(**row) for row in page.entries],
            next=cursor_of(page.entries[-1]) if page.more else None,
        )

    @routes.get("/ledger/entries/{entry_id}")
    async def entry(request: Request, agency: str, entry_id: UUID) -> JournalEntryOut:
        """One journal entry with its lines and what stands behind it."""
        await allow(request, agency, Role.FINANCE)
        return JournalEntryOut(**await billing.ledger.entry(agency, entry_id))

    @routes.get("/ledger/entries/{entry_id}/shares")
    async def shares(
        request: Request,
        agency: str,
        entry_id: UUID,
        after: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[ShareOut]:
        """Of an entry of recognition: what each payment earned on its day. ``after``: the last ``id`` of the page before."""
        await allow(request, agency, Role.FINANCE)
        found = await billing.ledger.entry(agency, entry_id)
        rows = await billing.recognition.shares(
            agency, found["source_id"], limit=limit, after=after
        )
        return [ShareOut(**row) for row in rows]

    return routes
