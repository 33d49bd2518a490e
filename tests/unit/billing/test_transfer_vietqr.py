"""VietQR payloads: the published one byte for byte, what is refused, and that what is written is read."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.transfers.vietqr import BANKS, MAX_AMOUNT_VND, VietQR, parse_vietqr, vietqr

PUBLISHED = (
    "00020101021138510010A00000072701210006970407010797968680208QRIBFTTA"
    "53037045802VN62240820gen by sunary/vietqr6304BE74"
)


def test_the_published_payload_comes_out_byte_for_byte():
    assert vietqr("970407", "9796868", amount_vnd=None, note="gen by sunary/vietqr") == PUBLISHED
    assert parse_vietqr(PUBLISHED) == VietQR("970407", "9796868", None, "gen by sunary/vietqr")


def test_with_an_amount_the_code_is_dynamic():
    payload = vietqr("970436", "0071000888888", amount_vnd=59000, note="PR34679CFGH")
    assert payload == sealed(
        "000201010212"
        "38570010A00000072701270006970436011300710008888880208QRIBFTTA"
        "53037045405590005802VN62150811PR34679CFGH"
    )


def test_the_checksum_is_the_one_of_the_standard():
    """CRC-16/CCITT-FALSE of "123456789" is 29B1."""
    assert sealed("123456789", seal="") == "12345678929B1"


def crc(text: str) -> str:
    """Bit by bit, as the standard describes it."""
    value = 0xFFFF
    for byte in text.encode():
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ 0x1021 if value & 0x8000 else value << 1
        value &= 0xFFFF
    return f"{value:04X}"


def sealed(text: str, seal: str = "6304") -> str:
    return text + seal + crc(text + seal)


bins = st.text(string.digits, min_size=6, max_size=6)
accounts = st.text(string.ascii_letters + string.digits, min_size=1, max_size=19)
amounts = st.none() | st.integers(1, MAX_AMOUNT_VND)
notes = st.text([chr(code) for code in range(32, 127)], max_size=25)


@given(bins, accounts, amounts, notes)
def test_what_is_written_is_read(bank_bin, account, amount_vnd, note):
    payload = vietqr(bank_bin, account, amount_vnd=amount_vnd, note=note)
    assert parse_vietqr(payload) == VietQR(bank_bin, account, amount_vnd, note)
    assert payload == sealed(payload[:-8])


@given(st.integers(0, len(PUBLISHED) - 1), st.sampled_from(string.printable))
def test_any_changed_character_is_noticed(place, character):
    changed = PUBLISHED[:place] + character + PUBLISHED[place + 1 :]
    if changed != PUBLISHED:
        with pytest.raises(ValueError):
            parse_vietqr(changed)


REFUSED = [
    ({"bank_bin": "97043"}, "six digits, not '97043'"),
    ({"bank_bin": "9704366"}, "six digits"),
    ({"bank_bin": "97043A"}, "six digits"),
    ({"bank_bin": "٩٧٠٤٣٦"}, "six digits"),
    ({"bank_bin": "970436\n"}, "six digits"),
    ({"account": ""}, "1 to 19 letters or digits"),
    ({"account": "0" * 20}, "1 to 19 letters or digits"),
    ({"account": "0071 000"}, "1 to 19 letters or digits"),
    ({"account": "tàikhoản"}, "1 to 19 letters or digits"),
    ({"amount_vnd": 0}, "from 1 to 9999999999999"),
    ({"amount_vnd": -1}, "from 1 to 9999999999999"),
    ({"amount_vnd": MAX_AMOUNT_VND + 1}, "from 1 to 9999999999999"),
    ({"amount_vnd": True}, "from 1 to 9999999999999"),
    ({"amount_vnd": 59000.0}, "from 1 to 9999999999999"),
    ({"note": "x" * 26}, "at most 25 printable ASCII"),
    ({"note": "đọc báo"}, "at most 25 printable ASCII"),
    ({"note": "a\nb"}, "at most 25 printable ASCII"),
    ({"note": "a\x7f"}, "at most 25 printable ASCII"),
]


@pytest.mark.parametrize(("wrong", "right"), REFUSED)
def test_a_refusal_says_what_would_be_right(wrong, right):
    asked = {"bank_bin": "970436", "account": "0071000888888", "amount_vnd": 1, "note": "x"} | wrong
    with pytest.raises(ValueError, match=right):
        vietqr(asked.pop("bank_bin"), asked.pop("account"), **asked)


def test_the_limits_themselves_are_taken():
    payload = vietqr("970436", "Z" * 19, amount_vnd=MAX_AMOUNT_VND, note="~" * 25)
    assert parse_vietqr(payload) == VietQR("970436", "Z" * 19, MAX_AMOUNT_VND, "~" * 25)
    assert "6229" not in vietqr("970436", "1", amount_vnd=1, note="")
    assert vietqr("970436", "1", amount_vnd=1, note="")[-10:-4] == "VN6304"


MERCHANT = "38510010A00000072701210006970407010797968680208QRIBFTTA"
FIELDS = ["000201", "010211", MERCHANT, "5303704", "5802VN"]


def fields(changes: dict[str, str]) -> str:
    return sealed("".join(changes.get(one[:2], one) for one in FIELDS) + changes.get("more", ""))


UNREADABLE = [
    ("", "last field"),
    ("6304", "last field"),
    (PUBLISHED[:-4] + "be74", "checksum"),
    (PUBLISHED[:-4] + "BE75", "checksum"),
    (PUBLISHED + "\n", "last field"),
    (fields({"00": ""}), "field 00 comes first"),
    (fields({"00": "000202"}), "field 00 comes first"),
    (sealed("010211" + "000201" + "".join(FIELDS[2:])), "field 00 comes first"),
    (fields({"01": ""}), "field 01 is 11 or 12, not None"),
    (fields({"01": "010213"}), "field 01"),
    (fields({"38": ""}), "field 38 is NAPAS"),
    (fields({"38": MERCHANT.replace("727", "728")}), "field 38 is NAPAS"),
    (fields({"38": MERCHANT.replace("FTTA", "FTTC")}), "QRIBFTTA"),
    (fields({"38": MERCHANT.replace("0107", "0108", 1)}), "as long as it says"),
    (fields({"38": MERCHANT.replace("01079796868", "02079796868")}), "1 to 19 letters"),
    (fields({"38": MERCHANT.replace("9796868", "97968 8")}), "1 to 19 letters"),
    (fields({"38": MERCHANT.replace("970407", "97040X")}), "six digits"),
    (fields({"53": "5303840"}), "field 53 is 704"),
    (fields({"53": ""}), "field 53 is 704"),
    (fields({"58": "5802TH"}), "field 58 is VN"),
    (fields({"more": "54010"}), "whole đồng"),
    (fields({"more": "540559.00"}), "whole đồng"),
    (fields({"more": "54140" + "1" * 13}), "whole đồng"),
    (fields({"more": "5400"}), "whole đồng"),
    (fields({"more": "62300826" + "x" * 26}), "at most 25 printable"),
    (fields({"more": "62050802x"}), "as long as it says"),
    (fields({"more": "5802VN"}), "comes once"),
    (fields({"more": "59xxa"}), "its number and its length"),
    (fields({"more": "59٠١a"}), "short ASCII"),
    (fields({"more": "5909abc"}), "its number and its length"),
    (fields({"more": "5911abc"}), "last field"),
    (fields({"more": "5912abc"}), "as long as it says"),
    (fields({"more": "".join(f"{n}99" + "x" * 99 for n in range(64, 70))}), "short ASCII"),
]


@pytest.mark.parametrize(("payload", "right"), UNREADABLE)
def test_what_asks_for_no_transfer_is_refused(payload, right):
    with pytest.raises(ValueError, match=right):
        parse_vietqr(payload)


def test_fields_of_others_are_passed_over():
    payload = fields({"more": "5906TOASOA6005HANOI" + "64" + "99" + "x" * 99})
    assert parse_vietqr(payload) == VietQR("970407", "9796868", None, "")
    payload = fields({"01": "010212", "more": "62170305DH42 0804NOTE"})
    assert parse_vietqr(payload).note == "NOTE"
    assert (
        len(fields({"more": "".join(f"{n}87" + "x" * 87 for n in range(64, 68)) + "6800"})) <= 512
    )


def test_a_payload_of_the_greatest_length_is_read():
    room = 512 - len(fields({})) - 5 * 4
    sizes = [99, 99, 99, 90, room - 387]
    more = "".join(f"{n}{size:02}" + "x" * size for n, size in enumerate(sizes, start=64))
    assert len(fields({"more": more})) == 512
    assert parse_vietqr(fields({"more": more})).account == "9796868"
    longer = more.replace("6790", "6791x")
    with pytest.raises(ValueError, match="short ASCII"):
        parse_vietqr(fields({"more": longer}))


def test_banks_are_named_by_six_digits():
    assert BANKS["970436"] == "Vietcombank"
    assert all(len(number) == 6 and number.isdigit() for number in BANKS)
    assert len(set(BANKS.values())) == len(BANKS) >= 18
