"""What letters about a mobile number say, and the texts to it: codes, and what a number is told in the place of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice
from shared.texts import Text
from shared.texts.words import NAME_MOST, plain


def added(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    former = facts["former"]
    return Content(
        _("A mobile number signs in to your account – {agency}", agency=voice.agency.name),
        _("A mobile number signs in to your account"),
        (
            _(
                "On {moment} your reader's account at {agency} was given a mobile number. You sign in with this e-mail address or with the "
                "number from now on; letters still go here.",
                moment=voice.moment(facts["at"]),
                agency=voice.agency.name,
            ),
            _(
                "Was it not you? Then sign in with this e-mail address and remove the number. Whoever came in by it is signed out."
            ),
        ),
        (
            (_("Mobile number"), str(facts["masked"])),
            *(((_("In the place of"), str(former)),) if former else ()),
        ),
        (_("See the mobile number"), voice.address("account/phone")),
        (
            _(
                "If you give the number up one day, remove it first: operators give numbers to new people."
            ),
        ),
    )


def removed(voice: Voice, facts: Mapping[str, Any]) -> Content:
    _ = voice.translate
    why = (
        _(
            "Somebody who had signed in by the number said that the number is theirs and the account is not. That may be who has the number "
            "now: operators give numbers to new people."
        )
        if facts["by_number"]
        else _("Whoever came in by the number is signed out.")
    )
    return Content(
        _("Your mobile number signs in no more – {agency}", agency=voice.agency.name),
        _("Your mobile number signs in no more"),
        (
            _(
                "On {moment} the mobile number was removed from your reader's account at {agency}. You sign in with this e-mail address.",
                moment=voice.moment(facts["at"]),
                agency=voice.agency.name,
            ),
            why,
        ),
        ((_("Mobile number"), str(facts["masked"])),),
        voice.account(),
    )


def sign_in_text(voice: Voice, number: str, code: str) -> Text:
    """A sign-in code."""
    _ = voice.translate
    words = _(
        "{code} is your sign-in code for {agency}, good for 10 minutes. Give it to nobody. Not asked for? Ignore this.",
        code=code,
        agency=_name(voice),
    )
    return Text(number, plain(words))


def add_text(voice: Voice, number: str, code: str) -> Text:
    """The code that makes a number a reader's."""
    _ = voice.translate
    words = _(
        "{code} adds this number to an account at {agency}, within 10 minutes. Give it to nobody. Not you? Ignore this.",
        code=code,
        agency=_name(voice),
    )
    return Text(number, plain(words))


def taken_text(voice: Voice, number: str) -> Text:
    """In the place of that code, to a number that has an account."""
    _ = voice.translate
    words = _(
        "{agency}: somebody wants to add this number to their account, but it signs in to another one. Nothing was changed.",
        agency=_name(voice),
    )
    return Text(number, plain(words))


def mailbox_code_content(voice: Voice, code: str) -> Content:
    """A code by which the mailbox confirms who came in by the number. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} confirms that the account is yours", code=code)
    body = _(
        "Somebody who signed in to your account at {agency} by your mobile number wants to change it, or to have a copy of its data. The "
        "code is {code}; it is good for 10 minutes. If this was not you, give it to nobody, and remove the number from your account.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def _name(voice: Voice) -> str:
    return plain(voice.agency.name, NAME_MOST)
