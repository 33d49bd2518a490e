"""Grants: signed permission to read one article, which the website's back end verifies.

A signature costs more than everything else in a decision, so a reader who comes back to an article within
``REUSE_SECONDS`` gets the same grant, which then still has most of its life.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from shared.auth import SigningKeySet

LIFETIME_SECONDS = 300
REUSE_SECONDS = 120
REMEMBERED = 50_000
NOBODY = "anonymous"


class Grants:
    """Signs grants and remembers the young ones."""

    def __init__(self, keys: SigningKeySet) -> None:
        self.keys = keys
        self._young: OrderedDict[tuple[str, str, str, str], tuple[float, str]] = OrderedDict()

    def grant(
        self, *, agency: str, article_id: str, subject: str, reason: str, now: datetime
    ) -> str:
        """A token for the website of ``agency``: this subject may read this article."""
        key, at = (agency, article_id, subject, reason), now.timestamp()
        known = self._young.get(key)
        if known is not None and known[0] <= at < known[0] + REUSE_SECONDS:
            return known[1]
        token = self.keys.sign(
            {"article": article_id, "reason": reason, "sub": subject},
            audience=f"site:{agency}",
            now=now,
            lifetime_seconds=LIFETIME_SECONDS,
        )
        self._young[key] = (at, token)
        self._young.move_to_end(key)
        if len(self._young) > REMEMBERED:
            self._young.popitem(last=False)
        return token
