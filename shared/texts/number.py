"""One form for each Vietnamese mobile number, by phonenumbers (Google's libphonenumber; numbering plan of Vietnam, circular 22/2014/TT-BTTTT)."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, PhoneNumberType

REGION, COUNTRY = "VN", 84
#: Nobody types more; a longer text is no number.
LONGEST = 40
#: Fewer are in many numbers.
FEWEST_DIGITS = 6

_PLAIN = re.compile(r"\+?[0-9][0-9 .()\-\u2010-\u2015]*|\(\+?[0-9][0-9 .()\-\u2010-\u2015]*")
#: Mobile numbers of eleven digits became ones of ten in 2018 (decision 798/QĐ-BTTTT): 016x is 03x, 012x is 07x and 08x, 018x and 019x are 05x.
_OF_ELEVEN = re.compile(r"1(?:2[0-9]|6[2-9]|8[68]|99)[0-9]{7}")


class NoMobile(StrEnum):
    """Why something is no mobile number of Vietnam."""

    LANDLINE = "landline"  # a number of Vietnam that takes no text: a landline, a service number
    FOREIGN = "foreign"
    OLD = "old"  # of eleven digits
    NONE = "none"


def looks_like_a_number(typed: str) -> bool:
    """Whether somebody meant a number: digits, and what people group them with. (No e-mail address is one.)"""
    return bool(_PLAIN.fullmatch(_clean(typed)))


def parse_mobile(typed: str) -> str | NoMobile:
    """The number as E.164 has it, however it was typed: ``0912…``, ``+84 912…``, ``84912…``, with dots, blanks and dashes."""
    text = _clean(typed)
    if len(text) > LONGEST or not _PLAIN.fullmatch(text):
        return NoMobile.NONE
    try:
        found = phonenumbers.parse(text, REGION)
    except NumberParseException:
        return NoMobile.NONE
    if found.country_code != COUNTRY:
        return NoMobile.FOREIGN if phonenumbers.is_valid_number(found) else NoMobile.NONE
    if not phonenumbers.is_valid_number(found):
        return NoMobile.OLD if _OF_ELEVEN.fullmatch(str(found.national_number)) else NoMobile.NONE
    if phonenumbers.number_type(found) != PhoneNumberType.MOBILE:
        return NoMobile.LANDLINE
    return phonenumbers.format_number(found, PhoneNumberFormat.E164)


def shown(number: str) -> str:
    """A number of ours as people here write it: ``0912 345 678``."""
    national = f"0{number.removeprefix(f'+{COUNTRY}')}"
    return f"{national[:4]} {national[4:7]} {national[7:]}"


def masked(number: str) -> str:
    """``09…678``: enough for who knows the number, and too little for who does not."""
    return f"0{number.removeprefix(f'+{COUNTRY}')[:1]}…{number[-3:]}"


def _clean(typed: str) -> str:
    """Wide digits as plain ones, without what nobody sees."""
    text = unicodedata.normalize("NFKC", typed[: LONGEST * 2]).strip()
    return "".join(one for one in text if unicodedata.category(one) not in ("Cf", "Cc"))


def digits_of(typed: str) -> str:
    """What is looked for among numbers when somebody typed one, or six digits or more of one; empty for anything else."""
    found = parse_mobile(typed)
    if not isinstance(found, NoMobile):
        return found
    digits = "".join(one for one in _clean(typed) if one.isdecimal()).removeprefix("0")
    return digits if looks_like_a_number(typed) and len(digits) >= FEWEST_DIGITS else ""
