"""The one currency that is booked."""

from __future__ import annotations


class ForeignCurrencyError(Exception):
    """Money in another currency than the agency's: parked for a person, never booked as đồng."""


def only_dong(amount: int, currency: str, what: str) -> None:
    """Raises :class:`ForeignCurrencyError`."""
    if currency != "VND":
        raise ForeignCurrencyError(f"{amount} {currency} {what}")
