"""Decisions about coupons: values in, values out."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

_CODE = re.compile(r"[A-Z0-9]{3,20}")


class Refusal(StrEnum):
    """Why a coupon does not apply."""

    UNKNOWN = "unknown"  # no such code, or it was ended
    NOT_YET = "not_yet"
    OVER = "over"
    OTHER_PLAN = "other_plan"
    USED_UP = "used_up"
    USED = "used"  # by this reader


@dataclass(frozen=True, slots=True)
class CouponFacts:
    """A coupon and how it stands: orders that are open or paid with it, and those of the asking reader."""

    plan_id: UUID | None
    valid_from: datetime
    valid_until: datetime | None
    ended_at: datetime | None
    most_uses: int | None
    once_a_reader: bool
    uses: int
    uses_of_reader: int


def as_code(text: str) -> str | None:
    """What somebody typed, as codes are written: upper case, without blanks; None when it cannot be one."""
    plain = "".join(unicodedata.normalize("NFKC", text).upper().split())
    return plain if _CODE.fullmatch(plain) else None


def refusal(facts: CouponFacts, plan_id: UUID, now: datetime) -> Refusal | None:
    """Why it does not apply to a plan at ``now``; None when it does. ``valid_until`` is exclusive."""
    until, most = facts.valid_until, facts.most_uses
    reasons = (
        (facts.ended_at is not None and facts.ended_at <= now, Refusal.UNKNOWN),
        (now < facts.valid_from, Refusal.NOT_YET),
        (until is not None and now >= until, Refusal.OVER),
        (facts.plan_id not in (None, plan_id), Refusal.OTHER_PLAN),
        (facts.once_a_reader and facts.uses_of_reader > 0, Refusal.USED),
        (most is not None and facts.uses >= most, Refusal.USED_UP),
    )
    return next((reason for applies, reason in reasons if applies), None)


def left_to_pay(list_vnd: int, *, percent: int | None, off_vnd: int | None) -> int:
    """The price after the coupon, never below zero; the discount is rounded down to the đồng."""
    discount = list_vnd * percent // 100 if percent is not None else off_vnd or 0
    return max(list_vnd - discount, 0)
