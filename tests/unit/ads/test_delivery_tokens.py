"""What a token of a decision is, byte by byte, and what is none."""

from __future__ import annotations

import base64
import hmac
import struct
from uuid import UUID

import pytest

from services.ads.delivery.tokens import MAX_LENGTH, ForgedTokenError, TokenKeys, subject

LINE, CREATIVE, PLACE, NONCE = (UUID(int=2**127 + n) for n in (1, 2, 3, 4))
SECRET = b"secret-of-16-chr"
KEYS = TokenKeys([(7, SECRET), (0, b"older-of-16-char")])


def made(
    version: int = 1,
    number: int = 7,
    issued: int = 1_790_000_000,
    lease: int = 2**40,
    rest: bytes = LINE.bytes + CREATIVE.bytes + PLACE.bytes + b"bao-thu",
    key: bytes = SECRET,
) -> str:
    """A token by hand: one byte each for version and key, four for the moment, eight for the lease, all big-endian."""
    message = struct.pack(">BBIQ", version, number, issued, lease) + NONCE.bytes + rest
    mac = hmac.digest(key, message, "sha256")[:16]
    return base64.urlsafe_b64encode(message + mac).decode().rstrip("=")


def test_a_token_is_exactly_what_the_form_says():
    about = subject(LINE, CREATIVE, PLACE, "bao-thu")
    assert about == LINE.bytes + CREATIVE.bytes + PLACE.bytes + b"bao-thu"
    signed = KEYS.sign(about, nonce=NONCE.bytes, lease_id=2**40, issued_at=1_790_000_000)
    assert signed == made()
    token = KEYS.verify(made())
    assert (token.issued_at, token.lease_id, token.nonce) == (1_790_000_000, 2**40, NONCE)
    assert (token.line_id, token.creative_id, token.placement_id) == (LINE, CREATIVE, PLACE)
    assert token.agency == "bao-thu"


@pytest.mark.parametrize("length", range(1, 5))
def test_every_length_of_a_name_survives_the_padding(length):
    about = subject(LINE, CREATIVE, PLACE, "a" * length)
    token = KEYS.sign(about, nonce=NONCE.bytes, lease_id=1, issued_at=1)
    assert not token.endswith("=")
    assert KEYS.verify(token).agency == "a" * length


@pytest.mark.parametrize(
    "token",
    [
        made(version=2),
        made(version=0),
        made(number=8),
        made(number=0),  # the older key's number with the newer key
        made(key=b"another-secret-of"),
        made(rest=LINE.bytes + CREATIVE.bytes + PLACE.bytes),  # nobody's
        made(rest=b""),
        made()[:-2],
        made() + "AAAA",
        made() + "\n",
        made()[:20] + " " + made()[20:],
        made().replace("-", "+").replace("_", "/") + "+",
        "AQ",
        "",
        "A" * (MAX_LENGTH + 1),
        "đ",
    ],
)
def test_what_is_not_signed_by_us_in_this_form_is_forged(token):
    with pytest.raises(ForgedTokenError):
        KEYS.verify(token)


def test_a_token_has_a_longest_form():
    fixed = LINE.bytes + CREATIVE.bytes + PLACE.bytes
    longest = made(rest=fixed + b"a" * 131)
    assert len(longest) == MAX_LENGTH
    assert KEYS.verify(longest).agency == "a" * 131
    with pytest.raises(ForgedTokenError):
        KEYS.verify(made(rest=fixed + b"a" * 132))


@pytest.mark.parametrize(
    ("text", "signing"),
    [
        ("0:0123456789abcdef", 0),
        ("255:0123456789abcdef,0:0123456789abcdeX", 255),
        ("1:with:colons:inside", 1),
        (",1:0123456789abcdef,,", 1),
    ],
)
def test_the_first_key_signs(text, signing):
    keys = TokenKeys.parse(text)
    token = keys.sign(
        subject(LINE, CREATIVE, PLACE, "a"), nonce=NONCE.bytes, lease_id=1, issued_at=1
    )
    assert base64.urlsafe_b64decode(token + "==")[1] == signing
    assert keys.verify(token).agency == "a"


FORM = r"^token keys are number:secret, separated by commas$"
STRENGTH = r"^token keys are number:secret, secrets of 16 characters or more$"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", STRENGTH),
        ("1:0123456789abcde", STRENGTH),
        ("256:0123456789abcdef", STRENGTH),
        ("1:0123456789abcdef,2:short", STRENGTH),
        ("1:", STRENGTH),
        ("1", FORM),
        ("-1:0123456789abcdef", FORM),
        (":0123456789abcdef", FORM),
        ("1:0123456789abcdef,0123456789abcdef", FORM),
    ],
)
def test_keys_that_are_weak_or_have_no_number_are_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        TokenKeys.parse(text)
    with pytest.raises(ValueError, match=STRENGTH):
        TokenKeys([(-1, b"0123456789abcdef")])
