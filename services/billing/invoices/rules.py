"""Decisions about invoices: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

_DIGITS = ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín")
_BILLION = 10**9


@dataclass(frozen=True, slots=True)
class InvoiceLineFact:
    """What was sold: ``quantity`` at a price that includes the tax, in the currency's smallest unit.

    ``vat_kind`` names the rows of the dated table (``vat_rate.kind``). ``period_until`` is the first day after those
    that were bought; both None where it is no period.
    """

    description_vi: str
    description_en: str
    unit_gross_vnd: int
    vat_kind: str
    quantity: int = 1
    period_from: date | None = None
    period_until: date | None = None

    @property
    def gross_vnd(self) -> int:
        return self.unit_gross_vnd * self.quantity


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over an invoice's lines."""

    net_vnd: int
    vat_vnd: int
    gross_vnd: int


def totals(lines: Sequence[InvoiceLineFact], vat_vnd: Sequence[int]) -> Totals:
    """``vat_vnd``: the tax inside each line. Raises ``ValueError`` without lines."""
    if not lines:
        raise ValueError("an invoice has lines")
    gross = sum(line.gross_vnd for line in lines)
    vat = sum(vat_vnd)
    return Totals(gross - vat, vat, gross)


def series_of(day: date) -> str:
    """The two digits of a year: an agency's numbers begin anew with each."""
    return f"{day.year % 100:02}"


def in_words(amount_vnd: int) -> str:
    """An amount of đồng as Vietnamese says it: 59000 as ``Năm mươi chín nghìn đồng``.

    Northern usage: ``nghìn``, ``linh``, ``hai mươi tư``. Raises ``ValueError`` below zero.
    """
    if amount_vnd < 0:
        raise ValueError(f"{amount_vnd} is below zero")
    words = " ".join(_number(amount_vnd) or [_DIGITS[0]])
    return f"{words[0].upper()}{words[1:]} đồng"


def _number(value: int, *, after: bool = False) -> list[str]:
    """Nothing for 0. ``after``: higher groups were said before, so hundreds are said even where there are none."""
    billions, below = divmod(value, _BILLION)
    words = [*_number(billions, after=after), "tỷ"] if billions else []
    for size, name in ((10**6, "triệu"), (10**3, "nghìn"), (1, "")):
        group, below = divmod(below, size)
        if group:
            words += [*_group(group, after=after or bool(words)), *([name] if name else [])]
    return words


def _group(value: int, *, after: bool) -> list[str]:
    """A number from 1 to 999."""
    hundreds, rest = divmod(value, 100)
    tens, ones = divmod(rest, 10)
    words = [_DIGITS[hundreds], "trăm"] if hundreds or after else []
    if tens > 1:
        words += [_DIGITS[tens], "mươi"]
    elif tens:
        words.append("mười")
    elif ones and words:
        words.append("linh")
    if ones:
        words.append(_ones(ones, tens=tens, linh=bool(words) and not tens))
    return words


def _ones(ones: int, *, tens: int, linh: bool) -> str:
    if ones == 1 and tens > 1:
        return "mốt"
    if ones == 4 and (tens > 1 or linh):
        return "tư"
    if ones == 5 and tens:
        return "lăm"
    return _DIGITS[ones]
