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
    ended_at: datetime | None
    mrr_vnd: int
    created_at: datetime
    readable_until: datetime | None


class AccountBalance(BaseModel):
    """Debits are positive: ``balance_vnd`` = ``debit_vnd`` − ``credit_vnd``."""

    code: str
    kind: str
    local_code: str = Field(description="Number in the agency's own chart")
    name_vi: str
    name_en: str
    debit_vnd: int
    credit_vnd: int
    balance_vnd: int


class TrialBalance(BaseModel):
    agency: str
    accounts: list[AccountBalance]
    total_debit_vnd: int
    total_credit_vnd: int


class JournalLineOut(BaseModel):
    account: str
    local_code: str
    name_vi: str
    name_en: str
    amount_vnd: int


class JournalEntryOut(BaseModel):
    """An entry, and what stands behind it: drill down by ``payment_id`` and ``subscription_id``."""

    id: UUID
    business_key: str
    kind: str
    source_id: UUID
    currency: str
    occurred_on: date
    occurred_at: datetime
    posted_at: datetime
    reverses: UUID | None
    payment_id: UUID | None
    subscription_id: UUID | None
    provider_invoice: str | None
    lines: list[JournalLineOut]
