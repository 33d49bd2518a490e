"""Where the holder of a saved card confirms a payment: ``next_action.redirect_to_url``.

https://docs.stripe.com/payments/3d-secure/authentication-flow
"""

import hmac
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from . import intents
from .checkout_pages import ask_holder
from .scope import Sandbox, Scope
from .store import Doc
from .web import origin_of, render, same_origin
from .words import WORDS, language

SECRET = "payment_intent_client_secret"  # noqa: S105  the parameter's name


class AuthorizePages:
    """Pages that a browser opens. The intent's client secret is what lets it in."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def _load(self, request: Request) -> tuple[Scope, Doc] | None:
        identifier = request.path_params["id"]
        account = self.sandbox.store.owner(identifier)
        scope = self.sandbox.scope(account) if account else None
        intent = scope.find(identifier) if scope else None
        if scope is None or intent is None or intent["object"] != intents.KIND:
            return None
        given = request.query_params.get(SECRET, "")
        known = hmac.compare_digest(given.encode(), intent["client_secret"].encode())
        return (scope, intent) if known else None

    def _notice(self, request: Request, name: str, status: int) -> Response:
        lang = language(request.query_params.get("lang"), None)
        words = WORDS[lang]
        return render(
            "notice.html",
            status,
            t=words,
            lang=lang,
            title=words[f"{name}_title"],
            text=words[f"{name}_text"],
            link="",
        )

    async def show(self, request: Request) -> Response:
        """GET /c/authorize/:id"""
        loaded = self._load(request)
        if loaded is None:
            return self._notice(request, "missing", 404)
        _, intent = loaded
        if not _waits(intent):
            return self._notice(request, "settled", 200)
        return ask_holder(
            language(request.query_params.get("lang"), None),
            origin_of(return_url(intent)),
            amount=intent["amount"],
            currency=intent["currency"],
            query=urlencode({SECRET: intent["client_secret"]}),
        )

    async def answer(self, request: Request) -> Response:
        """POST /c/authorize/:id: on to the return address, with Stripe's three parameters."""
        loaded = self._load(request)
        if loaded is None:
            return self._notice(request, "missing", 404)
        if not same_origin(request):
            return self._notice(request, "forbidden", 403)
        scope, intent = loaded
        approved = (await request.form()).get("answer") == "approve"
        with self.sandbox.store.transaction():
            intent = scope.fetch(intents.KIND, intent["id"])
            if not _waits(intent):
                return RedirectResponse(str(request.url), 303)
            back = return_url(intent)
            after = intents.authorize(scope, intent, approved=approved)
        if not back:
            return RedirectResponse(str(request.url), 303)
        told = {
            "payment_intent": after["id"],
            SECRET: after["client_secret"],
            "redirect_status": "succeeded" if after["status"] == "succeeded" else "failed",
        }
        base, mark, fragment = back.partition("#")
        joined = f"{base}{'&' if '?' in base else '?'}{urlencode(told)}"
        return RedirectResponse(f"{joined}{mark}{fragment}", 303)


def _waits(intent: Doc) -> bool:
    """Whether its holder is asked here; a Checkout Session's intent has a page of its own."""
    action = intent["next_action"] or {}
    url = (action.get("redirect_to_url") or {}).get("url") or ""
    asked = action.get("type") == "use_stripe_sdk" or "/c/authorize/" in url
    return bool(intent["status"] == "requires_action" and asked)


def return_url(intent: Doc) -> str | None:
    """Where its holder goes afterwards."""
    action = intent["next_action"] or {}
    found: str | None = (action.get("redirect_to_url") or {}).get("return_url")
    return found
