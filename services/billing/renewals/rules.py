"""Decisions about changes of plan: values in, values out."""

from __future__ import annotations


def credit_of(left_vnd: int, rate_basis_points: int | None) -> int:
    """What is left of a paid period, tax included, rounded down: ``left_vnd`` is its net that is not earned yet."""
    return left_vnd + left_vnd * (rate_basis_points or 0) // 10_000
