"""Payment methods: a test card or bank account that somebody typed, or that a test names."""

import hashlib
from datetime import UTC, datetime

from . import cards, debits
from .cards import TEST_CARDS, TestCard
from .debits import TEST_ACCOUNTS, TestAccount
from .errors import card_error, doc_url, invalid
from .params import Params
from .people import blank_address, living
from .scope import Scope
from .store import Doc

URL = "/v1/payment_methods"
KIND = "payment_method"


def from_card(
    scope: Scope,
    card: TestCard,
    *,
    month: int,
    year: int,
    email: str | None,
    name: str | None,
    at: int,
) -> Doc:
    """A card payment method; which test card it was stays beside the document."""
    return scope.save(
        {
            **_blank(scope, "card", email, name, at),
            "card": {
                "brand": card.brand,
                "checks": {
                    "address_line1_check": None,
                    "address_postal_code_check": None,
                    "cvc_check": "pass",
                },
                "country": "US",
                "display_brand": card.brand,
                "exp_month": month,
                "exp_year": year,
                "fingerprint": _fingerprint(card.number),
                "funding": "credit",
                "generated_from": None,
                "last4": card.number[-4:],
                "networks": {"available": [card.brand], "preferred": None},
                "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": True},
                "wallet": None,
            },
        },
        hidden={"test_card": card.number},
    )


def from_account(
    scope: Scope, account: TestAccount, *, email: str | None, name: str | None, at: int
) -> Doc:
    """A bank debit; which test account it was stays beside the document."""
    return scope.save(
        {
            **_blank(scope, debits.TYPE, email, name, at),
            debits.TYPE: {
                "bank_code": account.iban[4:9],
                "branch_code": "",
                "country": account.iban[:2],
                "fingerprint": _fingerprint(account.iban),
                "generated_from": {"charge": None, "setup_attempt": None},
                "last4": account.iban[-4:],
            },
        },
        hidden={"test_account": account.iban},
    )


def _blank(scope: Scope, kind: str, email: str | None, name: str | None, at: int) -> Doc:
    return {
        "id": scope.new_id("pm"),
        "object": KIND,
        "allow_redisplay": "limited",
        "billing_details": billing_details(email, name),
        "created": at,
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def _fingerprint(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def billing_details(email: str | None, name: str | None) -> Doc:
    """Who pays."""
    return {
        "address": blank_address(),
        "email": email,
        "name": name,
        "phone": None,
        "tax_id": None,
    }


def named(scope: Scope, identifier: str, param: str = "id") -> Doc:
    """A payment method by its id, or a new one by Stripe's name of a test card (``pm_card_visa``)."""
    at = scope.now()
    if card := cards.ALIASES.get(identifier):
        year = datetime.fromtimestamp(at, UTC).year + 1
        return from_card(scope, card, month=12, year=year, email=None, name=None, at=at)
    if account := debits.ALIASES.get(identifier):
        return from_account(scope, account, email=None, name=None, at=at)
    return scope.fetch(KIND, identifier, param)


def card_of(scope: Scope, method: Doc) -> TestCard:
    """The test card behind a payment method."""
    return TEST_CARDS[scope.hidden(method["id"])["test_card"]]


def account_of(scope: Scope, method: Doc) -> TestAccount:
    """The test account behind a bank debit."""
    return TEST_ACCOUNTS[scope.hidden(method["id"])["test_account"]]


def settled_for_later(scope: Scope, method: Doc) -> bool:
    """Whether the holder agreed, while there, that it is charged later."""
    return bool(scope.hidden(method["id"]).get("set_up"))


def bind(scope: Scope, method: Doc, customer: str) -> Doc:
    """Attach to a customer; an attached one stays where it is."""
    if method["customer"] == customer:
        return method
    attached = scope.save({**method, "customer": customer})
    scope.emit("payment_method.attached", attached)
    return attached


def save_for_later(scope: Scope, method: Doc, customer: str | None) -> Doc:
    """Its holder is there and agrees to later charges; kept with the customer, where there is one."""
    bound = bind(scope, method, customer) if customer else method
    scope.keep_hidden(bound, set_up=True)
    return bound


def refuse_spent(scope: Scope, method: Doc) -> None:
    """One that was detached, or paid without a customer, is of no more use."""
    if scope.hidden(method["id"]).get("spent"):
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
            "times, you must attach it to a Customer first."
        )


def attach(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/payment_methods/:id/attach; a card that would be declined cannot be attached.

    https://docs.stripe.com/api/payment_methods/attach
    """
    method = named(scope, identifier)
    customer = params.need("customer")
    params.finish()
    living(scope, customer, "customer")
    refuse_spent(scope, method)
    if method["customer"] not in {None, customer}:
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            param=KIND,
        )
    decline = card_of(scope, method).decline if method["type"] == "card" else None
    if decline is not None:
        raise card_error(
            decline.message,
            decline.code,
            decline.decline_code,
            param=decline.param,
            doc_url=doc_url(decline.code),
        )
    return bind(scope, method, customer)


def detach(scope: Scope, params: Params, identifier: str) -> Doc:
    """POST /v1/payment_methods/:id/detach"""
    method = scope.fetch(KIND, identifier)
    params.finish()
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    return release(scope, method)


def release(scope: Scope, method: Doc) -> Doc:
    """Take it from its customer for good; it is nobody's default any more."""
    owner = scope.find(method["customer"])
    if owner is not None and not owner.get("deleted"):
        settings = owner["invoice_settings"]
        if settings["default_payment_method"] == method["id"]:
            after = {**owner, "invoice_settings": {**settings, "default_payment_method": None}}
            scope.update("customer.updated", owner, after)
    detached = {**method, "customer": None}
    scope.keep_hidden(detached, spent=True)
    scope.emit("payment_method.detached", detached, method)
    return detached


def retrieve(scope: Scope, params: Params, identifier: str) -> Doc:
    """GET /v1/payment_methods/:id"""
    return scope.fetch(KIND, identifier)
