"""Sign-in pages: an address, a code, done."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.composition import Billing
from services.billing.metrics import SIGN_INS
from services.billing.readers.service import CONSENTS
from services.billing.readers.web import (
    ATTEMPT_SECONDS,
    BillingFormTokens,
    attempt_cookie,
    return_address,
    see_other,
    session_cookie,
    visitor,
)
from shared.agencies import Agency, get_agency
from shared.errors import InvalidInputError, TooManyRequestsError
from shared.mail import Mail
from shared.web import Pages

DAY_SECONDS = 86_400


class SignInPages:
    """The two steps of signing in, which are also those of registering."""

    def __init__(self, billing: Billing, pages: Pages, forms: BillingFormTokens) -> None:
        self._billing = billing
        self._pages = pages
        self._forms = forms

    async def agency(self, agency: str) -> Agency:
        async with self._billing.database.read() as session:
            return await get_agency(session, agency)

    def target(self, agency: Agency, return_to: str) -> str:
        settings = self._billing.settings
        return return_address(settings, agency, return_to) or (
            f"{settings.billing_url.rstrip('/')}/r/{agency.id}/account"
        )

    async def show(self, request: Request, agency_id: str, return_to: str) -> Response:
        agency = await self.agency(agency_id)
        cookie = request.cookies.get(session_cookie(agency_id), "")
        if await self._billing.readers.current(agency_id, cookie):
            return see_other(self.target(agency, return_to))
        return self._email_page(request, agency, return_to)

    def _email_page(
        self,
        request: Request,
        agency: Agency,
        return_to: str,
        *,
        status: int = 200,
        email: str = "",
        problem: str = "",
        headers: dict[str, str] | None = None,
    ) -> Response:
        answer = self._pages.render(
            request,
            "sign_in.html",
            status,
            agency=agency,
            return_to=return_to,
            email=email,
            problem=problem,
        )
        answer.headers.update(headers or {})
        return answer

    def _letter(self, request: Request, agency: Agency, address: str, code: str) -> Mail:
        say = self._pages.translate
        subject = say(request, "{code} is your sign-in code", code=code)
        body = say(
            request,
            "Your code for {agency} is {code}. It is good for 10 minutes. "
            "If you did not ask for it, ignore this message; nobody can sign in without the code.",
            agency=agency.name,
            code=code,
        )
        return Mail(address, subject, body)

    async def ask(self, request: Request, agency_id: str, email: str, return_to: str) -> Response:
        agency = await self.agency(agency_id)
        await self._forms.verify(request)
        try:
            attempt = await self._billing.readers.ask_code(
                agency.id,
                email,
                visitor(self._billing.settings, request),
                lambda address, code: self._letter(request, agency, address, code),
            )
        except InvalidInputError:
            problem = "This is not an e-mail address. Example: name@example.vn"
            return self._email_page(
                request, agency, return_to, status=422, email=email[:254], problem=problem
            )
        except TooManyRequestsError as error:
            SIGN_INS.labels("limited").inc()
            problem = "Too many tries. Please wait a few minutes, then try again."
            return self._email_page(
                request,
                agency,
                return_to,
                status=429,
                email=email[:254],
                problem=problem,
                headers=error.headers,
            )
        SIGN_INS.labels("asked").inc()
        query = urlencode({"return_to": return_to}) if return_to else ""
        answer = see_other(f"/r/{agency.id}/sign-in/code{'?' + query if query else ''}")
        self._set(answer, attempt_cookie(agency.id), attempt, ATTEMPT_SECONDS)
        return answer

    def _set(self, answer: Response, name: str, value: str, seconds: int) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self._billing.settings.secure_cookies,
        )

    def _code_page(
        self, request: Request, agency: Agency, return_to: str, status: int = 200, problem: str = ""
    ) -> Response:
        return self._pages.render(
            request,
            "sign_in_code.html",
            status,
            agency=agency,
            return_to=return_to,
            problem=problem,
            consents={purpose: wording for purpose, (_, wording) in CONSENTS.items()},
            mail_outbox=self._billing.settings.mail_transport == "outbox",
        )

    async def code(self, request: Request, agency_id: str, return_to: str) -> Response:
        agency = await self.agency(agency_id)
        if attempt_cookie(agency_id) not in request.cookies:
            return see_other(f"/r/{agency.id}/sign-in")
        return self._code_page(request, agency, return_to)

    async def enter(
        self, request: Request, agency_id: str, code: str, consents: list[str], return_to: str
    ) -> Response:
        agency = await self.agency(agency_id)
        await self._forms.verify(request)
        try:
            signed_in = await self._billing.readers.enter_code(
                agency.id,
                request.cookies.get(attempt_cookie(agency.id), ""),
                code,
                frozenset(consents),
                visitor(self._billing.settings, request),
            )
        except TooManyRequestsError as error:
            SIGN_INS.labels("limited").inc()
            problem = "Too many tries. Please wait a few minutes, then try again."
            answer = self._code_page(request, agency, return_to, 429, problem)
            answer.headers.update(error.headers)
            return answer
        if signed_in is None:
            SIGN_INS.labels("refused").inc()
            problem = "The code is not right, or it is too old. Check it, or ask for a new one."
            return self._code_page(request, agency, return_to, 422, problem)
        SIGN_INS.labels("signed_in").inc()
        answer = see_other(self.target(agency, return_to))
        days = self._billing.readers.session_days
        self._set(answer, session_cookie(agency.id), signed_in.token, days * DAY_SECONDS)
        answer.delete_cookie(attempt_cookie(agency.id), path="/")
        return answer


def router(billing: Billing, pages: Pages, forms: BillingFormTokens) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    sign_in = SignInPages(billing, pages, forms)

    @routes.get("/r/{agency}/sign-in")
    async def show(request: Request, agency: str, return_to: str = "") -> Response:
        return await sign_in.show(request, agency, return_to)

    @routes.post("/r/{agency}/sign-in")
    async def ask(
        request: Request, agency: str, email: str = Form(""), return_to: str = Form("")
    ) -> Response:
        return await sign_in.ask(request, agency, email, return_to)

    @routes.get("/r/{agency}/sign-in/code")
    async def code(request: Request, agency: str, return_to: str = "") -> Response:
        return await sign_in.code(request, agency, return_to)

    @routes.post("/r/{agency}/sign-in/code")
    async def enter(
        request: Request,
        agency: str,
        code: str = Form(""),
        consent: list[str] = Form([]),
        return_to: str = Form(""),
    ) -> Response:
        return await sign_in.enter(request, agency, code, consent, return_to)

    return routes
