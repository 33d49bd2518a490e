"""The port every payment provider is behind, in six capabilities. Nothing in here knows whose API it is.

The order, the subscription and the invoice are ours; a provider only moves money. What it tells is a fact: the same whether
it was answered to a call, notified, or found by asking. Every call is bounded in time and is made outside transactions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from services.billing.payments.method import Method
from services.billing.payments.running import Running


class ProviderUnavailableError(Exception):
    """The outcome is unknown: ask again, with the same key."""


class ProviderFailedError(ProviderUnavailableError):
    """The provider answered that it failed, and may keep that answer under the key: look first, then take another key."""


class ProviderRefusedError(Exception):
    """The provider said no: trying the same again will not help."""


class GoneError(ProviderRefusedError):
    """The customer or the means of payment is not there any more: forget it, and make it anew."""


class MalformedNotificationError(Exception):
    """A notification that is not what its type promises."""


@dataclass(frozen=True, slots=True)
class PageSpec:
    """A page on which a reader pays ``amount_vnd`` (with ``keeps``: and lets us charge the same means again), or, where it is 0,
    only lets us charge it later.

    ``key`` is stable for one attempt: an unknown outcome is asked for again under the same one.
    """

    charge_id: UUID
    agency: str
    description: str
    amount_vnd: int
    keeps: bool
    customer: str
    email: str
    success_url: str
    cancel_url: str
    language: str
    expires_at: datetime
    key: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the provider's, and its id there."""

    id: str
    url: str


@dataclass(frozen=True, slots=True)
class MandateCharge:
    """A charge of a means of payment whose holder is not there."""

    charge_id: UUID
    agency: str
    description: str
    amount_vnd: int
    customer: str
    method: str
    key: str


