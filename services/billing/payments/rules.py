"""What a payment says on paper: values in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.billing.invoices.rules import InvoiceLineFact
from services.billing.plans.rules import PERIOD_WORDS
from services.billing.recognition.rules import days_bought
from shared.clock import local_date
from shared.money import format_vnd


@dataclass(frozen=True, slots=True)
class SaleOffer:
    """The offer that was paid: its kind, đồng a period, for how many (None: of a student), and the price itself."""

    kind: str
    amount_vnd: int
    periods: int | None
    full_vnd: int

    @property
    def facts(self) -> dict[str, Any]:
        """As letters keep it."""
        return {
            "kind": self.kind,
            "amount_vnd": self.amount_vnd,
            "left": self.periods,
            "full_vnd": self.full_vnd,
        }


@dataclass(frozen=True, slots=True)
class Sale:
    """What was paid for, who paid, and the language in which it was bought. ``kind``: of the plan; ``uses``: articles of a bundle."""

    email: str
    name: str
    name_vi: str
    name_en: str
    period: str
    language: str
    code: str
    renews: bool
    credit_vnd: int
    kind: str
    uses: int | None
    seats: int = 1
    per_seat: bool = False
    offer: SaleOffer | None = None


def sold_line(
    sale: Sale,
    amount_vnd: int,
    vat_kind: str,
    bought: tuple[datetime, datetime] | None,
    zone: ZoneInfo,
) -> InvoiceLineFact:
    """The line of a payment's invoice: so many seats at their price, where the amount is one of whole đồng a seat. ``bought``: the period that was paid for; None while a gift is not redeemed."""
    words_vi, words_en = PERIOD_WORDS[sale.period]
    kept = f", đã trừ phần còn lại {format_vnd(sale.credit_vnd, 'vi')}" if sale.credit_vnd else ""
    kept_en = f", less {format_vnd(sale.credit_vnd, 'en')} left" if sale.credit_vnd else ""
    period_from = period_until = None
    if bought is not None:
        start, end = bought
        period_from, period_until = days_bought(local_date(start, zone), local_date(end, zone))
    quantity = sale.seats if sale.per_seat and amount_vnd % sale.seats == 0 else 1
    if quantity != sale.seats:
        words_vi, words_en = (
            f"{words_vi}, {sale.seats} người đọc",
            f"{words_en}, {sale.seats} readers",
        )
    return InvoiceLineFact(
        f"{sale.name_vi} ({words_vi}{kept})",
        f"{sale.name_en} ({words_en}{kept_en})",
        amount_vnd // quantity,
        vat_kind,
        quantity,
        period_from=period_from,
        period_until=period_until,
    )
