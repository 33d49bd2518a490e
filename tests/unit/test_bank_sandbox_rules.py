"""The demo bank's rules: reading a QR, writing notes and amounts, its settings and its accounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.bank_sandbox.accounts import demo_senders, load_accounts
from infra.bank_sandbox.bank import grouped
from infra.bank_sandbox.notes import as_written, mangled, plain
from infra.bank_sandbox.pages import typed_amount
from infra.bank_sandbox.settings import BankSettings
from infra.bank_sandbox.vietqr import NotVietQrError, VietQr, read_vietqr
from infra.bank_sandbox.webhooks import payos_signature
from infra.bank_sandbox.words import WORDS
from tests.contract.bank_sandbox_fixtures import BIN, FOREIGN, NUMBER, vietqr


def test_a_qr_gives_what_a_transfer_needs():
    assert read_vietqr(vietqr(1_500, "MA DON")) == VietQr(BIN, NUMBER, 1_500, "MA DON")
    assert read_vietqr(vietqr(None)).amount is None
    assert read_vietqr(FOREIGN) == VietQr("970407", "9796868", None, "gen by sunary/vietqr")


@pytest.mark.parametrize(
    "text",
    ["", "0002", "000201", FOREIGN[:-1], FOREIGN + "00", FOREIGN.replace("A000000727", "A000000728"),
     FOREIGN.replace("5303704", "5303840"), "000201" * 2, "99" + FOREIGN[2:]],
)  # fmt: skip
def test_what_is_no_qr_of_an_account_is_refused(text):
    with pytest.raises(NotVietQrError):
        read_vietqr(text)


@given(st.text(max_size=120))
def test_any_text_is_a_qr_or_refused(text):
    try:
        read_vietqr(text)
    except NotVietQrError:
        return


def test_notes_lose_what_banks_take_away():
    assert plain("Đặt báo: BHY-7K2Q9 (năm)") == "DAT BAO BHY 7K2Q9 NAM"
    told = mangled("mã x1", "Đỗ Ân", "99 BAO", "0123")
    assert told == "MBVCB.0123.MA X1.CT tu 0123456789 DO AN toi 99 BAO"
    assert as_written("  a   b ", "x") == "a b"


@pytest.mark.parametrize(
    ("text", "amount"),
    [("59000", 59_000), ("59.000", 59_000), ("1 234 567 ₫", 1_234_567), ("59,000đ", 59_000),
     ("59.00", 0), ("-5", 0), ("5e3", 0), ("", 0), ("５", 0), ("1.2345", 0), ("59.000 VND", 59_000)],
)  # fmt: skip
def test_an_amount_is_read_as_it_is_typed(text, amount):
    assert typed_amount(text) == amount


@given(st.integers(1, 10**12))
def test_an_amount_that_is_shown_is_read_back(amount):
    assert typed_amount(grouped(amount)) == amount


def test_payos_signs_the_data_in_the_order_of_its_keys_and_nothing_as_empty():
    signed = payos_signature({"b": None, "a": 1, "c": "ý"}, "key")
    assert signed == payos_signature({"c": "ý", "a": 1, "b": ""}, "key")
    # openssl: printf 'a=1&b=&c=ý' | openssl dgst -sha256 -hmac key
    assert signed == "8534cd73ccb8ed49f70ba0fe3c724694e2a17154585911119acf3a5276e98733"


@pytest.mark.parametrize(
    "given",
    [{"billing_url": "ftp://x"}, {"webhook_secrets": "bao/sepay"}, {"webhook_secrets": "bao:x"}, {"shape": "swift"}],
)  # fmt: skip
def test_settings_that_are_wrong_are_refused(given):
    with pytest.raises(ValidationError):
        BankSettings(**given)


def test_the_demo_accounts_are_for_both_agencies_and_are_nobodys():
    accounts = load_accounts()
    assert [one.agency for one in accounts] == ["bao-hung-yen", "dai-song-hong"]
    for one in accounts:
        assert one.number.startswith("99000000") and one.holder == plain(one.holder)
        assert one.bank != one.bin, "the bank has a name"
    assert "dai-song-hong/payos" in demo_senders()


@pytest.mark.parametrize(
    "row",
    ['bin = "970436"\nnumber = "9900000001"\nholder = "X"', 'agency = "a"\nbin = "97"\nnumber = "9900000001"\nholder = "X"'],
)  # fmt: skip
def test_a_file_of_accounts_that_is_wrong_is_refused(tmp_path: Path, row: str):
    path = tmp_path / "accounts.toml"
    path.write_text(f"[[accounts]]\n{row}\n")
    with pytest.raises(ValueError, match=r"accounts\.toml"):
        load_accounts(path)
    good = '[[accounts]]\nagency = "a"\nbin = "970436"\nnumber = "9900000001"\nholder = "X"\n'
    path.write_text(good * 2)
    with pytest.raises(ValueError, match="twice"):
        load_accounts(path)


def test_both_languages_have_every_word():
    assert WORDS["vi"].keys() == WORDS["en"].keys()
