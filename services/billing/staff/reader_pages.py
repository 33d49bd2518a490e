"""``/staff/{agency}/readers``: finding a reader, everything of theirs on one page, and what the desk may do for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, Field

from services.billing.composition import Billing
from services.billing.readers.devices import device_name
from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.refunds.service import By
from services.billing.staff.api import READERS
from services.billing.staff.entry import enter
from services.billing.staff.query import plain
from services.billing.staff.rules import parse_vnd
from shared.agencies import Agency
from shared.audit import WORDS
from shared.auth import StaffPrincipal
from shared.errors import ConflictError
from shared.web import Pages
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed, PlainText
from shared.web.staff import StaffAccess

FOUND_A_PAGE = 50
MOST_REASON = 200
Typed = Annotated[PlainText, Form()]


def cursor_of(reader: dict[str, Any]) -> str:
    """Where the page after this reader begins: when they were made, and their id."""
    at: datetime = reader["created_at"]
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S.%f}_{reader['id']}"


def parse_cursor(value: str) -> tuple[datetime, UUID]:
    """Raises ``ValueError``."""
    at, _, id_ = value.partition("_")
    return datetime.strptime(at, "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC), UUID(id_)


def _cursor(value: str) -> str:
    try:
        parse_cursor(value)
    except ValueError:
        raise ValueError("the value of `after` of the page before") from None
    return value


class ReadersQuery(BaseModel):
    """``words``: of a name or an address, an order's code or an invoice's number, or parts of them."""

    words: Annotated[str, Field(max_length=200), AfterValidator(plain)] = ""
    after: Annotated[str | None, Field(max_length=80), AfterValidator(_cursor)] = None

    def cursor(self) -> tuple[datetime, UUID] | None:
        return parse_cursor(self.after) if self.after else None


class ReaderDesk:
    """A reader's page, and the acts of its forms: each asks for a proof, for a second press and for a reason."""

    def __init__(
        self, billing: Billing, pages: Pages, access: StaffAccess, forms: BillingFormTokens
    ) -> None:
        self.billing = billing
        self._pages = pages
        self._access = access
        self._forms = forms

    async def allowed(self, request: Request, agency: str) -> Agency:
        return await enter(self._access, self.billing.database, request, agency, *READERS)

    async def acting(self, request: Request, agency: str) -> Agency:
        """Somebody who may act here, with a form of ours and a fresh proof."""
        found = await self.allowed(request, agency)
        await self._forms.verify(request)
        await self._access.require_fresh(request)
        return found

    async def by(self, request: Request) -> tuple[StaffPrincipal, By]:
        """Who acts."""
        principal = await self._access.page(request)
        return principal, By(str(principal.account_id), principal.name or principal.email)

    async def listed(self, request: Request, agency: str, asked: ReadersQuery) -> Response:
        found = await self.allowed(request, agency)
        page = await self.billing.desk.find(
            agency, asked.words, limit=FOUND_A_PAGE, after=asked.cursor()
        )
        return self._pages.render(
            request,
            "staff_readers.html",
            agency=found,
            asked=asked,
            page=page,
            next=cursor_of(page.readers[-1]) if page.more else None,
            now=self.billing.clock.now(),
            zone=found.zone,
        )

    async def show(
        self, request: Request, found: Agency, reader_id: UUID, status: int = 200, **more: Any
    ) -> Response:
        file = await self.billing.desk.reader(found.id, reader_id)
        return self._pages.render(
            request,
            "staff_reader.html",
            status,
            agency=found,
            file=file,
            devices=[device_name(one["user_agent"]) for one in file.of["sessions"]],
            actions={str(action): words for action, words in WORDS.items()},
            most_reason=MOST_REASON,
            limit_vnd=self.billing.refunds.approval_vnd,
            alone=self.billing.given.alone,
            now=file.now,
            zone=found.zone,
            **{"typed": {}, "notice": "", "refused": "", **more},
        )

    async def unready(
        self,
        request: Request,
        found: Agency,
        reader_id: UUID,
        confirmed: bool,
        typed: dict[str, str],
    ) -> Response | None:
        """The page with the form open, while the consequence was not shown or the reason is missing; else None."""
        reason = typed["reason"].strip()
        if confirmed and 0 < len(reason) <= MOST_REASON:
            return None
        more: dict[str, Any] = {"asked": request.url.path, "typed": typed}
        if not confirmed:
            return await self.show(request, found, reader_id, **more)
        return await self.show(request, found, reader_id, 422, refused="reason", **more)

    async def refused(
        self,
        request: Request,
        found: Agency,
        reader_id: UUID,
        error: ConflictError,
        typed: dict[str, str],
    ) -> Response:
        return await self.show(
            request,
            found,
            reader_id,
            409,
            refused=error.slug,
            asked=request.url.path,
            typed=typed,
        )

    async def renewal(
        self,
        request: Request,
        agency: str,
        reader_id: UUID,
        subscription_id: UUID,
        reason: str,
        *,
        confirmed: bool,
        cancel: bool,
    ) -> Response:
        found = await self.acting(request, agency)
        typed = {"reason": reason}
        unready = await self.unready(request, found, reader_id, confirmed, typed)
        if unready is not None:
            return unready
        try:
            wish = self.billing.wishes.cancel if cancel else self.billing.wishes.resume
            await wish(agency, reader_id, subscription_id, why=reason.strip())
        except ConflictError as error:
            return await self.refused(request, found, reader_id, error, typed)
        notice = "canceled" if cancel else "resumed"
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice={notice}")

    async def sign_out(
        self, request: Request, agency: str, reader_id: UUID, reason: str, *, confirmed: bool
    ) -> Response:
        found = await self.acting(request, agency)
        unready = await self.unready(request, found, reader_id, confirmed, {"reason": reason})
        if unready is not None:
            return unready
        await self.billing.readers.sign_out_everywhere(agency, reader_id, reason.strip())
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice=signed-out")

    async def refund(
        self,
        request: Request,
        agency: str,
        reader_id: UUID,
        payment_id: UUID,
        typed: dict[str, str],
        *,
        confirmed: bool,
    ) -> Response:
        found = await self.acting(request, agency)
        unready = await self.unready(request, found, reader_id, confirmed, typed)
        if unready is not None:
            return unready
        amount, (_, by) = parse_vnd(typed["amount"]), await self.by(request)
        try:
            if amount is None:
                raise ConflictError(slug="refund-amount")
            asked = await self.billing.refunds.ask(
                agency,
                reader_id,
                payment_id,
                amount,
                typed["reason"].strip(),
                by,
            )
        except ConflictError as error:
            return await self.refused(request, found, reader_id, error, typed)
        notice = "refund-asked" if asked.state == "asked" else "refund-approved"
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice={notice}")


