"""Notices of SePay and payOS: whose they are, what they say, and that nothing odd is taken for money."""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.transfers.facts import CreditNotice, MalformedNoticeError
from services.billing.transfers.notices import (
    ForeignCurrencyError,
    notice_id,
    payos_holds,
    read_payos,
    read_sepay,
    sepay_holds,
)
from shared.clock import VIETNAM

SEPAY = {
    "id": 92704,
    "gateway": "Vietcombank",
    "transactionDate": "2026-11-23 14:02:37",
    "accountNumber": "0071000888888",
    "subAccount": None,
    "code": None,
    "content": "Đọc báo PR34679CFGH",
    "transferType": "in",
    "transferAmount": 59000,
    "accumulated": 19077000,
    "referenceCode": "mbvcb.3278907687",
    "description": "BankAPINotify Doc bao PR34679CFGH",
}
#: payOS's own sample, with the key and the signature that its documentation shows for it.
PUBLISHED_KEY = "1a54716c8f0efb2744fb28b6e38b25da7f67a925d98bc1c18bd8faaecadd7675"
PUBLISHED = {
    "code": "00",
    "desc": "success",
    "success": True,
    "data": {
        "orderCode": 123,
        "amount": 3000,
        "description": "VQRIO123",
        "accountNumber": "12345678",
        "reference": "TF230204212323",
        "transactionDateTime": "2023-02-04 18:25:00",
        "currency": "VND",
        "paymentLinkId": "124c33293c43417ab7879e14c8d9eb18",
        "code": "00",
        "desc": "Thành công",
        "counterAccountBankId": "",
        "counterAccountBankName": "",
        "counterAccountName": "",
        "counterAccountNumber": "",
        "virtualAccountName": "",
        "virtualAccountNumber": "",
    },
    "signature": "412e915d2871504ed31be63c8f62a149a4410d34c4c42affc9006ef9917eaa03",
}


def raw(doc: object) -> bytes:
    return json.dumps(doc, ensure_ascii=False).encode()


def sepay(**changes: object) -> bytes:
    return raw(without_missing(SEPAY | changes))


MISSING = object()


def without_missing(doc: dict) -> dict:
    return {name: value for name, value in doc.items() if value is not MISSING}


def payos(around: dict | None = None, **changes: object) -> bytes:
    data = {"orderCode": 7, "description": "PR34679CFGH", "counterAccountName": "NGUYEN VAN A"}
    data = without_missing(PUBLISHED["data"] | data | changes)
    return raw(without_missing(PUBLISHED | {"data": data} | (around or {})))


# --- whose they are


def test_sepays_key_is_one_of_those_in_force():
    body = sepay()
    assert sepay_holds({"Authorization": "Apikey new"}, body, ["old", "new"])
    assert sepay_holds({"Authorization": "Apikey new"}, body, ["new", "old"])
    assert not sepay_holds({"Authorization": "Apikey \ud800"}, body, ["old", "new"])
    assert sepay_holds({"authorization": "apikey  old "}, body, ["old", "new"])
    assert sepay_holds({"AUTHORIZATION": "Apikey khóa"}, body, ["khóa"])
    for told in (
        "",
        "new",
        "Apikey",
        "Apikey ",
        "Apikey newer",
        "Apikey ne",
        "Bearer new",
        "\ud800",
    ):
        assert not sepay_holds({"Authorization": told}, body, ["old", "new"])
    assert not sepay_holds({}, body, ["new"])
    assert not sepay_holds({"Authorization": "Apikey new"}, body, [])
    assert not sepay_holds({"Authorization": "Apikey "}, body, [""]), "no secret is no secret"


def signed(body: bytes, secret: str = "new", stamp: str = "1000000") -> dict[str, str]:
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-SePay-Signature": f"sha256={signature}", "X-SePay-Timestamp": stamp}


