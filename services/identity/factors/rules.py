"""Codes as they are typed, and which period of an authenticator app a code may be from (RFC 6238)."""

from __future__ import annotations

import re

PERIOD_SECONDS = 30
DRIFT_PERIODS = 1
RECOVERY_CODES = 10

_CODE = re.compile(r"\d{6}")
_RECOVERY = re.compile(r"[a-z2-7]{16}")


def period_of(epoch_seconds: float) -> int:
    return int(epoch_seconds // PERIOD_SECONDS)


def periods_allowed(present: int, last_used: int) -> range:
    """One period of drift to either side, and never a period that was used or went before one that was."""
    return range(max(present - DRIFT_PERIODS, last_used + 1), present + DRIFT_PERIODS + 1)


def typed_code(typed: str) -> str | None:
    """Six digits of an app, however they were spaced."""
    text = "".join(typed.split())
    return text if text.isascii() and _CODE.fullmatch(text) else None


def typed_recovery_code(typed: str) -> str | None:
    """A recovery code without its gaps, in lower case."""
    text = "".join(typed.split()).replace("-", "").lower()
    return text if _RECOVERY.fullmatch(text) else None


def shown_recovery_code(code: str) -> str:
    """In groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
