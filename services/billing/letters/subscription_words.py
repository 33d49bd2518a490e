"""What letters about a subscription say: its end, its renewal, its trial, its card, what is owed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from services.billing.letters.voice import Content, Voice


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


def _own(voice: Voice, facts: Mapping[str, Any]) -> tuple[str, str]:
    """To the page of this subscription, which needs no signing in."""
    _ = voice.translate
    return _("See or cancel the plan"), voice.link(facts)


def _without_signing_in(voice: Voice) -> str:
    _ = voice.translate
    return _("The link opens this plan without signing in, for 35 days: pass it on to nobody.")


def term_ending(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A term that ends by itself soon."""
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
        link=(_("See the plan"), voice.link(facts)),
    )


def term_ended(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A term that has ended."""
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


def _will_be_charged(voice: Voice, facts: Mapping[str, Any], day: str, amount: str) -> str:
    _ = voice.translate
    if facts["card"] is None:
        return _(
            "On {date} {amount} is due for the next period ({period}). No card is saved for it: save one before, or pay by the "
            "link that we send you then.",
            date=day,
            amount=amount,
            period=voice.period(facts),
        )
    return _(
        "On {date} your card is charged {amount} for the next period ({period}). To read on you need not do anything.",
        date=day,
        amount=amount,
        period=voice.period(facts),
    )


def _paid_by(voice: Voice, facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The card, where it is known by a name."""
    _ = voice.translate
    return ((_("Paid by"), facts["card"]),) if facts["card"] else ()


def renewal_reminder(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A long period that renews soon."""
    _ = voice.translate
    amount, day = voice.vnd(facts["amount_vnd"]), voice.day(facts["ends_at"])
    moment, charged = voice.moment(facts["ends_at"]), _will_be_charged(voice, facts, day, amount)
    said: tuple[str, ...] = (
        charged,
        _(
            "You do not want that? Cancel before {moment} by the link below. You read on until the end of what you have paid.",
            moment=moment,
        ),
    )
    if facts.get("pauses"):
        said = (
            _("Your pause ends on {date}, and your plan goes on.", date=day),
            charged,
            _(
                "You do not want that? Cancel before {moment} by the link below, and nothing is charged.",
                moment=moment,
            ),
        )
    return Content(
        _("Your plan renews on {date}: {amount}", date=day, amount=amount),
        _("Your plan renews on {date}", date=day),
        said,
        (
            (_("Plan"), voice.plan(facts)),
            (_("Amount"), amount),
            (_("Renews on"), voice.moment(facts["ends_at"])),
            *_paid_by(voice, facts),
        ),
        _own(voice, facts),
        (_without_signing_in(voice),),
    )


def trial_started(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A trial that has begun: nothing was paid."""
    _ = voice.translate
    amount, day = voice.vnd(facts["amount_vnd"]), voice.day(facts["ends_at"])
    return Content(
        _("Your trial has begun; it ends on {date}", date=day),
        _("Your trial has begun"),
        (
            _(
                "You read free of charge until {moment}. Nothing was charged.",
                moment=voice.moment(facts["ends_at"]),
            ),
            _will_be_charged(voice, facts, day, amount),
            _(
                "You do not want that? Cancel before it ends by the link below, and you pay nothing."
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Trial until"), voice.moment(facts["ends_at"])),
            (_("First payment"), amount),
            *(((_("Offer"), voice.offer(facts)),) if "offer" in facts else ()),
            *_paid_by(voice, facts),
        ),
        _own(voice, facts),
        (_without_signing_in(voice),),
    )


def trial_ending(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A trial that ends soon: the first payment comes."""
    _ = voice.translate
    amount, day = voice.vnd(facts["amount_vnd"]), voice.day(facts["ends_at"])
    return Content(
        _("Your trial ends on {date}: then {amount}", date=day, amount=amount),
        _("Your trial ends on {date}", date=day),
        (
            _will_be_charged(voice, facts, day, amount),
            _(
                "You do not want that? Cancel before it ends by the link below, and you pay nothing."
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Trial until"), voice.moment(facts["ends_at"])),
            (_("First payment"), amount),
            *_paid_by(voice, facts),
        ),
        _own(voice, facts),
        (_without_signing_in(voice),),
    )


def new_card(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """Another card was given for a subscription."""
    _ = voice.translate
    table = [(_("Plan"), voice.plan(facts))]
    if facts["card"]:
        table.append((_("Card"), facts["card"]))
    if facts["expires_on"]:
        until = date.fromisoformat(facts["expires_on"])
        table.append((_("Valid until"), f"{until:%m/%Y}"))
    return Content(
        _("A new card is saved for your plan"),
        _("A new card is saved for your plan"),
        (
            _("From now on your plan is charged to this card. Nothing else has changed."),
            _(
                "Was it not you? Open the link below, give your own card or cancel the plan, and write to us."
            ),
        ),
        tuple(table),
        _own(voice, facts),
        (_without_signing_in(voice),),
    )


def moved(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A plan that goes on with us as it was."""
    _ = voice.translate
    amount, day = voice.vnd(facts["amount_vnd"]), voice.day(facts["ends_at"])
    rows = [(_("Plan"), voice.plan(facts)), (_("Reads until"), voice.moment(facts["ends_at"]))]
    if facts["renews"]:
        rows += [(_("Next payment"), amount), *_paid_by(voice, facts)]
        goes_on = _(
            "On {date} {amount} is due for the next period, as before.", date=day, amount=amount
        )
    else:
        goes_on = _("It ends on {date}, as you had decided. Nothing is charged.", date=day)
    return Content(
        _("Nothing changes for your plan"),
        _("Nothing changes for your plan"),
        (
            _(
                "We now look after your plan ourselves. Your plan, its price and your way to pay stay as they are."
            ),
            goes_on,
        ),
        tuple(rows),
        _own(voice, facts),
        (_without_signing_in(voice),),
    )


def payment_failed(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """What is owed, until when one reads and how it is paid."""
    _ = voice.translate
    amount, lapses = voice.vnd(facts["amount_vnd"]), voice.moment(facts["lapses_at"])
    until = voice.moment(facts["reads_until"]) if facts["reads_until"] else ""
    if facts["needs_holder"]:
        why = _(
            "{amount} is due for the next period of your plan, and your card cannot be charged without you: your bank wants your "
            "confirmation, or no card is saved. Nothing was charged.",
            amount=amount,
        )
    else:
        why = _(
            "Your card could not be charged {amount} for the next period. It may have expired, or hold too little money.",
            amount=amount,
        )
    reads = (
        _("You read on until {moment}. If it is not paid by then, the plan ends.", moment=until)
        if until
        else _(
            "You read again as soon as it is paid. If it is not paid by {moment}, the plan ends.",
            moment=lapses,
        )
    )
    rows = [(_("Plan"), voice.plan(facts)), (_("Amount"), amount), (_("To be paid until"), lapses)]
    if until:
        rows.append((_("Reads until"), until))
    return Content(
        _("Your plan could not be renewed"),
        _("The payment did not go through"),
        (why, reads),
        tuple(rows),
        (_("Pay, or change the card"), voice.link(facts)),
        (_without_signing_in(voice),),
    )


def canceled(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A plan that will not renew, or is over."""
    _ = voice.translate
    if facts["ended"]:
        return Content(
            _("Your plan is canceled"),
            _("Your plan is canceled"),
            (_("You have canceled your plan. It has ended, and nothing more is charged."),),
            ((_("Plan"), voice.plan(facts)),),
            (_("See the plan"), voice.link(facts)),
            (_without_signing_in(voice),),
        )
    until = voice.moment(facts["reads_until"])
    return Content(
        _("Your plan is canceled; you read on until {date}", date=voice.day(facts["reads_until"])),
        _("Your plan will not renew"),
        (
            _(
                "You have canceled your plan. You read on until {moment}; after that nothing is charged.",
                moment=until,
            ),
            _("Changed your mind? Until then you can take it back by the link below."),
        ),
        ((_("Plan"), voice.plan(facts)), (_("Reads until"), until)),
        (_("See or keep the plan"), voice.link(facts)),
        (_without_signing_in(voice),),
    )


def resumed(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A plan that renews after all."""
    _ = voice.translate
    return Content(
        _("Your plan renews again"),
        _("Your plan renews again"),
        (
            _(
                "You have taken your cancellation back. The next period is charged when this one ends."
            ),
        ),
        ((_("Plan"), voice.plan(facts)),),
        (_("See the plan"), voice.link(facts)),
        (_without_signing_in(voice),),
    )
