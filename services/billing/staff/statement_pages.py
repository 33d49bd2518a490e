"""``/staff/{agency}/transfers/statement``: a bank statement is chosen, read and shown; a second press takes it in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile

from services.billing.readers.web import BillingFormTokens, see_other
from services.billing.staff.credits_pages import CreditDesk
from services.billing.statements.service import StatementProblemsError
from services.billing.transfers.statement import EXPECTED_CSV, MAX_BYTES, RowProblem
from shared.auth.roles import Role
from shared.web.known_first import signed_in_first
from shared.web.params import Confirmed
from shared.web.staff import StaffAccess

PROBLEMS_SHOWN = 50
#: The page of a statement looks again by itself while its rows are applied.
LOOK_AGAIN_SECONDS = 2
#: The file, and what else is in the form.
MAX_FORM_BYTES = MAX_BYTES + 65_536
PATH = "/staff/{agency}/transfers/statement"


def router(desk: CreditDesk, access: StaffAccess, forms: BillingFormTokens) -> APIRouter:
    routes = APIRouter(include_in_schema=False, route_class=signed_in_first(access.page))
    statements = desk.billing.statements

    async def form_page(
        request: Request,
        agency: str,
        status: int = 200,
        *,
        account: str = "",
        file_name: str = "",
        problems: Sequence[RowProblem] = (),
    ) -> Response:
        found = await desk.enter(request, agency, Role.FINANCE)
        return desk.render(
            request,
            "staff_statement.html",
            found,
            status,
            accounts=await desk.billing.transfers.accounts(agency),
            account=account,
            file_name=file_name,
            problems=problems[:PROBLEMS_SHOWN],
            problem_count=len(problems),
            max_bytes=MAX_BYTES,
        )

    async def upload_page(
        request: Request, agency: str, upload_id: UUID, *, asked: str = ""
    ) -> Response:
        found = await desk.enter(request, agency, Role.FINANCE)
        return desk.render(
            request,
            "staff_statement_upload.html",
            found,
            view=await statements.view(agency, upload_id),
            asked=asked,
            look_again=LOOK_AGAIN_SECONDS,
        )

    @routes.get(PATH)
    async def choose(request: Request, agency: str) -> Response:
        return await form_page(request, agency)

    @routes.post(PATH)
    async def read(request: Request, agency: str, account: Annotated[str, Form()] = "") -> Response:
        await desk.enter(request, agency, Role.FINANCE)
        await forms.verify(request)
        principal = request.state.staff
        name, content = await _uploaded(request)
        try:
            if not name:
                raise StatementProblemsError([RowProblem(0, "", "", EXPECTED_CSV)])
            upload = await statements.read(agency, account, name, content, principal.email)
        except StatementProblemsError as error:
            return await form_page(
                request, agency, 422, account=account, file_name=name, problems=error.problems
            )
        return see_other(f"/staff/{agency}/transfers/statement/{upload.id}")

    @routes.get(f"{PATH}/{{upload_id}}")
    async def show(request: Request, agency: str, upload_id: UUID) -> Response:
        return await upload_page(request, agency, upload_id)

    @routes.post(f"{PATH}/{{upload_id}}")
    async def take_in(
        request: Request, agency: str, upload_id: UUID, confirmed: Confirmed = False
    ) -> Response:
        await desk.enter(request, agency, Role.FINANCE)
        await forms.verify(request)
        await access.require_fresh(request)  # it moves money in the books
        if not confirmed:
            return await upload_page(request, agency, upload_id, asked=request.url.path)
        await statements.take_in(agency, upload_id)
        return see_other(f"/staff/{agency}/transfers/statement/{upload_id}")

    return routes


async def _uploaded(request: Request) -> tuple[str, bytes]:
    """The form's file and its name; empty when there is none. One that is too large is cut: whoever reads it refuses it."""
    upload = (await request.form()).get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        return "", b""
    content = await upload.read(MAX_BYTES + 1)
    await upload.close()
    return upload.filename, content
