"""Checkout Sessions: what is to be paid, by whom, and where the person goes afterwards."""

from dataclasses import dataclass, field

from . import currencies, intents, prices, setups
from .errors import invalid, missing
from .params import Params
from .people import living
from .scope import Scope
from .session_shapes import blank, line_item
from .store import Doc

URL = "/v1/checkout/sessions"
LOCALES = ("auto", "en", "en-GB", "vi")
MINUTE, DAY = 60, 86_400


@dataclass
class Lines:
    """The lines of a session, and their sum."""

    shown: list[Doc] = field(default_factory=list)
    total: int = 0
    currency: str | None = None


def create(scope: Scope, params: Params) -> Doc:
    """POST /v1/checkout/sessions"""
    mode = params.text("mode", choices=("payment", "setup"))
    if mode is None:
        raise missing("mode")
    identifier = scope.new_id("cs_test")
    types, currency = _methods(scope, params, mode)
    lines = _lines(scope, params, mode)
    customer, email = _payer(scope, params)
    hidden: Doc = {"line_items": lines.shown, "intent_data": _intent_data(params, mode)}
    session = blank(
        identifier,
        mode=mode,
        total=lines.total,
        url=f"{scope.settings.public_url}/c/pay/{identifier}",
        at=scope.now(),
        types=types,
    )
    session["currency"] = currency or lines.currency
    session["success_url"] = params.address("success_url")
    if session["success_url"] is None:
        raise missing("success_url")
    session["cancel_url"] = params.address("cancel_url")
    session["customer"], session["customer_email"] = customer, email
    session["customer_creation"] = _customer_creation(params, customer)
    session["client_reference_id"] = params.text("client_reference_id", longest=200)
    session["metadata"] = params.metadata()
    session["locale"] = params.text("locale", choices=LOCALES)
    session["expires_at"] = _expiry(params, scope.now())
    setup = _setup_data(params, mode)
    params.finish()
    if mode == "setup":
        session["setup_intent"] = setups.build(scope, customer=customer, at=scope.now(), **setup)[
            "id"
        ]
    return scope.save(session, hidden)


def _methods(scope: Scope, params: Params, mode: str) -> tuple[list[str], str | None]:
    """What may be paid with, which the account's settings say (here: a switch), and the currency where it is named."""
    offered = ["card"]
    if mode == "payment" and scope.switches.bank_debits:
        offered.append("sepa_debit")
    named = currencies.asked(params, scope) if "currency" in params else None
    if mode == "setup" and named is None:
        raise missing("currency")
    return offered, named


def _lines(scope: Scope, params: Params, mode: str) -> Lines:
    found = Lines()
    if mode == "setup":
        if "line_items" in params:
            raise invalid("You can not pass `line_items` in `setup` mode.", param="line_items")
        return found
    for given in params.children("line_items"):
        data = given.child("price_data")
        if data is None:
            raise missing(given.path("price_data"))
        price = prices.inline(scope, data)
        quantity = given.integer("quantity", least=1, most=999_999)
        if quantity is None:
            raise missing(given.path("quantity"))
        amount = price["unit_amount"] * quantity
        product = scope.fetch("product", price["product"])
        found.shown.append(line_item(scope.new_id("li"), price, quantity, product["name"]))
        found.total += amount
        found.currency = price["currency"]
    if not found.shown:
        raise missing("line_items")
    return found


def _payer(scope: Scope, params: Params) -> tuple[str | None, str | None]:
    customer, email = params.text("customer"), params.text("customer_email", longest=512)
    if customer and email:
        raise invalid(
            "You may only specify one of these parameters: customer, customer_email.",
            param="customer_email",
        )
    if email is not None and ("@" not in email or " " in email):
        raise invalid(
            f"Invalid email address: {email}", param="customer_email", code="email_invalid"
        )
    if customer:
        living(scope, customer, "customer")
    return customer, email


def _customer_creation(params: Params, customer: str | None) -> str | None:
    creation = params.text("customer_creation", choices=("always", "if_required"))
    return None if customer else creation or "if_required"


def _intent_data(params: Params, mode: str) -> Doc:
    data = params.child("payment_intent_data")
    if data is None:
        return {}
    if mode != "payment":
        raise invalid(
            f"You can not pass `payment_intent_data` in `{mode}` mode.",
            param="payment_intent_data",
        )
    return {
        "metadata": data.metadata(),
        "description": data.text("description", longest=1000),
        "setup_future_usage": data.text(
            "setup_future_usage", choices=("off_session", "on_session")
        ),
    }


def _setup_data(params: Params, mode: str) -> Doc:
    data = params.child("setup_intent_data")
    if data is None:
        return {"metadata": {}, "description": None}
    if mode != "setup":
        raise invalid(
            f"You can not pass `setup_intent_data` in `{mode}` mode.", param="setup_intent_data"
        )
    return {"metadata": data.metadata(), "description": data.text("description", longest=1000)}


def _expiry(params: Params, now: int) -> int:
    given = params.integer("expires_at")
    if given is None:
        return now + DAY
    if not now + 30 * MINUTE <= given <= now + DAY:
        raise invalid(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
            "Session creation.",
            param="expires_at",
        )
    return given


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/checkout/sessions/:id"""
    return scope.fetch("checkout.session", identifier)


def expire(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/checkout/sessions/:id/expire"""
    session = scope.fetch("checkout.session", identifier)
    params.finish()
    if session["status"] != "open":
        raise invalid(
            f"Only Checkout Sessions with a status in [open] can be expired. This Checkout "
            f"Session has a status of {session['status']}."
        )
    return expire_session(scope, session)


def expire_session(scope: Scope, session: Doc) -> Doc:
    """Nobody paid in time: the page closes, and its intent with it."""
    for name, cancel in (("payment_intent", intents.cancelled), ("setup_intent", setups.cancelled)):
        intent = scope.find(session[name]) if session[name] else None
        if intent and intent["status"] in intents.OPEN:
            cancel(scope, intent)
    expired = scope.save({**session, "status": "expired", "url": None})
    scope.emit("checkout.session.expired", expired)
    return expired
