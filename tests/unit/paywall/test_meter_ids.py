"""Meter cookies, their keys, and what a network may bring."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.paywall.meters import networks
from services.paywall.meters.networks import NewReaders, client_address, network_of
from services.paywall.meters.rules import (
    COOKIE_LENGTH,
    MeterIds,
    device_key,
    new_meter_id,
    reader_key,
    website_key,
)

IDS = MeterIds([b"s" * 32])
NOW = datetime(2026, 7, 15, 5, 30, tzinfo=UTC)


@given(st.binary(min_size=16, max_size=16))
def test_a_signed_id_comes_back(random):
    meter_id = new_meter_id(random)
    assert IDS.verify(IDS.sign(meter_id)) == meter_id


@given(st.binary(min_size=16, max_size=16), st.data())
def test_a_cookie_with_any_character_changed_is_not_ours(random, data):
    value = IDS.sign(new_meter_id(random))
    place = data.draw(st.integers(0, len(value) - 1))
    changed = data.draw(st.characters().filter(lambda c: c != value[place]))
    edited = value[:place] + changed + value[place + 1 :]
    assert IDS.verify(edited) is None


@pytest.mark.parametrize("random", [bytes(range(16)), b"\xff" * 16, bytes(16)])
def test_a_cookie_and_the_keys_of_a_device_are_exactly_what_the_form_says(random):
    """Another form would forget every reader's meter."""

    def written(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw[:16]).decode().rstrip("=")

    meter_id = new_meter_id(random)
    assert meter_id == written(random)
    cookie = IDS.sign(meter_id)
    assert cookie == f"{meter_id}.{written(hmac.digest(b's' * 32, meter_id.encode(), 'sha256'))}"
    assert len(cookie) == COOKIE_LENGTH
    assert IDS.verify(cookie + ".") is IDS.verify(cookie + "\n") is None
    key = written(hashlib.sha256(f"bao-thu {meter_id}".encode()).digest())
    assert device_key("bao-thu", meter_id) == f"a:{key}"


def test_the_first_secret_signs_and_each_of_them_opens():
    new, old, both = MeterIds([b"n" * 32]), MeterIds([b"o" * 32]), MeterIds([b"n" * 32, b"o" * 32])
    meter_id = new_meter_id(bytes(16))
    assert both.sign(meter_id) == new.sign(meter_id)
    assert both.verify(old.sign(meter_id)) == both.verify(new.sign(meter_id)) == meter_id
    assert new.verify(old.sign(meter_id)) is None


@pytest.mark.parametrize("length", [0, 15, 17])
def test_an_id_is_made_of_sixteen_bytes(length):
    with pytest.raises(ValueError, match=r"^a meter id needs 16 random bytes$"):
        new_meter_id(bytes(length))


@given(st.text())
def test_arbitrary_text_is_never_a_meter_id(text):
    assert IDS.verify(text) is None


def test_a_device_has_another_key_at_every_agency():
    meter_id = new_meter_id(bytes(16))
    assert device_key("bao-hung-yen", meter_id) != device_key("dai-song-hong", meter_id)
    assert meter_id not in device_key("bao-hung-yen", meter_id)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.200", True),
        ("203.0.113.7", "203.0.114.7", False),
        ("::ffff:203.0.113.7", "203.0.113.9", True),
        ("2001:db8:1:2::1", "2001:db8:1:ffff::9", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("unknown", "", True),
    ],
)
def test_a_network_is_slash_24_or_slash_48(one, other, same):
    assert (network_of(one) == network_of(other)) is same
    assert network_of("unknown") == b""


def test_each_network_has_its_own_hourly_number_of_new_readers():
    readers = NewReaders(2)
    assert [readers.admit("203.0.113.7", NOW) for _ in range(3)] == [True, True, False]
    assert readers.admit("198.51.100.1", NOW)
    assert not readers.admit("203.0.113.99", NOW + timedelta(minutes=29))
    assert readers.admit("203.0.113.99", NOW + timedelta(minutes=30))


def test_a_process_counts_a_bounded_number_of_networks_and_those_it_knows_go_on(monkeypatch):
    monkeypatch.setattr(networks, "MAX_NETWORKS", 2)
    readers = NewReaders(2)
    assert [readers.admit(f"203.0.{net}.1", NOW) for net in (1, 2, 3)] == [True, True, False]
    assert readers.admit("203.0.1.2", NOW), "a network that is counted has its whole number"
    assert not readers.admit("203.0.1.3", NOW)
    assert readers.admit("203.0.3.1", NOW + timedelta(hours=1))


def test_what_is_kept_of_a_network_cannot_be_looked_up():
    def kept(readers: NewReaders) -> bytes:
        (key,) = readers._counts
        return key

    one, another = NewReaders(2), NewReaders(2)
    for readers in (one, another):
        readers.admit("203.0.113.7", NOW)
    before = kept(one)
    assert len(before) == 8
    assert len(one._salt) == 16
    assert kept(another) != before
    one.admit("203.0.113.7", NOW + timedelta(hours=1))
    assert kept(one) != before


def test_an_hour_begins_when_the_clock_strikes():
    readers = NewReaders(1)
    strikes = datetime(1970, 1, 1, tzinfo=UTC)
    for hour in range(-1, 3):
        at = strikes + timedelta(hours=hour)
        assert readers.admit("203.0.113.7", at)
        assert not readers.admit("203.0.113.7", at + timedelta(seconds=3599))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.1", "203.0.113.7", "198.51.100.1"),  # nobody we trust says so
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "garbage", "garbage"),
        ("10.0.0.1", "203.0.113.7, garbage", "garbage"),  # nobody we trust
        ("a socket", "203.0.113.7", "a socket"),
    ],
)
def test_a_forwarded_address_is_believed_only_from_a_trusted_proxy(peer, forwarded, expected):
    assert client_address(peer, forwarded, (ip_network("10.0.0.0/8"),)) == expected


def test_the_three_kinds_of_readers_never_share_a_key():
    assert reader_key("7") == "r:7"
    assert website_key("7") == "k:7"
