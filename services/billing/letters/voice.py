"""The blocks of a letter, and what one agency in one language calls things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.billing.offers.rules import span
from shared.agencies import Agency
from shared.money import format_vnd
from shared.web.i18n import show_date, show_datetime, translator


@dataclass(frozen=True, slots=True)
class Content:
    """A letter as blocks: ``table`` holds (name, value), ``button`` and ``link`` (what it says, address)."""

    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    table: tuple[tuple[str, str], ...] = ()
    button: tuple[str, str] | None = None
    small: tuple[str, ...] = ()
    link: tuple[str, str] | None = None


class Voice:
    """One language, one agency: its words, zone and addresses. ``token``: what opens one of the reader's subscriptions; ``back``: what
    shows one of the offers; ``undo``: what takes a change of address back, until a moment."""

    def __init__(
        self,
        words: Mapping[str, str],
        language: str,
        agency: Agency,
        public_url: str,
        token: Callable[[UUID], str] | None = None,
        back: Callable[[UUID], str] | None = None,
        undo: Callable[[UUID, datetime], str] | None = None,
    ) -> None:
        self.language, self.agency = language, agency
        self.translate = translator(words, language)
        self._token, self._back, self._undo = token, back, undo
        self._base = f"{public_url.rstrip('/')}/r/{agency.id}"

    def vnd(self, amount: int) -> str:
        return format_vnd(amount, self.language)

    def moment(self, iso: str) -> str:
        """Date and time in the agency's zone."""
        return show_datetime(datetime.fromisoformat(iso), self.language, self.agency.zone)

    def day(self, iso: str) -> str:
        at = datetime.fromisoformat(iso).astimezone(self.agency.zone)
        return show_date(at.date(), self.language)

    def address(self, path: str) -> str:
        """Of a page of the agency's readers, in the letter's language."""
        return f"{self._base}/{path}{'&' if '?' in path else '?'}lang={self.language}"

    def plan(self, facts: Mapping[str, Any]) -> str:
        """``Unlimited reading, 1 month``."""
        name = str(facts["plan"][self.language])
        return name if facts["period"] == "once" else f"{name}, {self.period(facts)}"

    def period(self, facts: Mapping[str, Any]) -> str:
        """In one piece: no line ends inside."""
        _ = self.translate
        words = {
            "week": _("1 week"),
            "month": _("1 month"),
            "quarter": _("3 months"),
            "half_year": _("6 months"),
            "year": _("1 year"),
        }
        return words[facts["period"]].replace(" ", "\u00a0")

    def vat(self, facts: Mapping[str, Any]) -> str:
        """How the price is taxed. Exempt is not 0 %."""
        _ = self.translate
        points = facts["vat_basis_points"]
        if points is None:
            return _("Not subject to VAT")
        rate = f"{points // 100}" + (f".{points % 100:02}".rstrip("0") if points % 100 else "")
        rate = rate.replace(".", ",") if self.language == "vi" else rate
        return _("Included, {rate}%: {amount}", rate=rate, amount=self.vnd(facts["vat_vnd"]))

    def account(self) -> tuple[str, str]:
        _ = self.translate
        return _("Open your account"), self.address("account")

    def link(self, facts: Mapping[str, Any]) -> str:
        """Of the page that shows the letter's subscription without signing in."""
        assert self._token is not None  # letters about subscriptions are written for a reader
        return self.address(f"s/{self._token(UUID(facts['subscription']))}")

    def back(self, facts: Mapping[str, Any], act: str = "") -> str:
        """Of the page that shows the letter's offer without signing in."""
        assert self._back is not None  # letters about offers are written for a reader
        return self.address(f"back/{self._back(UUID(facts['offer_id']))}{act}")

    def undo(self, facts: Mapping[str, Any]) -> str:
        """Of the page that takes the letter's change of address back without signing in."""
        assert self._undo is not None  # letters about addresses are written for a reader
        until = datetime.fromisoformat(facts["undo_until"])
        return self.address(f"address/{self._undo(UUID(facts['change']), until)}")

    def offer(self, facts: Mapping[str, Any]) -> str:
        """``19.000 ₫ a month for the first 3 months, then 59.000 ₫ a month``; empty where the letter has no offer."""
        told = facts.get("offer")
        if not told:
            return ""
        _ = self.translate
        values = {
            "amount": self.vnd(told["amount_vnd"]),
            "full": self.vnd(told["full_vnd"]),
            "period": self.unit(facts["period"]),
        }
        if told["left"] is None:
            return _(
                "{amount} a {period} while your student's address is verified, otherwise {full} a {period}",
                **values,
            )
        values["length"] = self.length(told["left"], facts["period"])
        if told["kind"] == "intro":
            return _("{amount} a {period} for the first {length}, then {full} a {period}", **values)
        return _("{amount} a {period} for {length}, then {full} a {period}", **values)

    def unit(self, period: str) -> str:
        """A period without a number."""
        _ = self.translate
        words = {
            "week": _("week"),
            "month": _("month"),
            "quarter": _("quarter"),
            "half_year": _("half year"),
            "year": _("year"),
        }
        return words[period]

    def length(self, periods: int, period: str) -> str:
        """So many periods, in one piece."""
        _ = self.translate
        count, unit = span(periods, period)
        words = {
            "week": _("1 week") if count == 1 else _("{count} weeks", count=count),
            "month": _("1 month") if count == 1 else _("{count} months", count=count),
            "year": _("1 year") if count == 1 else _("{count} years", count=count),
        }
        return words[unit].replace(" ", "\u00a0")
