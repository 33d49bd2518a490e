"""Server-rendered pages: one Jinja environment per service on the shared layout, in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Match

from shared.money import format_vnd
from shared.web.assets import asset_url
from shared.web.compression import compress
from shared.web.csrf import FORM_FIELD, FormTokens
from shared.web.i18n import (
    load_catalogues,
    remember_language,
    request_language,
    show_date,
    show_datetime,
    translator,
)

SHARED_FOLDER = Path(__file__).parent


def own_path(url: URL) -> str:
    """The address without scheme and host: a link to where the browser is, whatever the Host header said."""
    path = "/" + url.path.lstrip("/")  # "//evil.example" would be another host
    return f"{path}?{url.query}" if url.query else path


def _shown_by_get(request: Request, path: str) -> bool:
    scope = {**request.scope, "method": "GET", "path": path}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def here(request: Request) -> URL:
    """Where the browser gets this page again: its own address or, for the answer to a form, the page the form was on."""
    if request.method in {"GET", "HEAD"} or _shown_by_get(request, request.url.path):
        return request.url
    try:
        came_from = URL(request.headers.get("referer", ""))
        own = came_from.netloc == request.headers.get("host")
    except ValueError:  # brackets that hold no address
        own = False
    return came_from if own and _shown_by_get(request, came_from.path) else URL("/")


class Pages:
    """Renders a service's templates.

    Every template has: ``_`` (translate), ``language``, ``vnd``, ``day``, ``moment``, ``clock`` (formatters), ``csrf_field()``,
    ``other_language_url``, ``asset(path)`` (a static file's address) and whatever the route passes. Undefined names are errors.
    """

    def __init__(
        self,
        folder: Path,
        form_tokens: FormTokens,
        *,
        secure_cookies: bool = True,
        extra_folders: tuple[Path, ...] = (),
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._forms = form_tokens
        self._secure = secure_cookies
        self._defaults = dict(defaults or {})
        roots = (folder, *extra_folders)
        self.words = load_catalogues(
            [SHARED_FOLDER / "locale", *(root / "locale" for root in roots)]
        )
        self._environment = Environment(
            loader=ChoiceLoader(
                [FileSystemLoader([str(root / "templates") for root in (*roots, SHARED_FOLDER)])]
            ),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def translate(self, request: Request, english: str, **values: object) -> str:
        return translator(self.words, request_language(request))(english, **values)

    def render(
        self,
        request: Request,
        template: str,
        status_code: int = 200,
        *,
        own_url: str = "",
        **context: Any,
    ) -> HTMLResponse:
        """The page as an answer that no shared cache keeps. ``own_url``: where it is got again, where a route knows better."""
        language = request_language(request)
        token = self._forms.token(request)
        other = "en" if language == "vi" else "vi"
        staff = getattr(request.state, "staff", None)
        html = self._environment.get_template(template).render(
            self._defaults
            | {
                "request": request,
                "staff_bar": request.app.state.staff_bar.view(request, staff) if staff else None,
                "_": translator(self.words, language),
                "language": language,
                "other_language": other,
                "other_language_url": own_path(
                    (URL(own_url) if own_url else here(request)).include_query_params(lang=other)
                ),
                "vnd": lambda amount: format_vnd(amount, language),
                "day": lambda day: show_date(day, language),
                "clock": lambda at, zone: f"{at.astimezone(zone):%H:%M:%S}",
                "moment": lambda at, *zone: show_datetime(at, language, *zone),
                "asset": lambda path: asset_url(request, path),
                "csrf_token": token,
                "csrf_field": lambda: Markup('<input type="hidden" name="{}" value="{}">').format(
                    FORM_FIELD, escape(token)
                ),
            }
            | context
        )
        answer = HTMLResponse(html, status_code=status_code)
        answer.headers["Cache-Control"] = "private, no-store"
        compress(request, answer)
        self._forms.keep(request, answer)
        remember_language(request, answer, language, secure=self._secure)
        return answer
