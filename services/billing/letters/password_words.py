"""What a reader is told about their password; and the mail with the code for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.billing.letters.voice import Content, Voice


def told(voice: Voice, facts: Mapping[str, Any]) -> Content:
    """It was set, changed, removed, or removed with a change of address."""
    _ = voice.translate
    agency = voice.agency.name
    subjects = {
        "set": _("A password was set for your account – {agency}", agency=agency),
        "changed": _("The password of your account was changed – {agency}", agency=agency),
        "removed": _("The password of your account was removed – {agency}", agency=agency),
        "undone": _("The password of your account was removed – {agency}", agency=agency),
    }
    what = {
        "set": _(
            "From now on you sign in with your e-mail address and this password, or with a code as before."
        ),
        "changed": _(
            "The password before works no more, and your other devices were signed out. A code signs you in as before."
        ),
        "removed": _(
            "You sign in with a code from this mailbox again. Your other devices were signed out."
        ),
        "undone": _(
            "A change of your e-mail address was taken back, and the password went with it: whoever made the change may have known it. "
            "You sign in with a code from this mailbox, and may then set another one."
        ),
    }
    act = str(facts["act"])
    table = (
        (_("When"), voice.moment(facts["at"])),
        *([(_("Device"), str(facts["device"]))] if facts["device"] else []),
    )
    button = (_("Go to the password"), voice.address("account/password"))
    if act == "undone":
        return Content(subjects[act], _("Your password was removed"), (what[act],), table, button)
    headings = {
        "set": _("A password was set for your account"),
        "changed": _("The password of your account was changed"),
        "removed": _("The password of your account was removed"),
    }
    not_you = _(
        "Was it not you? Then sign in with a code, set another password by a code, and your other devices are signed out. Whoever did this "
        "could read this mailbox or knew your password: change the password of the mailbox too."
    )
    return Content(subjects[act], headings[act], (what[act], not_you), table, button)


def code_content(voice: Voice, code: str) -> Content:
    """The code for setting or removing a password. It is sent at once and never kept as a letter."""
    _ = voice.translate
    subject = _("{code} is your code for the password", code=code)
    body = _(
        "Somebody who is signed in to your account at {agency} wants to set or remove its password. If it is you, enter {code} on the page; "
        "it is good for 10 minutes. If it is not you, tell nobody the code, and sign out the devices you do not know on the page of "
        "your account.",
        agency=voice.agency.name,
        code=code,
    )
    return Content(subject, subject, (body,))


def code_footer(voice: Voice, recipient: str) -> str:
    """Why somebody gets such a code."""
    _ = voice.translate
    return _(
        "You get this message because a code for the password of {email} at {agency} was asked for.",
        email=recipient,
        agency=voice.agency.name,
    )
