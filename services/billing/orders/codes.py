"""The code of an order, as a reader writes it into a bank transfer's note: pure.

``PR``, eight characters of :data:`ALPHABET` and one check character: eleven in all. The
alphabet has no pairs that look alike (0 O, 1 I L, 2 Z, 5 S, 8 B, Q O, U V), no vowels (no words come about, and typing aids for
Vietnamese have nothing to put marks on; W and D, which they rewrite too, are left out) and no P: so ``PR`` never begins a second
code inside a code. 17 characters are left, a prime number, which the check character uses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import product

PREFIX = "PR"
ALPHABET = "34679CFGHJKMNRTVX"
BODY_LENGTH = 8
CODE_LENGTH = len(PREFIX) + BODY_LENGTH + 1

_VALUES = {character: value for value, character in enumerate(ALPHABET)}
#: How many of a near code's nine characters must be of the alphabet: the others were misread or mistyped.
_NEAR_ENOUGH = 7

# What banks and readers put inside a code: blanks, line ends, dots, dashes, underscores, characters without width.
_BETWEEN = r"[\s._\-\u00ad\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]"
_GAP = _BETWEEN + "{0,4}"
_GAPS = re.compile(_BETWEEN)
_CODE = re.compile(f"{PREFIX}[{ALPHABET}]{{{BODY_LENGTH + 1}}}")
_WRITTEN = re.compile(f"P{_GAP}R(?:{_GAP}[{ALPHABET}]){{{BODY_LENGTH + 1}}}")
_SIMILAR = re.compile(f"(?=(P{_GAP}R(?:{_GAP}[A-Z0-9]){{{BODY_LENGTH + 1}}}))")


def new_code(draw: Callable[[int], int]) -> str:
    """A code by chance: ``draw(n)`` gives a number from 0 to n - 1 (``secrets.randbelow``).

    There are 17^8, about seven thousand million: whoever keeps codes keeps them unique and draws again.
    """
    body = "".join(ALPHABET[draw(len(ALPHABET))] for _ in range(BODY_LENGTH))
    return PREFIX + body + _check(body)


def new_gift_code(draw: Callable[[int], int]) -> str:
    """The code of a gift, four groups of four characters: it is worth money to whoever knows it, so nobody can guess one (17^16)."""
    groups = ("".join(ALPHABET[draw(len(ALPHABET))] for _ in range(4)) for _ in range(4))
    return "-".join(groups)


def as_gift_code(text: str) -> str | None:
    """What somebody typed or pasted, as :func:`new_gift_code` writes it; None when it cannot be one."""
    plain = _GAPS.sub("", _readable(text))
    if len(plain) != 16 or any(character not in _VALUES for character in plain):
        return None
    return "-".join(plain[n : n + 4] for n in range(0, 16, 4))


def is_code(text: str) -> bool:
    """Whether this is a code in its one true form: upper case, nothing around or inside, the check character right."""
    return _CODE.fullmatch(text) is not None and _check(text[2:-1]) == text[-1]


def find_codes(note: str) -> list[str]:
    """The codes in a note, each once, in the order in which they first appear.

    Found in any case, glued to other text, with up to four blanks, dots or dashes between two characters. A code whose check
    character is wrong is never among them.
    """
    words = (_plain(match[0]) for match in _WRITTEN.finditer(_readable(note)))
    return list(dict.fromkeys(word for word in words if is_code(word)))


def near_codes(note: str) -> list[str]:
    """What looks like a code and is none, for a person to look at: in the form of a code, each once, in order of appearance.

    At least seven of the nine characters after ``PR`` are of the alphabet; what is part of a true code is left out.
    """
    text = _WRITTEN.sub(
        lambda match: "|" if is_code(_plain(match[0])) else match[0], _readable(note)
    )
    words = (_plain(match[1]) for match in _SIMILAR.finditer(text))
    return list(dict.fromkeys(word for word in words if _similar(word[2:])))


def mended_codes(near: str) -> list[str]:
    """Codes that somebody may have meant by one of :func:`near_codes`.

    With characters that no code has: those replaced. Else one character replaced, whichever it is.
    """
    characters = near[len(PREFIX) :]
    strange = [place for place, one in enumerate(characters) if one not in _VALUES]
    found = []
    for places in [strange] if strange else [[place] for place in range(len(characters))]:
        for drawn in product(ALPHABET, repeat=len(places)):
            tried = list(characters)
            for place, one in zip(places, drawn, strict=True):
                tried[place] = one
            found.append(PREFIX + "".join(tried))
    return [code for code in found if is_code(code)]


def _check(body: str) -> str:
    """The character that makes the weighted sum of the nine a multiple of 17: weights 2 to 9, and 1 for itself.

    17 is prime and the weights are different and not 0 modulo 17: so every change of one character is noticed, and every
    exchange of two different ones, neighbours or not.
    """
    total = sum(weight * _VALUES[character] for weight, character in enumerate(body, start=2))
    return ALPHABET[-total % len(ALPHABET)]


def _readable(note: str) -> str:
    return unicodedata.normalize("NFKC", note).upper()


def _plain(written: str) -> str:
    return _GAPS.sub("", written)


def _similar(characters: str) -> bool:
    return sum(character in _VALUES for character in characters) >= _NEAR_ENOUGH
