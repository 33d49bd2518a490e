"""The sandbox's pure parts: periods, cards, parameters, words."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.stripe_sandbox.balance import fee_of
from infra.stripe_sandbox.cards import TEST_CARDS, decide, passes_luhn, problem_with
from infra.stripe_sandbox.checkout_pages import expiry
from infra.stripe_sandbox.control_words import CONTROL
from infra.stripe_sandbox.debits import TEST_ACCOUNTS
from infra.stripe_sandbox.errors import StripeError
from infra.stripe_sandbox.outbox import pause
from infra.stripe_sandbox.params import Params, parse_form
from infra.stripe_sandbox.periods import boundary, next_boundary
from infra.stripe_sandbox.scope import changed
from infra.stripe_sandbox.settings import SandboxSettings
from infra.stripe_sandbox.web import origin_of, policy
from infra.stripe_sandbox.words import WORDS, dong, language, money


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("anchor", "interval", "count", "periods", "expected"),
    [
        (at(2026, 1, 31), "month", 1, 1, at(2026, 2, 28)),
        (at(2026, 1, 31), "month", 1, 2, at(2026, 3, 31)),
        (at(2026, 1, 31), "month", 1, 3, at(2026, 4, 30)),
        (at(2028, 1, 31), "month", 1, 1, at(2028, 2, 29)),
        (at(2026, 11, 30), "month", 3, 1, at(2027, 2, 28)),
        (at(2026, 11, 30), "month", 3, 2, at(2027, 5, 30)),
        (at(2028, 2, 29), "year", 1, 1, at(2029, 2, 28)),
        (at(2028, 2, 29), "year", 1, 4, at(2032, 2, 29)),
        (at(2026, 12, 28), "week", 1, 1, at(2027, 1, 4)),
        (at(2026, 1, 1, 23, 59), "day", 1, 59, at(2026, 3, 1, 23, 59)),
    ],
)
def test_a_boundary_is_counted_from_its_anchor(
    anchor: int, interval: str, count: int, periods: int, expected: int
) -> None:
    assert boundary(anchor, interval, count, periods) == expected


@given(
    anchor=st.integers(min_value=at(2000, 1, 1), max_value=at(2100, 1, 1)),
    interval=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(min_value=1, max_value=12),
    gone=st.integers(min_value=0, max_value=20 * 366 * 86_400),
)
def test_the_next_boundary_is_the_first_one_later(
    anchor: int, interval: str, count: int, gone: int
) -> None:
    after = anchor + gone
    found = next_boundary(anchor, interval, count, after)
    periods = 0
    while boundary(anchor, interval, count, periods) <= after:
        periods += 1
    assert found == boundary(anchor, interval, count, periods)


@given(
    anchor=st.integers(min_value=at(2000, 1, 1), max_value=at(2100, 1, 1)),
    interval=st.sampled_from(["day", "week", "month", "year"]),
    count=st.integers(min_value=1, max_value=12),
)
def test_periods_follow_each_other_and_keep_the_anchor_day(
    anchor: int, interval: str, count: int
) -> None:
    day = datetime.fromtimestamp(anchor, UTC).day
    moment = anchor
    for _ in range(14):
        following = next_boundary(anchor, interval, count, moment)
        assert following > moment
        moment = following
        landed = datetime.fromtimestamp(moment, UTC).day
        if interval in {"month", "year"}:
            assert landed == day or (landed < day and landed >= 28)


def test_every_test_card_has_a_right_check_digit() -> None:
    assert all(passes_luhn(number) for number in TEST_CARDS)


@given(st.integers(min_value=10**15, max_value=10**16 - 2))
def test_a_check_digit_catches_one_wrong_digit(number: int) -> None:
    text = str(number)
    if passes_luhn(text):
        assert not passes_luhn(text[:-1] + str((int(text[-1]) + 1) % 10))


@pytest.mark.parametrize(
    ("number", "off_session", "authenticated", "expected"),
    [
        ("4242424242424242", False, False, "succeed"),
        ("4242424242424242", True, False, "succeed"),
        ("4000000000000002", False, False, "decline"),
        ("4000000000009995", True, False, "decline"),
        ("4000002500003155", False, False, "challenge"),
        ("4000002500003155", False, True, "succeed"),
        ("4000002500003155", True, False, "succeed"),
        ("4000002760003184", False, False, "challenge"),
        ("4000002760003184", False, True, "succeed"),
        ("4000002760003184", True, False, "decline"),
        ("4000000000000341", False, False, "succeed"),
        ("4000000000000341", True, False, "decline"),
    ],
)
def test_a_card_does_what_its_number_says(
    number: str, off_session: bool, authenticated: bool, expected: str
) -> None:
    card = TEST_CARDS[number]
    assert decide(card, off_session=off_session, authenticated=authenticated)[0] == expected


def test_a_card_that_nobody_agreed_to_charge_later_needs_its_holder() -> None:
    card = TEST_CARDS["4000002500003155"]
    verdict, decline = decide(card, off_session=True, authenticated=False, set_up=False)
    assert (verdict, decline.code) == ("decline", "authentication_required")


@pytest.mark.parametrize(
    ("number", "month", "year", "cvc", "expected"),
    [
        ("4242424242424242", 6, 2026, "123", None),
        ("4242424242424242", 5, 2026, "123", "invalid_expiry"),
        ("4242424242424242", 12, 2025, "123", "invalid_expiry"),
        ("4242424242424242", 0, 2030, "123", "invalid_expiry"),
        ("4242424242424242", 1, 2199, "123", "invalid_expiry"),
        ("4242424242424242", 1, 2030, "12", "invalid_cvc"),
        ("4242424242424242", 1, 2030, "12a", "invalid_cvc"),
        ("4242424242424241", 1, 2030, "123", "incorrect_number"),
        ("", 1, 2030, "123", "incorrect_number"),
        ("4539578763621486", 1, 2030, "123", "not_a_test_card"),
    ],
)
def test_the_first_thing_wrong_with_a_card_is_named(
    number: str, month: int, year: int, cvc: str, expected: str | None
) -> None:
    assert problem_with(number, month, year, cvc, today=(2026, 6)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12 / 34", (12, 2034)),
        ("1234", (12, 2034)),
        ("12/2034", (12, 2034)),
        ("1/34", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_an_expiry_is_read_however_it_is_written(text: str, expected: tuple[int, int]) -> None:
    assert expiry(text) == expected


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a[b]=1&a[c][0]=2&a[c][1]=3", {"a": {"b": "1", "c": ["2", "3"]}}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("l[1][x]=b&l[0][x]=a", {"l": [{"x": "a"}, {"x": "b"}]}),
        ("metadata[0]=x&metadata[7]=y", {"metadata": {"0": "x", "7": "y"}}),
        ("n=G%C3%B3i+%C4%91%E1%BB%8Dc", {"n": "Gói đọc"}),
    ],
)
def test_the_bracketed_encoding_is_read(encoded: str, expected: object) -> None:
    assert parse_form(encoded) == expected


def test_a_name_cannot_be_a_value_and_an_object_at_once() -> None:
    with pytest.raises(StripeError):
        parse_form("a=1&a[b]=2")


def test_what_nobody_reads_is_refused_by_its_full_name() -> None:
    params = Params({"known": "1", "inside": {"known": "1", "other": "2"}})
    params.text("known")
    inside = params.child("inside")
    assert inside is not None
    inside.text("known")
    with pytest.raises(StripeError) as refused:
        params.finish()
    assert refused.value.param == "inside[other]"


def test_an_empty_metadata_value_removes_its_key() -> None:
    params = Params({"metadata": {"a": "", "b": "2"}})
    assert params.metadata({"a": "1", "c": "3"}) == {"b": "2", "c": "3"}


@pytest.mark.parametrize("metadata", ["x", {"a": "v" * 501}, {"n" * 41: "v"}, {"a": {"b": "c"}}])
def test_metadata_keeps_its_limits(metadata: object) -> None:
    with pytest.raises(StripeError):
        Params({"metadata": metadata}).metadata()


def test_previous_attributes_hold_only_what_changed() -> None:
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}
    after = {"a": 1, "b": {"c": 5, "d": 2}, "e": [2], "f": None}
    assert changed(before, after) == {"b": {"c": 1}, "e": [1]}


@pytest.mark.parametrize(
    ("amount", "points", "fee"),
    [(59_000, 290, 1_711), (0, 290, 0), (1_000, 5, 1), (999, 5, 0), (10_000, 10_000, 10_000)],
)
def test_a_fee_is_rounded_half_up(amount: int, points: int, fee: int) -> None:
    assert fee_of(amount, points) == fee


def test_pauses_double_up_to_five_minutes() -> None:
    assert [pause(attempts, 1) for attempts in (1, 2, 3, 9, 10, 500)] == [1, 2, 4, 256, 300, 300]


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0 ₫"), (59_000, "59.000 ₫"), (1_234_567, "1.234.567 ₫")]
)
def test_a_sum_is_written_the_vietnamese_way(amount: int, text: str) -> None:
    assert dong(amount) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(59_000, "vnd", "59.000 ₫"), (59_000, "usd", "US$590.00"), (-105, "eur", "-€1.05")],
)
def test_a_sum_is_written_in_its_currency(amount: int, currency: str, text: str) -> None:
    assert money(amount, currency) == text


def test_both_languages_have_the_same_words() -> None:
    for words in (WORDS, CONTROL):
        assert words["vi"].keys() == words["en"].keys()
    labels = {one.label for one in (*TEST_CARDS.values(), *TEST_ACCOUNTS.values())}
    assert labels <= WORDS["vi"].keys()


@pytest.mark.parametrize(
    ("asked", "locale", "expected"),
    [(None, None, "vi"), ("en", "vi", "en"), (None, "en-GB", "en"), ("xx", "auto", "vi")],
)
def test_vietnamese_is_the_default(asked: str | None, locale: str | None, expected: str) -> None:
    assert language(asked, locale) == expected


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://bao.example:8443/cam-on?x=1", "https://bao.example:8443"),
        ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000"),
        ("javascript:alert(1)", ""),
        ("http://a;script-src *;.example/", ""),
        ("http://a.example:99999999/", ""),
        (None, ""),
    ],
)
def test_only_a_clean_origin_enters_the_policy(url: str | None, origin: str) -> None:
    assert origin_of(url) == origin
    assert policy(origin).endswith(f"form-action 'self' {origin}".rstrip())


def test_a_webhook_address_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="webhook_secret"):
        SandboxSettings(webhook_url="http://127.0.0.1:1/x")
    with pytest.raises(ValueError, match="whsec_"):
        SandboxSettings(webhook_url="http://127.0.0.1:1/x", webhook_secret="wrong")