def test_sepays_signature_is_over_the_time_and_the_raw_body():
    body = sepay()
    headers = signed(body)
    assert sepay_holds(headers, body, ["old", "new"])
    assert sepay_holds(headers, body, ["new", "old"])
    assert sepay_holds(
        {name.lower(): value.upper() for name, value in headers.items()}, body, ["new"]
    )
    bare = headers["X-SePay-Signature"].removeprefix("sha256=")
    assert sepay_holds(headers | {"X-SePay-Signature": bare}, body, ["new"])
    assert sepay_holds(headers | {"Authorization": "Apikey wrong"}, body, ["new"])
    assert not sepay_holds(headers, body + b" ", ["new"])
    assert not sepay_holds(headers, body, ["old"])
    assert not sepay_holds(signed(body, secret=""), body, [""])
    for stamp in ("", "1000001", "-1000000", "1e6", "٣", "1" * 16, " "):
        assert not sepay_holds(headers | {"X-SePay-Timestamp": stamp}, body, ["new"])
    for stamp in ("", "-1", "1e6", "1" * 16, "²"):
        assert not sepay_holds(signed(body, stamp=stamp), body, ["new"]), "also when that is signed"
    assert sepay_holds(signed(body, stamp="1" * 15), body, ["new"])
    assert not sepay_holds({"X-SePay-Timestamp": "1000000"}, body, ["new"])
    assert not sepay_holds({"X-SePay-Signature": bare}, body, ["new"])


@pytest.mark.parametrize(("now", "holds"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_a_signed_request_of_sepays_is_refused_after_five_minutes(now, holds):
    assert sepay_holds(signed(sepay()), sepay(), ["new"], now=1_000_000 + now) is holds
    assert sepay_holds({"Authorization": "Apikey new"}, sepay(), ["new"], now=0), "a key has no age"
    assert not sepay_holds(signed(sepay(), stamp="x"), sepay(), ["new"], now=0)


def test_the_published_signature_of_payos_holds():
    assert payos_holds(raw(PUBLISHED), ["other", PUBLISHED_KEY])
    assert payos_holds(raw(PUBLISHED), [PUBLISHED_KEY, "other"])
    assert payos_holds(
        raw(PUBLISHED | {"signature": PUBLISHED["signature"].upper()}), [PUBLISHED_KEY]
    )
    assert payos_holds(raw(PUBLISHED | {"desc": "not signed"}), [PUBLISHED_KEY])
    assert not payos_holds(raw(PUBLISHED), ["other"])
    assert not payos_holds(raw(PUBLISHED), [])
    for name in PUBLISHED["data"]:
        changed = PUBLISHED | {"data": PUBLISHED["data"] | {name: "7"}}
        assert not payos_holds(raw(changed), [PUBLISHED_KEY]), name


def payos_signature(text: str, key: str = "k") -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({}, ""),
        ({"b": 1, "a": "x"}, "a=x&b=1"),
        ({"B": 1, "a": 2}, "B=1&a=2"),
        ({"a": None, "b": "null", "c": "undefined", "d": ""}, "a=&b=&c=&d="),
        ({"a": True, "b": False, "c": 0}, "a=true&b=false&c=0"),
        ({"a": 10000.0, "b": 0.5, "c": -1}, "a=10000&b=0.5&c=-1"),
        ({"a": "đọc & báo=1"}, "a=đọc & báo=1"),
        ({"a": [{"z": "đ", "b": None}, {"a": 1.0}]}, 'a=[{"b":null,"z":"đ"},{"a":1}]'),
        ({"a": {"z": 1, "b": [2, "x"]}}, 'a={"b":[2,"x"],"z":1}'),
        ({"a": []}, "a=[]"),
    ],
)
def test_payos_signs_its_data_as_sorted_pairs(data, text):
    body = raw({"data": data, "signature": payos_signature(text)})
    assert payos_holds(body, ["k"])
    assert not payos_holds(body, ["l"])


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"data":' * 5_000, raw({"signature": "x"})]
    + [raw({"data": {}}), raw({"data": [], "signature": payos_signature("")})]
    + [
        raw({"data": {}, "signature": value}) for value in (None, 1, "", "é", [payos_signature("")])
    ],
)
def test_what_is_no_notice_of_payos_is_not_signed_by_it(body):
    assert not payos_holds(body, ["k", ""])


