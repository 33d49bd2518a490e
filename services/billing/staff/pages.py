"""``/staff/{agency}``: the books at a glance, parked webhooks with a replay button, the invariants."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.ledger import rules as books
from services.billing.ledger.repository import Wanted
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff.api import READERS
from services.billing.staff.entry import enter
from services.billing.staff.query import BEGINNING, LAST_DAY
from shared.agencies import Agency, list_agencies
from shared.auth.roles import Role
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.staff import StaffAccess

ENTRIES_SHOWN = 10
SHARES_SHOWN = 100


def router(
    billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))

    async def allowed(request: Request, agency: str) -> Agency:
        return await enter(access, billing.database, request, agency, *READERS)

    @routes.get("/staff")
    async def choose(request: Request) -> Response:
        """Straight to the agency when there is only one."""
        principal = await access.page(request)
        async with billing.database.read() as session:
            agencies = [
                agency
                for agency in await list_agencies(session)
                if principal.holds(agency.id, *READERS)
            ]
        if len(agencies) == 1:
            return see_other(f"/staff/{agencies[0].id}")
        return pages.render(
            request, "choose_agency.html", agency=None, agencies=agencies, path="/staff"
        )

    @routes.get("/staff/{agency}")
    async def overview(request: Request, agency: str, notice: str = "") -> Response:
        found = await allowed(request, agency)
        balances = [
            one for one in await billing.ledger.trial_balance(agency) if one.currency == "VND"
        ]
        by_code = {one.code: one.balance_vnd for one in balances}
        latest = await billing.ledger.journal(
            agency, Wanted(BEGINNING, LAST_DAY), limit=ENTRIES_SHOWN
        )
        return pages.render(
            request,
            "staff.html",
            agency=found,
            deferred=-by_code.get(books.DEFERRED, 0) - by_code.get(books.GIFTS, 0),
            revenue=-sum(one.balance_vnd for one in balances if "revenue" in one.kind),
            receivable=by_code.get(books.RECEIVABLE, 0),
            entries=latest.entries,
            transfers=await billing.transfers.waiting(agency),
            parked=await billing.webhooks.parked_of(agency),
            waiting=(await billing.webhooks.state(agency)).waiting,
            findings=await billing.invariants.findings(agency),
            asked_at=await billing.invariants.asked_at(agency),
            may_ask=(await access.page(request)).holds(agency, Role.FINANCE),
            notice=notice,
            zone=found.zone,
        )

    @routes.get("/staff/{agency}/entries/{entry_id}")
    async def entry(
        request: Request, agency: str, entry_id: UUID, after: UUID | None = None
    ) -> Response:
        found = await allowed(request, agency)
        shown = await billing.ledger.entry(agency, entry_id)
        related = await billing.ledger.entries_of(agency, shown["source_id"])
        shares = (
            await billing.recognition.shares(
                agency, shown["source_id"], limit=SHARES_SHOWN + 1, after=after
            )
            if shown["kind"] == "recognition"
            else []
        )
        return pages.render(
            request,
            "staff_entry.html",
            agency=found,
            entry=shown,
            related=related,
            shares=shares[:SHARES_SHOWN],
            more_after=shares[SHARES_SHOWN - 1]["id"] if len(shares) > SHARES_SHOWN else None,
            zone=found.zone,
        )

    @routes.post("/staff/{agency}/webhooks/replay")
    async def replay(request: Request, agency: str, event: list[str] = Form([])) -> Response:
        principal = await access.page(request)
        principal.require(agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)  # it moves money in the books
        replayed = await billing.webhooks.replay_of(agency, event)
        return see_other(f"/staff/{agency}?notice=replayed-{len(replayed)}")

    @routes.post("/staff/{agency}/checks")
    async def check(request: Request, agency: str) -> Response:
        """Everything is to be read again, by the worker."""
        principal = await access.page(request)
        principal.require(agency, Role.FINANCE)
        await forms.verify(request)
        await billing.invariants.ask(agency)
        return see_other(f"/staff/{agency}?notice=check-asked#checks")

    return routes
