"""Who may change things: nothing here is open, a token header or our own page's form lets in."""

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .errors import invalid
from .settings import SandboxSettings
from .web import COOKIE, Tokens, same_origin

HEADER = "Sandbox-Control-Token"


class Guard:
    """The control token of the settings, and the form tokens of the control pages."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.tokens = Tokens()

    async def may(self, request: Request) -> dict[str, Any] | Response:
        """The body of an allowed request, or the refusal."""
        if is_form(request):
            form = {name: value for name, value in (await request.form()).items() if value != ""}
            token = str(form.pop("token", ""))
            if same_origin(request) and self.tokens.holds(request, token):
                return form
            return refusal()
        if not self.told_the_token(request):
            return refusal()
        if not await request.body():
            return {}
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return JSONResponse(invalid("The body must be a JSON object.").body(), 400)
        return body

    def told_the_token(self, request: Request) -> bool:
        """Whether the request has the control token in its header."""
        given = request.headers.get(HEADER, "")
        return hmac.compare_digest(given.encode(), self.settings.control_token.encode())

    def may_look(self, request: Request) -> bool:
        """Whether somebody may read: on one's own machine everybody, else with the token."""
        return self.settings.at_home or self.told_the_token(request)

    def form_token(self, request: Request) -> tuple[str, str]:
        """The visitor's cookie and the token for the forms of a control page."""
        cookie = self.tokens.cookie(request)
        return cookie, self.tokens.token(cookie)


def remember(response: Response, cookie: str) -> Response:
    """Set the cookie that the form tokens are bound to."""
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", path="/")
    return response


def is_form(request: Request) -> bool:
    """Whether a page's form was sent, not JSON."""
    return request.headers.get("content-type", "").startswith("application/x-www-form")


def refusal() -> Response:
    """403, with what would let in."""
    error = invalid(
        f"Not allowed: send the control token in the {HEADER} header, or use the control page.",
        status=403,
    )
    return JSONResponse(error.body(), 403)
