"""What each kind of letter says, as blocks from which text and HTML are made (``render``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from services.billing.letters import (
    address_words,
    erasure_words,
    gift_words,
    number_words,
    offer_words,
    password_words,
    seat_words,
)
from services.billing.letters import once_words as once
from services.billing.letters import subscription_words as subscription
from services.billing.letters.rules import Kind
from services.billing.letters.voice import Content, Voice
from services.billing.plans.rules import CONTRIBUTION
from shared.web.i18n import show_date


def content_of(voice: Voice, kind: Kind, facts: Mapping[str, Any]) -> Content:
    """The letter. Raises ``KeyError`` for facts that are not of this kind."""
    return _KINDS[kind](voice, facts)


def footer_of(voice: Voice, recipient: str, kind: Kind = Kind.WELCOME) -> str:
    """Why the reader gets it."""
    _ = voice.translate
    if kind in (Kind.ADDRESS_CHANGED, Kind.ADDRESS_UNDONE):
        return address_words.footer(voice, recipient)
    if kind is Kind.ERASED:
        return erasure_words.erased_footer(voice, recipient)
    if kind is Kind.WIN_BACK:
        return _(
            "You get this message because {email} has a reader's account at {agency} that asked to hear of offers. "
            "It is an advertisement; one press on the page of the offer ends such messages.",
            email=recipient,
            agency=voice.agency.name,
        )
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


def student_code_content(voice: Voice, code: str) -> Content:
    """A code that proves a student's address. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} verifies your student's address", code=code)
    body = _(
        "Your code for the student's price at {agency} is {code}. It is good for 10 minutes. If you did not ask for it, ignore this "
        "message.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def student_code_footer(voice: Voice, recipient: str) -> str:
    """Why somebody gets such a code."""
    _ = voice.translate
    return _(
        "You get this message because a reader of {agency} gave {email} as their student's address.",
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
    if facts["kind"] == CONTRIBUTION:
        return once.thanks(voice, facts)
    amount = voice.vnd(facts["amount_vnd"])
    table = [
        (_("Plan"), voice.plan(facts)),
        *once.paid_rows(voice, facts),
        *_period(voice, facts),
        *once.paper_rows(voice, facts),
    ]
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
        once.invoice(voice, facts),
    )


def _period(voice: Voice, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """From when, where that is later, and until when they read."""
    _ = voice.translate
    if facts["starts_at"] is None:
        return []
    if facts["kind"] == "bundle":
        return [
            (_("Articles to choose"), str(facts["uses"])),
            (_("To be chosen until"), voice.moment(facts["ends_at"])),
        ]
    at_once = voice.day(facts["starts_at"]) == voice.day(facts["paid_at"])
    return [
        (_("Reads from"), "" if at_once else voice.moment(facts["starts_at"])),
        (_("Reads until"), voice.moment(facts["ends_at"])),
    ]


def _what_follows(voice: Voice, facts: Mapping[str, Any]) -> str:
    _ = voice.translate
    if facts["renews"]:
        return _(
            "At its end the plan renews by itself. You can cancel at any time in your account."
        )
    if to := facts.get("gift_to"):
        return _(
            "It is a gift: the letter with its code is sent to {email} on {date}. Its time begins when the code is redeemed.",
            email=to["email"],
            date=show_date(date.fromisoformat(to["on"]), voice.language),
        )
    if facts["starts_at"] is None:
        return _("It is a gift: its time begins when somebody redeems the code.")
    if facts["kind"] == "bundle":
        return once.how_to_use(voice)
    if facts["period"] == "once":
        return _("It was paid for once; nothing is charged again.")
    return _("It ends by itself; nothing is charged again. You can renew it in your account.")


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


def _refund_failed(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    amount = voice.vnd(facts["amount_vnd"])
    return Content(
        _("Your refund of {amount} did not arrive", amount=amount),
        _("The refund did not arrive"),
        (
            _(
                "Your bank sent {amount} back to us. We will look for another way to repay you.",
                amount=amount,
            )
            if facts.get("kind") == CONTRIBUTION
            else _(
                "Your bank sent {amount} back to us. What was paid for with it is yours again, and we will look for another way to "
                "repay you.",
                amount=amount,
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Amount"), amount),
            (_("Of the payment"), voice.vnd(facts["of_vnd"])),
        ),
        voice.account(),
    )


def _transfer_short(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    missing, code = voice.vnd(facts["missing_vnd"]), facts["code"]
    came = voice.vnd(facts["came_vnd"])
    return Content(
        _("Your transfer has arrived; {missing} is still missing", missing=missing),
        _("{missing} is still missing", missing=missing),
        (once.when_complete(voice, facts.get("kind", ""), came, code),),
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
    Kind.TERM_ENDING: subscription.term_ending,
    Kind.TERM_ENDED: subscription.term_ended,
    Kind.RENEWAL_REMINDER: subscription.renewal_reminder,
    Kind.PAYMENT_FAILED: subscription.payment_failed,
    Kind.CANCELED: subscription.canceled,
    Kind.NEW_CARD: subscription.new_card,
    Kind.TRIAL_STARTED: subscription.trial_started,
    Kind.TRIAL_ENDING: subscription.trial_ending,
    Kind.MOVED: subscription.moved,
    Kind.BUNDLE_ENDING: once.bundle_ending,
    Kind.RESUMED: subscription.resumed,
    Kind.PRICE_RISES: offer_words.price_rises,
    Kind.WIN_BACK: offer_words.win_back,
    Kind.REFUNDED: _refunded,
    Kind.REFUND_FAILED: _refund_failed,
    Kind.TRANSFER_SHORT: _transfer_short,
    Kind.INVITED: seat_words.invited,
    Kind.SEAT_ENDED: seat_words.seat_ended,
    Kind.GROUP_ENDED: seat_words.group_ended,
    Kind.NETWORK: seat_words.network,
    Kind.ADDRESS_CHANGED: address_words.changed,
    Kind.ADDRESS_UNDONE: address_words.undone,
    Kind.PASSWORD: password_words.told,
    Kind.GIFT: gift_words.given,
    Kind.ERASED: erasure_words.erased,
    Kind.NUMBER_ADDED: number_words.added,
    Kind.NUMBER_REMOVED: number_words.removed,
}