def test_no_key_signs_nothing():
    assert not payos_holds(raw({"data": {}, "signature": payos_signature("", "")}), [""])


# --- what they say


def test_a_credit_told_by_sepay():
    assert read_sepay(sepay()) == CreditNotice(
        account="0071000888888",
        external_id="92704",
        reference="MBVCB.3278907687",
        amount_vnd=59000,
        note="Đọc báo PR34679CFGH",
        payer="",
        occurred_at=datetime(2026, 11, 23, 14, 2, 37, tzinfo=VIETNAM),
    )
    at = read_sepay(sepay()).occurred_at
    assert (at.isoformat(), at.utcoffset()) == ("2026-11-23T14:02:37+07:00", timedelta(hours=7))


def test_a_credit_told_by_payos():
    assert read_payos(payos()) == CreditNotice(
        account="12345678",
        external_id="124c33293c43417ab7879e14c8d9eb18:TF230204212323",
        reference="TF230204212323",
        amount_vnd=3000,
        note="PR34679CFGH",
        payer="NGUYEN VAN A",
        occurred_at=datetime(2023, 2, 4, 18, 25, tzinfo=VIETNAM),
    )


def test_money_that_went_out_is_no_credit():
    assert read_sepay(sepay(transferType="out")) is None
    assert read_sepay(sepay(transferType="OUT", transferAmount=-1, accountNumber=7)) is None
    assert read_sepay(sepay(transferType=" In ")) is not None


def test_what_failed_at_payos_is_no_credit():
    assert read_payos(payos({"success": False})) is None
    assert read_payos(payos({"code": "01", "data": None})) is None
    assert read_payos(payos(code="01")) is None
    assert read_payos(payos({"success": False, "code": MISSING, "data": MISSING})) is None
    for told in (payos({"success": MISSING}), payos(code=MISSING), payos(code=None)):
        assert read_payos(told) is not None, "older notices say less"


def test_payos_sample_at_registration_is_no_credit():
    assert read_payos(raw(PUBLISHED)) is None
    assert read_payos(payos(orderCode=123, description="Ma giao dich thu nghiem")) is None
    assert read_payos(payos(orderCode=124, description="VQRIO123")) is not None, "a payer wrote it"
    assert read_payos(payos(orderCode=123)) is not None, "an order like any other"


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        (59000, 59000),
        (1, 1),
        (10**15, 10**15),
        (10000.0, 10000),
        ("10000", 10000),
        ("010", 10),
        ("0" * 15 + "7", 7),
    ],
)
def test_amounts_are_whole(told, amount):
    assert read_sepay(sepay(transferAmount=told)).amount_vnd == amount
    assert read_payos(payos(amount=told)).amount_vnd == amount


ODD = [True, False, None, MISSING, 0, -1, 0.5, 10000.5, 10**15 + 1, 10**40, "", "x", "1.000"]
ODD += [
    "10000.0",
    "-1",
    "+1",
    "٣",
    "²",
    "0" * 16 + "7",
    "9" * 5000,
    [1],
    {"a": 1},
    float("inf"),
    1e300,
]


@pytest.mark.parametrize("told", ODD)
def test_an_amount_that_is_none_is_refused_by_name(told):
    with pytest.raises(MalformedNoticeError, match=r"transferAmount|body: JSON"):
        read_sepay(sepay(transferAmount=told))
    with pytest.raises(MalformedNoticeError, match=r"^amount|body: JSON"):
        read_payos(payos(amount=told))


