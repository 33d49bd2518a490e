"""The tables of decisions: states, prices, pace, leases, revenue, images, addresses, tokens."""

from __future__ import annotations

import contextlib
import random
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ads.bookings.rules import (
    MAX_FLIGHT_DAYS,
    MAX_QUANTITY,
    TRANSITIONS,
    Action,
    IllegalTransitionError,
    Price,
    Status,
    amount_problem,
    line_problems,
    needs_capacity,
    next_status,
    possible_actions,
    price,
)
from services.ads.catalogue.rules import RateOn, rate_on, without_diacritics
from services.ads.console import views
from services.ads.creatives.adapters.recode import Refused, recode
from services.ads.creatives.rules import MAX_URL, click_url_problem
from services.ads.delivery.plan import LeaseStock, LiveLine, Place
from services.ads.delivery.rules import (
    DayCount,
    Earned,
    LineFacts,
    allowed_now,
    chunk,
    day_fraction,
    is_declared_bot,
    newly_earned,
    todays_goal,
)
from services.ads.delivery.tokens import ForgedTokenError, TokenKeys, subject
from shared.money import MAX_AMOUNT

TODAY = date(2026, 12, 1)

ALLOWED = {
    "Draft": {
        "ask-reservation": "PendingReservation",
        "reserve": "Reserved",
        "book": "Booked",
        "cancel": "Canceled",
    },
    "PendingReservation": {"reserve": "Reserved", "decline": "Declined", "cancel": "Canceled"},
    "Reserved": {
        "ask-booking": "PendingBooking",
        "book": "Booked",
        "cancel": "Canceled",
        "expire": "Expired",
    },
    "PendingBooking": {
        "book": "Booked",
        "decline": "Declined",
        "cancel": "Canceled",
        "expire": "Expired",
    },
    "Expired": {"reserve": "Reserved"},
    "Booked": {"start": "InFlight", "cancel": "Canceled", "finish": "Finished"},
    "InFlight": {"pause": "Paused", "stop": "Stopped", "finish": "Finished"},
    "Paused": {"resume": "InFlight", "stop": "Stopped", "finish": "Finished"},
    "Finished": {},
    "Declined": {},
    "Canceled": {},
    "Stopped": {},
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("action", list(Action))
def test_every_pair_of_state_and_step_is_either_in_the_table_or_refused(status, action):
    expected = ALLOWED[status].get(action)
    if expected is None:
        with pytest.raises(IllegalTransitionError, match=action):
            next_status(status, action)
    else:
        assert next_status(status, action) == expected


def test_people_are_never_offered_the_timers_steps():
    for status in Status:
        offered = possible_actions(status)
        assert not {Action.EXPIRE, Action.START, Action.FINISH} & set(offered)
        assert all((status, action) in TRANSITIONS for action in offered)


@pytest.mark.parametrize(
    ("status", "action", "takes"),
    [
        ("Draft", "reserve", True),
        ("Draft", "book", True),
        ("Expired", "reserve", True),
        ("PendingReservation", "reserve", True),
        ("Reserved", "book", False),
        ("PendingBooking", "book", False),
        ("Draft", "cancel", False),
    ],
)
def test_capacity_is_checked_exactly_when_units_are_taken_that_were_not_held(status, action, takes):
    assert needs_capacity(Status(status), Action(action)) is takes


@pytest.mark.parametrize(
    ("quantity", "cpm", "vat", "expected"),
    [
        (1000, 60_000, 10, Price(60_000, 6_000)),
        (1, 60_000, 10, Price(60, 6)),
        (7, 1_000, 7, Price(7, 0)),  # 0.49 of VAT
        (1, 500, 10, Price(1, 0)),  # half a đồng is rounded up
        (1, 499, 10, Price(0, 0)),
        (333, 45_000, 8, Price(14_985, 1_199)),
        (1_000_000_000, 1_000_000, 10, Price(10**12, 10**11)),
        (1000, 0, 10, Price(0, 0)),
    ],
)
def test_a_price_is_whole_dong_rounded_half_up_once(quantity, cpm, vat, expected):
    assert price(quantity, cpm, vat) == expected


def test_the_rate_is_the_newest_that_is_valid_on_the_first_day():
    card = [RateOn(date(2026, 1, 1), 50, 10), RateOn(date(2026, 7, 1), 60, 8)]
    assert rate_on(card, date(2025, 12, 31)) is None
    assert rate_on(card, date(2026, 6, 30)) == card[0]
    assert rate_on(list(reversed(card)), date(2026, 7, 1)) == card[1]


@pytest.mark.parametrize(
    ("starts", "ends", "quantity", "fields"),
    [
        (0, 0, 1, []),
        (0, 365, 1, []),
        (-1, 3, 1, ["starts_on"]),
        (3, 2, 1, ["ends_on"]),
        (0, 366, 1, ["ends_on"]),
        (0, 1, 0, ["quantity"]),
        (0, 1, 2_000_000_000, ["quantity"]),
        (733, 734, 1, ["starts_on"]),
    ],
)
def test_a_wrong_line_names_each_wrong_field(starts, ends, quantity, fields):
    problems = line_problems(
        TODAY + timedelta(days=starts), TODAY + timedelta(days=ends), quantity, TODAY
    )
    assert [field for field, *_ in problems] == fields


def test_the_bounds_of_a_line_are_themselves_allowed_and_what_would_be_right_is_said():
    latest = TODAY + timedelta(days=2 * MAX_FLIGHT_DAYS)
    assert line_problems(latest, latest, MAX_QUANTITY, TODAY) == []
    beyond = latest + timedelta(days=1)
    assert line_problems(beyond, beyond, MAX_QUANTITY + 1, TODAY) == [
        ("starts_on", "The first day is too far ahead", "within two years", {}),
        ("quantity", "Not a number of impressions", "1 to {most}", {"most": MAX_QUANTITY}),
    ]


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("Đặc sản  Nhãn Lồng", "dac san nhan long"),
        ("ĐIỆN MÁY", "dien may"),
        ("đường", "duong"),
        ("Phở Ơn Ưu ẵẫ", "pho on uu aa"),
        ("abc-1", "abc-1"),
    ],
)
def test_search_text_has_no_diacritics(typed, plain):
    assert without_diacritics(typed) == plain


