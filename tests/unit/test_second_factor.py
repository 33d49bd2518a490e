"""Codes of an authenticator app, and secrets at rest."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from services.identity.factors.adapters import totp
from services.identity.factors.adapters.seal import Seal
from services.identity.visitor import Visitor, digest

NOW = datetime(2026, 11, 23, 8, 0, 10, tzinfo=UTC)
PRESENT = int(NOW.timestamp()) // 30


def code_of(secret: str, period: int) -> str:
    """RFC 4226, section 5.3, once more."""
    mac = hmac.digest(base64.b32decode(secret), struct.pack(">Q", period), "sha1")
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


@given(st.binary(min_size=20, max_size=20), st.integers(-3, 3), st.integers(-3, 3))
def test_a_code_counts_in_its_own_period_and_the_neighbours_and_only_once(raw, drift, used):
    secret = base64.b32encode(raw).decode()
    last_used = PRESENT + used
    period = PRESENT + drift
    found = totp.matching_period(secret, code_of(secret, period), NOW, last_used)
    if abs(drift) <= 1 and period > last_used:
        # Two periods of one secret may have one code, once in a million: then it is the later one.
        assert found is not None and found >= period
        assert code_of(secret, found) == code_of(secret, period)
    else:
        assert found is None or code_of(secret, found) == code_of(secret, period)


@pytest.mark.parametrize("typed", ["", "000000", "12345"])
def test_another_code_is_of_no_period(typed):
    secret = base64.b32encode(b"a" * 20).decode()
    assert {code_of(secret, PRESENT + drift) for drift in (-1, 0, 1)}.isdisjoint({typed})
    assert totp.matching_period(secret, typed, NOW, 0) is None


def test_the_codes_of_the_standards_own_example_are_taken():
    secret = base64.b32encode(b"12345678901234567890").decode()  # RFC 4226, appendix D
    for period, code in enumerate(("755224", "287082", "359152", "969429", "338314")):
        at = datetime.fromtimestamp(period * 30, UTC)
        at += timedelta(seconds=30)  # the periods before the first are no numbers
        assert totp.matching_period(secret, code, at, -1) == period
        assert totp.matching_period(secret, code, at + timedelta(seconds=60), -1) is None


def test_a_new_secret_has_160_bits_and_an_address_names_the_account_and_who_asks():
    secrets = {totp.new_secret() for _ in range(20)}
    assert len(secrets) == 20
    assert all(len(base64.b32decode(secret)) == 20 for secret in secrets)
    assert totp.address("A" * 32, "lan@bao.vn", "Báo Thử") == (
        f"otpauth://totp/B%C3%A1o%20Th%E1%BB%AD:lan%40bao.vn?secret={'A' * 32}&issuer=B%C3%A1o%20Th%E1%BB%AD"
    )


def test_a_picture_is_a_data_address_that_a_phone_can_read_off_a_screen():
    found = totp.picture("otpauth://totp/x?secret=ABC").replace("%3D", "=")
    assert found.startswith("data:image/svg+xml")
    assert "stroke=%27%23111%27" in found and "fill=%27%23fff%27" in found
    # 29 modules (version 3) and a quiet zone of three on either side, five units each.
    assert "width=%27175%27%20height=%27175%27" in found


@given(st.text(max_size=60))
def test_what_was_sealed_comes_back_and_is_not_to_be_read_off(secret):
    seal = Seal("k1")
    closed = seal.close(secret)
    assert seal.open(closed) == secret
    assert closed != seal.close(secret), "two of the same look different"


def test_the_first_key_seals_each_of_them_opens_and_no_other():
    old, both, new = Seal("old"), Seal(" new , ,old"), Seal("new")
    assert both.open(old.close("s")) == "s"
    assert new.open(both.close("s")) == "s"
    with pytest.raises(ValueError, match=r"^FACTOR_KEYS does not hold the key"):
        old.open(both.close("s"))
    with pytest.raises(ValueError, match=r"this was sealed with$"):
        new.open(b"nonsense")
    for none in ("", " , ,"):
        with pytest.raises(ValueError, match=r"^a seal needs a key$"):
            Seal(none)


def test_a_seal_made_today_is_opened_for_ever():
    """The key of the cipher is the SHA-256 of the text: another way would lock everybody's app out."""
    key = base64.urlsafe_b64encode(hashlib.sha256("khóa".encode()).digest())
    assert Seal("khóa").open(Fernet(key).encrypt(b"JBSWY3DP")) == "JBSWY3DP"


def test_a_devices_cookie_is_known_by_its_hash_alone():
    assert Visitor("203.0.113.7").device_hash is None
    assert Visitor("203.0.113.7", device="abc").device_hash == hashlib.sha256(b"abc").digest()
    assert digest("ố") == hashlib.sha256("ố".encode()).digest()
    assert digest("\udcff") != digest("\udcfe"), "bytes that are no text bring nothing down"
