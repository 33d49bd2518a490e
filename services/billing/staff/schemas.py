"""HTTP bodies of the staff API."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field


class SubscriptionOut(BaseModel):
    id: UUID
    state: str
    reader_id: UUID
    reader_email: str
    plan_code: str
    period: str
    amount_vnd: int
    cancel_at_period_end: bool
    period_start: datetime
    period_end: datetime
    mrr_vnd: int
    created_at: datetime
    readable_until: datetime | None


class AccountBalance(BaseModel):
    """Debits are positive: ``balance_vnd`` = ``opening_vnd`` + ``debit_vnd`` − ``credit_vnd``."""

    code: str
    kind: str
    local_code: str = Field(description="Number in the agency's own chart")
    name_vi: str
    name_en: str
    currency: str
    opening_vnd: int = Field(description="Balance before the first day")
    debit_vnd: int
    credit_vnd: int
    balance_vnd: int = Field(description="Balance at the end of the last day")


class TrialBalance(BaseModel):
    """Every account over a period. In each currency the two sides are equal."""

    agency: str
    first: date | None
    last: date | None
    closed_through: date | None = Field(description="The last day of the last closed month")
    accounts: list[AccountBalance]


class JournalLineOut(BaseModel):
    account: str
    local_code: str
    name_vi: str
    name_en: str
    amount_vnd: int


class JournalEntryOut(BaseModel):
    """An entry, and what stands behind it: drill down by ``payment_id`` and ``subscription_id``, for a day of recognition by its
    shares."""

    id: UUID
    business_key: str
    kind: str
    source_id: UUID
    currency: str
    occurred_on: date
    booked_on: date = Field(
        description="The first day of the open period where that of ``occurred_on`` is closed"
    )
    occurred_at: datetime
    posted_at: datetime
    reverses: UUID | None
    payment_id: UUID | None
    subscription_id: UUID | None
    reference: str | None
    document: str | None = Field(description="Number of the payment's invoice")
    lines: list[JournalLineOut]


class JournalPage(BaseModel):
    """The newest entries that match; pass ``next`` as ``after`` to have the following ones."""

    total: int | None = Field(description="How many match; counted for the first page only")
    entries: list[JournalEntryOut]
    next: str | None


class ShareOut(BaseModel):
    """What one payment earned on a day of recognition, computed from its schedule."""

    id: UUID = Field(description="The schedule")
    payment_id: UUID
    reference: str
    document: str | None = Field(description="Number of the payment's invoice")
    starts_on: date
    ends_on: date = Field(description="The first day after the paid period")
    total_vnd: int
    share_vnd: int
