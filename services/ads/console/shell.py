"""What every page of the console shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from services.ads.access import Desk, known_agency
from services.ads.console import views
from shared.agencies import Agency, list_agencies
from shared.auth import Role, StaffPrincipal
from shared.errors import ForbiddenError
from shared.web import Pages
from shared.web.csrf import FormTokens
from shared.web.i18n import request_language

FOLDER = Path(__file__).parent


class Shell:
    """Templates, form tokens and who may enter."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._forms = FormTokens(desk.settings.form_token_secret, desk.settings.staff_cookie)
        self._pages = Pages(
            FOLDER,
            self._forms,
            secure_cookies=desk.settings.deployed,
            defaults={
                "status_words": views.STATUS_WORDS,
                "badges": views.BADGES,
                "theme_words": views.THEME_WORDS,
                "shown_status": views.shown_status,
                "is_held": views.is_held,
                "percent_of": views.percent_of,
                "identity_url": desk.settings.identity_url,
                "section": "",
            },
        )

    async def enter(
        self, request: Request, agency: str, *roles: Role
    ) -> tuple[StaffPrincipal, Agency]:
        """Who it is and where. Raises sign-in, 403, or 404 for another agency."""
        staff = await self.desk.access.page(request)
        staff.require(agency, *roles)
        return staff, await known_agency(self.desk, agency)

    async def form(self, request: Request) -> FormData:
        """The form, its token checked. Whoever reads files from it closes it; a refused one is closed here."""
        form = await request.form()
        try:
            await self._forms.verify(request)
        except ForbiddenError:
            await form.close()
            raise
        return form

    async def agencies_of(self, staff: StaffPrincipal) -> list[Agency]:
        async with self.desk.database.read() as session:
            return [a for a in await list_agencies(session) if a.id in staff.roles]

    def translate(self, request: Request, english: str, **values: object) -> str:
        return self._pages.translate(request, english, **values)

    def render(
        self, request: Request, template: str, status_code: int = 200, **context: Any
    ) -> Response:
        language = request_language(request)
        agency = context.get("agency")
        return self._pages.render(
            request,
            template,
            status_code,
            num=lambda value: views.number(value, language),
            weekday=lambda day: views.weekday(day, language),
            short_days_text=lambda days: views.some_days(days, language),
            zone=agency.zone if agency is not None else None,
            **context,
        )


def text_of(form: FormData, name: str) -> str:
    """A text field without control characters; empty when it is missing or a file."""
    value = form.get(name)
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value if c.isprintable()).strip()
