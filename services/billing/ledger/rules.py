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
DISPUTED = "disputed_card_money"
UNALLOCATED = "unallocated_receipts"
GIFTS = "gifts_not_redeemed"
DEFERRED = "deferred_subscription"
VAT_PAYABLE = "vat_payable"
REVENUE = "revenue_subscription"
REFUNDS = "refunds_subscription"
CONTRIBUTIONS = "revenue_contributions"
FEES = "payment_fees"
TAKEN_OVER = "taken_over"

#: The example chart follows the shape of circular 24/2024/TT-BTC; an agency maps to its own numbers.
CHART = (
    AccountSpec(BANK, "asset", "112", "Tiền gửi ngân hàng", "Bank"),
    AccountSpec(
        RECEIVABLE, "asset", "1311", "Phải thu cổng thanh toán Stripe", "Receivable from Stripe"
    ),
    AccountSpec(
        DISPUTED,
        "asset",
        "1388",
        "Phải thu khác – tiền thẻ đang bị khiếu nại",
        "Other receivables – card money in dispute",
    ),
    AccountSpec(
        UNALLOCATED,
        "liability",
        "3388",
        "Tiền đã nhận chưa phân bổ",
        "Money received and not yet allocated",
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
    AccountSpec(
        CONTRIBUTIONS,
        "revenue",
        "5318",
        "Tiền bạn đọc ủng hộ tòa soạn",
        "Revenue – readers' contributions",
    ),
    AccountSpec(REFUNDS, "contra_revenue", "5319", "Hoàn tiền bạn đọc", "Refunds to readers"),
    AccountSpec(
        TAKEN_OVER,
        "asset",
        "13889",
        "Số dư nhận từ sổ cũ",
        "Balances taken over from former books",
    ),
    AccountSpec(FEES, "expense", "6427", "Phí cổng thanh toán", "Payment fees"),
)


class StreamAccounts(NamedTuple):
    """Where a revenue stream is booked: before it is earned (None where it is earned at once), when it is, and when it is given back
    afterwards."""

    deferred: str | None
    revenue: str
    refunds: str


#: Revenue streams (``shared.contracts.metrics.Stream``) that readers pay for.
STREAMS = {
    "subscription": StreamAccounts(DEFERRED, REVENUE, REFUNDS),
    "contribution": StreamAccounts(None, CONTRIBUTIONS, REFUNDS),
}
SUBSCRIPTION, CONTRIBUTION = "subscription", "contribution"

#: Kinds of entries that move what a card provider owes without being a payment or a refund (``journal_entry.kind``).
PAYOUT, PAYOUT_FAILED = "payout", "payout_failed"
DISPUTE_WITHDRAWN, DISPUTE_REINSTATED = "dispute_withdrawn", "dispute_reinstated"
UNCLAIMED, UNCLAIMED_RETURNED = "unclaimed", "unclaimed_returned"
#: The partial index ``ix_journal_entry_provider`` has these (migrations/versions/0001_ledger.sql).
PROVIDER_KINDS = (
    PAYOUT,
    PAYOUT_FAILED,
    DISPUTE_WITHDRAWN,
    DISPUTE_REINSTATED,
    UNCLAIMED,
    UNCLAIMED_RETURNED,
)


class UnbalancedEntryError(ValueError):
    """Lines that do not make an entry. The database would refuse it too."""


def check_lines(lines: tuple[Line, ...]) -> None:
    """Raises :class:`UnbalancedEntryError` unless there are two lines or more, none zero, that sum to zero."""
    total = sum(line.amount_vnd for line in lines)
    if len(lines) < 2 or total != 0 or any(line.amount_vnd == 0 for line in lines):
        raise UnbalancedEntryError(f"{len(lines)} lines that sum to {total}")


def _deferred(stream: str) -> str:
    """Where a stream stands before it is earned. Raises ``ValueError`` for one that is earned at once."""
    account = STREAMS[stream].deferred
    if account is None:
        raise ValueError(f"{stream} is earned at once")
    return account


def contribution_lines(debit: str, gross_vnd: int, vat_vnd: int) -> tuple[Line, ...]:
    """A reader gave money for nothing to read: earned at once."""
    revenue = STREAMS[CONTRIBUTION].revenue
    return _without_zeros(
        Line(debit, gross_vnd), Line(revenue, -(gross_vnd - vat_vnd)), Line(VAT_PAYABLE, -vat_vnd)
    )


def payment_lines(
    stream: str, gross_vnd: int, vat_vnd: int, debit: str = RECEIVABLE
) -> tuple[Line, ...]:
    """A payment for days to come: owed by the provider (or taken from ``debit``), not yet earned."""
    deferred = _deferred(stream)
    lines = [Line(debit, gross_vnd), Line(deferred, -(gross_vnd - vat_vnd))]
    if vat_vnd:
        lines.append(Line(VAT_PAYABLE, -vat_vnd))
    return tuple(lines)


def opening_lines(stream: str, net_vnd: int) -> tuple[Line, ...]:
    """What a reader had paid before we kept the books, and is not earned yet: deferred here from now on. The money and its tax are in
    the former books, from which the agency's accountant takes the same sum."""
    return (Line(TAKEN_OVER, net_vnd), Line(_deferred(stream), -net_vnd))


def gift_sold_lines(debit: str, gross_vnd: int, vat_vnd: int) -> tuple[Line, ...]:
    """A gift was paid: nobody reads for it yet."""
    lines = [Line(debit, gross_vnd), Line(GIFTS, -(gross_vnd - vat_vnd))]
    if vat_vnd:
        lines.append(Line(VAT_PAYABLE, -vat_vnd))
    return tuple(lines)


def gift_redeemed_lines(stream: str, net_vnd: int) -> tuple[Line, ...]:
    """Somebody reads for a gift from now on: it is earned day by day."""
    return (Line(GIFTS, net_vnd), Line(_deferred(stream), -net_vnd))


def credit_lines(amount_vnd: int) -> tuple[Line, ...]:
    """Money came into the bank; whose it is is not decided yet."""
    return (Line(BANK, amount_vnd), Line(UNALLOCATED, -amount_vnd))


def return_lines(amount_vnd: int) -> tuple[Line, ...]:
    """Money that was nobody's order went back to its payer."""
    return (Line(UNALLOCATED, amount_vnd), Line(BANK, -amount_vnd))


def _without_zeros(*lines: Line) -> tuple[Line, ...]:
    return tuple(line for line in lines if line.amount_vnd)


def opposite(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Every line with its sign turned, in the same order."""
    return tuple(Line(line.account, -line.amount_vnd) for line in lines)


def unclaimed_lines(debit: str, amount_vnd: int) -> tuple[Line, ...]:
    """A provider took money that no order takes (paid twice, say): owed to its payer. ``debit``: who has it."""
    return (Line(debit, amount_vnd), Line(UNALLOCATED, -amount_vnd))


def unclaimed_returned_lines(credit: str, amount_vnd: int) -> tuple[Line, ...]:
    """Money that no order took went back to its payer. ``credit``: where it was."""
    return opposite(unclaimed_lines(credit, amount_vnd))


def dispute_withdrawn_lines(amount_vnd: int, fee_vnd: int) -> tuple[Line, ...]:
    """A card holder's bank has taken ``amount_vnd`` back until it decides; the provider charges ``fee_vnd`` (0: nothing).

    Raises ``ValueError`` for an amount that is not positive or a fee that is negative.
    """
    if amount_vnd <= 0 or fee_vnd < 0:
        raise ValueError(f"a dispute of {amount_vnd} with a fee of {fee_vnd} cannot be")
    return _without_zeros(
        Line(DISPUTED, amount_vnd),
        Line(FEES, fee_vnd),
        Line(RECEIVABLE, -(amount_vnd + fee_vnd)),
    )


def dispute_fee_lines(fee_vnd: int) -> tuple[Line, ...]:
    """The provider charges more for a dispute than it had said."""
    return (Line(FEES, fee_vnd), Line(RECEIVABLE, -fee_vnd))


def dispute_reinstated_lines(amount_vnd: int) -> tuple[Line, ...]:
    """The bank gave the money of a dispute back to the provider. The fee of the dispute stays an expense."""
    return (Line(RECEIVABLE, amount_vnd), Line(DISPUTED, -amount_vnd))


def payout_lines(net_vnd: int, fees_vnd: int) -> tuple[Line, ...]:
    """A provider paid ``net_vnd`` to the bank and had kept ``fees_vnd``. Both are signed: with a negative net the provider
    took money from the bank, negative fees were given back. No lines where both are 0: nothing is posted then."""
    return _without_zeros(
        Line(BANK, net_vnd), Line(FEES, fees_vnd), Line(RECEIVABLE, -(net_vnd + fees_vnd))
    )


def payout_failed_lines(net_vnd: int, fees_vnd: int) -> tuple[Line, ...]:
    """The exact opposite of :func:`payout_lines`. With ``fees_vnd`` 0 the fees stay spent: for a provider that does not take
    them again from the payout that follows."""
    return opposite(payout_lines(net_vnd, fees_vnd))


def earned_lines(stream: str, amount_vnd: int) -> tuple[Line, ...]:
    """Days that were paid for have passed: what was deferred is revenue."""
    return (Line(_deferred(stream), amount_vnd), Line(STREAMS[stream].revenue, -amount_vnd))


@dataclass(frozen=True, slots=True)
class RefundSplit:
    """The net of a refund: what had not been earned yet goes first, the rest takes back revenue."""

    deferred_vnd: int
    earned_vnd: int

    def lines(
        self, stream: str, vat_vnd: int, credit: str = RECEIVABLE, owed: str | None = None
    ) -> tuple[Line, ...]:
        """``credit``: the account the money comes from; ``owed``: the one that has what is not earned, where it is another."""
        deferred = owed or (_deferred(stream) if self.deferred_vnd else "")
        return _without_zeros(
            Line(deferred, self.deferred_vnd),
            Line(STREAMS[stream].refunds, self.earned_vnd),
            Line(VAT_PAYABLE, vat_vnd),
            Line(credit, -(self.deferred_vnd + self.earned_vnd + vat_vnd)),
        )


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