def router(desk: ReaderDesk, access: StaffAccess) -> APIRouter:
    routes = APIRouter(
        prefix="/staff/{agency}/readers",
        include_in_schema=False,
        route_class=signed_in_first(access.page),
    )

    @routes.get("")
    async def listed(
        request: Request, agency: str, asked: Annotated[ReadersQuery, Query()]
    ) -> Response:
        return await desk.listed(request, agency, asked)

    @routes.get("/{reader_id}")
    async def show(request: Request, agency: str, reader_id: UUID, notice: str = "") -> Response:
        return await desk.show(
            request, await desk.allowed(request, agency), reader_id, notice=notice
        )

    @routes.post("/{reader_id}/subscriptions/{subscription_id}/cancel")
    async def cancel(
        request: Request,
        agency: str,
        reader_id: UUID,
        subscription_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        return await desk.renewal(
            request, agency, reader_id, subscription_id, reason, confirmed=confirmed, cancel=True
        )

    @routes.post("/{reader_id}/subscriptions/{subscription_id}/resume")
    async def resume(
        request: Request,
        agency: str,
        reader_id: UUID,
        subscription_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        return await desk.renewal(
            request, agency, reader_id, subscription_id, reason, confirmed=confirmed, cancel=False
        )

    @routes.post("/{reader_id}/payments/{payment_id}/refund")
    async def refund(
        request: Request,
        agency: str,
        reader_id: UUID,
        payment_id: UUID,
        amount: Typed = "",
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        typed = {"amount": amount, "reason": reason}
        return await desk.refund(request, agency, reader_id, payment_id, typed, confirmed=confirmed)

    @routes.post("/{reader_id}/sign-out")
    async def sign_out(
        request: Request,
        agency: str,
        reader_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        return await desk.sign_out(request, agency, reader_id, reason, confirmed=confirmed)

    return routes
