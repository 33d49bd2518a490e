"""The control page and the control endpoints: switches, resend, and moving things on."""

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from . import balance, control_acts
from .control_words import CONTROL
from .delivery import Deliverer
from .errors import StripeError, invalid
from .guard import Guard, is_form, refusal, remember
from .params import Params
from .renewals import run_due
from .scope import Sandbox, Scope
from .store import Doc
from .switches import ApiSwitches
from .web import render
from .words import WORDS, language

SHOWN = 20
# What each form of the page leaves out where it is switched off.
OFF: dict[str, dict[str, Any]] = {
    "1": {"reorder": False},
    "api": {
        "currency": "",
        "bank_debits": False,
        "late_fees": False,
        "event_version": "",
        "fail_after_effect": False,
        "no_answer_after_effect": False,
    },
}


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
            **self.sandbox.switches.model_dump(),
        }

    async def switch(self, request: Request) -> Response:
        """POST /sandbox/control"""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        off = OFF.get(body.pop("form", ""), {})
        # An unticked box and an emptied field send nothing: from a form, absence means off.
        body = {**off, **body}
        named = {name: body.pop(name) for name in list(body) if name in ApiSwitches.model_fields}
        wanted = validated(Switches, body)
        if isinstance(wanted, Response):
            return wanted
        switches = validated(ApiSwitches, {**self.sandbox.switches.model_dump(), **named})
        if isinstance(switches, Response):
            return switches
        for name, value in wanted.model_dump(exclude_none=True).items():
            setattr(self.sandbox.settings, f"webhook_{name}", value)
        for name in named:
            setattr(self.sandbox.switches, name, getattr(switches, name))
        return self._done(request, self.switches())

    async def due(self, request: Request) -> Response:
        """POST /sandbox/due: what has come due happens now, in every account."""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        for account, _ in self.sandbox.store.accounts():
            scope = self.sandbox.scope(account)
            with self.sandbox.store.transaction():
                run_due(scope, until=scope.now())
        return self._done(request, {"done": True})

    async def act(self, request: Request) -> Response:
        """POST /sandbox/:kind/:id/:act: what a bank, or a card's holder, does to an object."""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        found = control_acts.ACTS.get((request.path_params["kind"], request.path_params["act"]))
        if found is None:
            return JSONResponse(invalid("There is no such act.", status=404).body(), 404)
        kind, model, act = found
        owned = self._owned(request, kind)
        if isinstance(owned, Response):
            return owned
        wish = validated(model, body)
        if isinstance(wish, Response):
            return wish
        return self._acted(request, owned[0], lambda scope: act(scope, owned[1], wish))

    async def payout(self, request: Request) -> Response:
        """POST /sandbox/payouts: pay out what is available, or everything."""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        wish = validated(control_acts.PayoutWish, body)
        if isinstance(wish, Response):
            return wish
        account = self._account_meant(wish.account)
        if isinstance(account, Response):
            return account
        scope = self.sandbox.scope(account)
        return self._acted(request, scope, lambda scope: control_acts.pay_out(scope, wish))

    def _account_meant(self, named: str) -> str | Response:
        """The account by its id or its key's label; the only one where none is named."""
        known = self.sandbox.store.accounts()
        fits = [account for account, label in known if named in {"", account, label}]
        if len(fits) == 1:
            return fits[0]
        labels = ", ".join(account for account, _ in known) or "none"
        wrong = invalid(f"Name one account of: {labels}.", param="account")
        return JSONResponse(wrong.body(), 400)

    def _acted(self, request: Request, scope: Scope, run: Callable[[Scope], Doc]) -> Response:
        try:
            with self.sandbox.store.transaction():
                answer = run(scope)
        except StripeError as error:
            return self._refused(request, error)
        return self._done(request, answer)

    def _refused(self, request: Request, error: StripeError) -> Response:
        if not is_form(request):
            return JSONResponse(error.body(), error.status)
        lang = language(request.query_params.get("lang"), None)
        words = {**WORDS[lang], "continue": CONTROL[lang]["back"]}
        return render(
            "notice.html",
            error.status,
            t=words,
            lang=lang,
            title=CONTROL[lang]["refused"],
            text=error.message,
            link=f"/?lang={lang}",
        )

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
            "intents": "payment_intent",
            "charges": "charge",
            "refunds": "refund",
            "disputes": "dispute",
            "payouts": "payout",
            "subscriptions": "subscription",
            "events": "event",
        }
        found: dict[str, Any] = {
            name: store.select(account, kind, limit=SHOWN) for name, kind in kinds.items()
        }
        with store.transaction():
            held = balance.of_account(self.sandbox.scope(account), Params({}))
        return {
            "id": account,
            "label": label,
            "balance": held,
            "deliveries": self.sandbox.outbox.history(account),
            **found,
        }
