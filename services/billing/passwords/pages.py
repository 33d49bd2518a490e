"""``/r/{agency}/account/password``: a signed-in reader sets, changes or removes their password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.billing.passwords import rules
from services.billing.passwords.rules import Problem
from services.billing.passwords.tries import PasswordBusyError
from services.billing.readers.models import Reader, ReaderSession
from services.billing.readers.web import (
    DAY_SECONDS,
    Place,
    ReaderFront,
    plain,
    see_other,
    session_cookie,
)
from shared.errors import (
    ConflictError,
    InvalidInputError,
    TooManyRequestsError,
    UnavailableError,
)
from shared.security.events import SecurityEvent
from shared.security.report import tell
from shared.web.i18n import request_language

PATH = "/r/{agency}/account/password"
#: (field, what is wrong and what would be right)
PROBLEMS = {
    Problem.SHORT: (
        "new",
        "New password: 15 characters or more. Several words are easy to remember.",
    ),
    Problem.LONG: ("new", "New password: 128 characters at the most."),
    Problem.ADDRESS: ("new", "New password: something else than your e-mail address."),
    Problem.GUESSABLE: (
        "new",
        "New password: this one is easily guessed, as it is common, or made of names, numbers and repetitions. Take several words "
        "that do not belong together.",
    ),
    "code": (
        "code",
        "Code: it is not right, or its 10 minutes are over. After five wrong ones only a new code helps.",
    ),
    "old": (
        "old",
        "Present password: it is not right. Who does not know it any more sets another one by a code.",
    ),
    "codes": ("", "Too many codes were sent. Please wait an hour and try again."),
    "tries": (
        "old",
        "Too many wrong passwords. Please wait a quarter of an hour, or set another one by a code.",
    ),
    "often": ("", "Too many tries. Please wait an hour."),
    "mail": ("", "The mail could not be sent. Please try again in a moment."),
    "busy": ("", "Many passwords are being checked right now. Please try again in a moment."),
    "again": ("", "Something of your account changed at the same moment. Please try again."),
}


class PasswordPages:
    """What a signed-in reader sees of their password."""

    def __init__(self, front: ReaderFront) -> None:
        self._front = front
        self._billing = front.billing
        self._passwords = front.billing.passwords

    async def page(
        self,
        request: Request,
        place: Place,
        reader: Reader,
        status: int = 200,
        problem: str = "",
        **more: Any,
    ) -> Response:
        field, words = PROBLEMS[problem] if problem else ("", "")
        standing = await self._passwords.standing(reader)
        shown = self._front.render(
            request,
            "password.html",
            place,
            status,
            **{"typed": ""} | more,
            reader=reader,
            since=standing.since,
            sent=standing.sent,
            problem=words,
            field=field,
            least=rules.MIN_LENGTH,
            most=rules.MAX_LENGTH,
            zone=place.agency.zone,
            mail_outbox=self._billing.settings.mail_transport == "outbox",
        )
        shown.headers["Cache-Control"] = "no-store"
        return shown

    async def ask(self, request: Request, agency: str) -> Response:
        """Send a code to the reader's own mailbox."""
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, reader = await self._front.enter(request, agency), acting[1]
        letters, language = self._billing.letters, request_language(request)
        letter = partial(letters.password_code, place.agency, language)
        try:
            await self._passwords.ask_code(reader, letter)
        except TooManyRequestsError:
            tell(SecurityEvent.SIGN_IN_LIMITED, limit="mailbox", what="password")
            return await self.page(request, place, reader, 429, "codes")
        except UnavailableError:
            return await self.page(request, place, reader, 503, "mail")
        return see_other(f"{PATH.format(agency=agency)}#code")

    async def choose(self, request: Request, agency: str, code: str, new: str) -> Response:
        """A password by a code."""

        async def act(session: ReaderSession, reader: Reader, place: Place) -> str | None:
            visitor = self._front.visitor(request)
            return await self._passwords.set_by_code(
                reader, session.id, code, new, place.agency, visitor
            )

        return await self._done(request, agency, act, wrong="code", typed=code, notice="set")

    async def change(self, request: Request, agency: str, old: str, new: str) -> Response:
        """Another password by the one of now."""

        async def act(session: ReaderSession, reader: Reader, place: Place) -> str | None:
            visitor = self._front.visitor(request)
            return await self._passwords.change(reader, session.id, old, new, place.agency, visitor)

        return await self._done(request, agency, act, wrong="old", notice="set")

    async def remove(self, request: Request, agency: str, code: str) -> Response:
        """No password any more, by a code."""

        async def act(session: ReaderSession, reader: Reader, place: Place) -> str | None:
            return await self._passwords.remove(
                reader, session.id, code, self._front.visitor(request)
            )

        return await self._done(request, agency, act, wrong="code", typed=code, notice="removed")

    async def _done(
        self,
        request: Request,
        agency: str,
        act: Callable[[ReaderSession, Reader, Place], Awaitable[str | None]],
        *,
        wrong: str,
        notice: str,
        typed: str = "",
    ) -> Response:
        """What is answered to an act. ``wrong``: the proof that was asked for."""
        acting = await self._front.acting(request, agency)
        if isinstance(acting, Response):
            return acting
        place, (session, reader) = await self._front.enter(request, agency), acting
        try:
            token = await act(session, reader, place)
        except (InvalidInputError, TooManyRequestsError, UnavailableError, ConflictError) as error:
            if error.slug == "password-signed-out":
                return self._front.to_sign_in(agency, f"/r/{agency}/account/password")
            problem = _problem(error)
            return await self.page(request, place, reader, error.status, problem, typed=typed)
        if token is None:
            tell(SecurityEvent.SIGN_IN_FAILED, reason=f"password-{wrong}")
            return await self.page(request, place, reader, 422, wrong, typed=typed)
        answer = see_other(f"/r/{agency}/account?notice=password-{notice}")
        forms, seconds = self._front.forms, self._billing.readers.session_max_days * DAY_SECONDS
        forms.set_cookie(answer, session_cookie(agency, secure=forms.secure), token, seconds)
        return answer


def _problem(
    error: InvalidInputError | TooManyRequestsError | UnavailableError | ConflictError,
) -> str:
    if isinstance(error, InvalidInputError):
        return error.slug
    if isinstance(error, UnavailableError):
        return "busy"
    if isinstance(error, ConflictError):
        return "again"
    if isinstance(error, PasswordBusyError):
        tell(SecurityEvent.SIGN_IN_LIMITED, limit="mailbox", what="password")
        return "tries"
    return "often"


def router(front: ReaderFront) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    pages = PasswordPages(front)

    @routes.get(PATH)
    async def show(request: Request, agency: str) -> Response:
        place = await front.enter(request, agency)
        found = await front.reader(request, agency)
        if found is None:
            return front.to_sign_in(agency, PATH.format(agency=agency))
        return await pages.page(request, place, found[1])

    @routes.post(PATH)
    async def choose(
        request: Request, agency: str, code: str = Form(""), new: str = Form("")
    ) -> Response:
        return await pages.choose(request, agency, plain(code, 400), new)

    @routes.post(PATH + "/code")
    async def ask(request: Request, agency: str) -> Response:
        return await pages.ask(request, agency)

    @routes.post(PATH + "/new")
    async def change(
        request: Request, agency: str, old: str = Form(""), new: str = Form("")
    ) -> Response:
        return await pages.change(request, agency, old, new)

    @routes.post(PATH + "/remove")
    async def remove(request: Request, agency: str, code: str = Form("")) -> Response:
        return await pages.remove(request, agency, plain(code, 400))

    return routes
