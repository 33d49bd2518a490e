"""Address ranges of companies and schools: what is understood, what is refused with which word, and when a seat by one ends."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.billing.networks.rules import (
    LARGEST,
    SEEN_FOR,
    AddressRange,
    RefusedRangeError,
    address_of,
    gone_at,
    open_times,
    parse,
)

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 23, tzinfo=UTC)
#: Beginnings that are public whatever follows within the largest range.
PUBLIC = {4: int(ipaddress.ip_address("113.160.0.0")), 6: int(ipaddress.ip_address("2400:db00::"))}
MAKE = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}


@pytest.mark.parametrize(
    ("typed", "shown", "size"),
    [
        (" 113.160.1.0/24 ", "113.160.1.0/24", 256),
        ("113.160.1.7", "113.160.1.7", 1),
        ("113.160.1.7/32", "113.160.1.7", 1),
        ("113.160.1.0 – 113.160.1.255", "113.160.1.0/24", 256),
        ("113.160.1.10-113.160.1.20", "113.160.1.10 - 113.160.1.20", 11),
        ("113.160.1.1-113.160.1.4", "113.160.1.1 - 113.160.1.4", 4),
        ("113.160.0.0/16", "113.160.0.0/16", 2**16),
        ("2400:DB00:0:0::/48", "2400:db00::/48", 2**80),
        ("2400:db00::/32", "2400:db00::/32", 2**96),
        ("2400:db00::a-2400:db00::14", "2400:db00::a - 2400:db00::14", 11),
        ("192.167.255.255", "192.167.255.255", 1),
        ("192.169.0.0", "192.169.0.0", 1),
        ("223.255.255.255", "223.255.255.255", 1),
    ],
)
def test_a_range_is_shown_back_as_it_is_understood(typed: str, shown: str, size: int):
    found = parse(typed)
    assert (str(found), found.size) == (shown, size)
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("typed", "slug", "right"),
    [
        *(
            (typed, "network-malformed", "")
            for typed in (
                *("", "-", "/", "x", "113.160.1.0/", "/24", "113.160.1.0/33", "113.160.1/24"),
                *("113.160.1.0/255.255.255.0", "113.160.1.0/-1", "113.160.1.0/2 4x", "0x71.1.1.1"),
                *("113.160.01.0/24", "113.160.1.256", "113.160.1.1-", "-113.160.1.1", "1"),
                *("113.160.1.1-113.160.1.2-113.160.1.3", "113.160.1.1,113.160.1.2", "٣.1.1.1"),
                *("2400:db00::/129", "fe80::1%eth0", "2400:db00::1::2", "[2400:db00::1]"),
                *("113.160.1.0/24-113.160.2.0/24", "cong-ty.vn", "\x00", "113.160.1.0/٢٤"),
            )
        ),
        ("113.160.1.7/24", "network-bits", "113.160.1.0/24"),
        ("2400:db00::1/48", "network-bits", "2400:db00::/48"),
        ("113.160.1.2-113.160.1.1", "network-order", ""),
        ("113.160.1.1-2400:db00::1", "network-order", ""),
        ("2400:db00::1-113.160.1.1", "network-order", ""),
        ("113.160.0.0/15", "network-wide", ""),
        ("113.160.0.0-113.161.0.0", "network-wide", ""),
        ("2400:da00::/31", "network-wide", ""),
        ("0.0.0.0/0", "network-wide", ""),
        ("::/0", "network-wide", ""),
        *(
            (typed, "network-private", "")
            for typed in (
                *("10.1.0.0/16", "172.16.5.0/24", "192.168.1.1", "127.0.0.1", "169.254.1.0/24"),
                *("100.64.0.0/16", "0.0.0.0", "192.0.2.0/24", "198.51.100.7", "203.0.113.7"),
                *("224.0.0.1", "255.255.255.255", "198.18.0.0/16", "240.0.0.0/16", "::1", "::"),
                *("fe80::/64", "fd00::/48", "ff02::1", "2001:db8::/48", "2002:7100::/32"),
                *("::ffff:113.160.1.0/120", "64:ff9b::7100:1", "2001::/48", "5f00::1", "3fff::/32"),
                # One private address at either end is enough.
                *(
                    "192.167.255.0-192.168.0.0",
                    "192.168.255.255-192.169.0.9",
                    "9.255.255.0-10.0.0.0",
                ),
                # What is nobody's is no matter of how much of it.
                *("10.0.0.0/8", "fc00::/7"),
            )
        ),
    ],
)
def test_what_is_refused_is_told_why(typed: str, slug: str, right: str):
    with pytest.raises(RefusedRangeError) as refused:
        parse(typed)
    assert (refused.value.slug, refused.value.right) == (slug, right)


@st.composite
def public_ranges(draw: st.DrawFn) -> tuple[int, int, int]:
    """(version, first, last)."""
    version = draw(st.sampled_from((4, 6)))
    first = PUBLIC[version] + draw(st.integers(0, LARGEST[version] - 1))
    return version, first, first + draw(st.integers(0, LARGEST[version] - 1))


@given(public_ranges(), st.data())
def test_every_address_of_a_range_is_in_and_its_neighbours_are_out(made, data):
    version, first, last = made
    make = MAKE[version]
    found = parse(f"{make(first)}-{make(last)}")
    assert found.size == last - first + 1
    inside = data.draw(st.sampled_from((first, last)) | st.integers(first, last))
    assert make(inside) in found
    assert make(first - 1) not in found and make(last + 1) not in found
    other = MAKE[10 - version](inside % 2**32)
    assert other not in found, "the same number in the other family"
    assert parse(str(found)) == found


@given(st.sampled_from((4, 6)), st.data())
def test_a_network_is_the_range_of_its_first_and_last_address(version: int, data):
    longest = MAKE[version](0).max_prefixlen
    bits = data.draw(st.integers(16 if version == 4 else 32, longest))
    size = 2 ** (longest - bits)
    number = PUBLIC[version] + data.draw(st.integers(0, LARGEST[version] - 1))
    first = number - number % size
    found = parse(f"{MAKE[version](first)}/{bits}")
    assert found == AddressRange(MAKE[version](first), MAKE[version](first + size - 1))
    assert MAKE[version](number) in found
    if number != first:
        with pytest.raises(RefusedRangeError) as refused:
            parse(f"{MAKE[version](number)}/{bits}")
        assert refused.value.right == f"{MAKE[version](first)}/{bits}"


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-f.:/% -]{0,60}", fullmatch=True))
def test_whatever_is_typed_is_a_public_range_or_refused(typed: str):
    try:
        found = parse(typed)
    except RefusedRangeError:
        return
    assert found.size <= LARGEST[found.first.version]
    for one in (found.first, found.last):
        assert one.is_global and not one.is_multicast


@given(st.ip_addresses(), st.integers(0, 64))
def test_nothing_that_is_not_global_gets_through_at_either_end(address, more: int):
    assume(not address.is_global or address.is_multicast)
    last = min(int(address) + more, 2**address.max_prefixlen - 1)
    with pytest.raises(RefusedRangeError):
        parse(f"{address}-{type(address)(last)}")


def test_the_address_of_a_visitor_is_that_of_its_family():
    assert str(address_of("::ffff:113.160.1.7")) == "113.160.1.7"
    assert address_of("::ffff:113.160.1.7") in parse("113.160.1.0/24")
    for none in ("", "testclient", "113.160.1.7:4000", "fe80::1%eth0", "1"):
        assert address_of(none) is None


def test_a_seat_by_a_network_ends_after_thirty_days_without_a_visit():
    assert gone_at(NOW) == NOW + SEEN_FOR == NOW + 30 * DAY


def test_networks_open_what_the_group_pays_for_by_the_seat_and_nothing_else():
    month, two, three = NOW + 30 * DAY, NOW + 60 * DAY, NOW + 90 * DAY
    whole = [(NOW, three)]
    assert open_times(whole, [(NOW, True)], NOW) == ((NOW, three),)
    # A family's plan follows: its grace opens nothing; nor does it where it came before.
    assert open_times(whole, [(NOW, True), (two, False)], NOW) == ((NOW, two),)
    assert open_times(whole, [(NOW, False), (two, True)], NOW) == ((two, three),)
    assert open_times(whole, [(two, True), (NOW, False)], NOW) == ((two, three),)
    turns = [(NOW, False), (month, True), (two, False)]
    assert open_times(whole, turns, NOW) == ((month, two),)
    # Renewed, it is one time; a pause or a month that went back is in none.
    assert open_times(whole, [(NOW, True), (month, True)], NOW) == ((NOW, three),)
    gap = [(NOW, month), (two, three)]
    assert open_times(gap, [(NOW, True), (month, True)], NOW) == ((NOW, month), (two, three))
    assert open_times(gap, [(NOW, True), (two, True)], NOW) == ((NOW, month), (two, three))
    # What is over is not told.
    assert open_times(gap, [(NOW, True), (two, True)], month) == ((two, three),)
    assert open_times([], [(NOW, True)], NOW) == () == open_times(whole, [], NOW)
