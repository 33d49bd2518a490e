"""Notices of credits as SePay and payOS send them: is it theirs, and what does it say. Pure.

SePay: https://developer.sepay.vn/en/sepay-webhooks (fields of the body; ``Authorization: Apikey …``; ``X-SePay-Signature``).
payOS: https://payos.vn/docs/tich-hop-webhook/kiem-tra-du-lieu-voi-signature/ (signature over the sorted ``data``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.billing.transfers.facts import CreditNotice, MalformedNoticeError
from services.billing.transfers.values import (
    MAX_ID,
    MAX_NOTE,
    MAX_PAYER,
    account_number,
    kept,
    vietnam_time,
)
from shared.money import MAX_AMOUNT

#: How old a signed request of SePay's may be, and how far ahead its clock: what SePay advises.
SEPAY_TOLERANCE_SECONDS = 300
#: Notes of payOS's own sample, which it sends (with order 123) when a webhook's address is registered: nobody paid.
_PAYOS_SAMPLES = frozenset({"VQRIO123", "Ma giao dich thu nghiem"})
_PAYOS_SAMPLE_ORDER = 123
_PAYOS_DONE = "00"


class ForeignCurrencyError(MalformedNoticeError):
    """A credit that is not in đồng."""


def sepay_holds(
    headers: Mapping[str, str], raw: bytes, secrets: Sequence[str], *, now: float | None = None
) -> bool:
    """Whether a request is SePay's, by any of the secrets in force: one of its two ways, as the webhook was set up.

    ``Authorization: Apikey <secret>``; or ``X-SePay-Signature: sha256=<hex>`` (the prefix may be missing), HMAC-SHA256 of
    ``<X-SePay-Timestamp>.<raw body>``. With ``now`` (epoch seconds) a signed request more than five minutes off is refused;
    without it the age is not judged. Names of headers in any case; compared in constant time.
    """
    told = {name.lower(): value.strip() for name, value in headers.items()}
    scheme, _, key = told.get("authorization", "").partition(" ")
    candidates = [key.strip()] if scheme.lower() == "apikey" else []
    stamp = told.get("x-sepay-timestamp", "")
    signature = told.get("x-sepay-signature", "").lower().removeprefix("sha256=")
    timely = stamp.isascii() and stamp.isdigit() and len(stamp) <= 15
    if timely and now is not None:
        timely = abs(now - int(stamp)) <= SEPAY_TOLERANCE_SECONDS
    holds = False
    for secret in filter(None, secrets):
        for candidate in candidates:
            holds |= _same(secret, candidate)
        if timely:
            holds |= _same(_hmac(secret, stamp.encode() + b"." + raw), signature)
    return holds


def payos_holds(raw: bytes, secrets: Sequence[str]) -> bool:
    """Whether a body is payOS's: ``signature`` is HMAC-SHA256 over ``data`` by any of the checksum keys in force.

    ``data`` as ``key=value`` by sorted keys, joined by ``&``; null (and, as in payOS's own library, the texts ``null`` and
    ``undefined``) is empty, lists and objects are compact JSON with sorted keys. Compared in constant time.
    """
    try:
        doc = _object(raw)
        data, signature = doc.get("data"), doc.get("signature")
        if not isinstance(data, dict) or not isinstance(signature, str):
            return False
        signed = "&".join(f"{key}={_signed_value(data[key])}" for key in sorted(data)).encode()
    except (MalformedNoticeError, RecursionError):
        return False
    holds = False
    for secret in filter(None, secrets):
        holds |= _same(_hmac(secret, signed), signature.lower())
    return holds


def read_sepay(raw: bytes) -> CreditNotice | None:
    """The credit that SePay tells of; None for money that went out. Raises :class:`MalformedNoticeError`.

    Without a note of the payer's (``content``) the whole of the bank's message (``description``) is the note.
    """
    doc = _object(raw)
    direction = _text(doc, "transferType").lower()
    if direction == "out":
        return None
    if direction != "in":
        raise MalformedNoticeError("transferType: 'in' or 'out'")
    return CreditNotice(
        account=_account(doc, "accountNumber"),
        external_id=_id(doc, "id"),
        reference=_reference(doc, "referenceCode"),
        amount_vnd=_amount(doc, "transferAmount"),
        note=kept(_text(doc, "content") or _text(doc, "description"), MAX_NOTE),
        payer="",
        occurred_at=_time(doc, "transactionDate"),
    )


def read_payos(raw: bytes) -> CreditNotice | None:
    """The credit that payOS tells of; None for a payment that failed and for the sample of a webhook's registration.

    Raises :class:`MalformedNoticeError`, and :class:`ForeignCurrencyError` for what is not in đồng.
    """
    doc = _object(raw)
    if not isinstance(doc.get("success", True), bool):
        raise MalformedNoticeError("success: true or false")
    if doc.get("success") is False or _required(doc, "code") != _PAYOS_DONE:
        return None
    data = _data(doc)
    if _text(data, "code") not in ("", _PAYOS_DONE):
        return None
    note = kept(_text(data, "description"), MAX_NOTE)
    if note in _PAYOS_SAMPLES and data.get("orderCode") == _PAYOS_SAMPLE_ORDER:
        return None
    currency = _required(data, "currency")
    if currency.upper() != "VND":
        raise ForeignCurrencyError(f"currency: VND, not {currency[:10]!r}")
    return CreditNotice(
        account=_account(data, "accountNumber"),
        external_id=_payos_id(data),
        reference=_reference(data, "reference"),
        amount_vnd=_amount(data, "amount"),
        note=note,
        payer=kept(
            _text(data, "counterAccountName") or _text(data, "counterAccountNumber"), MAX_PAYER
        ),
        occurred_at=_time(data, "transactionDateTime"),
    )


def notice_id(kind: str, raw: bytes) -> str | None:
    """The ``external_id`` of a notice of ``sepay`` or ``payos``, whatever else it says; None when it is no notice of that kind."""
    try:
        doc = _object(raw)
        if kind == "sepay":
            return _id(doc, "id") if _text(doc, "transferType") else None
        return _payos_id(_data(doc)) if kind == "payos" else None
    except MalformedNoticeError:
        return None


def _number(literal: str) -> int | float:
    """JSON's 10000.0 is 10000, as in JavaScript."""
    value = float(literal)
    return int(value) if value.is_integer() else value


