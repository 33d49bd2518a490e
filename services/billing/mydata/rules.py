"""What is kept about a reader, where, and what becomes of it: values in, values out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.billing.mailboxes.rules import Pace

FORMAT = "press-reader-data/1"
#: Copies that one reader takes: each reads every table.
COPIES = Pace("my-data", 5, 3_600)


class Why(StrEnum):
    """Why a reader's data cannot be deleted yet."""

    RENEWS = "renews"  # a subscription that goes on by itself
    RUNS = "runs"  # one that is paid for, or still collected
    ADDRESS = "address"  # the mailbox of before may take a change of address back: whoever made it deletes nothing
    MEMBERS = "members"  # others have seats in a group of theirs
    MONEY = "money"  # a payment is on its way, or a transfer waits
    REFUND = "refund"  # money is on its way back
    DISPUTE = "dispute"  # a bank has not decided


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that is to be over first; of a subscription and of a change of address also when it is."""

    why: Why
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table that says something about readers. ``sections``: of the copy that it is in, or ``why_not`` it is in none."""

    sections: tuple[str, ...] = ()
    why_not: str = ""


def _in(*sections: str) -> Table:
    return Table(sections)


def _not(why: str) -> Table:
    return Table(why_not=why)


_HASHES = "a hash of a code that was sent to the mailbox or the mobile number; gone after it is used, or within days"
_BOOKS = "figures of the agency's books, computed from the payments, which are in the copy"
#: Every table that refers to a reader, directly or over others, or that has an address of one.
TABLES: Mapping[str, Table] = {
    "reader": _in("account"),
    "reader_session": _in("sessions"),
    "reader_password": _in("password"),
    "consent": _in("consents"),
    "address_change": _in("address_changes"),
    "reader_phone": _in("mobile_number"),
    "letter": _in("letters"),
    "sales_order": _in("orders", "coupons_used"),
    "payment": _in("payments", "contributions"),
    "invoice": _in("invoices"),
    "invoice_line": _in("invoices"),
    "charge": _in("card_charges"),
    "foreign_money": _in("foreign_payments"),
    "provider_customer": _in("payment_provider_records"),
    "mandate": _in("cards"),
    "bank_credit": _in("bank_transfers"),
    "credit_use": _in("bank_transfers"),
    "subscription": _in("subscriptions"),
    "subscription_transition": _in("subscription_transitions"),
    "moved_subscription": _in("subscriptions_moved"),
    "entitlement": _in("entitlements"),
    "gift": _in("gifts_bought", "gifts_redeemed"),
    "gift_recipient": _in("gift_recipients"),
    "seat": _in("memberships", "group_members"),
    "seat_invitation": _in("invitations_sent", "invitations_received"),
    "seat_domain": _in("group_domains"),
    "seat_network": _in("group_networks"),
    "seat_network_told": _not(
        "what the paywall was last told of a group's networks, which are in the copy"
    ),
    "bundle": _in("bundles"),
    "bundle_use": _in("bundle_articles"),
    "given_days": _in("days_given"),
    "given_days_ended": _in("days_given"),
    "refund": _in("refunds"),
    "refund_request": _in("refund_requests"),
    "provider_refund": _in("refunds_at_provider"),
    "dispute": _in("disputes"),
    "student_address": _in("student_address"),
    "audit_entry": _in("acts_of_staff"),
    "webhook_event": _not(
        "the provider's and the bank's notices as they were signed; what they told is in the copy, row by row"
    ),
    "sign_in_code": _not(_HASHES),
    "password_code": _not(_HASHES),
    "student_code": _not(_HASHES),
    "erasure_code": _not(_HASHES),
    "address_code": _not(_HASHES),
    "proof_code": _not(_HASHES),
    "number_proof": _not(
        "a number that a browser has proved and no account has yet; gone within the hour"
    ),
    "bank_notice": _not("which source told of a credit; the credit is in the copy"),
    "mrr_movement": _not(_BOOKS),
    "recognition_schedule": _not(_BOOKS),
}

_SOLD = "what was sold, paid for and read; with the reader's row it names nobody"
_LAWFUL = "a document as it was issued, or a notice as it came: it proves what was paid"
_DONE = "what staff did, in a chain that nobody may rewrite"
#: Of these tables a deletion changes nothing, and why.
STAYS: Mapping[str, str] = {
    **dict.fromkeys(("invoice", "invoice_line", "webhook_event", "bank_notice"), _LAWFUL),
    **dict.fromkeys(("bank_credit", "credit_use"), _LAWFUL),
    **dict.fromkeys(("payment", "foreign_money", "refund", "provider_refund", "dispute"), _SOLD),
    **dict.fromkeys(("subscription", "subscription_transition", "moved_subscription"), _SOLD),
    **dict.fromkeys(("entitlement", "gift", "bundle", "bundle_use"), _SOLD),
    **dict.fromkeys(("mrr_movement", "recognition_schedule"), _BOOKS),
    **dict.fromkeys(("given_days", "given_days_ended", "refund_request", "audit_entry"), _DONE),
    "seat_network_told": "the paywall was told that nothing is open; its version stays, so that an older one never wins",
    "seat": "ended, as by who leaves: when a group had how many readers is part of what was sold",
}


def plain(value: Any) -> Any:
    """A value of the database as JSON has it: moments in ISO 8601 and UTC, money as the integer it is."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return value


def as_json(row: Mapping[str, Any], indent: int) -> str:
    """A row as readable JSON, ``indent`` blanks from the left."""
    text = json.dumps(
        {key: plain(value) for key, value in row.items()}, ensure_ascii=False, indent=2
    )
    return "\n".join(" " * indent + line for line in text.split("\n"))


def file_name(agency: str, now: datetime) -> str:
    """Of the copy, in plain ASCII."""
    return f"{agency}-my-data-{now.astimezone(UTC):%Y-%m-%d}.json"