def facts(**changes) -> LineFacts:
    values = {
        "quantity": 10_000,
        "pacing": "even",
        "delivered": 0,
        "delivered_today": 0,
        "outstanding": 0,
        "days_left": 10,
        "day_fraction": 0.5,
    }
    return LineFacts(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, 600),  # 1,000 today, half of the day is over, 100 may run ahead
        ({"delivered": 550, "delivered_today": 550}, 50 + 0),
        ({"outstanding": 590}, 10),
        ({"outstanding": 700}, 0),
        ({"day_fraction": 0.0}, 100),
        ({"day_fraction": 1.0}, 1_000),
        ({"pacing": "asap"}, 10_000),
        ({"pacing": "asap", "delivered": 9_990, "outstanding": 4}, 6),
        ({"pacing": "asap", "delivered": 10_000}, 0),
        ({"delivered": 10_500}, 0),
        ({"days_left": 1, "delivered": 9_000, "day_fraction": 1.0}, 1_000),
        ({"days_left": 0}, 0),
        ({"quantity": 50, "day_fraction": 0.0, "days_left": 1}, 50),
    ],
)
def test_what_may_be_handed_out_now(changes, allowed):
    assert allowed_now(facts(**changes)) == allowed


@pytest.mark.parametrize(
    ("changes", "goal"),
    [
        ({}, 1_000),
        ({"days_left": 3}, 3_334),
        ({"days_left": 2}, 5_000),
        ({"days_left": 1}, 10_000),
        ({"days_left": 0}, 10_000),
        ({"delivered": 4_000}, 600),
        ({"delivered": 4_000, "delivered_today": 1_000}, 700),
        ({"delivered": 10_500}, 0),
        ({"delivered": 10_500, "delivered_today": 600}, 10),
    ],
)
def test_what_is_left_is_spread_over_the_days_that_are_left(changes, goal):
    assert todays_goal(facts(**changes)) == goal