_DECODER = msgspec.json.Decoder(float_hook=_number)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        doc = _DECODER.decode(raw)
    except (ValueError, RecursionError):
        raise MalformedNoticeError("body: JSON in UTF-8") from None
    if not isinstance(doc, dict):
        raise MalformedNoticeError("body: an object")
    return doc


def _data(doc: Mapping[str, Any]) -> dict[str, Any]:
    data = doc.get("data")
    if not isinstance(data, dict):
        raise MalformedNoticeError("data: an object")
    return data


def _text(doc: Mapping[str, Any], name: str) -> str:
    """A text, stripped; empty when it is missing or null."""
    value = doc.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise MalformedNoticeError(f"{name}: a text")
    return value.strip()


def _required(doc: Mapping[str, Any], name: str) -> str:
    value = _text(doc, name)
    if not value:
        raise MalformedNoticeError(f"{name}: a text that is not empty")
    return value


def _id(doc: Mapping[str, Any], name: str) -> str:
    """An id that may be told as a number."""
    value = doc.get(name)
    return _short(str(value) if type(value) is int else _required(doc, name), name)


def _payos_id(data: Mapping[str, Any]) -> str:
    """A payment link can be paid more than once: the bank's reference tells the payments apart."""
    link, reference = _text(data, "paymentLinkId"), _required(data, "reference")
    return _short(f"{link}:{reference}" if link else reference, "paymentLinkId, reference")


def _reference(doc: Mapping[str, Any], name: str) -> str:
    return _short(unicodedata.normalize("NFC", _text(doc, name)).upper(), name)


def _short(value: str, name: str) -> str:
    if len(value) > MAX_ID:
        raise MalformedNoticeError(f"{name}: at most {MAX_ID} characters")
    return value


def _account(doc: Mapping[str, Any], name: str) -> str:
    account = account_number(_required(doc, name))
    if account is None:
        raise MalformedNoticeError(f"{name}: letters and digits")
    return account


def _amount(doc: Mapping[str, Any], name: str) -> int:
    value = doc.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if type(value) is not int or not 0 < value <= MAX_AMOUNT:
        raise MalformedNoticeError(f"{name}: whole đồng from 1 to {MAX_AMOUNT}")
    return value


def _time(doc: Mapping[str, Any], name: str) -> datetime:
    at = vietnam_time(_required(doc, name))
    if at is None:
        raise MalformedNoticeError(f"{name}: yyyy-mm-dd HH:MM:SS")
    return at


def _signed_value(value: object) -> str:
    if value is None or value in ("null", "undefined"):
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _hmac(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
