"""``/staff/{agency}/transfers``: bank credits, what each waits for, giving one to an order or writing down its return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.orders.codes import find_codes
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff.api import READERS
from services.billing.staff.downloads import Downloads, FileForm
from services.billing.staff.entry import enter
from services.billing.staff.query import CreditsQuery, credit_cursor_of, parse_credit_cursor
from services.billing.transfers.rules import Reason
from services.billing.transfers.values import MAX_ID, kept
from services.billing.transfers.vietqr import BANKS
from services.billing.transfers.views import Proposal
from shared.agencies import Agency
from shared.auth.roles import Role
from shared.clock import local_date
from shared.errors import ConflictError
from shared.web import Pages
from shared.web.i18n import show_datetime
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.staff import StaffAccess
from shared.web.workbook import MAX_ROWS, Column

CREDITS_A_PAGE = 50
CHUNK = 500
MAX_WHY = 500
MAX_TYPED = 200
#: What each reason means for whoever looks at the credit. Translated where they are shown.
REASONS: Mapping[str, str] = {
    Reason.NO_ORDER: "The note names no order. Find the reader's order and give it the money, or return it.",
    Reason.SEVERAL_ORDERS: "The note names several orders. Choose the right one, or return the money.",
    Reason.UNDER: "Not enough for order {code} yet: wait for the rest, or return the money.",
    Reason.OVER: "Left over when order {code} was paid: return it, or give it to another order.",
    Reason.LATE: "It came after order {code} had ended. Give it to that order all the same, or return it.",
    Reason.PAID_ALREADY: "Order {code} was paid before: transferred twice? Return it, or give it to another order.",
    Reason.DOUBLED: "Told twice with one reference: look at the statement first. Two transfers: give one to order {code} or return it.",
    Reason.SUBSCRIBED: "The reader of order {code} has a subscription that renews by itself. Return the money, or give it to the order all the same.",
    Reason.OFFER_USED: "Order {code} has the price of an offer that its reader has used up. Return the money, or give it to the order all the same.",
    Reason.CHANGE_OVER: "Order {code} was for another plan and had ended. Ask the reader to choose the plan again and give it to the new order, or return it.",
}
SETTLED = "A colleague has settled this transfer meanwhile. Nothing is left of it, and nothing was done now."
ORDER_PAID = "This order is paid already. Choose another one, or return the money."
ORDER_OVER = "This order was for another plan, at a price that counted with what was left of the one before. That has changed: ask the reader to choose again and give it to the new order, or return the money."
ORDER_DOUBLES = "The reader has a subscription that renews by itself, and this order would begin a second one beside it: return the money, or ask the reader to cancel that one first."
NO_CODE = "Write the order's code: PR and nine characters."
WRONG_CODE = "This is no order's code. The last character checks the others, so one of them is mistyped: compare it with the note."
UNKNOWN_CODE = "No order of yours has this code. Compare it with the note, or ask the reader."
NO_WHY = "Write why, in a few words: it stays in the audit trail."
LONG_WHY = "At most 500 characters, please."
NO_REFERENCE = "Write the bank's reference of the transfer that took the money back."
LONG_REFERENCE = "At most 100 characters, as the bank's statement shows it."
USED_REFERENCE = "This transfer is written down for another return already. Each return has a reference of its own."
NUL = "It holds a character that cannot be stored. Type it again, please."
#: All that is said about what was typed.
SAID = (SETTLED, ORDER_PAID, ORDER_OVER, ORDER_DOUBLES, NO_CODE, WRONG_CODE, UNKNOWN_CODE, NO_WHY, LONG_WHY, NO_REFERENCE, LONG_REFERENCE, USED_REFERENCE, NUL)  # fmt: skip
#: What is said of an order's code where money cannot be given to that order.
OF_CODE = {"order-paid": ORDER_PAID, "order-over": ORDER_OVER, "order-doubles": ORDER_DOUBLES}
#: Titles are translated into the reader's language.
COLUMNS = (
    Column("Day at the bank", "day"),
    Column("Time at the bank", "text", 10),
    Column("Amount", "amount"),
    Column("Left", "amount"),
    Column("Account number", "text", 20),
    Column("Reference", "text", 22),
    Column("Note", "text", 50),
    Column("Payer", "text", 30),
    Column("Order code", "text", 16),
    Column("Reader", "text", 30),
    Column("What to do", "text", 60),
    Column("Transfer", "text", 38),
)
SHEET = "transfers"


@dataclass(frozen=True, slots=True)
class Typed:
    """What was sent from a credit's page by the form ``of``; ``asked`` is the act whose consequences are shown."""

    asked: Literal["", "assign", "return"] = ""
    of: Literal["", "assign", "return"] = ""
    code: str = ""
    reference: str = ""
    why: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    proposal: Proposal | None = None


