"""Whose meter it is: the signed cookie and the keys in the database."""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

COOKIE = "pr_meter"
COOKIE_LENGTH = 45  # id, dot, mac
COOKIE_SECONDS = 34_560_000  # 400 days: as long as browsers keep one
ID_BYTES = 16
MAC_BYTES = 16
REMEMBERED = 100_000  # keys of devices that a process need not compute again
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_ID = re.compile(r"^[A-Za-z0-9_-]{22}$")


@dataclass(frozen=True, slots=True)
class MeterIds:
    """Signs and checks meter ids: ``<id>.<mac>``. The first secret signs, all of them verify."""

    secrets: Sequence[bytes]

    def sign(self, meter_id: str) -> str:
        """The cookie's value."""
        return f"{meter_id}.{self._mac(self.secrets[0], meter_id)}"

    def verify(self, value: str) -> str | None:
        """The id in a cookie's value, or None when we have not signed it."""
        meter_id, _, mac = value.partition(".")
        if not _ID.match(meter_id):
            return None
        for secret in self.secrets:
            if hmac.compare_digest(self._mac(secret, meter_id).encode(), mac.encode()):
                return meter_id
        return None

    @staticmethod
    def _mac(secret: bytes, meter_id: str) -> str:
        return _text(hmac.digest(secret, meter_id.encode(), "sha256")[:MAC_BYTES])


def new_meter_id(random: bytes) -> str:
    """A pseudonymous id from 16 random bytes. It says nothing about anybody."""
    if len(random) != ID_BYTES:
        raise ValueError("a meter id needs 16 random bytes")
    return _text(random)


@lru_cache(maxsize=REMEMBERED)
def device_key(agency: str, meter_id: str) -> str:
    """The database's key of a device: another one at every agency, so that they cannot be joined."""
    return "a:" + _text(sha256(f"{agency} {meter_id}".encode()).digest()[:ID_BYTES])


def website_key(meter_id: str) -> str:
    """The key of an id that a website's back end keeps for its reader."""
    return "k:" + meter_id


def reader_key(reader_id: str) -> str:
    """The key of a signed-in reader."""
    return "r:" + reader_id


def _text(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=").decode("ascii")
