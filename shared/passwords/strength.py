"""How guessable a password is, by zxcvbn: lists of common passwords and names, keyboard walks, repeats, dates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from shared.passwords.words import variants

JUDGED_LETTERS = 72  # zxcvbn's own bound; what comes after can only make a password better


class StrengthMeter(Protocol):
    """Estimates guesses."""

    async def guesses_log10(self, password: str, words: Sequence[str]) -> float:
        """The decimal logarithm of the guesses needed by somebody who knows ``words``."""
        ...


class Zxcvbn:
    """Off the event loop: a long password takes tens of milliseconds."""

    async def guesses_log10(self, password: str, words: Sequence[str]) -> float:
        return await asyncio.to_thread(self._weakest, password, list(words))

    @staticmethod
    def _weakest(password: str, words: list[str]) -> float:
        from zxcvbn import zxcvbn  # its lists are 15 MiB, needed where a password is chosen only

        return min(
            float(zxcvbn(text[:JUDGED_LETTERS] or "a", user_inputs=words)["guesses_log10"])
            for text in variants(password)
        )
