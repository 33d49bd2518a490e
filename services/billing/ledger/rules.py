"""Decisions of the books: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple


class Line(NamedTuple):
    """One side: debits positive, credits negative, whole đồng."""

    account: str
    amount_vnd: int


class AccountSpec(NamedTuple):
    """An account, and its number in the example chart of a Vietnamese public-service unit."""

    code: str
    kind: str
    local_code: str
    name_vi: str
    name_en: str


BANK = "bank"
RECEIVABLE = "stripe_receivable"
UNALLOCATED = "unallocated_receipts"
GIFTS = "gifts_not_redeemed"
DEFERRED = "deferred_subscription"
VAT_PAYABLE = "vat_payable"
REVENUE = "revenue_subscription"
REFUNDS = "refunds_subscription"
FEES = "payment_fees"

#: The example chart follows the shape of circular 24/2024/TT-BTC; an agency maps to its own numbers.
CHART = (
    AccountSpec(BANK, "asset", "112", "Tiền gửi ngân hàng", "Bank"),
    AccountSpec(
        RECEIVABLE, "asset", "1311", "Phải thu cổng thanh toán Stripe", "Receivable from Stripe"
    ),
    AccountSpec(
        UNALLOCATED,
        "liability",
        "3388",
        "Tiền chuyển khoản chưa phân bổ",
        "Bank transfers not yet allocated",
    ),
    AccountSpec(
        GIFTS,
        "liability",
        "33878",
        "Doanh thu chưa thực hiện – quà tặng chưa dùng",
        "Deferred revenue – gifts not redeemed",
    ),
    AccountSpec(
        DEFERRED,
        "liability",
        "3387",
        "Doanh thu chưa thực hiện – gói đọc báo",
        "Deferred revenue – subscriptions",
    ),
    AccountSpec(VAT_PAYABLE, "liability", "3331", "Thuế GTGT phải nộp", "VAT payable"),
    AccountSpec(REVENUE, "revenue", "5311", "Doanh thu gói đọc báo", "Revenue – subscriptions"),
    AccountSpec(REFUNDS, "contra_revenue", "5319", "Hoàn tiền bạn đọc", "Refunds to readers"),
    AccountSpec(FEES, "expense", "6427", "Phí cổng thanh toán", "Payment fees"),
)


class StreamAccounts(NamedTuple):
    """Where a revenue stream is booked: before it is earned, when it is, and when it is given back afterwards."""

    deferred: str
    revenue: str
    refunds: str


#: Revenue streams (``shared.contracts.metrics.Stream``) that readers pay for.
STREAMS = {"subscription": StreamAccounts(DEFERRED, REVENUE, REFUNDS)}
SUBSCRIPTION = "subscription"


class UnbalancedEntryError(ValueError):
    """Lines that do not make an entry. The database would refuse it too."""


def check_lines(lines: tuple[Line, ...]) -> None:
    """Raises :class:`UnbalancedEntryError` unless there are two lines or more, none zero, that sum to zero."""
    total = sum(line.amount_vnd for line in lines)
    if len(lines) < 2 or total != 0 or any(line.amount_vnd == 0 for line in lines):
        raise UnbalancedEntryError(f"{len(lines)} lines that sum to {total}")


def payment_lines(
    stream: str, gross_vnd: int, vat_vnd: int, debit: str = RECEIVABLE
) -> tuple[Line, ...]:
    """A payment for days to come: owed by the provider (or taken from ``debit``), not yet earned."""
    deferred = STREAMS[stream].deferred
    lines = [Line(debit, gross_vnd), Line(deferred, -(gross_vnd - vat_vnd))]
    if vat_vnd:
        lines.append(Line(VAT_PAYABLE, -vat_vnd))
    return tuple(lines)


def gift_sold_lines(debit: str, gross_vnd: int, vat_vnd: int) -> tuple[Line, ...]:
    """A gift was paid: nobody reads for it yet."""
    lines = [Line(debit, gross_vnd), Line(GIFTS, -(gross_vnd - vat_vnd))]
    if vat_vnd:
        lines.append(Line(VAT_PAYABLE, -vat_vnd))
    return tuple(lines)


def gift_redeemed_lines(stream: str, net_vnd: int) -> tuple[Line, ...]:
    """Somebody reads for a gift from now on: it is earned day by day."""
    return (Line(GIFTS, net_vnd), Line(STREAMS[stream].deferred, -net_vnd))


def credit_lines(amount_vnd: int) -> tuple[Line, ...]:
    """Money came into the bank; whose it is is not decided yet."""
    return (Line(BANK, amount_vnd), Line(UNALLOCATED, -amount_vnd))


def return_lines(amount_vnd: int) -> tuple[Line, ...]:
    """Money that was nobody's order went back to its payer."""
    return (Line(UNALLOCATED, amount_vnd), Line(BANK, -amount_vnd))


def earned_lines(stream: str, amount_vnd: int) -> tuple[Line, ...]:
    """Days that were paid for have passed: what was deferred is revenue."""
    accounts = STREAMS[stream]
    return (Line(accounts.deferred, amount_vnd), Line(accounts.revenue, -amount_vnd))


@dataclass(frozen=True, slots=True)
class RefundSplit:
    """The net of a refund: what had not been earned yet goes first, the rest takes back revenue."""

    deferred_vnd: int
    earned_vnd: int

    def lines(
        self, stream: str, vat_vnd: int, credit: str = RECEIVABLE, owed: str | None = None
    ) -> tuple[Line, ...]:
        """``credit``: the account the money comes from; ``owed``: the one that has what is not earned, where it is another."""
        accounts = STREAMS[stream]
        sides = [
            Line(owed or accounts.deferred, self.deferred_vnd),
            Line(accounts.refunds, self.earned_vnd),
            Line(VAT_PAYABLE, vat_vnd),
            Line(credit, -(self.deferred_vnd + self.earned_vnd + vat_vnd)),
        ]
        return tuple(line for line in sides if line.amount_vnd)


def split_refund(refund_vnd: int, still_deferred_vnd: int) -> RefundSplit:
    """Raises ``ValueError`` for amounts that cannot be."""
    if refund_vnd < 0 or still_deferred_vnd < 0:
        raise ValueError(f"a refund of {refund_vnd} with {still_deferred_vnd} deferred cannot be")
    deferred = min(refund_vnd, still_deferred_vnd)
    return RefundSplit(deferred, refund_vnd - deferred)


def end_of_month(day: date) -> date:
    """The last day of the month of ``day``."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


class PeriodNotClosableError(ValueError):
    """A month that cannot be closed now; ``reason`` is ``closed`` or ``not_over``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def check_closable(
    last: date, *, closed_through: date | None, counted_through: date, today: date
) -> None:
    """A month (``last``: its last day) is closed once, when it is over and all its days are recognised.

    Raises :class:`PeriodNotClosableError`.
    """
    if closed_through is not None and last <= closed_through:
        raise PeriodNotClosableError("closed")
    if last >= today or last > counted_through:
        raise PeriodNotClosableError("not_over")
