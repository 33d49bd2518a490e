"""Decisions about letters: values in, values out."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class Kind(StrEnum):
    """What a letter is about."""

    WELCOME = "welcome"
    RECEIPT = "receipt"
    TERM_ENDING = "term_ending"
    TERM_ENDED = "term_ended"
    RENEWAL_REMINDER = "renewal_reminder"
    PAYMENT_FAILED = "payment_failed"
    CANCELED = "canceled"
    REFUNDED = "refunded"
    TRANSFER_SHORT = "transfer_short"
    NEW_CARD = "new_card"
    TRIAL_STARTED = "trial_started"
    TRIAL_ENDING = "trial_ending"
    PRICE_RISES = "price_rises"
    WIN_BACK = "win_back"


#: How long before a prepaid term ends its reader is reminded.
ENDING_BEFORE = timedelta(days=3)
#: How long before the renewal of a long period (a half year, a year) its reader is told of the charge.
RENEWAL_BEFORE = timedelta(days=7)
#: How long before a trial ends its reader is told of the first payment; of one that is no longer than this its beginning said it.
TRIAL_BEFORE = timedelta(days=3)
LONG_PERIODS = ("half_year", "year")
#: A term that has ended is told of from this hour of the next day in the agency's zone, and this long after its end no more.
ENDED_HOUR = 8
ENDED_WITHIN = timedelta(days=4)

#: RFC 5322, 2.1.1: a line should have no more.
SUBJECT_MOST = 78
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 30, 3_600
#: A letter that nobody takes is given up when it is so old and was tried so often (a worker may have been off for days).
GIVEN_UP_AFTER, TRIES_AT_LEAST = timedelta(days=3), 10


def delay(attempts: int) -> timedelta:
    """How long to wait after ``attempts`` failed tries: 30 s, 1 min, 2 min … an hour."""
    doubled = FIRST_DELAY_SECONDS << min(max(attempts - 1, 0), 10)
    return timedelta(seconds=min(doubled, LONGEST_DELAY_SECONDS))


def gives_up(attempts: int, due_at: datetime, now: datetime) -> bool:
    """Whether a letter that has just failed for the ``attempts``-th time is tried no more."""
    return attempts >= TRIES_AT_LEAST and now - due_at >= GIVEN_UP_AFTER


def plain(text: str) -> str:
    """A name as one line: no line end, no control or direction character, single blanks. Fit for a header."""
    shown = (" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    return " ".join("".join(shown).split())


def clipped(text: str, most: int = SUBJECT_MOST) -> str:
    """One line of ``most`` characters at the most; what is too long ends in an ellipsis."""
    line = plain(text)
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter to be written: ``key`` is its business key within the agency."""

    kind: Kind
    key: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sold:
    """What was bought: the plan's names as they were, and the period."""

    name_vi: str
    name_en: str
    period: str

    @property
    def facts(self) -> dict[str, Any]:
        return {"plan": {"vi": self.name_vi, "en": self.name_en}, "period": self.period}


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment. ``vat_basis_points`` None: not subject to VAT. Without ``starts_at`` it is a gift that is not redeemed;
    ``renews``: by itself. ``invoice``: id and number; None where nothing was to be paid. ``offer``: the offer that was paid, as :func:`price_rises` tells
    amounts: ``kind``, ``amount_vnd``, ``left`` (periods in all; None: while a student), ``full_vnd``."""

    payment_id: UUID
    sold: Sold
    amount_vnd: int
    vat_vnd: int
    vat_basis_points: int | None
    paid_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    order_code: str
    renews: bool
    invoice: tuple[UUID, str] | None
    offer: Mapping[str, Any] | None = None


def welcome(reader_id: UUID) -> Draft:
    """A new account."""
    return Draft(Kind.WELCOME, f"welcome:{reader_id}", {})


def receipt(paid: Paid, again: UUID | None = None) -> Draft:
    """A payment that went through; ``again``: told once more, as its reader asked."""
    facts = {
        **paid.sold.facts,
        "amount_vnd": paid.amount_vnd,
        "vat_vnd": paid.vat_vnd,
        "vat_basis_points": paid.vat_basis_points,
        "paid_at": paid.paid_at.isoformat(),
        "starts_at": paid.starts_at.isoformat() if paid.starts_at else None,
        "ends_at": paid.ends_at.isoformat() if paid.ends_at else None,
        "code": paid.order_code,
        "renews": paid.renews,
        "invoice": str(paid.invoice[0]) if paid.invoice else None,
        "number": paid.invoice[1] if paid.invoice else "",
        **({"offer": dict(paid.offer)} if paid.offer else {}),
    }
    key = f"receipt:{paid.payment_id}"
    return Draft(Kind.RECEIPT, f"{key}:{again}" if again else key, facts)


def payment_failed(
    subscription_id: UUID,
    sold: Sold,
    order: tuple[UUID, int, int],
    reads_until: datetime | None,
    lapses_at: datetime,
    *,
    needs_holder: bool,
) -> Draft:
    """A renewal that could not be collected: its ``order`` (id, amount, refused tries). Once for each try.

    ``reads_until`` None: nothing is read until it is paid; ``lapses_at``: when it is collected no more; ``needs_holder``: the reader
    must pay or confirm it themselves, no card can be charged for them.
    """
    id_, amount_vnd, tries = order
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "order": str(id_),
        "amount_vnd": amount_vnd,
        "reads_until": reads_until.isoformat() if reads_until else None,
        "lapses_at": lapses_at.isoformat(),
        "needs_holder": needs_holder,
    }
    return Draft(Kind.PAYMENT_FAILED, f"payment-failed:{id_}:{tries}", facts)


def canceled(
    subscription_id: UUID, version: int, sold: Sold, reads_until: datetime, *, ended: bool = False
) -> Draft:
    """A subscription that will not renew. ``version`` is the subscription's: who resumes and cancels again is told again.

    ``ended``: at once, as what was paid for is over already.
    """
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "reads_until": reads_until.isoformat(),
        "ended": ended,
    }
    return Draft(Kind.CANCELED, f"canceled:{subscription_id}:{version}", facts)


def new_card(
    charge_id: UUID, subscription_id: UUID, sold: Sold, label: str, expires_on: date | None
) -> Draft:
    """Another card for a subscription, given on the page of a charge. ``label``: its name, empty while nobody knows it."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "card": label,
        "expires_on": expires_on.isoformat() if expires_on else None,
    }
    return Draft(Kind.NEW_CARD, f"new-card:{charge_id}", facts)


