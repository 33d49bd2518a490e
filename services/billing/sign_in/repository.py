"""Every SQL statement about codes and limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.sign_in.models import SignInCode
from services.billing.sign_in.rules import Pace
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
_KNOWN = text(
    """SELECT EXISTS (SELECT FROM reader_session s JOIN reader r ON r.id = s.reader_id
       WHERE r.agency = :agency AND r.email = :email AND s.browser_hash = :browser)"""
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


async def lock_mailbox(session: Session, agency: str, email: str) -> None:
    """Until the transaction ends, nobody else asks for a code of this mailbox."""
    query = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 20_261))")
    await session.execute(query, {"key": f"{agency}:{email}"})


async def is_known(session: Session, agency: str, email: str, browser: bytes) -> bool:
    """Whether this browser was signed in as this reader before."""
    values = {"agency": agency, "email": email, "browser": browser}
    return bool((await session.execute(_KNOWN, values)).scalar_one())


async def unused_since(session: Session, agency: str, email: str, since: datetime) -> int:
    query = text(
        """SELECT count(*) FROM sign_in_code
           WHERE agency = :agency AND email = :email AND created_at > :since AND used_at IS NULL"""
    )
    values = {"agency": agency, "email": email, "since": since}
    return int((await session.execute(query, values)).scalar_one())


async def newest_of_browser(
    session: Session | ReadSession, agency: str, browser: bytes, now: datetime, email: str = ""
) -> SignInCode | None:
    """The last code sent for this browser (to ``email`` when given) that is still in time."""
    query = (
        select(SignInCode)
        .where(
            SignInCode.agency == agency,  # type: ignore[arg-type]
            SignInCode.browser_hash == browser,  # type: ignore[arg-type]
            SignInCode.expires_at > now,  # type: ignore[arg-type]
            SignInCode.used_at.is_(None),  # type: ignore[union-attr]
        )
        .order_by(SignInCode.created_at.desc(), SignInCode.id.desc())  # type: ignore[attr-defined]
        .limit(1)
    )
    if email:
        query = query.where(SignInCode.email == email)  # type: ignore[arg-type]
    found: SignInCode | None = await session.scalar(query)
    return found


async def codes_for_update(
    session: Session, agency: str, browser: bytes, now: datetime
) -> Sequence[SignInCode]:
    """Every unused code in time that was sent to a mailbox this browser asked for, whichever browser caused it."""
    own = select(col(SignInCode.email)).where(
        col(SignInCode.agency) == agency,
        col(SignInCode.browser_hash) == browser,
        col(SignInCode.expires_at) > now,
    )
    return (
        await session.scalars(
            select(SignInCode)
            .where(
                SignInCode.agency == agency,  # type: ignore[arg-type]
                SignInCode.email.in_(own),  # type: ignore[attr-defined]
                SignInCode.expires_at > now,  # type: ignore[arg-type]
                SignInCode.used_at.is_(None),  # type: ignore[union-attr]
            )
            .order_by(SignInCode.id)  # type: ignore[arg-type]
            .with_for_update()
        )
    ).all()


async def forget_code(session: Session, id_: UUID) -> None:
    await session.execute(text("DELETE FROM sign_in_code WHERE id = :id"), {"id": id_})


async def forget_old(session: Session, now: datetime) -> None:
    """Codes of yesterday, and buckets that are full again."""
    values = {"now": now, "codes": now - timedelta(days=1)}
    await session.execute(text("DELETE FROM sign_in_code WHERE expires_at < :codes"), values)
    await session.execute(text("DELETE FROM rate_bucket WHERE due_at < :codes"), values)
