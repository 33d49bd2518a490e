"""Credits as the aggregators tell of them: SePay's and payOS's webhooks, as their documents describe them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from infra.stripe_sandbox.delivery import Deliverer, Message
from infra.stripe_sandbox.outbox import Delivery
from infra.stripe_sandbox.store import Doc

from .bank import Bank


class BankDeliverer(Deliverer):
    """Posts each credit to billing in the shape that was switched on when it came in."""

    def __init__(self, bank: Bank, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(bank.store, bank.outbox, bank.clock, transport)
        self.settings = bank.settings

    def message(self, delivery: Delivery) -> Message:
        """The notice, with the newest secret of its kind."""
        transaction = self.store.get(delivery.account, delivery.event)
        assert transaction is not None  # the foreign key holds it
        agency, shape = transaction["agency"], transaction["shape"]
        secret = self.settings.secret(agency, shape)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"{shape} (bank sandbox)",
        }
        if shape == "payos":
            body = payos(transaction, secret)
        else:
            body = sepay(transaction)
            headers["Authorization"] = f"Apikey {secret}"
        return Message(
            f"{self.settings.billing_url}/v1/webhooks/bank/{agency}/{shape}",
            json.dumps(body, ensure_ascii=False).encode(),
            headers,
        )

    def recorded(self, delivery: Delivery) -> None:
        """Nothing to do: a transaction is what it is, told or not."""


def sepay(transaction: Doc) -> dict[str, Any]:
    """The body of SePay's webhook; who sends it stands in a header."""
    return {
        "id": transaction["number"],
        "gateway": transaction["bank"],
        "transactionDate": _written(transaction),
        "accountNumber": transaction["account"],
        "subAccount": None,
        "code": None,
        "content": transaction["content"],
        "transferType": "in",
        "transferAmount": transaction["amount"],
        "accumulated": transaction["balance"],
        "referenceCode": transaction["reference"],
        "description": "",
    }


def payos(transaction: Doc, secret: str) -> dict[str, Any]:
    """The body of payOS's webhook, signed over its data."""
    data = {
        "orderCode": transaction["number"],
        "amount": transaction["amount"],
        "description": transaction["content"],
        "accountNumber": transaction["account"],
        "reference": transaction["reference"],
        "transactionDateTime": _written(transaction),
        "currency": "VND",
        "paymentLinkId": hashlib.sha256(transaction["id"].encode()).hexdigest()[:32],
        "code": "00",
        "desc": "Thành công",
        "counterAccountBankId": None,
        "counterAccountBankName": None,
        "counterAccountName": transaction["payer"],
        "counterAccountNumber": transaction["payer_account"],
        "virtualAccountName": None,
        "virtualAccountNumber": None,
    }
    return {
        "code": "00",
        "desc": "success",
        "success": True,
        "data": data,
        "signature": payos_signature(data, secret),
    }


def payos_signature(data: Mapping[str, Any], secret: str) -> str:
    """HMAC-SHA256 over ``k=v&…`` in the order of the keys; what is null counts as empty."""
    text = "&".join(f"{name}={'' if data[name] is None else data[name]}" for name in sorted(data))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _written(transaction: Doc) -> str:
    """``2026-12-31 23:59:59``, in Vietnam."""
    return f"{datetime.fromisoformat(transaction['booked_at']):%Y-%m-%d %H:%M:%S}"
