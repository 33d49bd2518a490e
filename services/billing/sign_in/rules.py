"""Decisions about signing in and its pace: values in, values out."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from services.billing.mailboxes.rules import DIGITS, MORE_DIGITS, Pace, whole_seconds

RESEND_AFTER = timedelta(seconds=30)
QUIET_CODES = 5  # unused codes of one mailbox in a day before codes get longer

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


def resend_in(sent_at: datetime, now: datetime) -> int:
    """Seconds until the next code may be sent; 0 when it may."""
    left = sent_at + RESEND_AFTER - now
    return whole_seconds(left) if left > timedelta(0) else 0


def digits_of_code(unused_in_a_day: int, network_is_busy: bool) -> int:
    """Six digits; eight while a mailbox or a network is asked for more than people ask.

    Guessing six digits stays worth less than one in 10 000 a day for a mailbox, without ever shutting it.
    """
    return MORE_DIGITS if unused_in_a_day >= QUIET_CODES or network_is_busy else DIGITS
