"""What somebody types to find a reader: values in, values out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.billing.orders.codes import ALPHABET, CODE_LENGTH, PREFIX, find_codes

_OF_A_CODE = re.compile(f"[{ALPHABET}{PREFIX}]{{4,{CODE_LENGTH}}}")
_OF_A_NUMBER = re.compile(r"[0-9]{2}-[0-9]{1,9}|[0-9]{1,9}")
MOST_WORDS = 10


@dataclass(frozen=True, slots=True)
class Search:
    """``words`` are all to be in a reader's name or address; or ``codes`` name an order; or ``code_part`` is in the code of one,
    ``number`` in the number of an invoice. Empty parts find nothing."""

    words: tuple[str, ...]
    codes: tuple[str, ...] = ()
    code_part: str = ""
    number: str = ""


def search_of(typed: str) -> Search:
    """What is looked for when somebody has typed this: a name, an address, an order's code, an invoice's number."""
    one = re.sub(r"\s", "", typed).upper()
    plain = one.replace("-", "")
    return Search(
        tuple(typed.split()[:MOST_WORDS]),
        tuple(find_codes(typed)),
        plain if _OF_A_CODE.fullmatch(plain) and any(c not in PREFIX for c in plain) else "",
        one if _OF_A_NUMBER.fullmatch(one) else "",
    )
