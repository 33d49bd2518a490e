"""The form token: an HMAC over the browser's session cookie, so that another site cannot make it."""

from __future__ import annotations

import hmac
from hashlib import sha256

from starlette.requests import Request

from shared.errors import ForbiddenError

FORM_FIELD = "csrf_token"
HEADER = "x-csrf-token"


class FormTokens:
    """Tokens bound to the value of one cookie (the session's)."""

    def __init__(self, secret: str, cookie: str) -> None:
        if len(secret) < 16:
            raise ValueError("the form-token secret needs 16 characters or more")
        self._secret = secret.encode()
        self._cookie = cookie

    def token(self, request: Request) -> str:
        """The token for this browser (also before sign-in: bound to the empty session)."""
        return self.token_for(request.cookies.get(self._cookie, ""))

    def token_for(self, session: str) -> str:
        return hmac.new(self._secret, session.encode(), sha256).hexdigest()

    async def verify(self, request: Request) -> None:
        """Checks the form's field or the header. Raises :class:`ForbiddenError`."""
        sent = request.headers.get(HEADER)
        if sent is None:
            form = await request.form()
            value = form.get(FORM_FIELD)
            sent = value if isinstance(value, str) else ""
        if not hmac.compare_digest(sent.encode(), self.token(request).encode()):
            raise ForbiddenError(
                "The form has expired: load the page again", slug="form-token-invalid"
            )
