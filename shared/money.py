"""Money: whole numbers of a currency's smallest unit (đồng has none below it), never a float.

Splitting always sums exactly: a share is the difference of two *cumulative* floors, so rounding never
gains or loses a đồng, in any order and after any interruption.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_AMOUNT = 10**15  # a bound on anything one document may say: 10^15 ₫, below 2^53


class CurrencyMismatchError(ValueError):
    """Two amounts of different currencies met."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount. ``amount`` is signed, in the currency's smallest unit; ``currency`` is ISO 4217."""

    amount: int
    currency: str = "VND"

    def __post_init__(self) -> None:
        if type(self.amount) is not int:
            raise TypeError(f"money is a whole number, not {type(self.amount).__name__}")
        if len(self.currency) != 3 or not self.currency.isupper():
            raise ValueError(f"currency is an ISO 4217 code such as VND, not {self.currency!r}")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other).amount, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def _same(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise CurrencyMismatchError(f"{self.currency} and {other.currency} do not add up")
        return other


def accrued(total: int, done: int, whole: int) -> int:
    """How much of ``total`` belongs to the first ``done`` of ``whole`` equal parts, rounded toward zero.

    ``accrued(t, k, n) - accrued(t, k-1, n)`` is the k-th part; the parts sum exactly to ``total``.
    Raises ``ValueError`` unless ``0 <= done <= whole`` and ``whole > 0``.
    """
    if whole <= 0 or not 0 <= done <= whole:
        raise ValueError(f"done must be within 0..whole, got {done} of {whole}")
    sign = -1 if total < 0 else 1
    return sign * (abs(total) * done // whole)


def part(total: int, index: int, whole: int) -> int:
    """The ``index``-th (from 0) of ``whole`` parts of ``total``; all parts sum exactly to ``total``."""
    return accrued(total, index + 1, whole) - accrued(total, index, whole)


def format_vnd(amount: int, language: str = "vi") -> str:
    """``1234567`` as ``1.234.567 ₫`` (Vietnamese) or ``₫1,234,567`` (English)."""
    if language == "vi":
        return f"{amount:,}".replace(",", ".") + "\u00a0₫"
    return f"{'-' if amount < 0 else ''}₫{abs(amount):,}"
