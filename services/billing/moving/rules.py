"""Which subscriptions of a provider are taken over, and when: values in, values out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from services.billing.payments.running import Running, RunState

#: What a provider takes for a moment while it ends a period.
TOLERANCE = timedelta(minutes=5)
#: How long before the period's end it is looked at whether the provider still means to end.
BEFORE_THE_END = timedelta(minutes=30)
#: A year of recurring revenue is dated back at most: what was reported before stays.
DATED_BACK = timedelta(days=365)
#: When the provider is asked again: about an invoice that it is collecting (it leaves it as a draft for about an hour), after
#: an answer that did not come, about what only a person changes.
AGAIN = timedelta(minutes=10)
SOON = timedelta(minutes=2)
LATER = timedelta(hours=6)


class Reason(StrEnum):
    """Why a subscription is not taken over (now)."""

    TRIALING = "in its trial: it can be moved after its first payment"
    OWING = "the provider is collecting what was refused, or has given up: settle it there"
    BEGUN = "its first payment has not come"
    PAUSED = "paused at the provider"
    ENDED = "over at the provider"
    MANY_ITEMS = "not one price, once: several items, a quantity, a tariff or use that is measured"
    SCHEDULED = "a change is scheduled at the provider"
    NOT_COLLECTED = "its collection is paused at the provider"
    OTHER_SUM = (
        "what is paid is not its price: a discount, a tax, a credit, or another last invoice"
    )
    BY_INVOICE = "its reader pays invoices by themselves"
    NEEDS_HOLDER = "its card cannot be charged while its holder is away: they have not confirmed it"
    OTHER_END = "it ends on another day than its period's last"
    OTHER_CURRENCY = "another currency than đồng"
    UNKNOWN_PRICE = "its price is not in the plan map"
    OTHER_PERIOD = "its price is for another period than the plan map says"
    NO_EMAIL = "its customer has no e-mail address that mail reaches"
    NO_METHOD = "no default card"
    SEVERAL = "the customer, or somebody with the same address, has several"
    SUBSCRIBED = "the reader has a subscription here that renews"
    COLLECTING = "the provider is collecting the period: again in an hour"
    CHANGED = "it was changed at the provider while it was moved"
    TOO_LATE = "it had ended, and the days in which its reader could go on are over"
    ENDED_AT_ONCE = "somebody ended it at the provider while it was moved"
    OTHER_AGENCY = "another agency has it"
    REFUSED = "the provider refused"
    AWAY = "the provider did not answer: run it again"


STATES = {
    RunState.TRIALING: Reason.TRIALING,
    RunState.OWING: Reason.OWING,
    RunState.BEGUN: Reason.BEGUN,
    RunState.PAUSED: Reason.PAUSED,
    RunState.ENDED: Reason.ENDED,
}


class PlanMapError(ValueError):
    """A plan map that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Sold:
    """What a price of the provider's is here."""

    plan_code: str
    period: str


def read_plan_map(toml: str) -> dict[str, Sold]:
    """A plan map: ``[prices]`` with ``price_… = "<plan's code>/<period>"`` a line. Raises :class:`PlanMapError`."""
    try:
        prices = tomllib.loads(toml).get("prices")
    except tomllib.TOMLDecodeError as error:
        raise PlanMapError(f"no TOML: {error}") from error
    if not isinstance(prices, dict) or not prices:
        raise PlanMapError('[prices] is missing: a line for each, as price_1 = "doc-bao/month"')
    found = {}
    for price, said in prices.items():
        code, slash, period = said.rpartition("/") if isinstance(said, str) else ("", "", "")
        if not slash or not code or not period:
            raise PlanMapError(f'{price}: write "<plan>/<period>", as "doc-bao/month"')
        found[price] = Sold(code, period)
    return found


def judge(found: Running, sold: Mapping[str, Sold]) -> Reason | None:
    """Why a subscription cannot be taken over by itself; None where it can be."""
    if found.state is not RunState.ACTIVE:
        return STATES[found.state]
    for hindrance in found.hindrances:
        return Reason[hindrance.name]
    return _not_sold(found, sold) or _not_paid(found)


def _not_sold(found: Running, sold: Mapping[str, Sold]) -> Reason | None:
    if found.currency != "VND":
        return Reason.OTHER_CURRENCY
    wanted = sold.get(found.price)
    if wanted is None:
        return Reason.UNKNOWN_PRICE
    return None if wanted.period == found.period else Reason.OTHER_PERIOD


def _not_paid(found: Running) -> Reason | None:
    if not found.paid:
        return Reason.COLLECTING
    if found.asked != found.amount or found.amount <= 0:
        return Reason.OTHER_SUM
    return Reason.NO_METHOD if found.method is None and not found.ends else None


@dataclass(frozen=True, slots=True)
class Later:
    """Not now: why, and when it is looked at again."""

    reason: Reason
    at: datetime


def after_told(
    found: Running, price: str, amount_vnd: int, grace: timedelta, now: datetime
) -> Reason | Later | None:
    """What follows from how a subscription stands once the provider was told to end it. None: it is paid until its period's end, no
    other period follows there, and so it can go on here. A :class:`Reason`: it cannot, and a person decides."""
    if found.state is RunState.ENDED:
        at = found.ended_at or now
        if at < found.ends_at - TOLERANCE:
            return Reason.ENDED_AT_ONCE
        if now >= found.ends_at + grace:
            return Reason.TOO_LATE
    elif found.state is not RunState.ACTIVE:
        return Later(STATES[found.state], now + LATER)
    if (found.price, found.amount) != (price, amount_vnd):
        return Later(Reason.CHANGED, now + LATER)
    if not found.paid:
        return Later(Reason.COLLECTING, now + AGAIN)
    return None


Standing = Literal["over", "ends", "renewed", "resumed"]


def standing(found: Running, period_end: datetime) -> Standing:
    """How a subscription stands that was moved: over; still to end; renewed after all (somebody said so there, and the reader was
    charged, or is about to be); to renew again, though it has not yet."""
    if found.ends_at > period_end + TOLERANCE:
        return "renewed"
    if found.state is RunState.ENDED:
        return "over"
    return "ends" if found.ends else "resumed"


def look_after(found: Running, now: datetime) -> datetime:
    """When it is looked at next: shortly before the period's end, then after it."""
    before = found.ends_at - BEFORE_THE_END
    if now < before:
        return before
    return max(found.ends_at + TOLERANCE, now + SOON)
