"""Stripe's events as signed webhooks."""

import hashlib
import hmac
import json

import httpx

from .delivery import Deliverer, Message
from .outbox import Delivery
from .scope import Sandbox
from .store import Doc


def signature(payload: str, secrets: list[str], at: int) -> str:
    """The ``Stripe-Signature`` header: one ``v1`` for each secret in force."""
    parts = [f"t={at}"]
    for secret in secrets:
        mac = hmac.new(secret.encode(), f"{at}.{payload}".encode(), hashlib.sha256)
        parts.append(f"v1={mac.hexdigest()}")
    return ",".join(parts)


class StripeDeliverer(Deliverer):
    """Posts each event as Stripe does, and keeps count of the copies that still wait."""

    def __init__(self, sandbox: Sandbox, transport: httpx.AsyncBaseTransport | None = None) -> None:
        super().__init__(sandbox.store, sandbox.outbox, sandbox.clock, transport)
        self.settings = sandbox.settings

    def _event(self, delivery: Delivery) -> Doc:
        event = self.store.get(delivery.account, delivery.event)
        assert event is not None  # the foreign key holds it
        return event

    def message(self, delivery: Delivery) -> Message:
        """The event as it stands now, signed with every secret in force."""
        payload = encode(self._event(delivery))
        # Signed with wall time, whatever clock the sandbox plays: receivers compare it with
        # their own.
        signed = signature(payload, self.settings.secrets(), int(self.clock()))
        return Message(
            self.settings.webhook_url,
            payload.encode(),
            {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (sandbox)",
                "Stripe-Signature": signed,
            },
        )

    def recorded(self, delivery: Delivery) -> None:
        """Say on the event how many copies are left."""
        left = self.outbox.pending(delivery.event)
        self.store.save(delivery.account, {**self._event(delivery), "pending_webhooks": left})


def encode(event: Doc) -> str:
    """The exact text that is signed and sent."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
