"""What the letter with a gift says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice


def given(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A gift's code; ``code`` is among the facts when it is sent."""
    _ = voice.translate
    agency = voice.agency.name
    # In quotation marks: a stranger's words are not the newspaper's.
    message = [f"“{line}”" for line in facts["message"].split("\n") if line]
    words = (_("{giver} writes to you:", giver=facts["giver"]), *message) if message else ()
    return Content(
        _("You have been given a gift: reading {agency}", agency=agency),
        _("A gift for you"),
        (
            _("{giver} gives you a plan of {agency}.", giver=facts["giver"], agency=agency),
            *words,
            _(
                "It begins when you redeem the code: sign in with any e-mail address of yours, no card is asked for. It ends by itself."
            ),
        ),
        ((_("Plan"), voice.plan(facts)), (_("Code of the gift"), facts["code"])),
        (_("Redeem the gift"), voice.address(f"gifts?code={facts['code']}")),
        (_("Whoever has the code may redeem it, once."),),
    )


def footer(voice: Voice, recipient: str, facts: Mapping[str, Any]) -> str:
    """Why somebody gets it."""
    _ = voice.translate
    return _(
        "You get this message because {giver} had a gift of {agency} sent to {email}. It is no advertising.",
        giver=facts["giver"],
        email=recipient,
        agency=voice.agency.name,
    )
