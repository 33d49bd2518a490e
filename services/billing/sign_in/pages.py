"""Sign-in pages: an address or a number, a code, and back to where one was."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.letters.links import UndoLink
from services.billing.mailboxes.rules import is_number
from services.billing.mailboxes.service import MailboxBusyError, TextsSpentError
from services.billing.metrics import SIGN_INS
from services.billing.phones.texting import NoMobileError
from services.billing.phones.words import NO_NUMBER
from services.billing.readers.rules import hash_token
from services.billing.readers.service import CONSENTS, HeldAddressError, SignedIn
from services.billing.readers.web import (
    DAY_SECONDS,
    Place,
    ReaderFront,
    browser_cookie,
    see_other,
    session_cookie,
    with_return,
)
from services.billing.sign_in.service import NetworkBusyError, Proved, Refusal
from shared.errors import InvalidInputError, TooManyRequestsError, UnavailableError
from shared.security.events import SecurityEvent
from shared.security.report import refused, tell
from shared.texts.number import shown
from shared.web.csrf import StaleFormError
from shared.web.i18n import request_language

STALE = "This page has grown old: try again. What you typed is still there."
NO_ADDRESS = "This is not an e-mail address. Example: name@example.vn"
NEITHER = (
    "This is neither an e-mail address nor a mobile number. Examples: name@example.vn, 0912 345 678"
)
NO_MAIL = "The code could not be sent just now. Please try again in a moment."
WRONG = "The code is not right, or it is too old. Check it, or have a new one sent."
SPENT = "Too many wrong codes. Please have a new one sent."


class SignInPages:
    """The two steps of signing in, which are also those of registering."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._sign_in = front.billing.sign_in
        self._phones = front.billing.phones

    def target(self, place: Place, return_to: str) -> str:
        """Where a reader goes who is signed in."""
        return place.back(return_to) or f"{self._front.base}/r/{place.agency.id}/account"

    async def show(
        self, request: Request, agency_id: str, return_to: str, notice: str = ""
    ) -> Response:
        place = await self._front.enter(request, agency_id)
        if await self._front.reader(request, agency_id):
            return see_other(self.target(place, return_to))
        return self.email_page(request, place, return_to, notice=notice)

    def email_page(
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
            numbers=self._phones.texting.serves(place.agency.id),
            back=place.back(return_to) or place.agency.website,
        )
        if wait:
            answer.headers["Retry-After"] = str(wait)
        return answer

    def _limited(self, request: Request, error: TooManyRequestsError) -> tuple[str, int]:
        """What a limit means for the person who met it, and for how many seconds."""
        SIGN_INS.labels("limited").inc()
        limit = "pace" if isinstance(error, NetworkBusyError) else "mailbox"
        limit = "texts" if isinstance(error, TextsSpentError) else limit
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
        if isinstance(error, TextsSpentError):
            words = say(
                request,
                "So many codes were asked for by text message that no more are sent for now. Sign in with your e-mail address, or try "
                "again in {n} minutes.",
                n=-(-seconds // 60),
            )
            return words, seconds
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
            return self.email_page(request, place, return_to, 403, email=email, problem=STALE)
        browser = self._front.forms.browser(request, agency_id)
        if not again:  # begun anew: what was proved before it was for another account
            await self._phones.name_address(agency_id, hash_token(browser), "")
        status, problem, wait = await self.send(request, place, email)
        if again:
            return await self._code_page(
                request, place, return_to, status, problem=problem, wait=wait, ticked=consents
            )
        if problem:
            return self.email_page(
                request, place, return_to, status, email=email, problem=problem, wait=wait
            )
        return self.to_code(request, agency_id, return_to)

    async def send(
        self, request: Request, place: Place, typed: str, *, numbers: bool = True
    ) -> tuple[int, str, int]:
        """Send a code; (status, problem, seconds to wait) for who asked. ``numbers``: to a mobile number as well."""
        letters, language = self._front.billing.letters, request_language(request)
        numbers = numbers and self._phones.texting.serves(place.agency.id)
        try:
            await self._sign_in.ask_code(
                place.agency.id,
                self._front.forms.browser(request, place.agency.id),
                typed,
                self._front.visitor(request),
                partial(letters.code, place.agency, language),
                partial(letters.sign_in_text, place.agency, language) if numbers else None,
            )
        except NoMobileError as error:
            return 422, NO_NUMBER[error.why], 0
        except InvalidInputError:
            return 422, NEITHER if numbers else NO_ADDRESS, 0
        except UnavailableError:
            return 503, NO_MAIL, 0
        except TooManyRequestsError as error:
            return 429, *self._limited(request, error)
        SIGN_INS.labels("asked").inc()
        return 200, "", 0

    def to_code(self, request: Request, agency_id: str, return_to: str) -> Response:
        """A code went out: to the page for it."""
        browser = self._front.forms.browser(request, agency_id)
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
        proof = await self._phones.proof(place.agency.id, hash_token(browser))
        if asked is None:
            if proof and not proof[1]:  # the button was pressed twice: the number is proved
                return see_other(f"/r/{place.agency.id}/sign-in/address?{with_return(return_to)}")
            if problem:
                return self.email_page(
                    request, place, return_to, status, email=email, problem=problem, wait=wait
                )
            return see_other(f"/r/{place.agency.id}/sign-in?{with_return(return_to)}")
        by_text = is_number(asked.sent_to)
        settings = self._front.billing.settings
        answer = self._front.render(
            request,
            "sign_in_code.html",
            place,
            status,
            return_to=return_to,
            problem=problem,
            asked=asked,
            by_text=by_text,
            sent_to=shown(asked.sent_to) if by_text else asked.sent_to,
            for_number=shown(proof[0]) if proof and proof[1] == asked.sent_to else "",
            limited=bool(wait),
            wait=wait or asked.resend_in,
            typed=typed[:100],
            ticked=ticked or [],
            consents={purpose: wording for purpose, (_, wording) in CONSENTS.items()},
            mail_outbox=settings.shows_texts if by_text else settings.mail_transport == "outbox",
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
        return self._entered(place, browser, done, return_to)

    def _entered(
        self, place: Place, browser: str, done: SignedIn | Proved, return_to: str
    ) -> Response:
        agency_id = place.agency.id
        if isinstance(done, Proved):
            SIGN_INS.labels("number_proved").inc()
            return see_other(f"/r/{agency_id}/sign-in/address?{with_return(return_to)}")
        SIGN_INS.labels("signed_in").inc()
        left_out = f"/r/{agency_id}/account/phone?notice=left-out"
        answer = see_other(left_out if done.left_out else self.target(place, return_to))
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
