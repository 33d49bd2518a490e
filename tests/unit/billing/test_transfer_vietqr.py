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


BIN = "the bank's number (BIN) is six digits"
ACC = "the account is 1 to 19 letters or digits"
NOTE = "the note is at most 25 printable ASCII characters"
SUM = "the amount is whole đồng from 1 to 9999999999999"
LAST = "the last field is the checksum, 6304…"
HEAD = "a field begins with its number and its length"

REFUSED = [
    ({"bank_bin": "97043"}, BIN),
    ({"bank_bin": "9704366"}, BIN),
    ({"bank_bin": "97043A"}, BIN),
    ({"bank_bin": "٩٧٠٤٣٦"}, BIN),
    ({"bank_bin": "970436\n"}, BIN),
    ({"account": ""}, ACC),
    ({"account": "0" * 20}, ACC),
    ({"account": "0071 000"}, ACC),
    ({"account": "tàikhoản"}, ACC),
    ({"amount_vnd": 0}, SUM),
    ({"amount_vnd": -1}, SUM),
    ({"amount_vnd": MAX_AMOUNT_VND + 1}, SUM),
    ({"amount_vnd": True}, SUM),
    ({"amount_vnd": 59000.0}, SUM),
    ({"note": "x" * 26}, NOTE),
    ({"note": "đọc báo"}, NOTE),
    ({"note": "a\nb"}, NOTE),
    ({"note": "a\x7f"}, NOTE),
]


@pytest.mark.parametrize(("wrong", "right"), REFUSED)
def test_a_refusal_says_what_would_be_right(wrong, right):
    asked = {"bank_bin": "970436", "account": "0071000888888", "amount_vnd": 1, "note": "x"} | wrong
    with pytest.raises(ValueError) as refused:
        vietqr(asked.pop("bank_bin"), asked.pop("account"), **asked)
    (found,) = wrong.values()
    assert str(refused.value) == f"{right}, not {found!r}"


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
    ("", LAST),
    ("6304", LAST),
    (PUBLISHED[:-4] + "be74", "the checksum is that of the text"),
    (PUBLISHED[:-4] + "BE75", "the checksum is that of the text"),
    (PUBLISHED + "\n", LAST),
    (fields({"00": ""}), "field 00 comes first and is 01"),
    (fields({"00": "000202"}), "field 00 comes first and is 01"),
    (sealed("010211" + "000201" + "".join(FIELDS[2:])), "field 00 comes first and is 01"),
    (fields({"01": ""}), "field 01 is 11 or 12"),
    (fields({"01": "010213"}), "field 01 is 11 or 12"),
    (fields({"38": ""}), "field 38/00 is A000000727"),
    (fields({"38": MERCHANT.replace("727", "728")}), "field 38/00 is A000000727"),
    (fields({"38": MERCHANT.replace("FTTA", "FTTC")}), "field 38/02 is QRIBFTTA"),
    (fields({"38": MERCHANT.replace("0107", "0108", 1)}), "as long as it says"),
    (fields({"38": MERCHANT.replace("01079796868", "02079796868")}), ACC),
    (fields({"38": MERCHANT.replace("9796868", "97968 8")}), ACC),
    (fields({"38": MERCHANT.replace("970407", "97040X")}), BIN),
    (fields({"53": "5303840"}), "field 53 is 704"),
    (fields({"53": ""}), "field 53 is 704"),
    (fields({"58": "5802TH"}), "field 58 is VN"),
    (fields({"more": "54010"}), "the amount is whole đồng, at most 13 digits"),
    (fields({"more": "540559.00"}), "the amount is whole đồng, at most 13 digits"),
    (fields({"more": "54140" + "1" * 13}), "the amount is whole đồng, at most 13 digits"),
    (fields({"more": "5400"}), "the amount is whole đồng, at most 13 digits"),
    (fields({"more": "62300826" + "x" * 26}), NOTE),
    (fields({"more": "62050802x"}), "as long as it says"),
    (fields({"more": "5802VN"}), "comes once"),
    (fields({"more": "59xxa"}), HEAD),
    (fields({"more": "59٠١a"}), "a payload is short ASCII"),
    (fields({"more": "5909abc"}), HEAD),
    (fields({"more": "5911abc"}), LAST),
    (fields({"more": "5912abc"}), "as long as it says"),
    (
        fields({"more": "".join(f"{n}99" + "x" * 99 for n in range(64, 70))}),
        "a payload is short ASCII",
    ),
]


@pytest.mark.parametrize(("payload", "right"), UNREADABLE)
def test_what_asks_for_no_transfer_is_refused(payload, right):
    with pytest.raises(ValueError) as refused:
        parse_vietqr(payload)
    assert f"{right}, not " in str(refused.value)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ("x" * 513, "a payload is short ASCII, not ''"),
        ("0123456789", f"{LAST}, not '23456789'"),
        (PUBLISHED[:-1] + "5", "the checksum is that of the text, not 'BE75'"),
        (sealed("000202010211"), "field 00 comes first and is 01, not '000202'"),
        (sealed("000201010213"), "field 01 is 11 or 12, not '13'"),
        (fields({"53": "5303840"}), "field 53 is 704, not '840'"),
        (fields({"58": "5802TH"}), "field 58 is VN, not 'TH'"),
        (fields({"38": "38080004ABCD"}), "field 38/00 is A000000727, not 'ABCD'"),
        (fields({"38": "38140010" + "A000000727"}), "field 38/02 is QRIBFTTA, not None"),
        (fields({"38": "38260010A0000007270208QRIBFTTA"}), f"{BIN}, not ''"),
        (fields({"38": MERCHANT.replace("01079796868", "02079796868")}), f"{ACC}, not ''"),
        (fields({"more": "54010"}), "the amount is whole đồng, at most 13 digits, not '0'"),
        (fields({"more": "62060802\t\t"}), f"{NOTE}, not '\\t\\t'"),
        (fields({"more": "5xxx"}), f"{HEAD}, not '5xxx'"),
        (fields({"more": "5999ab"}), "field 59 is as long as it says, not 'ab6304"),
        (fields({"more": "5902ab5902ab"}), "field 59 comes once, not '000201"),
    ],
)
def test_a_refusal_shows_what_was_found(payload, told):
    with pytest.raises(ValueError) as refused:
        parse_vietqr(payload)
    assert str(refused.value).startswith(told)


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
