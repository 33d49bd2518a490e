"""The accounts that can receive money here, from a TOML file. Standard library only: the local start reads it too."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

DEMO_ACCOUNTS = Path(__file__).parents[1] / "demo" / "bank_accounts.toml"

#: How credits are told, as the aggregators name themselves: part of the address that a notice goes to.
SHAPES = ("sepay", "payos")

#: The bank's six digits of VietQR and its short name.
BANKS = {
    "970436": "Vietcombank",
    "970415": "VietinBank",
    "970418": "BIDV",
    "970405": "Agribank",
    "970422": "MBBank",
    "970407": "Techcombank",
    "970432": "VPBank",
    "970416": "ACB",
    "970423": "TPBank",
    "970403": "Sacombank",
}


@dataclass(frozen=True)
class Account:
    """An agency's account. ``holder`` is written as banks write it: capital letters without diacritics."""

    agency: str
    bin: str
    number: str
    holder: str

    @property
    def bank(self) -> str:
        """The bank's short name, or its digits where the name is not known."""
        return bank_name(self.bin)


def bank_name(digits: str) -> str:
    """The short name of a bank, or its digits where the name is not known."""
    return BANKS.get(digits, digits)


def load_accounts(path: Path = DEMO_ACCOUNTS) -> tuple[Account, ...]:
    """Every account of the file.

    Raises:
        ValueError: a field is missing, of another form, or an account stands there twice.
    """
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("accounts", [])
    try:
        accounts = tuple(
            Account(row["agency"], row["bin"], row["number"], row["holder"]) for row in rows
        )
    except KeyError as missing:
        raise ValueError(f"{path}: an account without {missing}") from None
    for one in accounts:
        if not re.fullmatch(r"[0-9]{6}", one.bin) or not re.fullmatch(
            r"[0-9A-Z]{6,19}", one.number
        ):
            raise ValueError(f"{path}: {one.bin} {one.number} is no account")
    if len({(one.bin, one.number) for one in accounts}) != len(accounts):
        raise ValueError(f"{path}: an account stands there twice")
    return accounts


def demo_senders() -> tuple[str, ...]:
    """``agency/kind`` of everyone who tells billing of a credit in the demo: each needs a secret."""
    agencies = dict.fromkeys(account.agency for account in load_accounts())
    return tuple(f"{agency}/{kind}" for agency in agencies for kind in SHAPES)
