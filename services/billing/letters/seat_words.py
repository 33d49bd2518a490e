"""What letters about groups say: an invitation, a seat that ended, a plan that ended; and the code for a mail domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice


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
    """A seat that its owner ended, or that the plan has no more."""
    _ = voice.translate
    subject = _("Your seat in a group has ended")
    why = (
        _("The plan now has fewer seats, and yours is none of them.")
        if facts["by_plan"]
        else _("Who pays for the plan has ended your seat.")
    )
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