class CreditDesk:
    """What the pages of bank credits have in common."""

    def __init__(self, billing: Billing, pages: Pages, access: StaffAccess) -> None:
        self.billing = billing
        self._pages = pages
        self._access = access

    async def enter(self, request: Request, agency: str, *roles: Role) -> Agency:
        return await enter(self._access, self.billing.database, request, agency, *roles)

    def render(
        self, request: Request, template: str, found: Agency, status: int = 200, **context: Any
    ) -> Response:
        return self._pages.render(
            request,
            template,
            status,
            agency=found,
            zone=found.zone,
            reasons=REASONS,
            banks=BANKS,
            may_act=request.state.staff.holds(found.id, Role.FINANCE),
            **context,
        )

    async def listing(
        self,
        request: Request,
        found: Agency,
        asked: CreditsQuery,
        status: int = 200,
        **more: Any,
    ) -> Response:
        transfers = self.billing.transfers
        page = await transfers.page(
            found.id,
            waiting=asked.show == "waiting",
            words=asked.words,
            limit=CREDITS_A_PAGE,
            after=asked.cursor(),
        )
        return self.render(
            request,
            "staff_transfers.html",
            found,
            status,
            asked=asked,
            page=page,
            next=credit_cursor_of(page.credits[-1]) if page.more else None,
            waiting=await transfers.waiting(found.id),
            accounts=await transfers.accounts(found.id),
            **more,
        )

    async def credit(
        self,
        request: Request,
        found: Agency,
        credit_id: UUID,
        status: int = 200,
        *,
        typed: Typed | None = None,
        notice: str = "",
    ) -> Response:
        """A credit's page; with ``typed`` as the answer to one of its forms. Raises :class:`NotFoundError`."""
        typed = typed or Typed()
        view = await self.billing.transfers.credit(found.id, credit_id)
        until = (
            await self.billing.subscriptions.term_until(typed.proposal.reader_id)
            if typed.proposal
            else None
        )
        return self.render(
            request,
            "staff_transfer.html",
            found,
            status,
            view=view,
            entries=await self.billing.ledger.entries_of(found.id, credit_id),
            typed=typed,
            term_until=until,
            notice=notice,
        )

    async def judged(
        self, agency: str, credit_id: UUID, code: str, why: str, *, confirmed: bool
    ) -> tuple[int, Typed]:
        """What is to be said to an order's code: 200 when it may be done. Raises :class:`NotFoundError`."""
        typed = Typed(of="assign", code=code, why=why)
        view = await self.billing.transfers.credit(agency, credit_id)
        if not view.credit.left_vnd:
            return 409, replace(typed, problems={"credit": SETTLED})
        codes = find_codes(code[: MAX_TYPED + 1])
        problem = NO_CODE if not code.strip() else WRONG_CODE
        if len(codes) != 1 or len(code) > MAX_TYPED:
            return 422, replace(typed, problems={"code": problem})
        proposal = await self.billing.transfers.proposal(agency, credit_id, codes[0])
        if proposal is None:
            return 422, replace(typed, problems={"code": UNKNOWN_CODE})
        if proposal.state == "paid":
            return 409, replace(typed, problems={"code": ORDER_PAID})
        if proposal.is_over:
            return 409, replace(typed, problems={"code": ORDER_OVER})
        wrong = _why_problem(why) if confirmed or why else ""
        problems = {"why": wrong} if wrong else {}
        return 422 if wrong else 200, replace(
            typed, asked="assign", code=codes[0], proposal=proposal, problems=problems
        )


def _why_problem(why: str) -> str:
    if "\x00" in why:
        return NUL
    return NO_WHY if not why.strip() else LONG_WHY if len(kept(why, MAX_WHY + 1)) > MAX_WHY else ""


def _reference_problem(reference: str) -> str:
    if "\x00" in reference:
        return NUL
    told = kept(reference, MAX_ID + 1)
    return NO_REFERENCE if not told else LONG_REFERENCE if len(told) > MAX_ID else ""


