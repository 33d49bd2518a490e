"""What becomes of a payer's note on its way through the banks."""

from __future__ import annotations

import re
import unicodedata

PAYER_ACCOUNT = "0123456789"


def plain(text: str) -> str:
    """Capital letters without diacritics, digits, points and single blanks."""
    letters = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    ascii_only = "".join(char for char in letters if not unicodedata.combining(char)).upper()
    return " ".join(re.sub(r"[^A-Z0-9.]", " ", ascii_only).split())


def mangled(note: str, payer: str, to: str, trace: str) -> str:
    """The note as Vietcombank prints a transfer that came from another bank."""
    return f"MBVCB.{trace}.{plain(note)}.CT tu {PAYER_ACCOUNT} {plain(payer)} toi {to}"


def as_written(note: str, payer: str) -> str:
    """The note itself; where there is none, what banks write in its place."""
    return " ".join(note.split()) or f"{plain(payer)} chuyen tien"
