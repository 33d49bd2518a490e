"""What the days of a paid period earn: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from shared.money import accrued


class Term(NamedTuple):
    """The net amount of a paid period and its calendar days: from ``starts_on`` up to, without, ``ends_on``."""

    starts_on: date
    ends_on: date
    total_vnd: int

    def earned_before(self, day: date) -> int:
        """What all days before ``day`` earn together, in whole đồng; the days of a term sum exactly to its total."""
        done = min(max((day - self.starts_on).days, 0), (self.ends_on - self.starts_on).days)
        return accrued(self.total_vnd, done, (self.ends_on - self.starts_on).days)

    def left_from(self, day: date) -> int:
        """What ``day`` and the days after it would earn."""
        return self.total_vnd - self.earned_before(day)

    def within(self, day: date) -> date:
        """``day``, or the nearer end of the term."""
        return min(max(day, self.starts_on), self.ends_on)


def begun(term: Term, opened_through: date) -> tuple[date, list[tuple[date, int]]]:
    """Of a schedule that is made when the days up to ``opened_through`` have begun: the first day that is earned in the sum of its
    day, and what each of the days before earned."""
    counted_from = max(term.starts_on, opened_through + timedelta(days=1))
    earned, day, before = [], term.starts_on, 0
    while day < term.within(counted_from):
        day += timedelta(days=1)
        upto = term.earned_before(day)
        earned.append((day - timedelta(days=1), upto - before))
        before = upto
    return counted_from, earned


def days_bought(first: date, end: date) -> tuple[date, date]:
    """Calendar days a period stands for: the day it starts on up to, without, the day it ends on; at least one."""
    return (first, end) if end > first else (first, first + timedelta(days=1))


def days_after_change(
    replaced: Iterable[Term], tomorrow: date, first: date, end: date
) -> tuple[date, date]:
    """Days of the plan that another one was changed for: ``first`` up to, without, ``end``; at least one.

    A day that has begun belongs to the plan that earned it: the new one begins after the last begun day (before ``tomorrow``) of
    those it replaces, and not before a day that was handed to them already (one that begins tomorrow may itself have taken over
    today's). A replaced term that is wholly ahead keeps nothing from beginning today.
    """
    taken = [min(term.ends_on, tomorrow) for term in replaced if term.starts_on <= tomorrow]
    return days_bought(max([first, *taken]), end)


def days_given_again(end: date | None, tomorrow: date) -> tuple[date, date]:
    """Days over which a refund that failed is earned: those left up to, without, ``end``; today where none is left."""
    if end is None or end <= tomorrow:
        return tomorrow - timedelta(days=1), tomorrow
    return tomorrow, end


def vat_of_refund(
    vat_vnd: int, price_vnd: int, given_back_vnd: int, vat_back_vnd: int, refund_vnd: int
) -> int:
    """The VAT in a refund, so that all VAT given back is that of all money given back (rounded down), and all of it with the last đồng.

    ``vat_vnd`` of a payment of ``price_vnd``; of it ``given_back_vnd`` with ``vat_back_vnd`` of VAT has gone back and did not fail. What
    went back before is taken as it was booked: refunds may fail in any order, and each was rounded by itself.
    Raises ``ValueError`` where more would go back than was paid.
    """
    due = accrued(vat_vnd, given_back_vnd + refund_vnd, price_vnd) - vat_back_vnd
    return min(max(due, 0), refund_vnd)