def trial_started(
    payment_id: UUID,
    subscription_id: UUID,
    sold: Sold,
    amount_vnd: int,
    ends_at: datetime,
    offer: Mapping[str, Any] | None = None,
) -> Draft:
    """A trial that has begun, and what is charged when it ends; ``offer``: as in :class:`Paid`."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "amount_vnd": amount_vnd,
        "ends_at": ends_at.isoformat(),
        "card": "",
        **({"offer": dict(offer)} if offer else {}),
    }
    return Draft(Kind.TRIAL_STARTED, f"trial-started:{payment_id}", facts)


def price_rises(
    subscription_id: UUID,
    sold: Sold,
    amounts: tuple[int, int],
    at: datetime,
    *,
    card: str | None,
    student: bool,
) -> Draft:
    """A price that rises with the next period: ``amounts`` of a period now and then, and when. ``card`` None: no card is saved;
    ``student``: because an address is to be verified again."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "now_vnd": amounts[0],
        "amount_vnd": amounts[1],
        "ends_at": at.isoformat(),
        "card": card,
        "student": student,
    }
    key = f"price-rises:{subscription_id}:{_second(at)}:{amounts[1]}"
    return Draft(Kind.PRICE_RISES, key, facts)


def win_back(
    reader_id: UUID,
    offer_id: UUID,
    sold: Sold,
    terms: tuple[int, int, int],
    lapsed_at: datetime,
    until: datetime | None,
) -> Draft:
    """An offer for who left: ``terms`` are its amount, for how many periods, and the price itself; ``until``: when it is over."""
    facts = {
        **sold.facts,
        "offer_id": str(offer_id),
        "offer": {
            "kind": "winback",
            "amount_vnd": terms[0],
            "left": terms[1],
            "full_vnd": terms[2],
        },
        "until": until.isoformat() if until else None,
    }
    return Draft(Kind.WIN_BACK, f"win-back:{reader_id}:{_second(lapsed_at)}", facts)


