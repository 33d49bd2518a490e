"""Billing's decisions, as tables."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from services.billing.desk.rules import Search, search_of
from services.billing.ledger import rules as ledger
from services.billing.plans import rules as plans
from services.billing.readers import rules as readers
from services.billing.renewals import rules as renewals
from services.billing.webhooks import rules as webhooks
from services.billing.webhooks.named import agency_named

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("amount", "period", "monthly"),
    [
        (19_000, "week", 82_333),
        (59_000, "month", 59_000),
        (150_000, "quarter", 50_000),
        (300_000, "half_year", 50_000),
        (590_000, "year", 49_166),
    ],
)
def test_prices_are_normalised_to_a_month(amount, period, monthly):
    assert plans.monthly(amount, period) == monthly


def test_exempt_is_not_zero_percent_and_a_missing_day_is_an_error():
    exempt = plans.VatRow(date(2025, 7, 1), None, "exempt", None)
    eight = plans.VatRow(date(2025, 7, 1), date(2027, 1, 1), "rate", 800)
    assert plans.vat_included(59_000, exempt) == 0
    assert plans.vat_included(108_000, eight) == 8_000
    assert plans.vat_included(59_000, eight) == 4_370
    for day in (date(2025, 7, 1), date(2026, 12, 31)):
        assert plans.vat_row([eight], day) is eight
    for day in (date(2025, 6, 30), date(2027, 1, 1)):
        with pytest.raises(plans.NoVatRateError, match=str(day)):
            plans.vat_row([eight], day)


@given(refund=st.integers(1, 10**9), deferred=st.integers(0, 10**9))
def test_a_refund_takes_first_what_was_not_earned_and_balances(refund, deferred):
    split = ledger.split_refund(refund, deferred)
    assert split.deferred_vnd + split.earned_vnd == refund
    assert split.deferred_vnd == min(refund, deferred)
    ledger.check_lines(split.lines("subscription", 0))


def test_a_refund_and_a_payment_go_to_the_accounts_of_the_book():
    line = ledger.Line
    assert ledger.split_refund(100, 30).lines("subscription", 0) == (
        line("deferred_subscription", 30),
        line("refunds_subscription", 70),
        line("stripe_receivable", -100),
    )
    assert ledger.split_refund(1, 30).lines("subscription", 0) == (
        line("deferred_subscription", 1),
        line("stripe_receivable", -1),
    )
    assert ledger.split_refund(5, 0).lines("subscription", 0) == (
        line("refunds_subscription", 5),
        line("stripe_receivable", -5),
    )
    assert ledger.split_refund(0, 30).lines("subscription", 3) == (
        line("vat_payable", 3),
        line("stripe_receivable", -3),
    )
    assert ledger.split_refund(40, 30).lines("subscription", 3) == (
        line("deferred_subscription", 30),
        line("refunds_subscription", 10),
        line("vat_payable", 3),
        line("stripe_receivable", -43),
    )
    assert ledger.payment_lines("subscription", 108, 8) == (
        line("stripe_receivable", 108),
        line("deferred_subscription", -100),
        line("vat_payable", -8),
    )
    assert ledger.payment_lines("subscription", 108, 0) == (
        line("stripe_receivable", 108),
        line("deferred_subscription", -108),
    )


@pytest.mark.parametrize(("refund", "deferred"), [(-1, 5), (5, -1)])
def test_amounts_that_cannot_be_refunded_are_refused(refund, deferred):
    with pytest.raises(ValueError, match=f"a refund of {refund} with {deferred} deferred"):
        ledger.split_refund(refund, deferred)


@given(gross=st.integers(1, 10**12), rate=st.none() | st.integers(1, 5_000))
def test_a_payment_with_or_without_vat_balances(gross, rate):
    """The tax is what of the price is above its net, to the nearest đồng: never all of it, whatever the price."""
    row = plans.VatRow(date(2025, 7, 1), None, "rate" if rate else "exempt", rate)
    vat = plans.vat_included(gross, row)
    net = Fraction(gross * 10_000, 10_000 + (rate or 0))
    assert abs(gross - vat - net) <= Fraction(1, 2)
    lines = ledger.payment_lines("subscription", gross, vat)
    ledger.check_lines(lines)
    assert [line.amount_vnd for line in lines] == [gross, vat - gross, -vat][: 3 if vat else 2]


@pytest.mark.parametrize("amounts", [(), (5,), (5, -4), (5, -5, 0)])
def test_lines_that_are_no_entry_are_refused(amounts):
    told = f"^{len(amounts)} lines that sum to {sum(amounts)}$"
    with pytest.raises(ledger.UnbalancedEntryError, match=told):
        ledger.check_lines(tuple(ledger.Line("bank", amount) for amount in amounts))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::9", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("unknown", "unknown"),
    ],
)
def test_tries_are_counted_by_network(address, network):
    assert readers.network_of(address) == network


ORIGINS = frozenset({"https://bao.example.vn", "http://127.0.0.1:8000"})
OWN = "https://doc.example.vn"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://bao.example.vn/bai/1?x=2", True),
        ("HTTPS://Bao.Example.VN:443/bai/1", True),
        ("https://bao.example.vn/" + "x" * (readers.LONGEST_RETURN - 23), True),
        ("https://bao.example.vn/" + "x" * (readers.LONGEST_RETURN - 22), False),
        ("https://doc.example.vn/" + "x" * (readers.LONGEST_NESTED - 23), True),
        ("https://doc.example.vn/" + "x" * (readers.LONGEST_NESTED - 22), False),
        ("https://a@bao.example.vn/", False),
        ("https://doc.example.vn/" + "x" * 2_000, True),
        ("https://doc.example.vn/" + "x" * 8_000, False),
        ("http://127.0.0.1:8000/", True),
        ("http://127.0.0.1:8001/", False),
        ("https://bao.example.vn.evil.test/", False),
        ("https://bao.example.vn@evil.test/", False),
        ("//bao.example.vn/", False),
        ("https:\\\\bao.example.vn/", False),
        ("https://bao.example.vn/\r\nSet-Cookie: a=b", False),
        ("javascript:alert(1)//https://bao.example.vn", False),
        ("https://[bad", False),
        ("", False),
    ],
)
def test_only_our_own_addresses_are_returned_to(url, safe):
    assert readers.safe_return(url, ORIGINS, OWN) == (url if safe else "")


@given(st.text(max_size=80))
def test_no_text_at_all_becomes_a_foreign_return_address(text):
    found = readers.safe_return(text, ORIGINS, OWN)
    assert not found or found.startswith((*ORIGINS, OWN))


def test_retries_wait_longer_and_longer_up_to_five_minutes():
    delays = [webhooks.delay_seconds(attempt) for attempt in range(1, 30)]
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays == sorted(delays) and delays[-1] == 300.0


def test_a_sweep_overlaps_what_was_seen_and_never_asks_for_more_than_is_kept():
    assert webhooks.sweep_from(None, NOW) == NOW - 29 * DAY
    assert webhooks.sweep_from(NOW, NOW) == NOW - timedelta(minutes=10)
    assert webhooks.sweep_from(NOW - 90 * DAY, NOW) == NOW - 29 * DAY


@given(body=st.text(max_size=200), age=st.integers(-300, 300))
def test_our_check_of_signatures_agrees_with_the_official_sdk(body, age):
    stamp = int(NOW.timestamp()) - age
    mac = stripe.WebhookSignature._compute_signature(f"{stamp}.{body}", "whsec_right")
    raw = body.encode()
    for header, holds in (
        (f"t={stamp},v1={mac}", True),
        (f"t={stamp},v1={'0' * 64},v1={mac}", True),
        (f"t={stamp},v0={mac}", False),
        (f"t={stamp + 1},v1={mac}", False),
        (f"v1={mac}", False),
    ):
        found = webhooks.signature_holds(
            raw, header, ("whsec_new", "whsec_right"), now=NOW.timestamp(), tolerance=300
        )
        assert found == holds, header
    assert not webhooks.signature_holds(
        raw, f"t={stamp},v1={mac}", ("whsec_new",), now=NOW.timestamp(), tolerance=300
    )


def signed(stamp: int | str, secret: str = "whsec_right", body: bytes = b"{}") -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


AT = int(NOW.timestamp())
GOOD, BAD = signed(AT), "0" * 64
LAST, BEYOND = 10**15 - 1, 10**15


@pytest.mark.parametrize(
    ("header", "now", "holds"),
    [
        (f"t={AT},v1={GOOD}", AT, True),
        (f" t={AT} , v1={GOOD} ", AT, True),
        (f"v1={GOOD},t={AT}", AT, True),
        (f"t={AT},v1={GOOD},v1={BAD}", AT, True),
        (f"t={AT},v0={BAD},v1={GOOD},v2={BAD}", AT, True),
        (f"t={AT}," + f"v1={BAD}," * 9 + f"v1={GOOD}", AT, True),
        (f"t={AT}," + f"v1={BAD}," * 10 + f"v1={GOOD}", AT, False),
        (f"t={AT},v1={GOOD.upper()}", AT, False),
        (f"t={AT},v1={GOOD[:-1]}", AT, False),
        (f"t={AT},v1={GOOD}=", AT, False),
        (f"t={AT},v1=\ud800", AT, False),
        (f"t={AT},v0={GOOD}", AT, False),
        (f"t={AT},t=1=2,v1={GOOD}", AT, False),
        (f"t={AT + 1},v1={GOOD}", AT, False),
        (f"t={AT}", AT, False),
        (f"v1={GOOD}", AT, False),
        ("", AT, False),
        (f"t=-{AT},v1={signed(-AT)}", -AT, False),
        (f"t={AT}.0,v1={signed(f'{AT}.0')}", AT, False),
        (f"t=²,v1={signed('²')}", 2, False),
        (f"t={LAST},v1={signed(LAST)}", LAST, True),
        (f"t={BEYOND},v1={signed(BEYOND)}", BEYOND, False),
        (f"t={AT},v1={GOOD}", AT + 300, True),
        (f"t={AT},v1={GOOD}", AT + 300.5, False),
        (f"t={AT},v1={GOOD}", AT - 300, True),
        (f"t={AT},v1={GOOD}", AT - 300.5, False),
    ],
)
@pytest.mark.parametrize(
    "secrets", [("whsec_right",), ("whsec_new", "whsec_right"), ("whsec_right", "whsec_new")]
)
def test_a_signature_holds_by_any_secret_in_force_within_its_time(header, now, holds, secrets):
    found = webhooks.signature_holds(b"{}", header, secrets, now=now, tolerance=300)
    assert found is holds
    for none_in_force in ((), ("whsec_new",)):
        assert not webhooks.signature_holds(b"{}", header, none_in_force, now=now, tolerance=300)


@given(header=st.text(max_size=80))
def test_no_header_by_chance_is_a_signature(header):
    assert not webhooks.signature_holds(
        b"{}", header, ("whsec_right",), now=NOW.timestamp(), tolerance=300
    )


def test_the_signature_is_over_the_exact_bytes():
    stamp = str(int(NOW.timestamp())).encode()
    mac = hmac.new(b"whsec", stamp + b"." + b'{"a": 1}', hashlib.sha256).hexdigest()
    header = f"t={stamp.decode()},v1={mac}"
    for body, holds in ((b'{"a": 1}', True), (b'{"a":1}', False)):
        assert (
            webhooks.signature_holds(body, header, ("whsec",), now=NOW.timestamp(), tolerance=1)
            == holds
        )


@pytest.mark.parametrize(
    ("document", "agency"),
    [
        ({"metadata": {"agency": "a"}}, "a"),
        *[({"metadata": {"agency": wrong}}, None) for wrong in ("", None, 7, ["a"])],
        ({"parent": {"subscription_details": {"metadata": {"agency": "b"}}}}, None),
        ({"metadata": None}, None),
        ({"metadata": 7}, None),
        ({"metadata": {}}, None),
        ({}, None),
    ],
)
def test_a_notification_names_its_agency_or_none(document, agency):
    assert agency_named(json.dumps({"data": {"object": document}}).encode()) == agency


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"7", b"{}", b'{"data": 7}', b'{"data": {}}', b"\xff"]
)
def test_what_cannot_be_read_names_no_agency(payload):
    assert agency_named(payload) is None


def test_a_token_is_kept_as_its_sha256():
    assert readers.hash_token("ố") == hashlib.sha256("ố".encode()).digest()


@pytest.mark.parametrize(
    ("amount", "period", "month", "saves"),
    [
        (590_000, "year", 59_000, 16),
        (708_000, "year", 59_000, 0),
        (708_001, "year", 59_000, 0),
        (800_000, "year", 59_000, 0),
        (150_000, "quarter", 59_000, 15),
        (0, "year", 59_000, 100),
        (59_000, "month", 59_000, 0),
        (19_000, "week", 59_000, 0),
        (590_000, "year", 0, 0),
    ],
)
def test_what_a_long_period_saves_of_its_months(amount, period, month, saves):
    assert plans.saving_percent(amount, period, month) == saves


@pytest.mark.parametrize(
    ("anchor", "start", "goes_on"),
    [
        (31, datetime(2027, 2, 28, 3, tzinfo=UTC), 31),
        (31, datetime(2028, 2, 29, 3, tzinfo=UTC), 31),
        (31, datetime(2028, 2, 28, 3, tzinfo=UTC), 28),
        (31, datetime(2027, 4, 30, 3, tzinfo=UTC), 31),
        (31, datetime(2027, 5, 31, 3, tzinfo=UTC), 31),
        (15, datetime(2027, 5, 15, 3, tzinfo=UTC), 15),
        (15, datetime(2027, 5, 31, 3, tzinfo=UTC), 31),
        (31, datetime(2027, 2, 27, 18, tzinfo=UTC), 31),  # the 28th in Hà Nội
        (30, datetime(2027, 4, 30, 18, tzinfo=UTC), 1),  # the first of May there
    ],
)
def test_the_day_of_the_month_lasts_through_shorter_months_only(anchor, start, goes_on):
    assert plans.anchor_of(anchor, start, ZoneInfo("Asia/Ho_Chi_Minh")) == goes_on


def test_contributions_are_taxed_by_rows_of_their_own():
    assert plans.vat_kind("contribution") == "contribution"
    assert {plans.vat_kind(kind) for kind in ("period", "pass", "article", "bundle")} == {
        "press_subscription"
    }


@pytest.mark.parametrize(
    ("left", "rate", "credit"),
    [
        (30_000, None, 30_000),
        (50_862, 800, 54_930),
        (9_000_000, 800, 9_720_000),
        (1, 800, 1),
        (0, 800, 0),
    ],
)
def test_a_credit_is_what_is_left_with_its_tax(left, rate, credit):
    assert renewals.credit_of(left, rate) == credit


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("Nguyễn  Lan", Search(("Nguyễn", "Lan"))),
        ("lan@example.vn", Search(("lan@example.vn",))),
        ("PR34679CFGH", Search(("PR34679CFGH",), ("PR34679CFGH",), "PR34679CFGH")),
        ("pr34 679c-fgh", Search(("pr34", "679c-fgh"), ("PR34679CFGH",), "PR34679CFGH")),
        ("679c", Search(("679c",), (), "679C")),
        ("67-9c", Search(("67-9c",), (), "679C")),
        ("679", Search(("679",), (), "", "679")),
        ("PRPR", Search(("PRPR",))),
        ("26-000123", Search(("26-000123",), (), "", "26-000123")),
        ("26 - 123", Search(("26", "-", "123"), (), "", "26-123")),
        ("6734", Search(("6734",), (), "6734", "6734")),
        ("1234567890", Search(("1234567890",))),
        (" ".join("abcdefghijkl"), Search(tuple("abcdefghij"))),
        ("", Search(())),
    ],
)
def test_what_is_looked_for_when_staff_typed_something(typed, found):
    assert search_of(typed) == found
