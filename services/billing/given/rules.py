"""Decisions about given days: values in, values out."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

MOST_DAYS = 90
#: Over so long a time all that a reader is given counts against the limit.
COUNTED_WITHIN = timedelta(days=90)
#: What the right is called where a plan has its code.
PLAN_CODE = "given-days"

Refusal = Literal["days-number", "days-limit"]


def parse_days(typed: str) -> int | None:
    """Whole days as people type them; None for anything else."""
    found = re.fullmatch(r"[0-9]{1,3}", typed.strip())
    return int(found[0]) if found else None


def refusal(days: int | None, given_lately: int, *, alone: int, finance: bool) -> Refusal | None:
    """Why days are not given; None when they are. Up to ``alone`` days, with those given lately, support gives; finance more."""
    if days is None or not 1 <= days <= MOST_DAYS:
        return "days-number"
    return "days-limit" if not finance and given_lately + days > alone else None


def stretch(
    days: int, now: datetime, paid_until: datetime | None, zone: ZoneInfo, *, after: bool
) -> tuple[datetime, datetime]:
    """From when until when: from now, or ``after`` what runs; to the same time of day in the agency's zone."""
    starts_at = max(now, paid_until) if after and paid_until is not None else now
    local = starts_at.astimezone(zone).replace(tzinfo=None) + timedelta(days=days)
    return starts_at, local.replace(tzinfo=zone).astimezone(starts_at.tzinfo)
