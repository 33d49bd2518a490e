"""What pages and routes share about the reader behind a request: cookies, form tokens, where they may go next."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.billing.composition import Billing
from services.billing.readers import rules
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.service import Visitor
from services.billing.seats.repository import OpenGroup
from services.billing.settings import BillingSettings
from shared.agencies import Agency, get_agency
from shared.errors import NotFoundError
from shared.origins import website_origin
from shared.web import Pages
from shared.web.csrf import FormTokens
from shared.web.i18n import request_language
from shared.web.middleware import allow_form_targets
from shared.web.visitor import caller_address

DAY_SECONDS = 86_400
KNOWN_BROWSER_SECONDS = 400 * DAY_SECONDS  # the longest that browsers keep a cookie


def session_cookie(agency: str, *, secure: bool) -> str:
    return f"{_prefix(secure)}press_reader_{agency}"


def browser_cookie(agency: str, *, secure: bool) -> str:
    """The browser's own random name: form tokens and sign-in codes belong to it. Says nothing about who reads."""
    return f"{_prefix(secure)}press_browser_{agency}"


def _prefix(secure: bool) -> str:
    """Browsers take a cookie of this name from this host only, over TLS only (RFC 6265bis): no neighbour can plant one."""
    return "__Host-" if secure else ""


class BillingFormTokens(FormTokens):
    """Form tokens bound to staff's session on staff pages, to the browser's own cookie on readers' pages.

    The browser's cookie outlives signing in and out: a form that was open in another tab still works.
    """

    def __init__(self, secret: str, staff_cookie: str, *, secure_cookies: bool) -> None:
        super().__init__(secret, staff_cookie)
        self._staff_cookie = staff_cookie
        self.secure = secure_cookies

    def binding(self, request: Request) -> str:
        if request.url.path.startswith("/staff"):
            return f"staff:{request.cookies.get(self._staff_cookie, '')}"
        agency = str(request.path_params.get("agency", ""))
        return f"reader:{agency}:{self.browser(request, agency)}"

    def browser(self, request: Request, agency: str) -> str:
        """The browser's cookie; a new one, which :meth:`keep` sets, when it has none."""
        held = request.cookies.get(browser_cookie(agency, secure=self.secure), "")
        if held and len(held) <= 100:
            return held
        if not hasattr(request.state, "new_browser"):
            request.state.new_browser = secrets.token_urlsafe(24)
        made: str = request.state.new_browser
        return made

    def keep(self, request: Request, answer: Response) -> None:
        agency = request.path_params.get("agency", "")
        if agency and hasattr(request.state, "new_browser"):
            name = browser_cookie(agency, secure=self.secure)
            self.set_cookie(answer, name, request.state.new_browser, None)

    def set_cookie(self, answer: Response, name: str, value: str, seconds: int | None) -> None:
        """``seconds`` None: until the browser is closed."""
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.secure,
        )

    def end_session(self, answer: Response, agency: str) -> None:
        """Have the browser forget who reads."""
        self.set_cookie(answer, session_cookie(agency, secure=self.secure), "", 0)

    def choice(self, request: Request, agency: str, price: str) -> str:
        """Proof that this browser chose this price: it goes on after signing in without being asked again."""
        return self.token_for(f"choice:{agency}:{self.browser(request, agency)}:{price}")


@dataclass(frozen=True, slots=True)
class Place:
    """An agency's pages, and the addresses a reader of this agency may be led back to."""

    agency: Agency
    own: str  # origin of billing itself

    def back(self, asked: str) -> str:
        """The address asked for when it is one of ours, else empty."""
        return rules.safe_return(asked, self.agency.origins, self.own)