SEPAY_WRONG = [
    ("id", ["", " ", None, MISSING, True, 1.5, [1], "x" * 101, "a\0b", 10**100]),
    ("transferType", ["", None, MISSING, "inout", 1, True, "in\0"]),
    ("accountNumber", ["", None, MISSING, 7, "a/b", "số", "1" * 35, "12\0", "- ."]),
    ("referenceCode", [7, "x" * 101, "ß" * 51, "a\0b", ["x"]]),
    ("content", [7, "a\0b", ["x"], False]),
    ("transactionDate", ["", None, MISSING, 1700000000, "2026-02-30 10:00:00", "2026-11-23T"]),
    ("transactionDate", ["0001-01-01 00:00:00", "2126-01-01 00:00:00", "2026-11-23 24:00:00"]),
    ("transactionDate", ["2026-11-23 10:60:00", "2026-11-23 10:00:60", "2026-13-01 10:00:00"]),
    ("transactionDate", ["2026-11-23 10:00:00Z", "26-11-23 10:00", "2026-1-23", "20261123"]),
    ("transactionDate", ["٢٠٢٦-11-23 10:00:00", "23/11-2026", "1999-12-31 23:59:59"]),
]


@pytest.mark.parametrize(
    ("name", "told"), [(name, value) for name, values in SEPAY_WRONG for value in values]
)
def test_what_sepay_does_not_promise_is_refused_by_name(name, told):
    with pytest.raises(MalformedNoticeError, match=f"^{name}: "):
        read_sepay(sepay(**{name: told}))


PAYOS_WRONG = [
    ("accountNumber", [7, "", None, MISSING]),
    ("reference", ["", None, MISSING, 7, "a\0"]),
    ("paymentLinkId, reference", ["x" * 101, "x" * 68]),
    ("description", [7, "\0"]),
    ("transactionDateTime", ["", None, MISSING, "yesterday"]),
    ("currency", ["", None, MISSING, 704]),
    ("counterAccountName", [7, "\0"]),
    ("code", [0, False]),
]


@pytest.mark.parametrize(
    ("name", "told"), [(name, value) for name, values in PAYOS_WRONG for value in values]
)
def test_what_payos_does_not_promise_is_refused_by_name(name, told):
    with pytest.raises(MalformedNoticeError, match=f"^{name}: ") as refused:
        read_payos(payos(**{name.split(", ")[-1]: told}))
    assert not isinstance(refused.value, ForeignCurrencyError)


@pytest.mark.parametrize(
    ("around", "name"),
    [
        ({"success": "true"}, "success"),
        ({"success": None}, "success"),
        ({"success": 0}, "success"),
        ({"code": MISSING}, "code"),
        ({"code": 0}, "code"),
        ({"code": ""}, "code"),
        ({"data": MISSING}, "data"),
        ({"data": []}, "data"),
        ({"data": None}, "data"),
    ],
)
def test_a_notice_of_payos_without_its_shape_is_refused_by_name(around, name):
    with pytest.raises(MalformedNoticeError, match=f"^{name}: "):
        read_payos(payos(around))


def test_another_currency_has_its_own_error():
    for currency in ("USD", "usd", "₫" * 500):
        with pytest.raises(ForeignCurrencyError) as refused:
            read_payos(payos(currency=currency))
        assert str(refused.value) == f"currency: VND, not {currency[:10]!r}"
    assert read_payos(payos(currency="vnd")) is not None


NO_BODY = [
    b"", b"null", b"[]", b'"x"', b"7", b"{", b"{} {}", b"\xff\xfe{}", '{"a":"é"}'.encode("latin-1"),
    b'{"a":"\\ud800"}', b'{"a":NaN}', b'{"a":1e999999}x', b"[" * 100_000, b'{"a":' * 100_000,
    b'{"a":' + b"9" * 5000 + b"}", '{"id":1}'.encode("utf-16"), b"id=1&amount=2",
]  # fmt: skip


@pytest.mark.parametrize("body", NO_BODY, ids=range(len(NO_BODY)))
def test_what_is_no_json_object_is_refused(body):
    for read in (read_sepay, read_payos):
        with pytest.raises(MalformedNoticeError, match=r"^body: "):
            read(body)
    assert notice_id("sepay", body) is None
    assert notice_id("payos", body) is None
    assert not payos_holds(body, ["k"])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(sorted(SEPAY)
                    + sorted(PUBLISHED["data"]) + ["data", "success"]) | st.text(), inner)))  # fmt: skip
