"""What letters say of bundles and of contributions, and the rows that receipts have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice
from services.billing.plans import rules as plans


def paid_rows(voice: Voice, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Amount, offer, tax and moment of a payment."""
    _ = voice.translate
    return [
        (_("Amount"), voice.vnd(facts["amount_vnd"])),
        (_("Offer"), voice.offer(facts)),
        (_("VAT"), voice.vat(facts) if facts["amount_vnd"] else ""),
        (_("Paid at"), voice.moment(facts["paid_at"])),
    ]


def paper_rows(voice: Voice, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Codes and numbers of a payment."""
    _ = voice.translate
    return [(_("Order code"), facts["code"]), (_("Invoice number"), facts["number"])]


def invoice(voice: Voice, facts: Mapping[str, Any]) -> tuple[str, str] | None:
    """The link to a payment's invoice; None where nothing was to be paid."""
    _ = voice.translate
    if not facts["invoice"]:
        return None
    return _("Invoice as a PDF file"), voice.address(f"invoices/{facts['invoice']}.pdf")


def how_to_use(voice: Voice) -> str:
    """How a reader opens an article of a bundle."""
    _ = voice.translate
    return _(
        "Before a closed article, press the button that uses one of your articles: it opens at once, and stays open for you."
    )


def when_complete(voice: Voice, kind: str, came: str, code: str) -> str:
    """What a part of an order's money has brought, and what the rest will, by the ``kind`` of what was ordered."""
    _ = voice.translate
    match kind:
        case plans.CONTRIBUTION:
            return _(
                "{came} has arrived for your order {code}. As soon as the rest is there your contribution is complete.",
                came=came,
                code=code,
            )
        case "gift":
            return _(
                "{came} has arrived for your order {code}. As soon as the rest is there you get the code of your gift.",
                came=came,
                code=code,
            )
        case plans.BUNDLE:
            return _(
                "{came} has arrived for your order {code}. As soon as the rest is there you can choose your articles.",
                came=came,
                code=code,
            )
    return _(
        "{came} has arrived for your order {code}. As soon as the rest is there you can read.",
        came=came,
        code=code,
    )


def thanks(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A contribution was received."""
    _ = voice.translate
    amount = voice.vnd(facts["amount_vnd"])
    rows = [*paid_rows(voice, facts), *paper_rows(voice, facts)]
    return Content(
        _("Thank you for supporting {agency}", agency=voice.agency.name),
        _("Thank you for your support"),
        (
            _(
                "{agency} has received your contribution of {amount}. It helps the newsroom go on with its work.",
                agency=voice.agency.name,
                amount=amount,
            ),
        ),
        tuple(row for row in rows if row[1]),
        voice.account(),
        (
            _(
                "A contribution is given once and opens no articles; nothing is charged again. "
                "If it was a mistake, write to the newspaper: it can be given back."
            ),
        ),
        invoice(voice, facts),
    )


def bundle_ending(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A bundle ends soon, and articles of it are left."""
    _ = voice.translate
    end = voice.moment(facts["ends_at"])
    subject = _("Your articles can be chosen until {date}", date=voice.day(facts["ends_at"]))
    return Content(
        subject,
        subject,
        (
            _(
                "You have paid for articles that you have not chosen yet. After {moment} they can be chosen no more; "
                "those that you have opened stay open as long as before.",
                moment=end,
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Left on {date}", date=voice.day(facts["at"])), f"{facts['left']}/{facts['uses']}"),
            (_("To be chosen until"), end),
        ),
        voice.account(),
        (how_to_use(voice),),
    )
