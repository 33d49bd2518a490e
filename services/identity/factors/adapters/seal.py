"""Secrets at rest: sealed by Fernet (AES-128-CBC with HMAC-SHA-256), the newest key first."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Seal:
    """A stolen copy of the database gives nobody a second factor."""

    def __init__(self, keys: str) -> None:
        """``keys``: texts separated by commas; the first seals, each of them opens."""
        parts = [part.strip() for part in keys.split(",") if part.strip()]
        if not parts:
            raise ValueError("a seal needs a key")
        self._fernet = MultiFernet(
            [
                Fernet(base64.urlsafe_b64encode(hashlib.sha256(part.encode()).digest()))
                for part in parts
            ]
        )

    def close(self, secret: str) -> bytes:
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """Raises ``ValueError`` when no key fits."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise ValueError("FACTOR_KEYS does not hold the key this was sealed with") from error
