"""Who is at the other end of a request, as far as limits and the trail are concerned."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visitor:
    """From where and with what somebody comes. ``device``: the browser's long-lived cookie, or empty."""

    network: str
    user_agent: str = ""
    device: str = ""

    @property
    def device_hash(self) -> bytes | None:
        """What the database knows of the device's cookie."""
        return digest(self.device) if self.device else None


def digest(token: str) -> bytes:
    """A fast hash is enough: these tokens have 256 bits of their own."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