def router(
    desk: CreditDesk,
    pages: Pages,
    access: StaffAccess,
    forms: BillingFormTokens,
    *,
    most_rows: int = MAX_ROWS,
) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))
    billing, downloads = desk.billing, Downloads(most_rows)

    @routes.get("/staff/{agency}/transfers")
    async def listing(
        request: Request, agency: str, asked: Annotated[CreditsQuery, Query()]
    ) -> Response:
        found = await desk.enter(request, agency, *READERS)
        return await desk.listing(request, found, asked, most=most_rows)

    @routes.get("/staff/{agency}/transfers.{form}")
    async def file(
        request: Request,
        agency: str,
        form: FileForm,
        asked: Annotated[CreditsQuery, Query()],
    ) -> Response:
        found = await desk.enter(request, agency, *READERS)
        columns = [
            column._replace(title=pages.translate(request, column.title)) for column in COLUMNS
        ]
        name = f"{agency}-transfers-{local_date(billing.clock.now(), found.zone)}"
        chunks = _rows(billing, pages, request, found, asked)
        answer = await downloads.answer(form, name, SHEET, columns, chunks, agency=agency)
        return answer or await desk.listing(
            request, found, asked, 422, most=most_rows, refused="workbook"
        )

    @routes.get("/staff/{agency}/transfers/{credit_id}")
    async def credit(request: Request, agency: str, credit_id: UUID, notice: str = "") -> Response:
        found = await desk.enter(request, agency, *READERS)
        return await desk.credit(request, found, credit_id, notice=notice)

    @routes.post("/staff/{agency}/transfers/{credit_id}/assign")
    async def assign(
        request: Request,
        agency: str,
        credit_id: UUID,
        code: Annotated[str, Form()] = "",
        why: Annotated[str, Form()] = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found = await desk.enter(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)  # it moves money in the books
        status, typed = await desk.judged(agency, credit_id, code, why, confirmed=confirmed)
        if status != 200 or not confirmed:
            return await desk.credit(request, found, credit_id, status, typed=typed)
        try:
            paid = await billing.transfers.assign(agency, credit_id, typed.code, kept(why, MAX_WHY))
        except ConflictError as error:
            of_code = OF_CODE.get(error.slug)
            problems = {"code": of_code} if of_code else {"credit": SETTLED}
            sent = replace(typed, asked="", problems=problems)
            return await desk.credit(request, found, credit_id, 409, typed=sent)
        notice = "paid" if paid else "waits"
        return see_other(f"/staff/{agency}/transfers/{credit_id}?notice={notice}")

    @routes.post("/staff/{agency}/transfers/{credit_id}/return")
    async def give_back(
        request: Request,
        agency: str,
        credit_id: UUID,
        reference: Annotated[str, Form()] = "",
        why: Annotated[str, Form()] = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found = await desk.enter(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)  # it moves money in the books
        view = await billing.transfers.credit(agency, credit_id)
        told = kept(reference, MAX_ID).upper()
        problems = {
            name: said
            for name, said in (
                ("reference", _reference_problem(reference)),
                ("returned_why", _why_problem(why)),
            )
            if said
        }
        status = 422
        if not view.credit.left_vnd:
            status, problems = 409, {"credit": SETTLED}
        elif not problems and await billing.transfers.returned_before(agency, told):
            status, problems = 409, {"reference": USED_REFERENCE}
        if problems or not confirmed:
            asked: Literal["", "return"] = "" if problems else "return"
            typed = Typed(asked, "return", "", reference, why, problems)
            return await desk.credit(
                request, found, credit_id, status if problems else 200, typed=typed
            )
        try:
            await billing.transfers.give_back(agency, credit_id, told, kept(why, MAX_WHY))
        except ConflictError as error:
            problems = (
                {"reference": USED_REFERENCE}
                if error.slug == "returned-before"
                else {"credit": SETTLED}
            )
            sent = Typed("", "return", "", reference, why, problems)
            return await desk.credit(request, found, credit_id, 409, typed=sent)
        return see_other(f"/staff/{agency}/transfers/{credit_id}?notice=returned")

    return routes


async def _rows(
    billing: Billing, pages: Pages, request: Request, found: Agency, asked: CreditsQuery
) -> AsyncIterator[list[Sequence[object]]]:
    """Every credit that is asked for, the newest first, a chunk at a time."""
    after = None
    while True:
        page = await billing.transfers.page(
            found.id, waiting=asked.show == "waiting", words=asked.words, limit=CHUNK, after=after
        )
        yield [
            (
                *(local_date(row["occurred_at"], found.zone), _time(row, found)),
                *(row["amount_vnd"], row["left_vnd"], row["account"], row["reference"]),
                *(row["note"], row["payer"], row["code"] or "", row["reader_email"] or ""),
                pages.translate(request, REASONS[row["reason"]], code=row["code"] or "")
                if row["reason"]
                else pages.translate(request, "settled"),
                row["id"],
            )
            for row in page.credits
        ]
        if not page.more:
            return
        after = parse_credit_cursor(credit_cursor_of(page.credits[-1]))


def _time(row: Mapping[str, Any], found: Agency) -> str:
    return show_datetime(row["occurred_at"], "vi", found.zone).rsplit(" ", 1)[1]
