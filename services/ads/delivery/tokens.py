"""Signed, expiring tokens: what a decision hands out, so that only what was decided can be counted.

Binary, then base64url: version, key id, issue time, lease, nonce, line, creative, placement, agency; HMAC-SHA256 cut to
128 bits (RFC 2104 allows half). The first key signs, all of them verify, so keys rotate without a pause.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

_HEAD = struct.Struct(">BBIQ16s")
_VERSION = 1
_MAC = 16
_FIXED = _HEAD.size + 48
MAX_LENGTH = 300


class ForgedTokenError(ValueError):
    """Not signed by us."""


@dataclass(frozen=True, slots=True)
class Token:
    """A verified token. Whether it is still good depends on what is to be counted."""

    issued_at: int
    lease_id: int
    nonce: UUID
    line_id: UUID
    creative_id: UUID
    placement_id: UUID
    agency: str


def subject(line_id: UUID, creative_id: UUID, placement_id: UUID, agency: str) -> bytes:
    """The part that is the same for every token of a creative at a placement."""
    return line_id.bytes + creative_id.bytes + placement_id.bytes + agency.encode("ascii")


class TokenKeys:
    """Keys by number: ``1:secret,0:older`` signs with 1 and still accepts 0."""

    def __init__(self, keys: Sequence[tuple[int, bytes]]) -> None:
        if not keys or any(len(key) < 16 or not 0 <= number <= 255 for number, key in keys):
            raise ValueError("token keys are number:secret, secrets of 16 characters or more")
        self._signing_number, self._signing_key = keys[0]
        self._keys = dict(keys)

    @classmethod
    def parse(cls, text: str) -> TokenKeys:
        pairs = [part.partition(":") for part in text.split(",") if part]
        if not all(number.isdigit() and colon for number, colon, _ in pairs):
            raise ValueError("token keys are number:secret, separated by commas")
        return cls([(int(number), secret.encode()) for number, _, secret in pairs])

    def sign(self, about: bytes, *, nonce: bytes, lease_id: int, issued_at: int) -> str:
        message = _HEAD.pack(_VERSION, self._signing_number, issued_at, lease_id, nonce) + about
        mac = hmac.digest(self._signing_key, message, "sha256")[:_MAC]
        return base64.urlsafe_b64encode(message + mac).rstrip(b"=").decode("ascii")

    def verify(self, token: str) -> Token:
        """Raises :class:`ForgedTokenError` for anything that is not one of ours."""
        if len(token) > MAX_LENGTH:
            raise ForgedTokenError
        try:
            raw = base64.b64decode(
                token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True
            )
        except (binascii.Error, UnicodeEncodeError):
            raise ForgedTokenError from None
        message, mac = raw[:-_MAC], raw[-_MAC:]
        if len(message) <= _FIXED or message[0] != _VERSION:
            raise ForgedTokenError
        key = self._keys.get(message[1])
        if key is None or not hmac.compare_digest(hmac.digest(key, message, "sha256")[:_MAC], mac):
            raise ForgedTokenError
        _, _, issued_at, lease_id, nonce = _HEAD.unpack_from(message)
        at = _HEAD.size
        return Token(
            issued_at,
            lease_id,
            UUID(bytes=nonce),
            UUID(bytes=message[at : at + 16]),
            UUID(bytes=message[at + 16 : at + 32]),
            UUID(bytes=message[at + 32 : at + 48]),
            message[at + 48 :].decode("ascii"),
        )
