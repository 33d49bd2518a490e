"""Decisions about bank credits: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Reason(StrEnum):
    """Why money is still waiting: for more of it (``under``), or for a person."""

    NO_ORDER = "no_order"  # the note names no order of the agency's
    SEVERAL_ORDERS = "several_orders"  # it names more than one
    UNDER = "under"  # not yet enough for its order
    OVER = "over"  # left when its order was paid
    LATE = "late"  # the order was closed before the bank booked it
    PAID_ALREADY = "paid_already"  # the order has been paid
    DOUBLED = "doubled"  # one source reports the bank's reference and amount twice
    SUBSCRIBED = "subscribed"  # the reader's subscription renews by itself
    OFFER_USED = "offer_used"  # the order has the price of an offer that its reader has used up
    CHANGE_OVER = "change_over"  # the order for another plan is closed: its price counted with what was left then


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order that a note names. ``change``: for another plan in the middle of a period."""

    state: str
    expires_at: datetime
    subscribed: bool
    offer_used: bool = False
    change: bool = False


def refuses(order: OrderFacts, occurred_at: datetime) -> Reason | None:
    """Why a credit that the bank booked at ``occurred_at`` does not pay the order by itself; None when it may.

    An order that nobody closed before its time was over waits for money that was on its way.
    """
    if order.state == "paid":
        return Reason.PAID_ALREADY
    if occurred_at >= order.expires_at or order.state != "open":
        return Reason.CHANGE_OVER if order.change else Reason.LATE
    if order.subscribed:
        return Reason.SUBSCRIBED
    return Reason.OFFER_USED if order.offer_used else None


def shown(reason: str, purpose: str | None, state: str | None) -> str:
    """The reason that a person is shown, of money that its order (``purpose``, ``state``) has or waits for: what was not enough waits
    for no more of it once that order was paid another way, or is closed where it was for another plan."""
    if reason != Reason.UNDER:
        return reason
    if state == "paid":
        return Reason.OVER
    return Reason.CHANGE_OVER if (purpose, state) == ("change", "closed") else reason


def split(credits: Sequence[tuple[UUID, int]], amount_vnd: int) -> list[tuple[UUID, int]] | None:
    """What each credit gives to an order, the first ones first; None when they are not enough."""
    given, missing = [], amount_vnd
    for id_, left_vnd in credits:
        taken = min(left_vnd, missing)
        if taken:
            given.append((id_, taken))
            missing -= taken
    return None if missing else given
