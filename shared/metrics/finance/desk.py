"""What every finance page needs: who asks, what day it is, how to show it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse

from shared.agencies import get_agency
from shared.auth import Role, StaffPrincipal
from shared.auth.roles import VIEWERS
from shared.clock import Clock
from shared.database import Database
from shared.metrics.finance import rules
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.imports.service import FileProblemsError
from shared.metrics.sheets import CSV_EXPECTED, MAX_FILE_BYTES, SIZE_EXPECTED, Problem
from shared.web import Pages
from shared.web.csrf import FormTokens
from shared.web.i18n import request_language
from shared.web.staff import StaffAccess


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts the composition root hands to the pages."""

    database: Database
    clock: Clock
    access: StaffAccess
    forms: FormTokens
    pages: Pages
    reader: FileReader
    default_target: Decimal

    async def viewer(self, request: Request, agency: str) -> StaffPrincipal:
        """Who may see the agency's figures; 404 for another agency, 403 without the role."""
        principal = await self.access.page(request)
        principal.require(agency, *VIEWERS)
        return principal

    async def form(self, request: Request, agency: str) -> StaffPrincipal:
        """Who may change them: the agency's finance. The form's token is checked."""
        principal = await self.access.page(request)
        principal.require(agency, Role.FINANCE)
        await self.forms.verify(request)
        return principal

    async def weighty_form(self, request: Request, agency: str) -> StaffPrincipal:
        """The same for an act that nobody can undo: who has just proved to be themselves."""
        await self.form(request, agency)
        return await self.access.require_fresh(request)

    async def names(self, agencies: Collection[str]) -> list[str]:
        """What people call these agencies."""
        async with self.database.read() as session:
            return sorted([(await get_agency(session, agency)).name for agency in agencies])

    def render(
        self, request: Request, template: str, status_code: int = 200, **context: Any
    ) -> HTMLResponse:
        language = request_language(request)
        agency = request.path_params.get("agency", "")
        staff: StaffPrincipal = request.state.staff

        def show_percent(ratio: Any, *, signed: bool = True) -> str:
            return rules.show_percent(ratio, language, signed=signed)

        return self.pages.render(
            request,
            template,
            status_code,
            label=lambda key: rules.label(key, language),
            percent=show_percent,
            max_bytes=MAX_FILE_BYTES,
            may_change=staff.holds(agency, Role.FINANCE),
            **context,
        )


async def uploaded_csv(request: Request) -> tuple[str, bytes]:
    """The form's file. Raises :class:`FileProblemsError` when there is none, or it is too large."""
    form = await request.form()
    upload = form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise FileProblemsError([Problem(0, "", "", CSV_EXPECTED)])
    content = await upload.read(MAX_FILE_BYTES + 1)
    await upload.close()
    if len(content) > MAX_FILE_BYTES:
        raise FileProblemsError([Problem(0, "", "", SIZE_EXPECTED)])
    return upload.filename, content