@pytest.mark.parametrize(
    ("quantity", "hour", "allowed"),
    [(100_000, 0, 416), (100_000, 23 / 24, 9_999), (24_010, 0, 100), (24_240, 0, 101)],
)
def test_an_hours_worth_may_run_ahead_of_a_large_line(quantity, hour, allowed):
    assert allowed_now(facts(quantity=quantity, day_fraction=hour)) == allowed


@pytest.mark.parametrize(
    ("allowed", "units"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (40, 10), (41, 10)]
)
def test_a_chunk_is_a_quarter_rounded_up_and_no_more_than_the_largest(allowed, units):
    given_facts = facts(pacing="asap", quantity=allowed + 7, delivered=7)
    assert chunk(given_facts, 10) == units


@given(
    st.integers(1, 100_000),
    st.integers(0, 100_000),
    st.integers(0, 100_000),
    st.integers(1, 5_000),
    st.integers(1, 30),
    st.floats(0, 1),
    st.sampled_from(["even", "asap"]),
)
def test_a_chunk_never_makes_delivered_plus_outstanding_exceed_the_quantity(
    quantity, delivered, outstanding, largest, days, fraction, pacing
):
    given_facts = LineFacts(quantity, pacing, delivered, delivered, outstanding, days, fraction)
    units = chunk(given_facts, largest)
    assert 0 <= units <= largest
    assert units == 0 or delivered + outstanding + units <= quantity


def test_chunks_shrink_near_the_end_and_use_everything_up():
    given_out, sizes = 0, []
    while units := chunk(facts(quantity=50, pacing="asap", outstanding=given_out), 2_000):
        sizes.append(units)
        given_out += units
    assert given_out == 50
    assert sizes[0] == 13
    assert sizes == sorted(sizes, reverse=True)


def test_the_fraction_of_a_day():
    # Without a zone: local time of an agency.
    assert day_fraction(datetime(2026, 12, 1, 12, 0, 0)) == 0.5  # noqa: DTZ001
    assert day_fraction(datetime(2026, 12, 1, 6, 30, 36)) == 23_436 / 86_400  # noqa: DTZ001


def test_an_amount_that_no_column_holds_is_a_problem():
    assert not amount_problem(MAX_AMOUNT)
    assert amount_problem(MAX_AMOUNT + 1)


@given(
    st.integers(0, 10**12),
    st.integers(1, 5_000),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 900)), max_size=30),
)
def test_revenue_of_any_sequence_of_deliveries_sums_exactly(amount, quantity, steps):
    days = {TODAY + timedelta(days=i): [0, 0] for i in range(4)}
    total, references = 0, []
    for offset, units in steps:
        days[TODAY + timedelta(days=offset)][0] += units
        counts = [DayCount(day, *values) for day, values in days.items()]
        for earned in newly_earned(amount, quantity, counts):
            days[earned.day][1] += earned.units
            total += earned.amount_vnd
            references.append(earned.up_to)
    delivered = sum(units for _, units in steps)
    assert total == amount * min(delivered, quantity) // quantity
    assert len(set(references)) == len(references)


def test_days_that_are_heard_of_together_earn_what_they_would_one_by_one():
    first, second, third, fourth = (TODAY + timedelta(days=i) for i in range(4))
    counts = [
        DayCount(third, 1, 0),
        DayCount(first, 3, 2),
        DayCount(second, 1, 0),
        DayCount(fourth, 5, 0),
    ]
    assert newly_earned(1_000, 6, counts) == [
        Earned(first, 1, 500 - 333, 3),
        Earned(second, 1, 666 - 500, 4),
        Earned(third, 1, 833 - 666, 5),
        Earned(fourth, 5, 1_000 - 833, 10),  # four of them are past the quantity
    ]


