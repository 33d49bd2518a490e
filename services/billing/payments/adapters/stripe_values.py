"""Single values of Stripe's JSON: moments, ids, amounts, currencies. What is none is an error, never guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from services.billing.payments.adapters.port import MalformedNotificationError

P = ParamSpec("P")
T = TypeVar("T")

_IDENTIFIER = re.compile(r"[!-~]{1,255}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_LARGEST = 10**15
#: https://docs.stripe.com/api/payment_methods/object#payment_method_object-card-brand
BRANDS = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


def read(reader: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a reader of a document finds. Raises :class:`MalformedNotificationError` and nothing else."""
    try:
        return reader(*args, **kwargs)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise MalformedNotificationError(f"{type(error).__name__}: {error}") from error


def instant(seconds: Any) -> datetime:
    """A moment from Stripe's whole seconds."""
    if type(seconds) is not int or not 0 <= seconds <= 253_402_300_799:
        raise MalformedNotificationError(f"{seconds!r} is not a time")
    return datetime.fromtimestamp(seconds, UTC)


def identifier(value: Any) -> str:
    """The id of a reference, expanded or not."""
    found = value.get("id") if isinstance(value, dict) else value
    if not isinstance(found, str) or not _IDENTIFIER.fullmatch(found):
        raise MalformedNotificationError(f"{found!r} is not an id")
    return found


def optional_identifier(value: Any) -> str:
    return identifier(value) if value is not None else ""


def signed(value: Any) -> int:
    """An amount in the currency's smallest unit; what leaves us is negative."""
    if type(value) is not int or not -_LARGEST <= value <= _LARGEST:
        raise MalformedNotificationError(f"{value!r} is not an amount")
    return value


def amount(value: Any) -> int:
    """An amount in the currency's smallest unit, not negative."""
    if signed(value) < 0:
        raise MalformedNotificationError(f"{value!r} is not an amount")
    return int(value)


def currency(value: Any) -> str:
    """An ISO 4217 code, in capitals."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise MalformedNotificationError(f"{value!r} is not a currency")
    return value.upper()
