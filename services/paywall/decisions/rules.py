"""The decision itself: facts in, answer out. No clock, no database, no network.

Precedence, first to last: entitlement, exemption, purchase or gift, then what the policy's first matching rule
says (free, subscribers only, or the meter).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.paywall.policies.rules import FailureMode, Policy, Rule, Then, first_match

SITE_SCOPE = "site"
ARTICLE_SCOPE = "article:"
CONTROL = "control"  # the variant of everyone while no experiment runs


class Reason(StrEnum):
    """Why. The first group grants, the second refuses, ``FALLBACK`` does what the failure mode says."""

    SUBSCRIBER = "SUBSCRIBER"
    METERING = "METERING"
    FREE = "FREE"
    GIFT = "GIFT"
    PURCHASE = "PURCHASE"
    CAMPUS = "CAMPUS"
    CRAWLER = "CRAWLER"
    OVERRIDE = "OVERRIDE"

    METER_EXHAUSTED = "METER_EXHAUSTED"
    REGISTRATION_REQUIRED = "REGISTRATION_REQUIRED"
    SUBSCRIPTION_REQUIRED = "SUBSCRIPTION_REQUIRED"
    NETWORK_EXHAUSTED = "NETWORK_EXHAUSTED"

    FALLBACK = "FALLBACK"


class Action(StrEnum):
    """What the reader can do about it."""

    NONE = "none"
    REGISTER = "register"
    SUBSCRIBE = "subscribe"


@dataclass(frozen=True, slots=True)
class Right:
    """A reader's right to read ``scope`` from ``valid_from`` until before ``valid_until``.

    ``scope`` is ``site``, or ``article:`` and the website's id of one article.
    """

    scope: str
    valid_from: datetime
    valid_until: datetime

    def opens(self, scope: str, now: datetime) -> bool:
        return self.scope == scope and self.valid_from <= now < self.valid_until


@dataclass(frozen=True, slots=True)
class MeterState:
    """What the meter said. ``unlocked``: this article is one of the views of the window."""

    limit: int
    used: int
    unlocked: bool
    resets_at: datetime

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision depends on. ``meter`` is None until it has been asked."""

    policy: Policy
    access: str
    signed_in: bool = False
    rights: tuple[Right, ...] = ()
    exemption: Reason | None = None
    single_article: Reason | None = None
    meter: MeterState | None = None
    network_exhausted: bool = False
    article: str = ""  # the website's id of it


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer's core."""

    granted: bool
    reason: Reason
    rule_id: str
    action: Action = Action.NONE
    meter: MeterState | None = None
    degraded: bool = False


def decide(facts: Facts, now: datetime) -> Decision | None:
    """The decision, or None when the meter has to be asked first."""
    rule = first_match(facts.policy.rules, facts.access)
    opened = _opened(facts, now) or (Reason.FREE if rule.then is Then.FREE else None)
    if opened is not None:
        return Decision(True, opened, rule.id)
    if rule.then is Then.SUBSCRIBERS:
        return Decision(False, Reason.SUBSCRIPTION_REQUIRED, rule.id, Action.SUBSCRIBE)
    return _by_meter(facts, rule)


def _opened(facts: Facts, now: datetime) -> Reason | None:
    """What opens the article whatever the policy says of it."""
    for right in facts.rights:
        if right.opens(SITE_SCOPE, now):
            return Reason.SUBSCRIBER
    if facts.exemption is not None or facts.single_article is not None:
        return facts.exemption or facts.single_article
    for right in facts.rights:
        if right.opens(ARTICLE_SCOPE + facts.article, now):
            return Reason.PURCHASE
    return None


def _by_meter(facts: Facts, rule: Rule) -> Decision | None:
    policy = facts.policy
    more_when_registered = (
        not facts.signed_in and policy.registered_allowance > policy.anonymous_allowance
    )
    action = Action.REGISTER if more_when_registered else Action.SUBSCRIBE
    if facts.network_exhausted:
        return Decision(False, Reason.NETWORK_EXHAUSTED, rule.id, action)
    if facts.meter is None:
        return None
    if facts.meter.unlocked:
        return Decision(True, Reason.METERING, rule.id, meter=facts.meter)
    if facts.meter.limit > 0:
        return Decision(False, Reason.METER_EXHAUSTED, rule.id, action, facts.meter)
    # Nothing is free for them: say what would be right, not that something has been used up.
    reason = Reason.REGISTRATION_REQUIRED if more_when_registered else Reason.SUBSCRIPTION_REQUIRED
    return Decision(False, reason, rule.id, action, facts.meter)


def fall_back(facts: Facts) -> Decision:
    """The declared failure mode: what is answered when the facts cannot be had in time."""
    rule = first_match(facts.policy.rules, facts.access)
    granted = facts.policy.failure_mode is FailureMode.OPEN
    action = Action.NONE if granted else Action.SUBSCRIBE
    return Decision(granted, Reason.FALLBACK, rule.id, action, degraded=True)
