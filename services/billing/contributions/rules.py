"""What a reader types who gives: values in, values out."""

from __future__ import annotations

import re

_AMOUNT = re.compile(
    r"([0-9]{1,15}|[0-9]{1,3}(?:[., ][0-9]{3}){1,4}) ?(?:₫|đ|đồng|VND)?", re.IGNORECASE
)


def amount_of(typed: str) -> int | None:
    """Whole đồng as people type them (50000, 50.000, 50 000 đ); None for anything else."""
    found = _AMOUNT.fullmatch(typed.replace("\u00a0", " ").strip())
    return int(re.sub(r"[., ]", "", found[1])) if found else None
