"""argon2id (RFC 9106) through argon2-cffi, off the event loop and bounded."""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol

import argon2
from argon2.exceptions import InvalidHashError, VerificationError


class PasswordHasher(Protocol):
    """Hashes passwords slowly on purpose."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """With None it takes as long as with a hash, and is False."""
        ...

    def needs_rehash(self, password_hash: str) -> bool: ...


class Argon2Hasher:
    """``concurrency`` bounds both memory (that many times ``memory_kib``) and processor time."""

    def __init__(
        self, *, time_cost: int, memory_kib: int, parallelism: int, concurrency: int
    ) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost,
            memory_cost=memory_kib,
            parallelism=parallelism,
            hash_len=32,
            salt_len=16,
            type=argon2.Type.ID,
        )
        self._slots = asyncio.Semaphore(concurrency)
        # Verified against when there is no account, so that the answer takes the same time.
        self._nobody = self._argon2.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._argon2.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        async with self._slots:
            right = await asyncio.to_thread(self._matches, password_hash or self._nobody, password)
        return right and password_hash is not None

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def needs_rehash(self, password_hash: str) -> bool:
        return self._argon2.check_needs_rehash(password_hash)
