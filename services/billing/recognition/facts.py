"""Payments and refunds as the books see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.billing.ledger import rules as accounts
from services.billing.ledger.service import Posting
from services.billing.plans.rules import CONTRIBUTION
from services.billing.recognition.rules import days_bought
from shared.agencies import Agency
from shared.clock import local_date
from shared.contracts.metrics import Stream
from shared.money import Money


def stream_of(kind: str) -> Stream:
    """The revenue stream of what a kind of plan sells."""
    return "contribution" if kind == CONTRIBUTION else "subscription"


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """A payment as the books see it. The period is what it is earned over; of a gift it is known when it is redeemed."""

    payment_id: UUID
    agency: Agency
    key: str
    amount: Money
    vat_vnd: int
    paid_at: datetime
    period_start: datetime | None
    period_end: datetime | None
    stream: Stream = "subscription"
    debit: str = accounts.RECEIVABLE

    @property
    def net(self) -> Money:
        return self.amount - Money(self.vat_vnd, self.amount.currency)

    @property
    def days(self) -> tuple[date, date]:
        """The days that earn it, of a period that is known."""
        assert self.period_start is not None and self.period_end is not None
        zone = self.agency.zone
        return days_bought(local_date(self.period_start, zone), local_date(self.period_end, zone))

    def posting(
        self, step: str, kind: str, at: datetime, lines: tuple[accounts.Line, ...]
    ) -> Posting:
        """Its entry of one ``step``: the business key is the fact's and the step's."""
        return Posting(
            self.agency.id,
            f"{self.key}:{step}",
            kind,
            self.payment_id,
            local_date(at, self.agency.zone),
            at,
            lines,
            self.amount.currency,
        )


@dataclass(frozen=True, slots=True)
class RefundFact:
    """Money given back, as the books see it."""

    refund_id: UUID
    payment_id: UUID
    agency: Agency
    key: str
    amount: Money
    vat_vnd: int
    refunded_at: datetime
    stream: Stream = "subscription"
    credit: str = accounts.RECEIVABLE
    #: Of a gift that nobody has redeemed: no day of it has been earned or planned.
    unopened: bool = False

    def posting(
        self,
        step: str,
        kind: str,
        at: datetime,
        lines: tuple[accounts.Line, ...],
        reverses: UUID | None = None,
    ) -> Posting:
        """Its entry of one ``step``: the business key is the fact's and the step's."""
        return Posting(
            self.agency.id,
            f"{self.key}:{step}",
            kind,
            self.refund_id,
            local_date(at, self.agency.zone),
            at,
            lines,
            self.amount.currency,
            reverses,
        )
