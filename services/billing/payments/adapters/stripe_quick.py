"""The one notification of which thousands come at once, read in a tenth of the time: a charge of a mandate went through.

Whatever is not exactly that is left to ``stripe_shapes``; what is read here is read there as the same (a test holds the two together).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from services.billing.payments.adapters.port import (
    Captured,
    MalformedNotificationError,
)
from services.billing.payments.adapters.stripe_shapes import API_VERSION, MANDATE
from services.billing.payments.adapters.stripe_values import amount, currency, identifier, instant
from services.billing.payments.method import Method


class _Metadata(msgspec.Struct):
    charge: UUID
    kind: str


class _Intent(msgspec.Struct):
    id: str
    status: str
    metadata: _Metadata
    customer: str
    payment_method: str
    amount_received: Any  # whatever is no whole number is an error, as in ``stripe_values``
    currency: Any


class _Data(msgspec.Struct):
    object: _Intent


class _Event(msgspec.Struct):
    type: str
    api_version: str
    created: Any
    data: _Data


_EVENT = msgspec.json.Decoder(_Event)


def renewal_told(payload: bytes) -> Captured | None:
    """See ``port.Notifications.renewal_told``."""
    try:
        event = _EVENT.decode(payload)
        intent = event.data.object
        if (
            event.type != "payment_intent.succeeded"
            or event.api_version != API_VERSION
            or intent.status != "succeeded"
            or intent.metadata.kind != MANDATE
        ):
            return None
        return Captured(
            intent.metadata.charge,
            identifier(intent.id),
            amount(intent.amount_received),
            currency(intent.currency),
            instant(event.created),
            Method(identifier(intent.customer), identifier(intent.payment_method)),
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MalformedNotificationError):
        return None
