"""Decisions of the catalogue: searchable text, which rate applies."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date


def without_diacritics(text: str) -> str:
    """``Đặc sản Nhãn Lồng`` as ``dac san nhan long``: how people type when they search."""
    decomposed = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    kept = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(kept.split())


@dataclass(frozen=True, slots=True)
class RateOn:
    """A price per thousand from a day on; VAT apart."""

    valid_from: date
    cpm_vnd: int
    vat_percent: int


def rate_on(rates: Sequence[RateOn], day: date) -> RateOn | None:
    """The newest rate that is already valid on ``day``; None when the card has none yet."""
    valid = [rate for rate in rates if rate.valid_from <= day]
    return max(valid, key=lambda rate: rate.valid_from, default=None)