def _second(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"


def refunded(
    refund_id: UUID, sold: Sold, amount_vnd: int, of_vnd: int, paid_at: datetime, *, whole: bool
) -> Draft:
    """Money that went back: ``amount_vnd`` of a payment of ``of_vnd``; ``whole`` when nothing of it is left."""
    facts = {
        **sold.facts,
        "amount_vnd": amount_vnd,
        "of_vnd": of_vnd,
        "paid_at": paid_at.isoformat(),
        "whole": whole,
    }
    return Draft(Kind.REFUNDED, refunded_key(refund_id), facts)


def refunded_key(refund_id: UUID) -> str:
    """The business key of a refund's letter."""
    return f"refunded:{refund_id}"


def transfer_short(
    credit_id: UUID,
    order: tuple[UUID, str, int, datetime],
    sold: Sold,
    came_vnd: int,
    received_vnd: int,
) -> Draft:
    """A transfer that is not enough for its ``order`` (id, code, amount, end): what came now, and in all."""
    id_, code, amount_vnd, expires_at = order
    facts = {
        **sold.facts,
        "order": str(id_),
        "code": code,
        "amount_vnd": amount_vnd,
        "came_vnd": came_vnd,
        "received_vnd": received_vnd,
        "missing_vnd": amount_vnd - received_vnd,
        "expires_at": expires_at.isoformat(),
    }
    return Draft(Kind.TRANSFER_SHORT, f"transfer-short:{id_}:{credit_id}", facts)


@dataclass(frozen=True, slots=True)
class SubscriptionNow:
    """A subscription at the moment of sending. ``paid``: its last period is paid for and was not given back;
    ``others_until``: until when its reader may read without it."""

    state: str
    cancels: bool
    period_end: datetime
    paid: bool
    others_until: datetime | None


@dataclass(frozen=True, slots=True)
class OrderNow:
    """An order at the moment of sending."""

    state: str
    expires_at: datetime
    missing_vnd: int


def still_true(
    kind: Kind,
    facts: Mapping[str, Any],
    now: datetime,
    *,
    subscription: SubscriptionNow | None = None,
    order: OrderNow | None = None,
    rise: Draft | None = None,
    wins_back: bool = False,
) -> bool:
    """Whether a letter that was written some time ago may still be sent. ``rise``: what would be written of the subscription's price
    now; ``wins_back``: whether the offer is for its reader, who wants to hear of it."""
    if kind in (Kind.WELCOME, Kind.RECEIPT, Kind.REFUNDED, Kind.NEW_CARD, Kind.TRIAL_STARTED):
        return True
    if kind in (Kind.TRANSFER_SHORT, Kind.PRICE_RISES, Kind.WIN_BACK):
        short = order is not None and _still_short(facts, now, order)
        return short or wins_back or _still_rises(facts, rise)
    if subscription is None:
        return False
    if kind is Kind.PAYMENT_FAILED:
        return subscription.state in ("past_due", "grace", "paused")
    if kind is Kind.CANCELED:
        return subscription.cancels
    return _still_ends(kind, datetime.fromisoformat(facts["ends_at"]), now, subscription)


def _still_rises(facts: Mapping[str, Any], rise: Draft | None) -> bool:
    told = ("ends_at", "now_vnd", "amount_vnd")
    return rise is not None and all(rise.facts[name] == facts[name] for name in told)


def _still_short(facts: Mapping[str, Any], now: datetime, order: OrderNow) -> bool:
    waits = order.state == "open" and now < order.expires_at
    return waits and order.missing_vnd == facts["missing_vnd"]


def _still_ends(kind: Kind, ends_at: datetime, now: datetime, row: SubscriptionNow) -> bool:
    """Whether the end that is told of is still the end: not renewed meanwhile, not given back, nothing else to read by."""
    if row.period_end != ends_at or not row.paid:
        return False
    if kind is Kind.RENEWAL_REMINDER:
        return row.state == "active" and not row.cancels and now < ends_at
    if kind is Kind.TRIAL_ENDING:
        return row.state == "trialing" and now < ends_at
    told = ends_at if kind is Kind.TERM_ENDING else now
    if row.others_until is not None and row.others_until > told:
        return False
    return now < ends_at if kind is Kind.TERM_ENDING else ends_at <= now < ends_at + ENDED_WITHIN
