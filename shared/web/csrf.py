"""The form token: an HMAC over the browser's session cookie, so that another site cannot make it.

Every page shows it under a fresh mask (the token XOR random bytes, with the random bytes in front): a page may then be
compressed, as its length tells nothing about the token (BREACH; ``shared.web.compression``).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from shared.errors import ForbiddenError
from shared.security.events import SecurityEvent

FORM_FIELD = "csrf_token"
HEADER = "x-csrf-token"
_DIGITS = 64  # of the token, and of its mask before it
#: Never written back into a page, but asked for again.
_SECRETS = ("password", "secret")
_SECRETS_OF_IDENTITY = frozenset({"old", "new", "repeat", "confirm"})
_MOST_KEPT = 100_000  # characters


@dataclass(frozen=True, slots=True)
class SentForm:
    """What was sent: ``fields`` as typed; ``secrets`` and ``files`` are names of what its owner has to give once more."""

    fields: tuple[tuple[str, str], ...]
    secrets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class StaleFormError(ForbiddenError):
    """The form's token does not fit the browser: the page has grown old, or its cookie is gone.

    ``sent`` can be sent again; ``None`` where there was no form (a script's request) or too much was typed.
    ``forms`` makes the fresh token.
    """

    security = SecurityEvent.FORM_TOKEN_REFUSED

    def __init__(self, forms: FormTokens, sent: SentForm | None) -> None:
        super().__init__("The form has expired: load the page again", slug="form-token-invalid")
        self.forms = forms
        self.sent = sent


def _hide(token: str) -> str:
    mask = secrets.token_bytes(_DIGITS // 2)
    hidden = bytes(a ^ b for a, b in zip(mask, bytes.fromhex(token), strict=True))
    return mask.hex() + hidden.hex()


def _unhide(sent: str) -> str:
    try:
        raw = bytes.fromhex(sent)
    except ValueError:
        return ""
    if len(raw) != _DIGITS:
        return ""
    half = _DIGITS // 2
    return bytes(a ^ b for a, b in zip(raw[:half], raw[half:], strict=True)).hex()


def _kept(form: FormData) -> SentForm | None:
    fields, secrets_, files = [], [], []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(name)
        elif name in _SECRETS_OF_IDENTITY or any(word in name.lower() for word in _SECRETS):
            secrets_.append(name)
        elif name != FORM_FIELD:
            fields.append((name, value))
    if sum(len(value) for _, value in fields) > _MOST_KEPT:
        return None
    return SentForm(tuple(fields), tuple(secrets_), tuple(files))


class FormTokens:
    """Tokens bound to the value of one cookie (the session's)."""

    def __init__(self, secret: str, cookie: str) -> None:
        if len(secret) < 16:
            raise ValueError("the form-token secret needs 16 characters or more")
        self._secret = secret.encode()
        self._cookie = cookie

    def binding(self, request: Request) -> str:
        """What the token belongs to (before sign-in: the empty session)."""
        return request.cookies.get(self._cookie, "")

    def token(self, request: Request) -> str:
        """The token for this browser, masked."""
        return self.shown_for(self.binding(request))

    def shown_for(self, session: str) -> str:
        """The token of a session as a page shows it, under a fresh mask."""
        return _hide(self.token_for(session))

    def token_for(self, session: str) -> str:
        return hmac.new(self._secret, session.encode(), sha256).hexdigest()

    def keep(self, request: Request, answer: Response) -> None:
        """Called with every answer that shows a token: a place to set the cookie it is bound to."""

    async def verify(self, request: Request) -> None:
        """Checks the form's field or the header. Raises :class:`StaleFormError`."""
        sent, form = request.headers.get(HEADER), None
        if sent is None:
            form = await request.form()
            value = form.get(FORM_FIELD)
            sent = value if isinstance(value, str) else ""
        expected = self.token_for(self.binding(request))
        if not hmac.compare_digest(_unhide(sent).encode(), expected.encode()):
            raise StaleFormError(self, _kept(form) if form is not None else None)