def test_nothing_new_earns_nothing():
    assert newly_earned(1000, 10, [DayCount(TODAY, 5, 5)]) == []


@pytest.mark.parametrize(
    ("agent", "bot"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        ("Mozilla/5.0 (compatible; coccocbot-web/1.0)", True),
        ("curl/8.0", True),
        ("python-requests/2.32", True),
        ("", True),
        ("Mozilla/5.0 HeadlessChrome/120", True),
        ("Mozilla/5.0 (Linux; Android 14; SM-A155F) Chrome/140.0 Mobile Safari/537.36", False),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) coc_coc_browser/130.0 Chrome/124", False),
    ],
)
def test_declared_bots_are_known_and_vietnamese_browsers_are_not_among_them(agent, bot):
    assert is_declared_bot(agent) is bot


@pytest.mark.parametrize(
    "url",
    [
        "https://example.vn/nhan-long?x=1&y=2#top",
        "http://example.vn",
        "https://xn--bo-jma.vn:8443/",
        "https://example.vn:1/!~",
        "https://example.vn/XYZ",
        "https://e.vn/" + "a" * (MAX_URL - 13),
    ],
)
def test_addresses_that_may_be_linked_to(url):
    assert click_url_problem(url) is None


CHARACTER = "contains a character that an address may not have"
SCHEME = "must begin with https:// or http://"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("javascript:alert(1)", SCHEME),
        ("data:text/html,x", SCHEME),
        ("//example.vn", SCHEME),
        ("example.vn", SCHEME),
        ("ftp://example.vn/", SCHEME),
        ("HTTPS://a.vn", SCHEME),
        ("Http://a.vn/", SCHEME),
        ("https://", "has no host name"),
        ("https://example.vn:0/", "has no host name"),
        ("https://user:pass@example.vn/", "must not contain a user name"),
        ("https://@example.vn/", "must not contain a user name"),
        ("https://[::1", "is not an address"),
        ("https://example.vn:99999/", "is not an address"),
        ("https://e.vn/" + "a" * (MAX_URL - 12), "is too long"),
        ("https://example.vn/\r\nSet-Cookie: a=b", CHARACTER),
        *[(f"https://example.vn/{c}", CHARACTER) for c in "\\\"'<>`{}|^ \x00\x7f"],
    ],
)
def test_addresses_that_may_not_be_linked_to(url, problem):
    assert click_url_problem(url) == f"The address {problem}"


@given(
    st.binary(max_size=200),
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF"]),
)
def test_no_bytes_make_the_image_check_fail_in_another_way(tail, head):
    with contextlib.suppress(Refused):
        recode(head + tail, max_side=4000, max_pixels=4_000_000, max_bytes=1_048_576)


LINE, CREATIVE, PLACE, NONCE = (UUID(int=n) for n in (1, 2, 3, 4))
ABOUT = subject(LINE, CREATIVE, PLACE, "bao-thu")
KEYS = TokenKeys.parse("1:new-secret-of-16-chars,0:old-secret-of-16-chars")


def sign(keys=KEYS) -> str:
    return keys.sign(ABOUT, nonce=NONCE.bytes, lease_id=7, issued_at=1_000)


def test_a_token_says_what_was_signed_and_older_keys_still_verify():
    token = KEYS.verify(sign())
    assert (token.issued_at, token.lease_id, token.nonce) == (1_000, 7, NONCE)
    assert (token.line_id, token.creative_id, token.placement_id) == (LINE, CREATIVE, PLACE)
    assert token.agency == "bao-thu"
    old = TokenKeys.parse("0:old-secret-of-16-chars")
    assert KEYS.verify(sign(old)) == token
    with pytest.raises(ForgedTokenError):
        old.verify(sign())


