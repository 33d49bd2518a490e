"""Decisions about bundles: values in, values out."""

from __future__ import annotations

from datetime import datetime, timedelta


def readable_until(used_at: datetime, bundle_until: datetime, article_days: int | None) -> datetime:
    """Until when an article of a bundle may be read: as long as one that is bought alone (``article_days``, None where none is sold),
    and never shorter than the bundle runs."""
    alone = used_at + timedelta(days=article_days) if article_days is not None else bundle_until
    return max(alone, bundle_until)
