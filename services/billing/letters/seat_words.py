"""What letters about groups say: an invitation, a seat or a plan that ended, a network that staff decided on; the code for a mail domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice
from services.billing.networks.rules import SEEN_FOR


def invited(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A seat that is offered to a mailbox."""
    _ = voice.translate
    agency = voice.agency.name
    subject = _("You are invited to read {agency}", agency=agency)
    return Content(
        subject,
        subject,
        (
            _(
                "{owner} pays for a plan at {agency} and offers you a seat in it: you read everything of the plan, and pay nothing.",
                owner=facts["owner"],
                agency=agency,
            ),
            _(
                "To accept, sign in with this e-mail address and a code that we send you. The invitation is good until {moment}.",
                moment=voice.moment(facts["expires_at"]),
            ),
        ),
        ((_("Plan"), str(facts["plan"][voice.language])),),
        (_("See the invitation"), voice.address(f"invitations/{facts['invitation']}")),
        (_("You do not know who this is? Then ignore this message: nothing happens."),),
    )


def invited_footer(voice: Voice, recipient: str, facts: Mapping[str, Any]) -> str:
    """Why somebody gets an invitation."""
    _ = voice.translate
    return _(
        "You get this message because {owner} wrote {email} into an invitation at {agency}.",
        owner=facts["owner"],
        email=recipient,
        agency=voice.agency.name,
    )


def seat_ended(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A seat that its owner ended, that the plan has no more, or whose reader was not seen on the network for long."""
    _ = voice.translate
    subject = _("Your seat in a group has ended")
    why = {
        "plan": _("The plan now has fewer seats, and yours is none of them."),
        "network": _(
            "You had it by the network of your company or school, and were not seen there for {days} days. "
            "When you are there again, you may take a seat on the page of the plans.",
            days=SEEN_FOR.days,
        ),
    }.get(facts["by"], _("Who pays for the plan has ended your seat."))
    return Content(
        subject,
        subject,
        (
            why,
            _("You no longer read by it. What you have paid for yourself stays as it is."),
        ),
        ((_("Plan"), str(facts["plan"][voice.language])),),
        (_("See the plans"), voice.address("plans")),
    )


def group_ended(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """The plan by which a member read has ended."""
    _ = voice.translate
    subject = _("The plan of your group has ended")
    return Content(
        subject,
        subject,
        (
            _(
                "It was paid for until {date}. You no longer read by it; if it is paid for again, so do you.",
                date=voice.day(facts["ended_at"]),
            ),
        ),
        ((_("Plan"), str(facts["plan"][voice.language])),),
        (_("See the plans"), voice.address("plans")),
    )


def network(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A range of addresses that staff have approved, refused or ended."""
    _ = voice.translate
    state, why = facts["state"], facts["why"]
    subject, body = {
        "approved": (
            _("The network {range} is approved", range=facts["range"]),
            _(
                "Whoever comes from it and signs in may take a free seat of your group on the page of the plans."
            ),
        ),
        "refused": (
            _("The network {range} is not approved", range=facts["range"]),
            _("You may ask for it again, with what was missing."),
        ),
    }.get(
        state,
        (
            _("The network {range} is used no more", range=facts["range"]),
            _(
                "Nobody takes a seat by it any more. Who has a seat by it keeps it for {days} days after they were last there.",
                days=SEEN_FOR.days,
            ),
        ),
    )
    return Content(
        subject,
        subject,
        (*((_("Reason: {why}", why=why),) if why else ()), body),
        ((_("Plan"), str(facts["plan"][voice.language])), (_("Network"), facts["range"])),
        (
            _("See your networks"),
            voice.address(f"account/seats/{facts['subscription']}/networks"),
        ),
    )


def domain_code_content(voice: Voice, code: str) -> Content:
    """The code for a mail domain. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} is the code for your mail domain", code=code)
    body = _(
        "Whoever has a mailbox of this domain may then take a free seat of the group at {agency}. "
        "The code is {code}; it is good for 10 minutes. If you do not know of this, ignore this message.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def domain_code_footer(voice: Voice, recipient: str) -> str:
    """Why somebody gets such a code."""
    _ = voice.translate
    return _(
        "You get this message because somebody wants to verify the mail domain of {email} at {agency}.",
        email=recipient,
        agency=voice.agency.name,
    )
