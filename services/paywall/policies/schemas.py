"""A policy as the API, the page and the database see it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.paywall.articles.models import Access
from services.paywall.policies.rules import FailureMode, Policy, Rule, Then
from shared.web.params import Whole

MAX_ALLOWANCE = 1_000
DEFAULT_TIMEOUT_MS = 1_000


class AllowanceBody(BaseModel):
    """Free articles in a window."""

    model_config = ConfigDict(extra="forbid")

    anonymous: Whole = Field(
        ge=0, le=MAX_ALLOWANCE, description="For readers who are not signed in."
    )
    registered: Whole = Field(ge=0, le=MAX_ALLOWANCE, description="For readers who are signed in.")

    @model_validator(mode="after")
    def _larger_when_registered(self) -> Self:
        if self.registered < self.anonymous:
            raise ValueError("registered must be at least as large as anonymous")
        return self


class RuleBody(BaseModel):
    """One rule: articles of this ``access`` (or all) are free, metered, or for subscribers."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    access: Access | None = Field(default=None, description="null matches every article.")
    then: Then


class FailureBody(BaseModel):
    """What happens when the database is away or slower than ``timeout_ms``."""

    model_config = ConfigDict(extra="forbid")

    mode: FailureMode
    timeout_ms: Whole = Field(ge=20, le=5_000)


class PolicyBody(BaseModel):
    """The whole policy. The first rule that matches decides; the last one must match everything."""

    model_config = ConfigDict(extra="forbid")

    allowance: AllowanceBody
    window: Literal["month"] = Field(
        default="month", description="A calendar month in the agency's time zone."
    )
    rules: list[RuleBody] = Field(min_length=1, max_length=100)
    failure: FailureBody

    @model_validator(mode="after")
    def _rules_decide(self) -> Self:
        ids = [rule.id for rule in self.rules]
        if len(set(ids)) != len(ids):
            raise ValueError("the rules' ids must differ")
        if self.rules[-1].access is not None:
            raise ValueError("the last rule must match every article: its access must be null")
        return self


class PolicyOut(PolicyBody):
    """A policy with its version, to be sent back as ``If-Match`` when it is changed."""

    version: int
    changed_at: datetime
    changed_by: str


DEFAULT_RULES = [
    RuleBody(id="free", access=Access.FREE, then=Then.FREE),
    RuleBody(id="premium", access=Access.PREMIUM, then=Then.SUBSCRIBERS),
    RuleBody(id="metered", access=None, then=Then.METERED),
]


def default_policy(anonymous: int, registered: int) -> PolicyBody:
    """Free articles free, premium for subscribers, everything else metered."""
    return PolicyBody(
        allowance=AllowanceBody(anonymous=anonymous, registered=registered),
        rules=DEFAULT_RULES,
        failure=FailureBody(mode=FailureMode.OPEN, timeout_ms=DEFAULT_TIMEOUT_MS),
    )


def compiled(agency: str, version: int, body: PolicyBody) -> Policy:
    """The policy as :func:`services.paywall.decisions.rules.decide` takes it."""
    return Policy(
        agency=agency,
        version=version,
        anonymous_allowance=body.allowance.anonymous,
        registered_allowance=body.allowance.registered,
        rules=tuple(
            Rule(rule.id, rule.access.value if rule.access else None, rule.then)
            for rule in body.rules
        ),
        failure_mode=body.failure.mode,
        timeout_seconds=body.failure.timeout_ms / 1000,
    )
