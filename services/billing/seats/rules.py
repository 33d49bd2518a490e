"""Decisions about groups: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

#: How long an invitation may be accepted after it was sent, how soon it may be sent again, and how often it is sent at all.
INVITED_FOR = timedelta(days=14)
SENT_AGAIN_AFTER = timedelta(minutes=10)
SENT_AT_MOST = 5
#: Letters with invitations that a group sends in a day, at least: twice its seats where that is more.
LETTERS_A_DAY = 10

#: Whoever has a mailbox there belongs to no company or school.
_PUBLIC = frozenset(
    [
        "gmail.com",
        "googlemail.com",
        "icloud.com",
        "me.com",
        "mac.com",
        "aol.com",
        "aim.com",
        "msn.com",
        "passport.com",
        "ymail.com",
        "rocketmail.com",
        "proton.me",
        "protonmail.com",
        "protonmail.ch",
        "pm.me",
        "tutanota.com",
        "tuta.io",
        "tuta.com",
        "mail.com",
        "email.com",
        "fastmail.com",
        "fastmail.fm",
        "hey.com",
        "zoho.com",
        "zohomail.com",
        "inbox.com",
        "mail.ru",
        "bk.ru",
        "list.ru",
        "inbox.ru",
        "ya.ru",
        "qq.com",
        "foxmail.com",
        "163.com",
        "126.com",
        "yeah.net",
        "sina.com",
        "naver.com",
        "daum.net",
        "hanmail.net",
        "web.de",
        "t-online.de",
        "orange.fr",
        "free.fr",
        "laposte.net",
        "wanadoo.fr",
        "comcast.net",
        "verizon.net",
        "att.net",
        "zing.vn",
        "vnn.vn",
        "fpt.vn",
        "hcm.vnn.vn",
        "hn.vnn.vn",
        "viettel.vn",
        "gmail.com.vn",
        "yopmail.com",
        "mailinator.com",
        "guerrillamail.com",
        "10minutemail.com",
        "temp-mail.org",
        "trashmail.com",
        "duck.com",
        "mozmail.com",
        "privaterelay.appleid.com",
    ]
)
#: Names under which one provider has mailboxes in many countries (yahoo.com, yahoo.com.vn, outlook.fr).
_PUBLIC_NAMES = frozenset({"yahoo", "outlook", "hotmail", "live", "gmx", "yandex"})


def domain_of(email: str) -> str:
    """The part of an address after its last ``@``, in small letters."""
    return email.rsplit("@", 1)[-1].lower()


def is_public(domain: str) -> bool:
    """Whether anybody may have a mailbox there."""
    return domain in _PUBLIC or domain.split(".", 1)[0] in _PUBLIC_NAMES


def parse_seats(text: str) -> int | None:
    """A number of seats as a form says it: None where nothing was written, 0 for what is no number."""
    typed = text.strip()
    if not typed:
        return None
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) <= 4 else 0


def held(
    stretches: Sequence[tuple[datetime, datetime]], joined_at: datetime, ended_at: datetime | None
) -> list[tuple[datetime, datetime]]:
    """What of a subscription's stretches somebody reads who joined, and left, when they did."""
    found = []
    for start, end in stretches:
        begins, ends = max(start, joined_at), end if ended_at is None else min(end, ended_at)
        if begins < ends:
            found.append((begins, ends))
    return found


def invitations_at_most(seats: int) -> int:
    """How many invitations of a group may be open: some are never answered."""
    return 2 * seats


def letters_a_day(seats: int) -> int:
    return max(LETTERS_A_DAY, 2 * seats)
