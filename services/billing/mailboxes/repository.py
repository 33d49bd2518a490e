"""Every SQL statement about limits."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import text

from services.billing.mailboxes.rules import Pace
from shared.database import ReadSession, Session

#: Takes one from a bucket unless it is used up: then no row changes, and none comes back.
_TAKE = text(
    """INSERT INTO rate_bucket (bucket, due_at) VALUES (:bucket, :first)
       ON CONFLICT (bucket) DO UPDATE
           SET due_at = greatest(rate_bucket.due_at, :now) + CAST(:every AS interval)
           WHERE greatest(rate_bucket.due_at, :now) + CAST(:every AS interval) <= :limit
       RETURNING due_at"""
)
#: Counts in any case, up to a bound, so that nobody waits for ever for what one caller did.
_ADD = text(
    """INSERT INTO rate_bucket (bucket, due_at) VALUES (:bucket, :first)
       ON CONFLICT (bucket) DO UPDATE
           SET due_at = least(greatest(rate_bucket.due_at, :now) + CAST(:every AS interval), :most)
       RETURNING due_at"""
)
_TURN = text(
    """INSERT INTO rate_bucket (bucket, due_at) VALUES (:bucket, :due)
       ON CONFLICT (bucket) DO UPDATE SET due_at = excluded.due_at"""
)


async def take(session: Session, pace: Pace, key: str, now: datetime) -> timedelta | None:
    """One from the bucket; how long to wait for the next when there is none left."""
    bucket = f"{pace.name}:{key}"
    values = {
        "bucket": bucket,
        "first": now + pace.every,
        "now": now,
        "every": pace.every,
        "limit": now + pace.allowance,
    }
    if (await session.execute(_TAKE, values)).scalar_one_or_none() is not None:
        return None
    due = await due_at(session, bucket)
    return (due or now) + pace.every - pace.allowance - now


async def give_back(session: Session, pace: Pace, key: str) -> None:
    """One that was taken a moment ago counts no more."""
    query = text(
        "UPDATE rate_bucket SET due_at = due_at - CAST(:every AS interval) WHERE bucket = :bucket"
    )
    await session.execute(query, {"bucket": f"{pace.name}:{key}", "every": pace.every})


async def add(session: Session, pace: Pace, key: str, now: datetime, most: timedelta) -> timedelta:
    """Count one; how far the bucket is ahead of the clock now, ``most`` at the most."""
    values = {
        "bucket": f"{pace.name}:{key}",
        "first": now + pace.every,
        "now": now,
        "every": pace.every,
        "most": now + most,
    }
    due: datetime = (await session.execute(_ADD, values)).scalar_one()
    return due - now


async def due_at(session: Session | ReadSession, bucket: str) -> datetime | None:
    query = text("SELECT due_at FROM rate_bucket WHERE bucket = :bucket")
    found: datetime | None = (await session.execute(query, {"bucket": bucket})).scalar_one_or_none()
    return found


async def set_turn(session: Session, bucket: str, due: datetime) -> None:
    await session.execute(_TURN, {"bucket": bucket, "due": due})


async def use_turn(session: Session, bucket: str, now: datetime) -> bool:
    """Whether the browser has waited its turn, which is used up by asking."""
    query = text("DELETE FROM rate_bucket WHERE bucket = :bucket AND due_at <= :now RETURNING 1")
    return (await session.execute(query, {"bucket": bucket, "now": now})).first() is not None


async def forget_old(session: Session, before: datetime) -> None:
    """Buckets that have long been full again."""
    await session.execute(
        text("DELETE FROM rate_bucket WHERE due_at < :before"), {"before": before}
    )
