"""What letters about offers say: a price that rises, an offer for who left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice


def price_rises(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """The next period costs more than this one: what, when, and how to cancel."""
    _ = voice.translate
    now, then = voice.vnd(facts["now_vnd"]), voice.vnd(facts["amount_vnd"])
    day, unit = voice.day(facts["ends_at"]), voice.unit(facts["period"])
    subject = _(
        "From {date} on your plan costs {amount} a {period}", date=day, amount=then, period=unit
    )
    why = (
        _(
            "Your student's address is to be verified again by then: do it in your account, and the price stays."
        )
        if facts["student"]
        else _("The time of your offer's price is over then.")
    )
    what = (
        _("On {date} {amount} is due for the next period.", date=day, amount=then)
        if facts["card"] is None
        else _(
            "On {date} your card is charged {amount}. To read on you need not do anything.",
            date=day,
            amount=then,
        )
    )
    return Content(
        subject,
        subject,
        (
            _(
                "Until then you pay {now} a {period}, from then on {then}.",
                now=now,
                then=then,
                period=unit,
            ),
            why,
            what,
            _(
                "You do not want that? Cancel before {moment} with one press on the page below. You read on until then.",
                moment=voice.moment(facts["ends_at"]),
            ),
        ),
        (
            (_("Plan"), voice.plan(facts)),
            (_("Price until then"), now),
            (_("Price from then on"), then),
            (_("First payment of it"), voice.moment(facts["ends_at"])),
            *(((_("Paid by"), facts["card"]),) if facts["card"] else ()),
        ),
        (_("See or cancel the plan"), f"{voice.link(facts)}&cancel=1"),
        (_("The link opens this plan without signing in, for 35 days: pass it on to nobody."),),
    )


def win_back(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """An offer for who left."""
    _ = voice.translate
    amount, unit = voice.vnd(facts["offer"]["amount_vnd"]), voice.unit(facts["period"])
    heading = _(
        "Read {agency} again: {amount} a {period}",
        agency=voice.agency.name,
        amount=amount,
        period=unit,
    )
    table = [(_("Plan"), voice.plan(facts)), (_("Offer"), voice.offer(facts))]
    if facts["until"]:
        table.append((_("Offered until"), voice.moment(facts["until"])))
    return Content(
        _("[AD] {what}", what=heading),  # Decree 91/2020/NĐ-CP: an advertisement is labelled
        heading,
        (
            _("Your plan has ended. If you would like to read on, this price is yours:"),
            _(
                "You see it on the page below without signing in; to take it you sign in with this address."
            ),
        ),
        tuple(table),
        (_("See the offer"), voice.back(facts)),
        (_("We write of it this once only."),),
        (_("No more offers, please"), voice.back(facts)),
    )
