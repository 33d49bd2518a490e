"""What each kind of letter says, as blocks from which text and HTML are made (``render``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.billing.letters.rules import Kind
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
    """One language, one agency: its words, zone and addresses."""

    def __init__(
        self, words: Mapping[str, str], language: str, agency: Agency, public_url: str
    ) -> None:
        self.language, self.agency = language, agency
        self.translate = translator(words, language)
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
        return f"{self._base}/{path}?lang={self.language}"

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


def content_of(voice: Voice, kind: Kind, facts: Mapping[str, Any]) -> Content:
    """The letter. Raises ``KeyError`` for facts that are not of this kind."""
    return _KINDS[kind](voice, facts)


def footer_of(voice: Voice, recipient: str) -> str:
    """Why the reader gets it."""
    _ = voice.translate
    return _(
        "You get this message because {email} has a reader's account at {agency}. "
        "It is about your account; it is no advertising.",
        email=recipient,
        agency=voice.agency.name,
    )


def code_content(voice: Voice, code: str) -> Content:
    """A sign-in code. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} is your sign-in code", code=code)
    body = _(
        "Your code for {agency} is {code}. It is good for 10 minutes, also when another one was sent after it. "
        "If you did not ask for it, ignore this message; nobody can sign in without the code.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def code_footer(voice: Voice, recipient: str) -> str:
    """Why somebody gets a code."""
    _ = voice.translate
    return _(
        "You get this message because somebody asked for a sign-in code for {email} at {agency}.",
        email=recipient,
        agency=voice.agency.name,
    )


def _welcome(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    subject = _("Welcome to {agency}", agency=voice.agency.name)
    return Content(
        subject,
        subject,
        (
            _(
                "Your account is ready. You sign in with this e-mail address and a code that we send you: "
                "there is no password to remember."
            ),
            _(
                "In your account you see your plan, your payments and the devices that are signed in."
            ),
        ),
        button=voice.account(),
        small=(
            _(
                "Was it not you who signed in? Then somebody else can read this mailbox: change its password."
            ),
        ),
    )


def _receipt(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    amount = voice.vnd(facts["amount_vnd"])
    table = [
        (_("Plan"), voice.plan(facts)),
        (_("Amount"), amount),
        (_("VAT"), voice.vat(facts) if facts["amount_vnd"] else ""),
        (_("Paid at"), voice.moment(facts["paid_at"])),
        *_period(voice, facts),
        (_("Order code"), facts["code"]),
        (_("Invoice number"), facts["number"]),
    ]
    invoice = (
        (_("Invoice as a PDF file"), voice.address(f"invoices/{facts['invoice']}.pdf"))
        if facts["invoice"]
        else None
    )
    gift = facts["starts_at"] is None
    return Content(
        _("Receipt for {amount} – {agency}", amount=amount, agency=voice.agency.name),
        _("Thank you for your payment"),
        (_("{agency} has received your payment.", agency=voice.agency.name),),
        tuple(row for row in table if row[1]),
        (_("See the gift code"), voice.address(f"orders/{facts['code']}"))
        if gift
        else voice.account(),
        (_what_follows(voice, facts),),
        invoice,
    )


def _period(voice: Voice, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """From when, where that is later, and until when they read."""
    _ = voice.translate
    if facts["starts_at"] is None:
        return []
    at_once = voice.day(facts["starts_at"]) == voice.day(facts["paid_at"])
    return [
        (_("Reads from"), "" if at_once else voice.moment(facts["starts_at"])),
        (_("Reads until"), voice.moment(facts["ends_at"])),
    ]


def _what_follows(voice: Voice, facts: Mapping[str, Any]) -> str:
    _ = voice.translate
    if not facts["code"]:
        return _(
            "At its end the plan renews by itself. You can cancel at any time in your account."
        )
    if facts["starts_at"] is None:
        return _("It is a gift: its time begins when somebody redeems the code.")
    if facts["period"] == "once":
        return _("It was paid for once; nothing is charged again.")
    return _("It ends by itself; nothing is charged again. You can renew it in your account.")


def _again(voice: Voice, facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The plan, and what one more period of it costs where it is still sold."""
    _ = voice.translate
    price = facts["amount_vnd"]
    rows = [(_("Plan"), voice.plan(facts))]
    if price is not None:
        rows.append(
            (_("Renewal, {period}", period=voice.period(facts)), voice.vnd(price)),
        )
    return tuple(rows)


def _renew(voice: Voice, facts: Mapping[str, Any]) -> tuple[str, str]:
    _ = voice.translate
    return _("Renew"), voice.address(f"renew/{facts['subscription']}")


def _term_ending(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    subject = _("Your plan ends on {date}", date=voice.day(facts["ends_at"]))
    return Content(
        subject,
        subject,
        (
            _(
                "You have paid until {moment}. The plan then ends by itself, and nothing is charged.",
                moment=voice.moment(facts["ends_at"]),
            ),
            _("Would you like to read on? What you buy now follows it: no day is paid for twice."),
        ),
        _again(voice, facts),
        _renew(voice, facts),
    )


def _term_ended(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    subject = _("Your plan has ended")
    return Content(
        subject,
        subject,
        (
            _(
                "You had paid until {moment}. The plan has ended by itself; nothing more was charged.",
                moment=voice.moment(facts["ends_at"]),
            ),
            _("Renew it when you like: as soon as the payment is there you read every article."),
        ),
        _again(voice, facts),
        _renew(voice, facts),
        (_("We remind you of it this once only."),),
    )


def _renewal_reminder(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    amount, day = voice.vnd(facts["amount_vnd"]), voice.day(facts["ends_at"])
    return Content(
        _("Your plan renews on {date}: {amount}", date=day, amount=amount),
        _("Your plan renews on {date}", date=day),
        (
            _(
                "On {date} your card is charged {amount} for the next period ({period}). To read on you need not do anything.",
                date=day,
                amount=amount,
                period=voice.period(facts),
            ),
            _(
                "You do not want that? Cancel before {moment}: open your account, then “Cancel the plan”. "
                "You read on until the end of what you have paid.",
                moment=voice.moment(facts["ends_at"]),
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Amount"), amount),
            (_("Renews on"), voice.moment(facts["ends_at"])),
        ),
        voice.account(),
    )


def _payment_failed(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    amount, until = voice.vnd(facts["amount_vnd"]), voice.moment(facts["reads_until"])
    return Content(
        _("Your plan could not be renewed"),
        _("The payment did not go through"),
        (
            _(
                "Your card could not be charged {amount} for the renewal. It may have expired, or hold too little money.",
                amount=amount,
            ),
            _(
                "You can still read until {moment}. The payment is tried again by itself on the following days. "
                "If it goes on failing, the plan ends; you can then subscribe again with another card.",
                moment=until,
            ),
        ),
        ((_("Plan"), voice.plan(facts)), (_("Amount"), amount), (_("Reads until"), until)),
        voice.account(),
    )


def _canceled(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    until = voice.moment(facts["reads_until"])
    return Content(
        _("Your plan is canceled; you read on until {date}", date=voice.day(facts["reads_until"])),
        _("Your plan will not renew"),
        (
            _(
                "You have canceled your plan. You read on until {moment}; after that nothing is charged.",
                moment=until,
            ),
            _(
                "Changed your mind? Until then you can take it back: open your account, then “Renew it after all”."
            ),
        ),
        ((_("Plan"), voice.plan(facts)), (_("Reads until"), until)),
        voice.account(),
    )


def _refunded(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    amount = voice.vnd(facts["amount_vnd"])
    subject = _("{amount} has been refunded", amount=amount)
    whole = (_("What was paid for with it can no longer be read."),) if facts["whole"] else ()
    return Content(
        subject,
        subject,
        (
            _(
                "The money goes back the way you paid. Your bank may need some days until it shows it."
            ),
            *whole,
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Refunded"), amount),
            (_("Of the payment"), voice.vnd(facts["of_vnd"])),
            (_("Paid at"), voice.moment(facts["paid_at"])),
        ),
        voice.account(),
    )


def _transfer_short(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    missing, code = voice.vnd(facts["missing_vnd"]), facts["code"]
    return Content(
        _("Your transfer has arrived; {missing} is still missing", missing=missing),
        _("{missing} is still missing", missing=missing),
        (
            _(
                "{came} has arrived for your order {code}. As soon as the rest is there you can read.",
                came=voice.vnd(facts["came_vnd"]),
                code=code,
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Order amount"), voice.vnd(facts["amount_vnd"])),
            (_("Arrived so far"), voice.vnd(facts["received_vnd"])),
            (_("Still missing"), missing),
            (_("Note"), code),
            (_("Valid until"), voice.moment(facts["expires_at"])),
        ),
        (_("Pay the rest"), voice.address(f"orders/{code}")),
        (
            _(
                "Transfer the rest with exactly this note: {code}. The money that has arrived is not lost.",
                code=code,
            ),
        ),
    )


_KINDS: dict[Kind, Callable[[Voice, Mapping[str, Any]], Content]] = {
    Kind.WELCOME: _welcome,
    Kind.RECEIPT: _receipt,
    Kind.TERM_ENDING: _term_ending,
    Kind.TERM_ENDED: _term_ended,
    Kind.RENEWAL_REMINDER: _renewal_reminder,
    Kind.PAYMENT_FAILED: _payment_failed,
    Kind.CANCELED: _canceled,
    Kind.REFUNDED: _refunded,
    Kind.TRANSFER_SHORT: _transfer_short,
}
