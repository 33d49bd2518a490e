"""``/r/{agency}/sign-in/password``: signing in by a password, and back to where one was."""

from __future__ import annotations

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.metrics import SIGN_INS
from services.billing.passwords.tries import PasswordBusyError
from services.billing.readers.web import Place, ReaderFront, see_other, session_cookie
from services.billing.sign_in.pages import NO_ADDRESS, STALE, SignInPages
from services.billing.sign_in.service import NetworkBusyError
from shared.errors import InvalidInputError, TooManyRequestsError, UnavailableError
from shared.security.events import SecurityEvent
from shared.security.report import refused, tell
from shared.web.csrf import StaleFormError

PATH = "/r/{agency}/sign-in/password"
#: One sentence, whatever it is that is not right.
WRONG = "E-mail address and password do not belong together. Check both, or have a code sent."
BUSY = (
    "Many passwords are being checked right now. Please try again in a moment, or have a code sent."
)


class PasswordSignInPages:
    """The page, with the address from the page before."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._sign_in = front.billing.password_sign_in
        self._codes = SignInPages(front)

    async def show(self, request: Request, agency_id: str, return_to: str) -> Response:
        place = await self._front.enter(request, agency_id)
        if await self._front.reader(request, agency_id):
            return see_other(self._codes.target(place, return_to))
        return self._page(request, place, return_to)

    def _page(
        self,
        request: Request,
        place: Place,
        return_to: str,
        status: int = 200,
        *,
        email: str = "",
        problem: str = "",
        wait: int = 0,
    ) -> Response:
        answer = self._front.render(
            request,
            "sign_in_password.html",
            place,
            status,
            return_to=return_to,
            email=email[:254],
            problem=problem,
            wait=wait,
        )
        answer.headers["Cache-Control"] = "no-store"
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer

    async def enter(
        self, request: Request, agency_id: str, email: str, password: str, return_to: str
    ) -> Response:
        """Without a password it is the press on the page before: the page, and nothing is tried."""
        place = await self._front.enter(request, agency_id)
        signed_in_already = await self._front.reader(request, agency_id) is not None
        try:
            await self._front.forms.verify(request)
        except StaleFormError as error:
            refused(error)
            if signed_in_already:
                return see_other(self._codes.target(place, return_to))
            return self._page(request, place, return_to, 403, email=email, problem=STALE)
        if not password:
            return self._page(request, place, return_to, email=email)
        return await self._tried(request, place, email, password, return_to)

    async def _tried(
        self, request: Request, place: Place, email: str, password: str, return_to: str
    ) -> Response:
        agency = place.agency.id
        browser = self._front.forms.browser(request, agency)
        held = request.cookies.get(session_cookie(agency, secure=self._front.forms.secure), "")
        status, problem, wait = 422, WRONG, 0
        try:
            done = await self._sign_in.enter(
                agency, browser, email, password, self._front.visitor(request), replaces=held
            )
            if done is not None:
                SIGN_INS.labels("signed_in_by_password").inc()
                answer = see_other(self._codes.target(place, return_to))
                return self._front.signed_in(answer, agency, browser, done.token)
            SIGN_INS.labels("password_refused").inc()
            tell(SecurityEvent.SIGN_IN_FAILED, reason="password")
        except InvalidInputError:
            problem = NO_ADDRESS
        except UnavailableError:
            status, problem = 503, BUSY
        except TooManyRequestsError as error:
            status = 429
            problem, wait = self._limited(request, error)
        return self._page(
            request, place, return_to, status, email=email, problem=problem, wait=wait
        )

    def _limited(self, request: Request, error: TooManyRequestsError) -> tuple[str, int]:
        """What a limit means for the person who met it, and for how many seconds."""
        SIGN_INS.labels("limited").inc()
        busy = isinstance(error, NetworkBusyError)
        tell(SecurityEvent.SIGN_IN_LIMITED, limit="pace" if busy else "mailbox", what="password")
        say = self._front.pages.translate
        if isinstance(error, NetworkBusyError):
            words = say(
                request,
                "Many people on your network are signing in right now. "
                "Your turn comes in {n} seconds: press the button again then.",
                n=error.seconds,
            )
            return words, error.seconds
        seconds = error.seconds if isinstance(error, PasswordBusyError) else 60
        minutes = -(-seconds // 60)
        many = say(request, "Many passwords were tried for this address.")
        when = (
            say(request, "The next one can be tried in {n} minutes.", n=minutes)
            if minutes <= 120
            else say(request, "The next one can be tried in {n} hours.", n=-(-minutes // 60))
        )
        return f"{many} {when} {say(request, 'A code signs you in at once.')}", seconds


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = PasswordSignInPages(front)

    @routes.get(PATH)
    async def show(request: Request, agency: str, return_to: str = "") -> Response:
        return await pages.show(request, agency, return_to)

    @routes.post(PATH)
    async def enter(
        request: Request,
        agency: str,
        email: str = Form(""),
        password: str = Form(""),
        return_to: str = Form(""),
    ) -> Response:
        return await pages.enter(request, agency, email, password, return_to)

    return routes
