"""VietQR: the text of a QR code that asks a bank's app for a transfer to an account; written and read. Pure.

EMVCo Merchant-Presented Mode 1.1 with NAPAS' template in field 38 (VietQR 1.5.2, service QRIBFTTA: to an account).
A field is its two-digit number, its two-digit length and its value.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NAPAS = "A000000727"
TO_ACCOUNT = "QRIBFTTA"
DONG = "704"  # ISO 4217, numeric
MAX_AMOUNT_VND = 9_999_999_999_999  # field 54 has thirteen characters
MAX_NOTE = 25
_MAX_PAYLOAD = 512

_BIN = re.compile(r"[0-9]{6}")
_ACCOUNT = re.compile(r"[A-Za-z0-9]{1,19}")
_NOTE = re.compile(rf"[ -~]{{0,{MAX_NOTE}}}")
_AMOUNT = re.compile(r"[1-9][0-9]{0,12}")
_HEAD = re.compile(r"[0-9]{4}")

#: Banks by the number that NAPAS gave them (BIN). Any other is taken too: this only names them.
BANKS: Mapping[str, str] = MappingProxyType(
    {
        "970400": "Saigonbank",
        "970403": "Sacombank",
        "970405": "Agribank",
        "970407": "Techcombank",
        "970409": "Bac A Bank",
        "970412": "PVcomBank",
        "970415": "VietinBank",
        "970416": "ACB",
        "970418": "BIDV",
        "970419": "NCB",
        "970422": "MB",
        "970423": "TPBank",
        "970425": "ABBANK",
        "970426": "MSB",
        "970427": "VietABank",
        "970428": "Nam A Bank",
        "970429": "SCB",
        "970430": "PGBank",
        "970431": "Eximbank",
        "970432": "VPBank",
        "970433": "VietBank",
        "970436": "Vietcombank",
        "970437": "HDBank",
        "970438": "BaoViet Bank",
        "970440": "SeABank",
        "970441": "VIB",
        "970443": "SHB",
        "970448": "OCB",
        "970449": "LPBank",
        "970452": "Kienlongbank",
        "970454": "BVBank",
    }
)


@dataclass(frozen=True, slots=True)
class VietQR:
    """What a code asks for."""

    bank_bin: str  # six digits
    account: str  # 1 to 19 letters and digits
    amount_vnd: int | None  # above 0; None: the payer types it
    note: str  # ASCII, at most 25 characters; may be empty


def vietqr(bank_bin: str, account: str, *, amount_vnd: int | None, note: str) -> str:
    """The payload: static (anyone, any number of times) without an amount, dynamic with one.

    Raises ``ValueError`` that says what would be right. An empty note is left out.
    """
    _expect(_BIN.fullmatch(bank_bin), "the bank's number (BIN) is six digits", bank_bin)
    _expect(_ACCOUNT.fullmatch(account), "the account is 1 to 19 letters or digits", account)
    _expect(_NOTE.fullmatch(note), "the note is at most 25 printable ASCII characters", note)
    amount = ""
    if amount_vnd is not None:
        whole = type(amount_vnd) is int and 1 <= amount_vnd <= MAX_AMOUNT_VND
        _expect(whole, "the amount is whole đồng from 1 to 9999999999999", amount_vnd)
        amount = _field(54, str(amount_vnd))
    beneficiary = _field(0, bank_bin) + _field(1, account)
    merchant = _field(0, NAPAS) + _field(1, beneficiary) + _field(2, TO_ACCOUNT)
    payload = (
        _field(0, "01")
        + _field(1, "12" if amount else "11")
        + _field(38, merchant)
        + _field(53, DONG)
        + amount
        + _field(58, "VN")
        + (_field(62, _field(8, note)) if note else "")
        + "6304"
    )
    return payload + _crc(payload)


def parse_vietqr(payload: str) -> VietQR:
    """What a payload asks for. Fields that a transfer does not need (a shop's name, a city) are passed over.

    Raises ``ValueError`` for a wrong checksum, lengths that do not fit, and anything that is no transfer in đồng to an account.
    """
    _expect(payload.isascii() and len(payload) <= _MAX_PAYLOAD, "a payload is short ASCII", "")
    _expect(payload[-8:-4] == "6304", "the last field is the checksum, 6304…", payload[-8:])
    _expect(payload[-4:] == _crc(payload[:-4]), "the checksum is that of the text", payload[-4:])
    fields = _fields(payload)
    _expect("63" in fields, "the last field is the checksum, 6304…", payload[-8:])
    _expect(payload.startswith("000201"), "field 00 comes first and is 01", payload[:6])
    _expect(fields.get("01") in ("11", "12"), "field 01 is 11 or 12", fields.get("01"))
    merchant = _fields(fields.get("38", ""))
    told = (("53", fields.get("53"), DONG), ("58", fields.get("58"), "VN"))
    named = (("38/00", merchant.get("00"), NAPAS), ("38/02", merchant.get("02"), TO_ACCOUNT))
    for number, found, right in (*told, *named):
        _expect(found == right, f"field {number} is {right}", found)
    beneficiary = _fields(merchant.get("01", ""))
    bank_bin, account = beneficiary.get("00", ""), beneficiary.get("01", "")
    _expect(_BIN.fullmatch(bank_bin), "the bank's number (BIN) is six digits", bank_bin)
    _expect(_ACCOUNT.fullmatch(account), "the account is 1 to 19 letters or digits", account)
    amount = fields.get("54")
    if amount is not None:
        _expect(_AMOUNT.fullmatch(amount), "the amount is whole đồng, at most 13 digits", amount)
    note = _fields(fields.get("62", "")).get("08", "")
    _expect(_NOTE.fullmatch(note), "the note is at most 25 printable ASCII characters", note)
    return VietQR(bank_bin, account, None if amount is None else int(amount), note)


def _expect(holds: object, right: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{right}, not {found!r}")


def _field(number: int, value: str) -> str:
    return f"{number:02}{len(value):02}{value}"


def _fields(text: str) -> dict[str, str]:
    """Fields by their numbers; ``ValueError`` where a length does not fit or a number comes twice."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        head = text[at : at + 4]
        _expect(_HEAD.fullmatch(head), "a field begins with its number and its length", head)
        number, end = head[:2], at + 4 + int(head[2:])
        _expect(end <= len(text), f"field {number} is as long as it says", text[at + 4 :])
        _expect(number not in found, f"field {number} comes once", text)
        found[number] = text[at + 4 : end]
        at = end
    return found


def _crc(text: str) -> str:
    """CRC-16/CCITT-FALSE (polynomial 1021, from FFFF), four upper-case hexadecimal digits."""
    return f"{binascii.crc_hqx(text.encode('ascii'), 0xFFFF):04X}"
