"""The port every payment provider is behind. Nothing in here knows whose API it is.

A notification only says what to look at; what is mutable (a subscription) is fetched anew, what can never change again
(a paid invoice) is taken as it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID


class ProviderUnavailableError(Exception):
    """The outcome is unknown: try again, with the same key."""


class ProviderRefusedError(Exception):
    """The provider said no: trying the same again will not help."""


class MalformedNotificationError(Exception):
    """A notification that is not what its type promises."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What we wrote into the provider's object when we made it: whose it is."""

    agency: str
    reader_id: UUID
    price_id: UUID


@dataclass(frozen=True, slots=True)
class PriceSpec:
    price_id: UUID
    agency: str
    product_name: str
    amount_vnd: int
    currency: str
    period: str


@dataclass(frozen=True, slots=True)
class CheckoutSpec:
    """``key`` is stable for one attempt: an unknown outcome is asked for again under the same key."""

    checkout_id: UUID
    origin: Origin
    external_price: str
    customer: str | None
    email: str
    success_url: str
    cancel_url: str
    language: str
    key: str


@dataclass(frozen=True, slots=True)
class HostedCheckout:
    session_id: str
    url: str


@dataclass(frozen=True, slots=True)
class SubscriptionFacts:
    """A subscription as the provider knows it now."""

    id: str
    status: str
    customer: str
    origin: Origin | None  # None: it was not made by us
    cancel_at_period_end: bool
    ended_at: datetime | None
    period_start: datetime
    period_end: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PaidInvoice:
    """A paid invoice of a subscription: it never changes again."""

    id: str
    subscription_id: str
    amount_vnd: int
    currency: str
    period_start: datetime
    period_end: datetime
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class RefundFacts:
    id: str
    amount_vnd: int
    refunded_at: datetime


@dataclass(frozen=True, slots=True)
class CheckoutFacts:
    session_id: str
    reference: str
    open: bool
    paid: bool
    url: str
    subscription_id: str
    invoice: PaidInvoice | None


@dataclass(frozen=True, slots=True)
class CheckoutCompleted:
    session_id: str


@dataclass(frozen=True, slots=True)
class InvoicePaid:
    invoice: PaidInvoice


@dataclass(frozen=True, slots=True)
class SubscriptionTouched:
    subscription_id: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money went back for this payment (the provider's reference of it)."""

    payment_reference: str


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Nothing billing has a part in."""


Fact = CheckoutCompleted | InvoicePaid | SubscriptionTouched | Refunded | NotOurs


@dataclass(frozen=True, slots=True)
class Notification:
    """One event of the provider's, whole."""

    id: str
    type: str
    created_at: datetime
    payload: bytes = field(repr=False)


class PaymentProvider(Protocol):
    """Create, query, listen. Every call is bounded in time.

    Raises :class:`ProviderUnavailableError` or :class:`ProviderRefusedError`.
    """

    name: str

    async def ensure_price(self, price: PriceSpec) -> str:
        """The provider's id of our price; made when it is not there. Idempotent."""
        ...

    async def create_checkout(self, spec: CheckoutSpec) -> HostedCheckout: ...

    async def fetch_checkout(self, session_id: str) -> CheckoutFacts: ...

    async def close_checkout(self, session_id: str) -> CheckoutFacts:
        """Close a payment page, so that nobody can pay there any more. What became of it, also when it was not open."""
        ...

    async def fetch_subscription(self, subscription_id: str) -> SubscriptionFacts: ...

    async def invoice_of_payment(self, payment_reference: str) -> str | None:
        """The invoice a payment settled, or None for a payment of something else."""
        ...

    async def fetch_paid_invoice(self, invoice_id: str) -> PaidInvoice | None:
        """An invoice of a subscription once it is paid, else None."""
        ...

    async def refunds_of(self, payment_reference: str) -> Sequence[RefundFacts]:
        """Refunds that went through, oldest first."""
        ...

    async def set_cancel_at_period_end(
        self, subscription_id: str, *, cancel: bool, key: str
    ) -> None: ...

    def interpret(self, payload: bytes) -> Fact:
        """What a notification says. Raises :class:`MalformedNotificationError`."""
        ...

    def notifications_since(
        self, since: datetime, types: Sequence[str]
    ) -> AsyncIterator[Notification]:
        """The provider's own list of events, newest first."""
        ...

    async def close(self) -> None: ...