def test_no_changed_character_of_a_token_goes_unnoticed():
    token = sign()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at in range(len(token) - 1):  # the last character has unused bits: same bytes, same nonce
        for other in random.Random(at).sample(alphabet, 3):
            if other != token[at]:
                with pytest.raises(ForgedTokenError):
                    KEYS.verify(token[:at] + other + token[at + 1 :])


@given(st.text(max_size=400))
def test_no_text_makes_the_token_check_fail_in_another_way(text):
    with pytest.raises(ForgedTokenError):
        KEYS.verify(text)


@pytest.mark.parametrize(
    "text", ["", "secret", "1:short", "x:0123456789abcdef", "999:0123456789abcdef"]
)
def test_weak_or_malformed_token_keys_are_refused(text):
    with pytest.raises(ValueError, match="token keys"):
        TokenKeys.parse(text)


def live(number: int, units: int, until: float = 100.0) -> LiveLine:
    line = LiveLine(UUID(int=number), "a", "guaranteed", "asap", 10, TODAY, TODAY, width=1)
    if units:
        line.stock.append(LeaseStock(number, units, until))
    return line


def test_a_place_hands_out_exactly_the_units_that_were_leased():
    place = Place(PLACE, "top")
    for line in (live(1, 3), live(2, 5), live(3, 0)):
        place.stand(line)
    drawn = [place.draw(0.0, set()) for _ in range(12)]
    given_out = [lease for found in drawn if found for _, lease in [found]]
    assert sorted(given_out) == [1] * 3 + [2] * 5
    assert drawn[8:] == [None] * 4
    assert place.ready == []


def test_units_of_a_lease_that_ran_out_of_time_are_not_handed_out_but_kept_to_be_given_back():
    line = live(1, 3, until=50.0)
    place = Place(PLACE, "top")
    place.stand(line)
    assert place.draw(49.0, set()) is not None
    assert place.draw(50.0, set()) is None
    assert [(lease.lease_id, lease.units) for lease in line.over] == [(1, 2)]
    assert line.id in line.thirsty


@pytest.mark.parametrize("avoided", [1, 2, 5])
def test_a_page_gets_different_lines_while_there_are_any(avoided):
    """Never one of this page while another has a unit, however few others there are; then rather one twice than none."""
    place = Place(PLACE, "top")
    shown = [live(number, 40) for number in range(1, avoided + 1)]
    other, dry = live(98, 60), live(99, 0)
    for line in (*shown, other, dry):
        place.stand(line)
    avoid = {line.id for line in shown}
    drawn = [place.draw(0.0, avoid) for _ in range(60)]
    assert {line.id for line, _ in drawn} == {other.id} and other.units == 0
    assert all(line.units == 40 for line in shown)
    again = [place.draw(0.0, avoid) for _ in range(40 * avoided + 1)]
    assert {line.id for line, _ in again[:-1]} == avoid and again[-1] is None
    assert all(line.units == 0 for line in shown)


def test_a_line_asks_for_more_before_it_is_dry():
    line = live(1, 4)
    line.low_mark = 2
    line.take(0.0)
    assert not line.thirsty
    line.take(0.0)
    assert line.thirsty == {line.id}


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("10.000", 10_000),
        ("10 000", 10_000),
        ("10,000", 10_000),
        ("", 0),
        ("-5", 0),
        ("١٢", 0),
        ("9" * 20, 0),
    ],
)
def test_numbers_are_read_as_people_write_them(typed, value):
    assert views.whole_number(typed) == value


def test_a_lease_in_use_is_followed_by_the_next_before_it_ends_and_an_idle_one_is_not():
    used, idle = live(1, 3, until=50.0), live(2, 3, until=50.0)
    assert used.take(10.0) == 1
    assert [line.ends_by(50.0) for line in (used, idle, live(3, 0))] == [True, False, False]
    assert not used.ends_by(49.0)
    used.stock.append(LeaseStock(9, 5, 110.0))
    assert not used.ends_by(50.0)
