"""What the desk gives a reader: days of reading, taken back again, a receipt once more; and the deletion of their data."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.billing.given.rules import parse_days
from services.billing.readers.web import see_other
from services.billing.staff.reader_pages import ReaderDesk, Typed
from shared.auth.roles import Role
from shared.errors import ConflictError
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.staff import StaffAccess


def router(desk: ReaderDesk, access: StaffAccess) -> APIRouter:
    routes = APIRouter(
        prefix="/staff/{agency}/readers/{reader_id}",
        include_in_schema=False,
        route_class=signed_in_first(access.page),
    )

    @routes.post("/days")
    async def give(
        request: Request,
        agency: str,
        reader_id: UUID,
        days: Typed = "",
        after: Typed = "",
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found = await desk.acting(request, agency)
        typed = {"days": days, "after": after, "reason": reason}
        unready = await desk.unready(request, found, reader_id, confirmed, typed)
        if unready is not None:
            return unready
        principal, by = await desk.by(request)
        try:
            await desk.billing.given.give(
                agency,
                reader_id,
                parse_days(days),
                reason.strip(),
                by,
                after=bool(after),
                finance=principal.holds(agency, Role.FINANCE),
            )
        except ConflictError as error:
            return await desk.refused(request, found, reader_id, error, typed)
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice=days-given")

    @routes.post("/days/{given_id}/end")
    async def end(
        request: Request,
        agency: str,
        reader_id: UUID,
        given_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found, typed = await desk.acting(request, agency), {"reason": reason}
        unready = await desk.unready(request, found, reader_id, confirmed, typed)
        if unready is not None:
            return unready
        _, by = await desk.by(request)
        try:
            await desk.billing.given.end(agency, reader_id, given_id, reason.strip(), by)
        except ConflictError as error:
            return await desk.refused(request, found, reader_id, error, typed)
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice=days-ended")

    @routes.post("/erase")
    async def erase(
        request: Request,
        agency: str,
        reader_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found, typed = await desk.acting(request, agency), {"reason": reason}
        unready = await desk.unready(request, found, reader_id, confirmed, typed)
        if unready is not None:
            return unready
        try:
            await desk.billing.erasing.on_request(agency, reader_id, reason.strip())
        except ConflictError as error:
            return await desk.refused(request, found, reader_id, error, typed)
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice=erased")

    @routes.post("/payments/{payment_id}/receipt")
    async def receipt(
        request: Request,
        agency: str,
        reader_id: UUID,
        payment_id: UUID,
        reason: Typed = "",
        confirmed: Confirmed = False,
    ) -> Response:
        found, typed = await desk.acting(request, agency), {"reason": reason}
        unready = await desk.unready(request, found, reader_id, confirmed, typed)
        if unready is not None:
            return unready
        await desk.billing.receipts.send_again(agency, reader_id, payment_id, reason.strip())
        return see_other(f"/staff/{agency}/readers/{reader_id}?notice=receipt-sent")

    return routes