@dataclass(frozen=True, slots=True)
class Captured:
    """Money was taken. ``charge_id`` None: the provider's object names no charge of ours. ``method``: charged, and kept for later
    charges. ``amount`` in the currency's own smallest unit."""

    charge_id: UUID | None
    reference: str
    amount: int
    currency: str
    captured_at: datetime
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class Processing:
    """The bank has not decided yet: neither paid nor failed."""

    charge_id: UUID | None
    reference: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No money was taken. ``code`` is the provider's (``insufficient_funds``); ``needs_holder``: the holder must confirm it
    themselves; ``method_gone``: this means of payment is not there any more."""

    charge_id: UUID | None
    reference: str
    code: str
    needs_holder: bool = False
    method_gone: bool = False


@dataclass(frozen=True, slots=True)
class PageOpen:
    """A page that can still be paid on."""

    charge_id: UUID | None
    url: str


@dataclass(frozen=True, slots=True)
class PageClosed:
    """A page that was not paid, and cannot be any more."""

    charge_id: UUID | None


@dataclass(frozen=True, slots=True)
class MethodSaved:
    """A means of payment may be charged from now on; nothing was taken."""

    charge_id: UUID | None
    method: Method


@dataclass(frozen=True, slots=True)
class MethodGone:
    """A means of payment cannot be charged any more (its holder or the provider took it away)."""

    method: str = ""
    customer: str = ""


class RefundState(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RefundMoved:
    """Money on its way back of a payment (``reference``: the provider's, as in :class:`Captured`), as it stands now.
    ``request_id``: our id of what was asked; None where somebody gave it back at the provider."""

    id: str
    reference: str
    amount: int
    currency: str
    state: RefundState
    moved_at: datetime
    request_id: UUID | None = None


class DisputeState(StrEnum):
    """``OPEN``: the bank has asked for the money; it is (or soon will be) taken. The last two are final."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class DisputeMoved:
    """A holder's bank takes a payment back, as it stands now. ``withdrawn``: the money is not with us at this moment; ``fee`` what
    the provider charges for it altogether."""

    id: str
    reference: str
    amount: int
    fee: int
    currency: str
    state: DisputeState
    withdrawn: bool
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """What a payout consists of: ``kind`` is ``charge``, ``refund``, ``dispute``, ``payout`` (an earlier one that came back) or
    ``other``; ``reference`` of the payment, or of the earlier payout, where there is one. ``net`` = ``amount`` − ``fee``; refunds and
    disputes are negative."""

    id: str
    kind: str
    reference: str
    amount: int
    fee: int
    net: int


@dataclass(frozen=True, slots=True)
class PayoutMoved:
    """Money that the provider sent to the bank; ``failed``: it came back. ``amount`` is the sum of the lines' net."""

    id: str
    amount: int
    currency: str
    paid: bool
    failed: bool
    arrives_on: date
    lines: tuple[PayoutLine, ...]


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Nothing billing has a part in."""


@dataclass(frozen=True, slots=True)
class Look:
    """The notification does not say enough (or in another version): :meth:`Notifications.look` knows what is so now."""

    kind: str
    id: str


Fact = (
    Captured
    | Processing
    | Failed
    | PageOpen
    | PageClosed
    | MethodSaved
    | MethodGone
    | RefundMoved
    | DisputeMoved
    | PayoutMoved
    | NotOurs
)


@dataclass(frozen=True, slots=True)
class Notification:
    """One event of the provider's, whole."""

    id: str
    type: str
    created_at: datetime
    payload: bytes = field(repr=False)


class Charges(Protocol):
    """A page on which a reader pays; what became of it."""

    async def open_page(self, spec: PageSpec) -> Page:
        """Raises :class:`GoneError` for a customer who is not there any more."""
        ...

    async def page_facts(self, page_id: str) -> Fact:
        """PageOpen, PageClosed, Processing, Captured, MethodSaved, or Failed (an asynchronous means that failed)."""
        ...

    async def close_page(self, page_id: str) -> Fact:
        """Nobody can pay there any more; what became of it, also when it was not open."""
        ...


class Mandates(Protocol):
    """Charging without the holder."""

    async def charge(self, spec: MandateCharge) -> Captured | Processing | Failed: ...

    async def find_charge(
        self, charge_id: UUID, customer: str
    ) -> Captured | Processing | Failed | None:
        """What became of a charge whose outcome is unknown, by our own id of it; None: the provider knows of none."""
        ...

    async def charge_facts(self, reference: str) -> Captured | Processing | Failed:
        """What became of a payment of the provider's."""
        ...

    async def method(self, method_id: str) -> Method:
        """Raises :class:`GoneError`."""
        ...

    async def revoke(self, method_id: str) -> None:
        """It is never charged again, by anybody. Nothing happens to one that is gone already."""
        ...


class Notifications(Protocol):
    """What the provider tells by itself."""

    def interpret(self, payload: bytes) -> Fact | Look:
        """What a notification says. Raises :class:`MalformedNotificationError`."""
        ...

    def renewal_told(self, payload: bytes) -> Captured | None:
        """What a notification says that tells, in so many words, that a charge of a mandate went through: what :meth:`interpret`
        says of it. None of every other one (also of one that is malformed)."""
        ...

    async def look(self, look: Look) -> Fact: ...

    def notifications_since(
        self, since: datetime, types: Sequence[str]
    ) -> AsyncIterator[Notification]:
        """The provider's own list of events, newest first."""
        ...

    async def foreign_endpoints(self) -> Sequence[str]:
        """Addresses that are told of events in another version than ours: each of these events is looked up anew."""
        ...


class Refunds(Protocol):
    """Giving money back."""

    async def refund(
        self, reference: str, amount_vnd: int, *, key: str, request_id: UUID | None = None
    ) -> RefundMoved: ...

    async def refunds_of(self, reference: str) -> Sequence[RefundMoved]:
        """Every refund of a payment, oldest first."""
        ...


class Settlements(Protocol):
    """Money on its way to the bank, and what it cost."""

    def payouts_since(self, since: datetime) -> AsyncIterator[PayoutMoved]:
        """Payouts that were made since, newest first, each with its lines."""
        ...


class Takeovers(Protocol):
    """Taking over subscriptions that the provider collects by itself."""

    def running(self) -> AsyncIterator[Running]:
        """Every one that is not over, newest first."""
        ...

    async def running_one(self, id_: str) -> Running:
        """Also one that is over. Raises :class:`ProviderRefusedError` for one that the provider does not have."""
        ...

    async def let_end(self, id_: str) -> Running:
        """The provider renews it no more; how it stands now, also where it was over. Safe to repeat."""
        ...


class PaymentProvider(Charges, Mandates, Notifications, Refunds, Settlements, Takeovers, Protocol):
    """All of it. Every call raises :class:`ProviderUnavailableError` or :class:`ProviderRefusedError`."""

    name: str

    async def close(self) -> None: ...
