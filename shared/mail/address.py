"""One form for each e-mail address, by email-validator (RFC 5321, 5322, 6531)."""

from __future__ import annotations

import unicodedata

from email_validator import EmailNotValidError, validate_email

EMAIL_MAX = 254
#: Allowed by RFC 5322, in use by nobody's mailbox, and trouble in spreadsheets, templates and shells.
_REFUSED = frozenset('={}|`!$*?^/\\"')


def normalise_email(typed: str) -> str | None:
    """Trimmed, NFKC, in lower case; None when it cannot be an address that mail reaches over ASCII.

    Whether the mailbox exists is not asked: only mail that arrives proves that.
    """
    text = unicodedata.normalize("NFKC", typed).strip().lower()
    if len(text) > EMAIL_MAX:
        return None
    try:
        found = validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            globally_deliverable=True,
            strict=True,  # a mailbox's name of 64 characters at most (RFC 5321, 4.5.3.1.1)
        )
    except EmailNotValidError:
        return None
    if not _REFUSED.isdisjoint(found.local_part):
        return None
    return found.ascii_email if found.ascii_email == text else None
