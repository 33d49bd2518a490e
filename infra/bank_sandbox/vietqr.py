"""What a banking app reads from a VietQR (EMVCo merchant-presented QR, NAPAS profile)."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAPAS = "A000000727"
DONG = "704"


class NotVietQrError(ValueError):
    """The text is no VietQR of a bank account."""


@dataclass(frozen=True)
class VietQr:
    """Whom to pay, how much and with which note. A QR without an amount leaves it to the payer."""

    bin: str
    account: str
    amount: int | None
    note: str


def read_vietqr(payload: str) -> VietQr:
    """Read the fields that a transfer needs. The check sum is not looked at: nothing was scanned.

    Raises:
        NotVietQrError: the text is not made of EMVCo fields, or they name no bank account.
    """
    fields = _fields(payload.strip())
    napas = _fields(fields.get("38", ""))
    to = _fields(napas.get("01", ""))
    if fields.get("00") != "01" or napas.get("00") != NAPAS:
        raise NotVietQrError("no transfer QR of NAPAS")
    if fields.get("53", DONG) != DONG:
        raise NotVietQrError("another currency than đồng")
    digits, account = to.get("00", ""), to.get("01", "")
    if not re.fullmatch(r"[0-9]{6}", digits) or not re.fullmatch(r"[0-9A-Za-z]{1,19}", account):
        raise NotVietQrError("no bank account")
    amount = fields.get("54")
    if amount is not None and not re.fullmatch(r"[0-9]{1,13}", amount):
        raise NotVietQrError("an amount that is no whole đồng")
    note = _fields(fields.get("62", "")).get("08", "")
    return VietQr(digits, account, int(amount) if amount else None, note)


def _fields(text: str) -> dict[str, str]:
    """Two digits of tag, two of length, the value; to the very end."""
    found: dict[str, str] = {}
    while text:
        head = re.match(r"([0-9]{2})([0-9]{2})", text)
        if head is None or len(text) < 4 + int(head[2]) or head[1] in found:
            raise NotVietQrError("not made of EMVCo fields")
        end = 4 + int(head[2])
        found[head[1]], text = text[4:end], text[end:]
    return found
