"""The control page and the control endpoints: switches, resend, and moving a subscription on."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from . import clock
from .delivery import Deliverer
from .errors import StripeError, invalid
from .guard import Guard, is_form, refusal, remember
from .renewals import due_at, step
from .scope import Sandbox, Scope
from .store import Doc
from .web import render
from .words import CONTROL, language

SHOWN = 20


class Switches(BaseModel):
    """What may be changed while running; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    delay_seconds: float | None = Field(default=None, ge=0)
    duplicates: int | None = Field(default=None, ge=0, le=10)
    reorder: bool | None = None
    drop: float | None = Field(default=None, ge=0, le=1)


T = TypeVar("T", bound=BaseModel)


def validated(model: type[T], body: dict[str, Any]) -> T | Response:
    """The body as the model, or the answer that says what is wrong with it first."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        return JSONResponse(invalid(f"{name}: {first['msg']}", param=name).body(), 400)


class Control:
    """The page of the switches, and what its forms and the control token may do."""

    def __init__(self, sandbox: Sandbox, deliverer: Deliverer, guard: Guard) -> None:
        self.sandbox = sandbox
        self.deliverer = deliverer
        self.guard = guard

    def _done(self, request: Request, answer: Any) -> Response:
        self.deliverer.wake()
        if is_form(request):
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
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        if "form" in body:
            # An unticked box sends nothing: from the form, absence means off.
            body.pop("form")
            body.setdefault("reorder", False)
        wanted = validated(Switches, body)
        if isinstance(wanted, Response):
            return wanted
        for name, value in wanted.model_dump(exclude_none=True).items():
            setattr(self.sandbox.settings, f"webhook_{name}", value)
        return self._done(request, self.switches())

    async def resend(self, request: Request) -> Response:
        """POST /sandbox/events/:id/resend: one more copy, whatever the switches say."""
        body = await self.guard.may(request)
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
        body = await self.guard.may(request)
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
            return refusal()
        cookie, token = self.guard.form_token(request)
        lang = language(request.query_params.get("lang"), None)
        response = render(
            "control.html",
            t=CONTROL[lang],
            lang=lang,
            other="en" if lang == "vi" else "vi",
            token=token,
            switches=self.switches(),
            webhook_url=self.sandbox.settings.webhook_url,
            accounts=[self._account(*one) for one in self.sandbox.store.accounts()],
        )
        return remember(response, cookie)

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
