"""What letters about a change of address say; and the mails to a mailbox that somebody wants to sign in with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice


def changed(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """To the old address."""
    _ = voice.translate
    return Content(
        _("The e-mail address of your account was changed – {agency}", agency=voice.agency.name),
        _("The e-mail address of your account was changed"),
        (
            _(
                "On {moment} your reader's account at {agency} was given another e-mail address. You sign in with that one now, and "
                "our letters go there.",
                moment=voice.moment(facts["changed_at"]),
                agency=voice.agency.name,
            ),
            _(
                "Was it not you? Then take the change back by the button below. It ends all sessions of the account; you need not sign in."
            ),
        ),
        (
            (_("New address"), str(facts["masked"])),
            (_("Can be taken back until"), voice.moment(facts["undo_until"])),
        ),
        (_("Take the change back"), voice.undo(facts)),
        (_("If it was you, there is nothing to do. Pass this message on to nobody."),),
    )


def undone(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """To the address that was given up again."""
    _ = voice.translate
    subject = _("A change of your e-mail address was taken back")
    return Content(
        subject,
        subject,
        (
            _(
                "On {moment} the change to this address was taken back by the mailbox that the account at {agency} had before. All its "
                "sessions were ended. You sign in with the address before it again.",
                moment=voice.moment(facts["undone_at"]),
                agency=voice.agency.name,
            ),
        ),
        button=(_("Sign in"), voice.address("sign-in")),
        small=(
            _(
                "Was this not meant to be? Then write to the newspaper: somebody else can read the mailbox of the address before."
            ),
        ),
    )


def footer(voice: Voice, recipient: str) -> str:
    """Why a mailbox gets such a letter."""
    _ = voice.translate
    return _(
        "You get this message because {email} was the address of a reader's account at {agency}. It is about that account; it is no "
        "advertising.",
        email=recipient,
        agency=voice.agency.name,
    )


def code_content(voice: Voice, code: str) -> Content:
    """The code for the new address. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} confirms your new e-mail address", code=code)
    body = _(
        "A reader of {agency} wants to sign in with this address from now on. The code is {code}; it is good for 10 minutes. If this was "
        "not you, ignore this message: nothing changes without the code.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def taken_content(voice: Voice) -> Content:
    """Instead of the code, to a mailbox that has an account. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("This address has an account already – {agency}", agency=voice.agency.name)
    return Content(
        subject,
        _("This address has an account already"),
        (
            _(
                "Somebody who is signed in at {agency} wants to give another account this e-mail address. It belongs to an account, or did "
                "until a few days ago: nothing was changed, and no code was sent.",
                agency=voice.agency.name,
            ),
            _(
                "Was it you? Then sign in with this address to see its account. Was it not you? Then there is nothing to do."
            ),
        ),
        button=(_("Sign in"), voice.address("sign-in")),
    )


def asked_footer(voice: Voice, recipient: str) -> str:
    """Why a mailbox gets such a mail."""
    _ = voice.translate
    return _(
        "You get this message because a reader of {agency} gave {email} as their new address.",
        email=recipient,
        agency=voice.agency.name,
    )
