"""What is said to who has their data deleted: the code, and the last letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice


def erasure_code_content(voice: Voice, code: str) -> Content:
    """The code that confirms a deletion. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} confirms the deletion of your data", code=code)
    body = _(
        "Somebody who is signed in to your account at {agency} wants your data there deleted for good. If it is you, enter {code} on the "
        "page; it is good for 10 minutes. If it is not you, tell nobody the code, and sign out the devices you do not know on the page "
        "of your account.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def erasure_code_footer(voice: Voice, recipient: str) -> str:
    """Why somebody gets such a code."""
    _ = voice.translate
    return _(
        "You get this message because the deletion of the data of {email} at {agency} was asked for.",
        email=recipient,
        agency=voice.agency.name,
    )


def erased(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """A reader's data was deleted."""
    _ = voice.translate
    agency = voice.agency.name
    subject = _("Your data at {agency} was deleted", agency=agency)
    return Content(
        subject,
        subject,
        (
            _(
                "Your account is closed: name, e-mail address, devices, messages and cards are deleted. All devices are signed out, and "
                "what was still to be read by it is over."
            ),
            _(
                "Invoices that were issued stay as they are, with the name and address on them, as the law on accounting demands. Payments "
                "stay in the books without your name."
            ),
            _(
                "If you had a subscription, a code is kept that is made from your e-mail address and from which it cannot be read: for "
                "one purpose only, so that an introductory price or a trial is not taken twice."
            ),
        ),
        button=(_("Read on without an account"), voice.address("plans")),
        small=(_("This is our last message. This address is forgotten as soon as it was sent."),),
    )


def erased_footer(voice: Voice, recipient: str) -> str:
    """Why who has no account any more gets a letter."""
    _ = voice.translate
    return _(
        "You get this message because {email} had a reader's account at {agency}, which was deleted.",
        email=recipient,
        agency=voice.agency.name,
    )
