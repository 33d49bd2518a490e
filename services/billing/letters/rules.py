"""Decisions about letters: values in, values out."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
    RESUMED = "resumed"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    TRANSFER_SHORT = "transfer_short"
    NEW_CARD = "new_card"
    TRIAL_STARTED = "trial_started"
    TRIAL_ENDING = "trial_ending"
    MOVED = "moved"
    BUNDLE_ENDING = "bundle_ending"
    INVITED = "invited"
    SEAT_ENDED = "seat_ended"
    GROUP_ENDED = "group_ended"
    NETWORK = "network"
    PRICE_RISES = "price_rises"
    WIN_BACK = "win_back"
    ADDRESS_CHANGED = "address_changed"
    ADDRESS_UNDONE = "address_undone"
    PASSWORD = "password"  # noqa: S105 (a name)
    GIFT = "gift"
    ERASED = "erased"
    NUMBER_ADDED = "number_added"
    NUMBER_REMOVED = "number_removed"


#: Whether a subscription renews is told once in so long; what the reader settled on meanwhile follows then.
WISH_QUIET = timedelta(days=1)
#: How long before a prepaid term ends its reader is reminded.
ENDING_BEFORE = timedelta(days=3)
#: How long before the renewal of a long period (a half year, a year) its reader is told of the charge.
RENEWAL_BEFORE = timedelta(days=7)
#: How long before a trial ends its reader is told of the first payment; of one that is no longer than this its beginning said it.
TRIAL_BEFORE = timedelta(days=3)
#: How long before a bundle's last day who has articles left is reminded; of a short one a quarter of its days.
BUNDLE_BEFORE = timedelta(days=7)
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
    """A letter to be written: ``key`` is its business key within the agency; ``recipient``: the mailbox, where it is not its reader's."""

    kind: Kind
    key: str
    facts: Mapping[str, Any]
    recipient: str | None = None


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
    """A payment. ``vat_basis_points`` None: not subject to VAT. Without ``starts_at`` it is a contribution, or a gift that is not
    redeemed; ``renews``: by itself. ``invoice``: id and number; None where nothing was to be paid. ``kind``: of the plan; ``uses``:
    articles of a bundle. ``offer``: the offer that was paid: ``kind``, ``amount_vnd``, ``left`` (periods in all; None: while a
    student), ``full_vnd``. ``gift_to``: the mailbox that a gift's code is sent to, and the day."""

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
    kind: str
    uses: int | None
    offer: Mapping[str, Any] | None = None
    gift_to: tuple[str, date] | None = None


def welcome(reader_id: UUID) -> Draft:
    """A new account."""
    return Draft(Kind.WELCOME, f"welcome:{reader_id}", {})


def erased(reader_id: UUID, email: str) -> Draft:
    """The last letter: a reader's data was deleted. It goes to the mailbox that was theirs."""
    return Draft(Kind.ERASED, f"erased:{reader_id}", {}, email)


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
        "kind": paid.kind,
        "uses": paid.uses,
        **({"offer": dict(paid.offer)} if paid.offer else {}),
    }
    if paid.gift_to is not None:
        facts["gift_to"] = {"email": paid.gift_to[0], "on": paid.gift_to[1].isoformat()}
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


def resumed(subscription_id: UUID, version: int, sold: Sold) -> Draft:
    """A subscription that renews after all."""
    facts = {**sold.facts, "subscription": str(subscription_id)}
    return Draft(Kind.RESUMED, f"resumed:{subscription_id}:{version}", facts)


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


def moved(
    subscription_id: UUID,
    sold: Sold,
    amount_vnd: int,
    ends_at: datetime,
    card: str | None,
    *,
    renews: bool,
) -> Draft:
    """A plan that another system collected goes on here as it was. ``card``: what is charged, None where none is."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "amount_vnd": amount_vnd,
        "ends_at": ends_at.isoformat(),
        "card": card,
        "renews": renews,
    }
    return Draft(Kind.MOVED, f"moved:{subscription_id}", facts)


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


def refund_failed(refund_id: UUID, sold: Sold, amount_vnd: int, of_vnd: int, kind: str) -> Draft:
    """Money that was told to have gone back, and did not arrive. ``kind``: of the plan."""
    facts = {**sold.facts, "amount_vnd": amount_vnd, "of_vnd": of_vnd, "kind": kind}
    return Draft(Kind.REFUND_FAILED, f"refund-failed:{refund_id}", facts)


def refunded_key(refund_id: UUID) -> str:
    """The business key of a refund's letter."""
    return f"refunded:{refund_id}"


def transfer_short(
    credit_id: UUID,
    order: tuple[UUID, str, int, datetime],
    sold: Sold,
    came_vnd: int,
    received_vnd: int,
    kind: str,
) -> Draft:
    """A transfer that is not enough for its ``order`` (id, code, amount, end): what came now, and in all. ``kind``: of the plan, or
    ``gift``."""
    id_, code, amount_vnd, expires_at = order
    facts = {
        **sold.facts,
        "order": str(id_),
        "code": code,
        "amount_vnd": amount_vnd,
        "came_vnd": came_vnd,
        "received_vnd": received_vnd,
        "missing_vnd": amount_vnd - received_vnd,
        "kind": kind,
        "expires_at": expires_at.isoformat(),
    }
    return Draft(Kind.TRANSFER_SHORT, f"transfer-short:{id_}:{credit_id}", facts)


def bundle_ending(
    bundle_id: UUID, sold: Sold, left: int, uses: int, ends_at: datetime, at: datetime
) -> Draft:
    """A bundle that ends soon: ``left`` of its ``uses`` articles were not chosen ``at`` that moment."""
    facts = {
        **sold.facts,
        "bundle": str(bundle_id),
        "left": left,
        "uses": uses,
        "ends_at": ends_at.isoformat(),
        "at": at.isoformat(),
    }
    return Draft(Kind.BUNDLE_ENDING, f"bundle-ending:{bundle_id}", facts)


def invited(
    sent: tuple[UUID, int, datetime], sold: Sold, owner_email: str, recipient: str
) -> Draft:
    """A seat that is offered to a mailbox: the invitation that was ``sent`` (id, how often by now, until when it is good)."""
    id_, times, expires_at = sent
    facts = {
        **sold.facts,
        "invitation": str(id_),
        "owner": owner_email,
        "expires_at": expires_at.isoformat(),
    }
    return Draft(Kind.INVITED, f"invited:{id_}:{times}", facts, recipient)


def seat_ended(seat_id: UUID, sold: Sold, by: str) -> Draft:
    """A seat that its owner ended, that the plan has no more (``by`` plan), or whose reader was not seen on the network for long."""
    return Draft(Kind.SEAT_ENDED, f"seat-ended:{seat_id}", {**sold.facts, "by": by})


def network_decided(
    network_id: UUID, subscription_id: UUID, sold: Sold, range_: str, state: str, why: str
) -> Draft:
    """A range of addresses that staff have approved, refused or (``state``) ended, with the reason of the latter two."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "range": range_,
        "state": state,
        "why": why,
    }
    return Draft(Kind.NETWORK, f"network:{network_id}:{state}", facts)


def group_ended(seat_id: UUID, subscription_id: UUID, sold: Sold, ended_at: datetime) -> Draft:
    """The plan by which a member read has ended at ``ended_at``."""
    facts = {
        **sold.facts,
        "subscription": str(subscription_id),
        "ended_at": ended_at.isoformat(),
    }
    return Draft(Kind.GROUP_ENDED, f"group-ended:{seat_id}:{ended_at.isoformat()}", facts)
