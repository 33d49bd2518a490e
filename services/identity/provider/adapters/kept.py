"""A document of somebody else's, kept for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.identity.provider.rules import ProviderUnavailableError

T = TypeVar("T")
KEEP_SECONDS = 900.0
PAUSE_SECONDS = 3.0


class Kept(Generic[T]):
    """Fetched when it is needed, by one request at a time; after a failure nobody waits again for some seconds.

    An old document is better than none: it stays good while the provider is away.
    """

    def __init__(self, load: Callable[[], Awaitable[T]]) -> None:
        self._load = load
        self._value: T | None = None
        self._loaded_at = float("-inf")
        self._failed_at = float("-inf")
        self._lock = asyncio.Lock()

    async def get(self, *, fresh: bool = False) -> T:
        """``fresh``: not older than this call. Raises :class:`ProviderUnavailableError`."""
        asked_at = time.monotonic()
        if self._value is not None and not fresh and asked_at - self._loaded_at < KEEP_SECONDS:
            return self._value
        async with self._lock:
            if self._value is not None and self._loaded_at >= asked_at:
                return self._value
            try:
                self._value = await self._loaded()
            except ProviderUnavailableError:
                if self._value is None or fresh:
                    raise
                return self._value
            self._loaded_at = time.monotonic()
            return self._value

    async def _loaded(self) -> T:
        if time.monotonic() - self._failed_at < PAUSE_SECONDS:
            raise ProviderUnavailableError("it was away a moment ago")
        try:
            return await self._load()
        except ProviderUnavailableError:
            self._failed_at = time.monotonic()
            raise
