"""argon2id (RFC 9106) through argon2-cffi, off the event loop and bounded."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import UnavailableError

HASH_BYTES, SALT_BYTES = 32, 16
#: Passwords of one process that are checked or wait for it; beyond them one is told to try again, and nothing is queued.
MOST_WAITING = 100
T = TypeVar("T")


def _encoded(value: bytes) -> str:
    """As the PHC string format writes bytes."""
    return base64.b64encode(value).decode().rstrip("=")


class PasswordHasher(Protocol):
    """Hashes passwords slowly on purpose."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """With None it takes as long as with a hash, and is False."""
        ...

    def needs_rehash(self, password_hash: str) -> bool: ...


class Argon2Hasher:
    """``concurrency`` bounds both memory (that many times ``memory_kib``) and processor time; :data:`MOST_WAITING` who waits for it."""

    def __init__(
        self, *, time_cost: int, memory_kib: int, parallelism: int, concurrency: int
    ) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost,
            memory_cost=memory_kib,
            parallelism=parallelism,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
            type=argon2.Type.ID,
        )
        # Threads of its own: one that works on goes on being counted, also when nobody waits for its answer any more.
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="argon2")
        self._waiting = 0
        # Verified against when there is no account, so that the answer takes the same time: the form of a hash, of no password.
        self.nobody = (
            f"$argon2id$v={argon2.low_level.ARGON2_VERSION}"
            f"$m={memory_kib},t={time_cost},p={parallelism}"
            f"${_encoded(secrets.token_bytes(SALT_BYTES))}${_encoded(secrets.token_bytes(HASH_BYTES))}"
        )

    async def hash(self, password: str) -> str:
        """Raises :class:`UnavailableError` while too many wait."""
        return await self._run(partial(self._argon2.hash, password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Raises :class:`UnavailableError` while too many wait."""
        right = await self._run(partial(self._matches, password_hash or self.nobody, password))
        return right and password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise UnavailableError("Too many passwords are being checked", slug="passwords-busy")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than those of now."""
        return self._argon2.check_needs_rehash(password_hash)
