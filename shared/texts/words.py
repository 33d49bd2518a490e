"""What a text says, in one part."""

from __future__ import annotations

import unicodedata

#: Characters of one part in GSM 7 bit (3GPP TS 23.038); with one letter outside of it there are 70, and two parts are paid for.
ONE_PART = 160
NAME_MOST = 40


def plain(words: str, most: int = ONE_PART) -> str:
    """Vietnamese without its marks, as texts here are written, in ASCII; what is too long is cut."""
    bare = words.replace("đ", "d").replace("Đ", "D")
    parts = unicodedata.normalize("NFKD", bare)
    ascii_only = "".join(one for one in parts if one.isascii())
    return " ".join(ascii_only.split())[:most].rstrip()
