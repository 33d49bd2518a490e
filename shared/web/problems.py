"""Turns expected errors into problem+json, and unexpected ones into a 500 that reveals nothing."""

from __future__ import annotations

import re
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import (
    PROBLEM_TYPE_PREFIX,
    FieldError,
    InvalidInputError,
    NotFoundError,
    ProblemError,
    UnavailableError,
)
from shared.security.report import expected, refused
from shared.web.error_page import confirmation_page, error_page, wants_page
from shared.web.staff import AnsweredError, FreshSignInRequiredError, SignInRequiredError

log = structlog.get_logger(__name__)
#: What a trigger of ours raises where a row refers to what is not there any more (PostgreSQL's ``no_data_found``).
GONE = "P0002"
_LONG = re.compile(r"[^/]{60,}")
MEDIA_TYPE = "application/problem+json"


def problem_response(error: ProblemError, instance: str = "") -> Response:
    return JSONResponse(
        error.body(instance),
        status_code=error.status,
        headers=error.headers,
        media_type=MEDIA_TYPE,
    )


def answer(request: Request, error: ProblemError) -> Response:
    """The problem as a page for a person, as problem+json for a program."""
    if wants_page(request):
        return error_page(request, error.body(request.url.path), error.headers, error)
    return problem_response(error, request.url.path)


def field_error(error: dict[str, Any]) -> FieldError:
    """One of pydantic's errors as a field, what is wrong and what would be right."""
    location = [str(part) for part in error["loc"] if part not in ("body", "query", "path")]
    context = {k: v for k, v in (error.get("ctx") or {}).items() if k != "error"}
    expected = ", ".join(f"{key}: {value}" for key, value in context.items())
    return FieldError(".".join(location) or "body", error["msg"], expected)


def install(app: FastAPI) -> None:
    """Handlers for every error a route may raise."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        refused(error)
        return answer(request, error)

    @app.exception_handler(SignInRequiredError)
    async def _sign_in(_request: Request, error: SignInRequiredError) -> Response:
        return RedirectResponse(error.location, status_code=303)

    @app.exception_handler(FreshSignInRequiredError)
    async def _confirm(request: Request, error: FreshSignInRequiredError) -> Response:
        expected()
        if not wants_page(request):
            return problem_response(error, request.url.path)
        if error.fields is None:
            return RedirectResponse(error.location, status_code=303)
        return confirmation_page(request, error.location, error.fields)

    @app.exception_handler(AnsweredError)
    async def _answered(_request: Request, error: AnsweredError) -> Response:
        return error.answer

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        fields = tuple(field_error(dict(item)) for item in error.errors())
        return answer(request, InvalidInputError(errors=fields))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        body = {
            "type": f"{PROBLEM_TYPE_PREFIX}http-{error.status_code}",
            "title": error.detail,
            "status": error.status_code,
            "instance": request.url.path,
        }
        if wants_page(request):
            return error_page(request, body, dict(error.headers or {}))
        return JSONResponse(
            body,
            status_code=error.status_code,
            headers=error.headers,
            media_type=MEDIA_TYPE,
        )

    @app.exception_handler(TimeoutError)
    @app.exception_handler(OSError)
    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeoutError)
    async def _away(request: Request, error: Exception) -> Response:
        log.warning("dependency_unavailable", path=path_told(request.url.path), error=repr(error))
        return answer(request, UnavailableError(headers={"Retry-After": "1"}))

    @app.exception_handler(DBAPIError)
    async def _refused(request: Request, error: DBAPIError) -> Response:
        if getattr(error.orig, "sqlstate", None) != GONE:
            raise error
        return answer(request, NotFoundError())


def path_told(path: str) -> str:
    """A path as logs have it: what is longer than any id or name may be a link's token, which opens something."""
    return _LONG.sub("…", path)


class UnexpectedErrors:
    """The last resort, inside of the headers and the metrics: a 500 that reveals nothing.

    (The framework's own handler of ``Exception`` stands outside of every middleware: its answers had no headers.)
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is there to answer (or the body was too large, and the guard outside says so)
        except (
            Exception
        ) as error:  # the last resort: whatever it was, the caller learns nothing of it
            if started:
                raise  # half an answer is out: the server cuts the connection
            log.error("unexpected_error", path=path_told(scope["path"]), exc_info=error)
            reply = answer(Request(scope), ProblemError())
            await reply(scope, receive, send)
