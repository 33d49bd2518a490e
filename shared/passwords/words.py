"""What an attacker tries first of what is known of a person and of a newspaper: values in, values out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """In lower case without accents: ``Hưng Yên`` → ``hung yen``."""
    plain = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def variants(password: str) -> tuple[str, ...]:
    """The texts of which each must be hard to guess: as typed, without accents, and without the gaps as well, where what is between
    the letters is a gap and not most of the password."""
    plain = folded(password)
    joined = "".join(_WORD.findall(plain))
    return tuple(
        dict.fromkeys((password, plain, *([joined] if 2 * len(joined) >= len(plain) else [])))
    )


def guessable_words(texts: Iterable[str], product_words: Iterable[str]) -> list[str]:
    """``product_words``, and the words of names and addresses, with and without accents, each alone and joined to its neighbours."""
    found: dict[str, None] = dict.fromkeys(product_words)
    for text in texts:
        for form in (text.lower(), folded(text)):
            words = _WORD.findall(form)
            found.update(dict.fromkeys(word for word in words if len(word) > 1))
            found.update(
                dict.fromkeys(
                    "".join(words[start:end])
                    for start in range(len(words))
                    for end in range(start + 2, min(start + 5, len(words) + 1))
                )
            )
    return list(found)
