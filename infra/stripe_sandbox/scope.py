"""What a use case works with: one account's documents, its time and its events."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import no_such
from .event_versions import reshaped
from .outbox import Outbox
from .settings import API_VERSION, SandboxSettings
from .store import Doc, Filter, Store
from .switches import ApiSwitches

Clock = Callable[[], float]

# How Stripe's errors name each kind.
NOUNS = {
    "checkout.session": "checkout.session",
    "payment_method": "PaymentMethod",
    "setup_intent": "setupintent",
}


@dataclass(frozen=True)
class RequestInfo:
    """The API request that caused something; all None where no request did."""

    id: str | None = None
    idempotency_key: str | None = None


@dataclass
class Sandbox:
    """The parts that every account shares."""

    settings: SandboxSettings
    store: Store
    outbox: Outbox
    clock: Clock = time.time
    switches: ApiSwitches = field(default_factory=ApiSwitches)

    def scope(self, account: str, request: RequestInfo | None = None) -> "Scope":
        """One account's view."""
        return Scope(self, account, request or RequestInfo())


class Scope:
    """One account, during one request."""

    def __init__(self, sandbox: Sandbox, account: str, request: RequestInfo) -> None:
        self.sandbox = sandbox
        self.settings = sandbox.settings
        self.switches = sandbox.switches
        self.store = sandbox.store
        self.account = account
        self.request = request

    def now(self) -> int:
        """Wall time, in whole seconds."""
        return int(self.sandbox.clock())

    def new_id(self, prefix: str) -> str:
        """An id that cannot be guessed; a session's opens its page."""
        return f"{prefix}_{secrets.token_hex(12)}"

    def find(self, identifier: str) -> Doc | None:
        """A document of any kind, or None."""
        return self.store.get(self.account, identifier)

    def fetch(self, kind: str, identifier: str, param: str = "id") -> Doc:
        """A document of this kind.

        Raises:
            StripeError: 404 ``resource_missing`` where there is none.
        """
        found = self.find(identifier)
        if found is None or found["object"] != kind:
            raise no_such(NOUNS.get(kind, kind), identifier, param)
        return found

    def hidden(self, identifier: str) -> Doc:
        """What the sandbox knows beside the document."""
        return self.store.hidden(self.account, identifier)

    def all(self, kind: str, *filters: Filter, oldest_first: bool = False) -> list[Doc]:
        """Every document of a kind that passes the filters."""
        return self.store.select(self.account, kind, filters, oldest_first=oldest_first)

    def save(self, doc: Doc, hidden: Doc | None = None) -> Doc:
        """Keep a document; returns it."""
        self.store.save(self.account, doc, hidden)
        return doc

    def keep_hidden(self, doc: Doc, **facts: Any) -> None:
        """Remember something beside a document, with what is remembered already."""
        self.save(doc, {**self.hidden(doc["id"]), **facts})

    def forget(self, identifier: str) -> None:
        """Remove a document that nothing refers to."""
        self.store.remove(self.account, identifier)

    def emit(self, kind: str, doc: Doc, before: Doc | None = None) -> Doc:
        """Record an event and line it up for delivery, in the transaction of its cause.

        Another version's switch changes the object's shape too.
        """
        version = self.switches.event_version
        data: Doc = {"object": reshaped(doc) if version else doc}
        if before is not None:
            data["previous_attributes"] = changed(before, doc)
        event: Doc = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": version or API_VERSION,
            "created": self.now(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 1 if self.settings.webhook_url else 0,
            "request": {"id": self.request.id, "idempotency_key": self.request.idempotency_key},
            "type": kind,
        }
        self.save(event)
        if self.settings.webhook_url:
            self.sandbox.outbox.add(self.account, event["id"], self.sandbox.clock())
        return event

    def update(self, kind: str, before: Doc, after: Doc) -> Doc:
        """Save a changed document and, where it really changed, say so with an event."""
        self.save(after)
        if before != after:
            self.emit(kind, after, before)
        return after


def changed(before: Doc, after: Doc) -> Doc:
    """The old values of what is different: an event's ``previous_attributes``."""
    difference: Doc = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            difference[name] = changed(old, new)
        else:
            difference[name] = old
    return difference


def page(url: str, data: Sequence[Any], has_more: bool = False) -> Doc:
    """Stripe's list object."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}
