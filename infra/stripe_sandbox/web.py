"""What every page shares: templates, security headers, and who may change things."""

import hashlib
import hmac
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from shared.web.assets import Assets

from .words import dong, money

HERE = Path(__file__).parent
ASSETS = Assets({"/static": HERE / "static"})
COOKIE = "stripe_sandbox_page"

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["asset"] = ASSETS.url
_templates.filters["dong"] = dong
_templates.filters["money"] = money


def origin_of(url: str | None) -> str:
    """``scheme://host:port`` of an address, fit for a security policy; empty where unfit."""
    parts = urlsplit(url or "")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = parts.hostname
    if not all(char.isascii() and (char.isalnum() or char in ".-") for char in host):
        return ""
    return f"{parts.scheme}://{host}{port}"


def policy(*form_targets: str) -> str:
    """The content security policy. A form may end, after its redirect, at the targets."""
    targets = " ".join(["'self'", *filter(None, form_targets)])
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
        f"base-uri 'none'; frame-ancestors 'none'; form-action {targets}"
    )


def render(
    template: str, status: int = 200, *, form_targets: tuple[str, ...] = (), **values: object
) -> HTMLResponse:
    """A page with its security headers."""
    return answer(_templates.get_template(template).render(**values), status, *form_targets)


def answer(html: str, status: int, *form_targets: str) -> HTMLResponse:
    """What a template gave, with the security headers of every page here."""
    return HTMLResponse(
        html,
        status,
        headers={
            "Content-Security-Policy": policy(*form_targets),
            # same-origin and not no-referrer: the latter would blank the Origin of our own forms.
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


def same_origin(request: Request) -> bool:
    """Whether a browser sent this form from one of our own pages."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    return urlsplit(origin).netloc == request.headers.get("host")


class Tokens:
    """Form tokens bound to a cookie, good for as long as this process lives."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def cookie(self, request: Request) -> str:
        """The visitor's cookie, or a new one."""
        return request.cookies.get(COOKIE) or secrets.token_urlsafe(24)

    def token(self, cookie: str) -> str:
        """The form token that goes with a cookie."""
        return hmac.new(self._key, cookie.encode(), hashlib.sha256).hexdigest()

    def holds(self, request: Request, token: str) -> bool:
        """Whether the token is the one of the cookie that came with it."""
        cookie = request.cookies.get(COOKIE)
        return bool(cookie) and hmac.compare_digest(self.token(cookie or ""), token)