class ReaderFront:
    """What every page for readers begins with."""

    def __init__(self, billing: Billing, pages: Pages, forms: BillingFormTokens) -> None:
        self.billing = billing
        self.pages = pages
        self.forms = forms
        self.base = billing.settings.billing_url.rstrip("/")

    async def enter(self, request: Request, agency_id: str) -> Place:
        """The agency (404 when unknown). From here on the answer's policy lets its forms lead to its websites."""
        async with self.billing.database.read() as session:
            agency = await get_agency(session, agency_id)
        allow_form_targets(request.scope, agency.origins)
        request.state.home = agency.website or self.billing.settings.news_site_url
        return Place(agency, website_origin(self.base))

    async def reader(self, request: Request, agency: str) -> tuple[ReaderSession, Reader] | None:
        cookie = request.cookies.get(session_cookie(agency, secure=self.forms.secure), "")
        return await self.billing.readers.current(agency, cookie)

    async def acting(
        self, request: Request, agency: str
    ) -> tuple[ReaderSession, Reader] | Response:
        """The reader behind a form of theirs, or the way to sign in."""
        await self.enter(request, agency)
        await self.forms.verify(request)
        found = await self.reader(request, agency)
        return found or self.to_sign_in(agency, f"/r/{agency}/account")

    async def seen(self, request: Request, reader: Reader) -> None:
        """A reader is here: seats of theirs that hang on the network which they come from are kept."""
        await self.billing.networks.seen(reader, self.visitor(request).address)

    async def open_groups(self, request: Request, reader: Reader | None) -> list[OpenGroup]:
        """Groups that a reader may join: by their mail address, or from where they are."""
        if reader is None:
            return []
        await self.seen(request, reader)
        return await self.billing.seats.open_groups(reader, self.visitor(request).address)

    async def acting_by_mailbox(
        self, request: Request, agency: str, page: str
    ) -> tuple[ReaderSession, Reader] | Response:
        """:meth:`acting` for what the mailbox alone may do: who came in by their mobile number is asked for a code to the mailbox first,
        and led back to ``page`` of the account. (A number may be somebody else's by now.)"""
        acting = await self.acting(request, agency)
        if not isinstance(acting, Response) and acting[0].by_number:
            return self.to_confirm(agency, page)
        return acting

    def to_confirm(self, agency: str, page: str) -> Response:
        return see_other(f"/r/{agency}/account/confirm?then={page}")

    def visitor(self, request: Request) -> Visitor:
        return visitor(self.billing.settings, request)

    def to_sign_in(self, agency: str, path: str) -> Response:
        """To signing in, and from there to ``path`` of these pages."""
        return see_other(f"/r/{agency}/sign-in?{with_return(self.base + path)}")

    def signed_in(self, answer: Response, agency: str, browser: str, token: str) -> Response:
        """Have the browser keep who reads, and its own name for as long as it can: it is known from now on."""
        seconds = self.billing.readers.session_max_days * DAY_SECONDS  # the server ends it sooner
        secure, set_cookie = self.forms.secure, self.forms.set_cookie
        set_cookie(answer, session_cookie(agency, secure=secure), token, seconds)
        set_cookie(answer, browser_cookie(agency, secure=secure), browser, KNOWN_BROWSER_SECONDS)
        return answer

    def render(
        self, request: Request, template: str, place: Place, status: int = 200, **context: Any
    ) -> Response:
        return self.pages.render(request, template, status, agency=place.agency, **context)


def visitor(settings: BillingSettings, request: Request) -> Visitor:
    return Visitor(
        caller_address(request, settings.hops),
        request.headers.get("user-agent", ""),
        request_language(request),
    )


def with_return(address: str) -> str:
    """``return_to=…`` for an address; empty when there is none."""
    return f"return_to={quote(address, safe='')}" if address else ""


def see_other(url: str) -> Response:
    """303: the browser goes on with GET."""
    return RedirectResponse(url, status_code=303, headers={"Cache-Control": "no-store"})


def guarded(answer: Response) -> Response:
    """A page whose address is a secret of its reader's: kept nowhere, told to no other site, found by no search."""
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    return answer


def plain(text: str, limit: int) -> str:
    """What a form or an address says, without what no id, code or name has, and no longer than ``limit``."""
    return "".join(character for character in text if character.isprintable())[:limit]


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def uuid_of(text: str) -> UUID:
    """An id that a form or an address says. Raises :class:`NotFoundError` for what is none."""
    found = uuid_or_none(text)
    if found is None:
        raise NotFoundError
    return found
