"""Sign-in pages: an address, a code, and back to where one was."""

from __future__ import annotations

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.letters.links import UndoLink
from services.billing.mailboxes.service import MailboxBusyError
from services.billing.metrics import SIGN_INS
from services.billing.readers.service import CONSENTS, HeldAddressError
from services.billing.readers.web import (
    DAY_SECONDS,
    Place,
    ReaderFront,
    browser_cookie,
    see_other,
    session_cookie,
    with_return,
)
from services.billing.sign_in.service import NetworkBusyError, Refusal
from shared.errors import InvalidInputError, TooManyRequestsError, UnavailableError
from shared.security.events import SecurityEvent
from shared.security.report import refused, tell
from shared.web.csrf import StaleFormError
from shared.web.i18n import request_language

STALE = "This page has grown old: try again. What you typed is still there."
NO_ADDRESS = "This is not an e-mail address. Example: name@example.vn"
NO_MAIL = "The code could not be sent just now. Please try again in a moment."
WRONG = "The code is not right, or it is too old. Check it, or have a new one sent."
SPENT = "Too many wrong codes. Please have a new one sent."


class SignInPages:
    """The two steps of signing in, which are also those of registering."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._sign_in = front.billing.sign_in

    def target(self, place: Place, return_to: str) -> str:
        """Where a reader goes who is signed in."""
        return place.back(return_to) or f"{self._front.base}/r/{place.agency.id}/account"

    async def show(
        self, request: Request, agency_id: str, return_to: str, notice: str = ""
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        if await self._front.reader(request, agency_id):
            return see_other(self.target(place, return_to))
        return self._email_page(request, place, return_to, notice=notice)

    def _email_page(
        self,
        request: Request,
        place: Place,
        return_to: str,
        status: int = 200,
        *,
        email: str = "",
        problem: str = "",
        wait: int = 0,
        notice: str = "",
    ) -> Response:
        answer = self._front.render(
            request,
            "sign_in.html",
            place,
            status,
            return_to=return_to,
            email=email[:254],
            problem=problem,
            wait=wait,
            notice=notice,
            back=place.back(return_to) or place.agency.website,
        )
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer

    def _limited(self, request: Request, error: TooManyRequestsError) -> tuple[str, int]:
        """What a limit means for the person who met it, and for how many seconds."""
        SIGN_INS.labels("limited").inc()
        limit = "pace" if isinstance(error, NetworkBusyError) else "mailbox"
        tell(SecurityEvent.SIGN_IN_LIMITED, limit=limit, what="code")
        say = self._front.pages.translate
        if isinstance(error, NetworkBusyError):
            words = say(
                request,
                "Many people on your network are signing in right now. "
                "Your turn comes in {n} seconds: press the button again then.",
                n=error.seconds,
            )
            return words, error.seconds
        seconds = error.seconds if isinstance(error, MailboxBusyError) else 60
        words = say(
            request,
            "Many codes have been sent to this address. The next one can be sent in {n} minutes; "
            "a code that has reached you works for 10 minutes.",
            n=-(-seconds // 60),
        )
        return words, seconds

    async def ask(
        self,
        request: Request,
        agency_id: str,
        email: str,
        return_to: str,
        *,
        again: bool = False,
        consents: list[str],
    ) -> Response:
        """Send a code. ``again``: asked for on the code page, which stays, with what was ticked."""
        place = await self._front.enter(request, agency_id)
        try:
            await self._front.forms.verify(request)
        except StaleFormError as error:
            refused(error)
            if await self._front.reader(request, agency_id):
                return see_other(self.target(place, return_to))
            if again:
                return await self._code_page(
                    request, place, return_to, 403, problem=STALE, ticked=consents, email=email
                )
            return self._email_page(request, place, return_to, 403, email=email, problem=STALE)
        browser = self._front.forms.browser(request, agency_id)
        status, problem, wait = 200, "", 0
        try:
            await self._sign_in.ask_code(
                agency_id,
                browser,
                email,
                self._front.visitor(request),
                lambda address, code: self._front.billing.letters.code(
                    place.agency, request_language(request), address, code
                ),
            )
            SIGN_INS.labels("asked").inc()
        except InvalidInputError:
            status, problem = 422, NO_ADDRESS
        except UnavailableError:
            status, problem = 503, NO_MAIL
        except TooManyRequestsError as error:
            problem, wait = self._limited(request, error)
            status = 429
        if again:
            return await self._code_page(
                request, place, return_to, status, problem=problem, wait=wait, ticked=consents
            )
        if problem:
            return self._email_page(
                request, place, return_to, status, email=email, problem=problem, wait=wait
            )
        path = f"/r/{agency_id}/sign-in/code"
        answer = see_other(f"{path}?{with_return(return_to)}" if return_to else path)
        # The mail may be read after the browser was put away: the cookie stays longer than the code.
        forms = self._front.forms
        name = browser_cookie(agency_id, secure=forms.secure)
        forms.set_cookie(answer, name, browser, DAY_SECONDS)
        return answer

    async def _code_page(
        self,
        request: Request,
        place: Place,
        return_to: str,
        status: int = 200,
        *,
        problem: str = "",
        wait: int = 0,
        ticked: list[str] | None = None,
        typed: str = "",
        email: str = "",
    ) -> Response:
        """The page for the code; the one for the address when this browser has no code in time any more."""
        browser = request.cookies.get(
            browser_cookie(place.agency.id, secure=self._front.forms.secure), ""
        )
        asked = await self._sign_in.asked(place.agency.id, browser)
        if asked is None:
            if problem:
                return self._email_page(
                    request, place, return_to, status, email=email, problem=problem, wait=wait
                )
            return see_other(f"/r/{place.agency.id}/sign-in?{with_return(return_to)}")
        answer = self._front.render(
            request,
            "sign_in_code.html",
            place,
            status,
            return_to=return_to,
            problem=problem,
            asked=asked,
            limited=bool(wait),
            wait=wait or asked.resend_in,
            typed=typed[:100],
            ticked=ticked or [],
            consents={purpose: wording for purpose, (_, wording) in CONSENTS.items()},
            mail_outbox=self._front.billing.settings.mail_transport == "outbox",
            zone=place.agency.zone,
        )
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer

    async def code(self, request: Request, agency_id: str, return_to: str) -> Response:
        place = await self._front.enter(request, agency_id)
        if await self._front.reader(request, agency_id):
            return see_other(self.target(place, return_to))
        return await self._code_page(request, place, return_to)

    def _to_undo(self, agency: str, held: HeldAddressError) -> Response:
        """The code proves as much as the letter to the old address does: to the page of its link."""
        link = UndoLink(agency, held.reader_id, held.change_id)
        token = self._front.billing.links.undo_token(link, held.undo_until)
        return see_other(f"/r/{agency}/address/{token}")

    async def enter(
        self, request: Request, agency_id: str, code: str, consents: list[str], return_to: str
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        held = request.cookies.get(session_cookie(agency_id, secure=self._front.forms.secure), "")
        signed_in_already = await self._front.reader(request, agency_id) is not None
        try:
            await self._front.forms.verify(request)
        except StaleFormError as error:
            refused(error)
            if signed_in_already:
                return see_other(self.target(place, return_to))
            return await self._code_page(
                request, place, return_to, 403, problem=STALE, ticked=consents, typed=code
            )
        browser = self._front.forms.browser(request, agency_id)
        try:
            done = await self._sign_in.enter_code(
                agency_id,
                browser,
                code,
                frozenset(consents),
                self._front.visitor(request),
                replaces=held,
            )
        except HeldAddressError as error:
            return self._to_undo(agency_id, error)
        if isinstance(done, Refusal):
            if signed_in_already:  # the button was pressed twice: the first press has done it
                return see_other(self.target(place, return_to))
            SIGN_INS.labels("refused").inc()
            tell(SecurityEvent.SIGN_IN_FAILED, reason=done.name.lower())
            problem = SPENT if done is Refusal.SPENT else WRONG
            return await self._code_page(
                request, place, return_to, 422, problem=problem, ticked=consents, typed=code
            )
        SIGN_INS.labels("signed_in").inc()
        answer = see_other(self.target(place, return_to))
        return self._front.signed_in(answer, agency_id, browser, done.token)


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    sign_in = SignInPages(front)

    @routes.get("/r/{agency}/sign-in")
    async def show(
        request: Request, agency: str, return_to: str = "", notice: str = ""
    ) -> Response:
        return await sign_in.show(request, agency, return_to, notice)

    @routes.post("/r/{agency}/sign-in")
    async def ask(
        request: Request,
        agency: str,
        email: str = Form(""),
        return_to: str = Form(""),
        again: str = Form(""),
        consent: list[str] = Form([]),
    ) -> Response:
        return await sign_in.ask(
            request, agency, email, return_to, again=bool(again), consents=consent
        )

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
