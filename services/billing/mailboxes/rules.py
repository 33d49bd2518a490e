"""What a code is and how long it is good; how many a mailbox gets: values in, values out."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta

CODE_LIFETIME = timedelta(minutes=10)
CODE_TRIES = 5
#: More digits where a right guess is worth more, or guessing is to be expected.
DIGITS, MORE_DIGITS = 6, 8
LONGEST_PASTE = 400

_RUN = re.compile(r"[0-9](?:[ .\-\u2010-\u2015]?[0-9])*")
_INVISIBLE = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0xAD))


@dataclass(frozen=True, slots=True)
class Pace:
    """``burst`` times at once, then one more each ``seconds / burst``: a window that slides with the clock.

    (The generic cell rate algorithm, ITU-T I.371: one instant a bucket says all.)
    """

    name: str
    burst: int
    seconds: int

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.seconds / self.burst)

    @property
    def allowance(self) -> timedelta:
        """How far ahead of the clock a bucket may run."""
        return timedelta(seconds=self.seconds)


#: Mail to one mailbox: asked for from one network (or by one reader, or one browser that was signed in there before) …
MAILBOX = (Pace("mailbox", 5, 900), Pace("mailbox-day", 20, 86_400))
#: … and from all strangers together. A known browser is not counted here: strangers cannot lock a reader out of it.
MAILBOX_ALL = (Pace("mailbox-all", 15, 900), Pace("mailbox-all-day", 60, 86_400))
#: Codes that one signed-in reader has sent to mailboxes that they name.
READER = Pace("mailbox-reader", 10, 86_400)
#: The same of texts to one mobile number: each is paid for.
NUMBER = (Pace("number", 3, 3_600), Pace("number-day", 6, 86_400))
NUMBER_ALL = (Pace("number-all", 5, 3_600), Pace("number-all-day", 10, 86_400))
NUMBER_READER = Pace("number-reader", 5, 86_400)


def texts(a_day: int) -> Pace:
    """Texts of one agency: what somebody who has them sent to many numbers, for a share of their price, can make it pay."""
    return Pace("texts", a_day, 86_400)


def is_number(sent_to: str) -> bool:
    """Whether a code went to a mobile number (E.164), and not to a mailbox."""
    return "@" not in sent_to


def whole_seconds(left: timedelta) -> int:
    """For ``Retry-After``: rounded up, at least 1."""
    return max(1, math.ceil(left.total_seconds()))


def mailbox_of(address: str) -> str:
    """The address without the tag that its provider leaves out (``lan+2@…``)."""
    name, _, host = address.rpartition("@")
    return f"{name.partition('+')[0]}@{host}"


def hash_code(secret: str, purpose: str, id_: str, code: str) -> bytes:
    """How a code is kept: bound to its purpose and its row, and useless without the server's secret."""
    return hmac.new(secret.encode(), f"{purpose}|{id_}|{code}".encode(), hashlib.sha256).digest()


def clean_code(text: str) -> str:
    """The code in what was typed or pasted: grouped, in wide digits, or with the sentence around it. Else empty."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST_PASTE]).translate(_INVISIBLE)
    for run in _RUN.findall(plain):
        digits = "".join(char for char in run if char.isdigit())
        if len(digits) in (DIGITS, MORE_DIGITS):
            return digits
    return ""
