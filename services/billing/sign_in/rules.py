"""Decisions about codes and their limits: values in, values out."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

CODE_LIFETIME = timedelta(minutes=10)
CODE_TRIES = 5  # by the browser that asked for it, and as many by the mailbox's other browsers
RESEND_AFTER = timedelta(seconds=30)
DIGITS, MORE_DIGITS = 6, 8
QUIET_CODES = 5  # unused codes of one mailbox in a day before codes get longer
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


#: Mail to one mailbox: asked for from one network (or one browser that was signed in there before) …
MAILBOX = (Pace("mailbox", 5, 900), Pace("mailbox-day", 20, 86_400))
#: … and from all strange browsers together. A known browser is not counted here: strangers cannot lock a reader out of it.
MAILBOX_ALL = (Pace("mailbox-all", 15, 900), Pace("mailbox-all-day", 60, 86_400))
#: Asks and wrong codes of one network. Never a refusal: beyond it every browser waits a moment, once.
NETWORK = Pace("network", 40, 900)
SHORTEST_TURN, LONGEST_TURN = 5, 60  # seconds
SECONDS_PER_EXCESS = 2


def turn_seconds(ahead: timedelta) -> int:
    """How long a browser of a network waits that is ``ahead`` of the clock; 0 within the allowance."""
    excess = math.ceil((ahead - NETWORK.allowance) / NETWORK.every)
    if excess <= 0:
        return 0
    return min(LONGEST_TURN, max(SHORTEST_TURN, SECONDS_PER_EXCESS * excess))


def whole_seconds(left: timedelta) -> int:
    """For ``Retry-After``: rounded up, at least 1."""
    return max(1, math.ceil(left.total_seconds()))


def resend_in(sent_at: datetime, now: datetime) -> int:
    """Seconds until the next code may be sent; 0 when it may."""
    left = sent_at + RESEND_AFTER - now
    return whole_seconds(left) if left > timedelta(0) else 0


def digits_of_code(unused_in_a_day: int, network_is_busy: bool) -> int:
    """Six digits; eight while a mailbox or a network is asked for more than people ask.

    Guessing six digits stays worth less than one in 10 000 a day for a mailbox, without ever shutting it.
    """
    return MORE_DIGITS if unused_in_a_day >= QUIET_CODES or network_is_busy else DIGITS


def hash_code(secret: str, code_id: str, code: str) -> bytes:
    """How a code is kept: bound to its row, and useless without the server's secret."""
    return hmac.new(secret.encode(), f"sign-in|{code_id}|{code}".encode(), hashlib.sha256).digest()


def clean_code(text: str) -> str:
    """The code in what was typed or pasted: grouped, in wide digits, or with the sentence around it. Else empty."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST_PASTE]).translate(_INVISIBLE)
    for run in _RUN.findall(plain):
        digits = "".join(char for char in run if char.isdigit())
        if len(digits) in (DIGITS, MORE_DIGITS):
            return digits
    return ""
