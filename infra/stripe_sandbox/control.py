"""The control page and the control endpoints: switches, resend, and moving a subscription on."""

import hmac
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from . import clock
from .errors import StripeError, invalid
from .renewals import due_at, step
from .scope import Sandbox, Scope
from .store import Doc
from .web import COOKIE, Tokens, render, same_origin
from .webhooks import Deliverer
from .words import CONTROL, language

HEADER = "Sandbox-Control-Token"
SHOWN = 20


class Switches(BaseModel):
    """What may be changed while running; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    delay_seconds: float | None = Field(default=None, ge=0)
    duplicates: int | None = Field(default=None, ge=0, le=10)
    reorder: bool | None = None
    drop: float | None = Field(default=None, ge=0, le=1)


class Control:
    """Nothing here that changes things is open: a token header, or our own page's form."""

    def __init__(self, sandbox: Sandbox, deliverer: Deliverer) -> None:
        self.sandbox = sandbox
        self.deliverer = deliverer
        self.tokens = Tokens()

    # -- who may ------------------------------------------------------------------------------

    async def _may(self, request: Request) -> dict[str, Any] | Response:
        """The body of an allowed request, or the refusal."""
        if request.headers.get("content-type", "").startswith("application/x-www-form"):
            form = {name: value for name, value in (await request.form()).items() if value != ""}
            token = str(form.pop("token", ""))
            if same_origin(request) and self.tokens.holds(request, token):
                return form
            return _refusal()
        given = request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(), self.sandbox.settings.control_token.encode()):
            return _refusal()
        if not await request.body():
            return {}
        try:
            body = await request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return JSONResponse(invalid("The body must be a JSON object.").body(), 400)
        return body

    def _done(self, request: Request, answer: Any) -> Response:
        self.deliverer.wake()
        if request.headers.get("content-type", "").startswith("application/x-www-form"):
            lang = request.query_params.get("lang", "")
            return RedirectResponse(f"/?lang={lang}" if lang in CONTROL else "/", 303)
        return JSONResponse(answer)

    # -- what -------------------------------------------------------------------------------

    def switches(self) -> dict[str, Any]:
        """As they stand."""
        settings = self.sandbox.settings
        return {
            "delay_seconds": settings.webhook_delay_seconds,
            "duplicates": settings.webhook_duplicates,
            "reorder": settings.webhook_reorder,
            "drop": settings.webhook_drop,
        }

    async def switch(self, request: Request) -> Response:
        """POST /sandbox/control"""
        body = await self._may(request)
        if isinstance(body, Response):
            return body
        if "form" in body:
            # An unticked box sends nothing: from the form, absence means off.
            body.pop("form")
            body.setdefault("reorder", False)
        try:
            wanted = Switches.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            return JSONResponse(invalid(f"{name}: {first['msg']}", param=name).body(), 400)
        for name, value in wanted.model_dump(exclude_none=True).items():
            setattr(self.sandbox.settings, f"webhook_{name}", value)
        return self._done(request, self.switches())

    async def resend(self, request: Request) -> Response:
        """POST /sandbox/events/:id/resend: one more copy, whatever the switches say."""
        body = await self._may(request)
        if isinstance(body, Response):
            return body
        found = self._owned(request, "event")
        if isinstance(found, Response):
            return found
        scope, event = found
        if not self.sandbox.settings.webhook_url:
            return JSONResponse(invalid("There is no webhook_url to send to.").body(), 400)
        with self.sandbox.store.transaction():
            self.sandbox.outbox.resend(scope.account, event["id"], self.sandbox.clock())
        return self._done(request, {"id": event["id"], "resent": True})

    async def advance(self, request: Request) -> Response:
        """POST /sandbox/subscriptions/:id/advance: do the next thing that waits for a date.

        A customer on a test clock has the clock moved; for others the date is played now.
        """
        body = await self._may(request)
        if isinstance(body, Response):
            return body
        found = self._owned(request, "subscription")
        if isinstance(found, Response):
            return found
        scope, subscription = found
        if subscription["status"] == "canceled":
            return JSONResponse(invalid("The subscription has ended.").body(), 400)
        try:
            with self.sandbox.store.transaction():
                if subscription["test_clock"]:
                    frozen = scope.fetch(clock.KIND, subscription["test_clock"])
                    clock.move(scope, frozen, due_at(scope, subscription))
                else:
                    step(scope, subscription)
        except StripeError as error:
            return JSONResponse(error.body(), error.status)
        return self._done(request, scope.fetch("subscription", subscription["id"]))

    def _owned(self, request: Request, kind: str) -> tuple[Scope, Doc] | Response:
        identifier = request.path_params["id"]
        account = self.sandbox.store.owner(identifier)
        scope = self.sandbox.scope(account) if account else None
        doc = scope.find(identifier) if scope else None
        if scope is None or doc is None or doc["object"] != kind:
            missing = invalid(f"No such {kind}: '{identifier}'", code="resource_missing")
            return JSONResponse(missing.body(), 404)
        return scope, doc

    # -- the page ---------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """GET /, on one's own machine only: its forms need no other proof than having been there."""
        if not self.sandbox.settings.at_home:
            return _refusal()
        cookie = self.tokens.cookie(request)
        lang = language(request.query_params.get("lang"), None)
        response = render(
            "control.html",
            t=CONTROL[lang],
            lang=lang,
            other="en" if lang == "vi" else "vi",
            token=self.tokens.token(cookie),
            switches=self.switches(),
            webhook_url=self.sandbox.settings.webhook_url,
            accounts=[self._account(*one) for one in self.sandbox.store.accounts()],
        )
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", path="/")
        return response

    def _account(self, account: str, label: str) -> dict[str, Any]:
        store = self.sandbox.store
        kinds = {
            "customers": "customer",
            "sessions": "checkout.session",
            "subscriptions": "subscription",
            "events": "event",
        }
        found: dict[str, Any] = {
            name: store.select(account, kind, limit=SHOWN) for name, kind in kinds.items()
        }
        return {
            "id": account,
            "label": label,
            "deliveries": self.sandbox.outbox.history(account),
            **found,
        }


def _refusal() -> Response:
    error = invalid(
        f"Not allowed: send the control token in the {HEADER} header, or use the control page.",
        status=403,
    )
    return JSONResponse(error.body(), 403)