def test_any_json_is_read_or_refused(doc):
    body = json.dumps(doc).encode()
    for read in (read_sepay, read_payos):
        try:
            credit = read(body)
        except MalformedNoticeError:
            continue
        assert credit is None or credit.amount_vnd > 0
    notice_id("sepay", body), notice_id("payos", body), payos_holds(body, ["k"])


def test_notes_are_kept_composed_and_cut():
    decomposed = unicodedata.normalize("NFD", "Đọc báo")
    assert read_sepay(sepay(content=f" {decomposed}\n")).note == "Đọc báo"
    assert read_sepay(sepay(content="á" * 501)).note == "á" * 500
    assert read_sepay(sepay(content="a" * 499 + " b")).note == "a" * 499
    assert read_sepay(sepay(content="x" * 50_000)).note == "x" * 500
    assert read_sepay(sepay(content=None)).note == SEPAY["description"]
    assert read_sepay(sepay(content=" ", description=MISSING)).note == ""
    assert read_payos(payos(description=decomposed)).note == "Đọc báo"
    assert read_payos(payos(description="x" * 501)).note == "x" * 500
    assert read_payos(payos(description=None)).note == ""


def test_payers_references_and_accounts_are_kept_tidy():
    assert read_payos(payos(counterAccountName=None, counterAccountNumber="0123")).payer == "0123"
    assert read_payos(payos(counterAccountName=None)).payer == ""
    assert read_payos(payos(counterAccountName="á" * 201)).payer == "á" * 200
    assert read_sepay(sepay(referenceCode=None)).reference == ""
    assert read_sepay(sepay(referenceCode=" ft26 ")).reference == "FT26"
    assert read_sepay(sepay(referenceCode="x" * 100)).reference == "X" * 100
    decomposed = unicodedata.normalize("NFD", "mã1")
    assert read_sepay(sepay(referenceCode=decomposed)).reference == "MÃ1"
    assert read_sepay(sepay(accountNumber=" 0071-000.888 888 ")).account == "0071000888888"
    assert read_sepay(sepay(accountNumber="Z" * 34)).account == "Z" * 34
    assert read_sepay(sepay(id=" a-1 ")).external_id == "a-1"
    assert read_sepay(sepay(id="x" * 100)).external_id == "x" * 100
    assert read_payos(payos(paymentLinkId=None)).external_id == "TF230204212323"
    assert read_payos(payos(reference="x" * 67)).external_id.endswith(":" + "x" * 67)


@pytest.mark.parametrize(
    ("told", "at"),
    [
        ("2026-11-23 14:02:37", "2026-11-23T14:02:37"),
        ("2026-11-23T14:02:37", "2026-11-23T14:02:37"),
        ("2026-11-23  9:02", "2026-11-23T09:02:00"),
        ("2026-11-23", "2026-11-23T00:00:00"),
        ("23/11/2026 14:02:37", "2026-11-23T14:02:37"),
        ("2028-02-29 23:59:59", "2028-02-29T23:59:59"),
        ("2000-01-01 00:00:00", "2000-01-01T00:00:00"),
        ("2099-12-31 00:00:00", "2099-12-31T00:00:00"),
    ],
)
def test_times_are_vietnams(told, at):
    assert read_sepay(sepay(transactionDate=told)).occurred_at.isoformat() == f"{at}+07:00"


def test_an_id_for_the_inbox_is_the_one_of_the_credit():
    assert notice_id("sepay", sepay()) == read_sepay(sepay()).external_id
    assert notice_id("payos", payos()) == read_payos(payos()).external_id
    assert notice_id("sepay", sepay(transferType="out", transferAmount=None)) == "92704"
    assert notice_id("payos", payos(amount="x", currency="USD")) == notice_id("payos", payos())
    assert notice_id("payos", payos({"success": False})) == notice_id("payos", payos())
    assert notice_id("sepay", sepay(id=None)) is None
    assert notice_id("sepay", sepay(transferType=MISSING)) is None
    assert notice_id("sepay", payos()) is None
    assert notice_id("payos", sepay()) is None
    assert notice_id("payos", payos(reference=None)) is None
    assert notice_id("casso", sepay()) is None
    assert notice_id("casso", payos()) is None
