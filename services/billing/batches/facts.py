"""What a batch knows before it decides, and what it decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from services.billing.payments.adapters.port import Captured
from services.billing.payments.rules import SaleOffer
from services.billing.plans.repository import Offer
from services.billing.plans.rules import VatRow
from services.billing.subscriptions.repository import Period
from services.billing.subscriptions.rules import (
    Announcement,
    Dunning,
    Facts,
    Movement,
    Right,
    State,
)
from services.billing.webhooks.repository import Claimed
from shared.agencies import Agency
from shared.clock import local_date


class Renewal(NamedTuple):
    """A charge with its order, its subscription and its reader, as they are under their locks. ``page``: the order may also be paid on
    a page that is open; ``group``: others read by it too, or would."""

    charge_id: UUID
    agency: str
    reader_id: UUID
    provider: str
    kind: str
    charge_state: str
    order_id: UUID
    code: str
    order_price_id: UUID
    amount_vnd: int
    credit_vnd: int
    coupon_id: UUID | None
    offer_id: UUID | None
    trial_days: int | None
    gift: bool
    order_renews: bool
    purpose: str
    order_state: str
    starts_at: datetime | None
    expires_at: datetime
    language: str
    subscription_id: UUID
    price_id: UUID
    next_price_id: UUID | None
    held_offer_id: UUID | None
    offer_left: int | None
    collection: str
    state: str
    cancels: bool
    paused_until: datetime | None
    anchor_day: int
    mrr_vnd: int
    version: int
    grace_spent: bool
    email: str
    name: str
    page: bool
    group: bool
    list_vnd: int
    offer_kind: str | None
    offer_periods: int | None

    @property
    def offer(self) -> SaleOffer | None:
        """The offer that the order is at."""
        if self.offer_kind is None:
            return None
        return SaleOffer(self.offer_kind, self.amount_vnd, self.offer_periods, self.list_vnd)

    @property
    def left_after(self) -> int | None:
        """Periods of the offer that are left once the order is paid."""
        return None if self.offer_id is None or self.offer_left is None else self.offer_left - 1


class Other(NamedTuple):
    """Another subscription of a reader's."""

    id: UUID
    state: str
    collection: str
    cancels: bool


class KnownRight(NamedTuple):
    """A stretch of a subscription's right as it was last announced, and its row."""

    id: UUID
    version: int
    right: Right


@dataclass(frozen=True, slots=True)
class Told:
    """A notification and what it says."""

    event: Claimed
    fact: Captured


@dataclass(frozen=True, slots=True)
class Known:
    """All that was read for a batch: by charge, by subscription, by reader; the references of payments that are booked; and what
    many have in common."""

    renewals: Mapping[UUID, Renewal]
    periods: Mapping[UUID, Sequence[Period]]
    rights: Mapping[UUID, Sequence[KnownRight]]
    others: Mapping[UUID, Sequence[Other]]
    booked: frozenset[str]
    agencies: Mapping[str, Agency]
    offers: Mapping[UUID, Offer]
    dunning: Mapping[str, Dunning]
    vat: Sequence[VatRow]


@dataclass(frozen=True, slots=True)
class Settled:
    """A renewal that is paid, and everything that follows. ``mrr_vnd`` is the new one, ``movement`` None where it stays;
    ``facts``: of the subscription, with this payment."""

    event: Claimed
    renewal: Renewal
    agency: Agency
    offer: Offer
    reference: str
    paid_at: datetime
    starts_at: datetime
    ends_at: datetime
    anchor_day: int
    tax: VatRow
    vat_vnd: int
    facts: Facts
    state: State
    review_at: datetime | None
    mrr_vnd: int
    movement: Movement | None
    rights: Sequence[tuple[KnownRight, Announcement, Right]]
    payment_id: UUID

    @property
    def paid_on(self) -> date:
        return local_date(self.paid_at, self.agency.zone)

    @property
    def version(self) -> int:
        return self.renewal.version + 1


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of the notifications of a batch: paid renewals; what was booked before, which changes nothing; and what is
    applied one by one."""

    settled: Sequence[Settled]
    booked: Sequence[Claimed]
    left: Sequence[Claimed]
