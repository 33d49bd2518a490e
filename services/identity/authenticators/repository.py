"""Statements about tries to sign in and known devices."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlmodel import col

from services.identity.authenticators.models import (
    KnownDevice,
    SignInLock,
    SignInPace,
)
from services.identity.authenticators.rules import Attempts
from shared.database import ReadSession, Session


def email_digest(email: str) -> bytes:
    return hashlib.sha256(email.encode()).digest()


def origin_digest(kind: str, where: str | bytes) -> bytes:
    """``kind`` keeps a network, a device and a second factor's tries apart."""
    return hashlib.sha256(
        kind.encode() + b":" + (where.encode() if isinstance(where, str) else where)
    ).digest()


async def lock_attempts(session: Session, email: str, origin: bytes, now: datetime) -> Attempts:
    """What is remembered for an address from an origin, held until the transaction ends."""
    # One statement: between an INSERT and a SELECT another try's success may delete the row.
    found = await session.execute(
        text(
            """INSERT INTO sign_in_lock (email_hash, origin, failures, last_failed_at)
               VALUES (:email, :origin, 0, :now)
               ON CONFLICT (email_hash, origin) DO UPDATE SET failures = sign_in_lock.failures
               RETURNING failures, last_failed_at, locked_until"""
        ),
        {"email": email_digest(email), "origin": origin, "now": now},
    )
    return Attempts(*found.one())


async def save_attempts(session: Session, email: str, origin: bytes, attempts: Attempts) -> None:
    await session.execute(
        text(
            """UPDATE sign_in_lock SET failures = :failures, last_failed_at = :last, locked_until = :until
               WHERE email_hash = :email AND origin = :origin"""
        ),
        {
            "email": email_digest(email),
            "origin": origin,
            "failures": attempts.failures,
            "last": attempts.last_failed_at,
            "until": attempts.locked_until,
        },
    )


async def forget_attempts(session: Session, email: str, origin: bytes) -> None:
    """After a success: the failures of this origin."""
    await session.execute(
        delete(SignInLock).where(
            col(SignInLock.email_hash) == email_digest(email), col(SignInLock.origin) == origin
        )
    )


async def clear_attempts(session: Session, email: str) -> bool:
    """Forget an address's failures from everywhere; whether it was locked anywhere."""
    rows = await session.execute(
        delete(SignInLock)
        .where(col(SignInLock.email_hash) == email_digest(email))
        .returning(col(SignInLock.locked_until))
    )
    await session.execute(
        delete(SignInPace).where(col(SignInPace.subject) == origin_digest("account", email))
    )
    return any(until is not None for until in rows.scalars())


async def locked_until(
    session: Session | ReadSession, emails: list[str], now: datetime
) -> dict[str, datetime]:
    """Which of these addresses are locked from somewhere, and until when at the latest."""
    digests = {email_digest(email): email for email in emails}
    rows = await session.execute(
        text(
            """SELECT email_hash, max(locked_until) FROM sign_in_lock
               WHERE email_hash = ANY(:emails) AND locked_until > :now GROUP BY email_hash"""
        ),
        {"emails": list(digests), "now": now},
    )
    return {digests[bytes(digest)]: until for digest, until in rows}


async def lock_pace(session: Session, subject: bytes, now: datetime) -> list[datetime]:
    """A subject's latest failures, held until the transaction ends."""
    found = await session.execute(
        text(
            """INSERT INTO sign_in_pace (subject, failed_at, last_failed_at)
               VALUES (:subject, '{}', :now)
               ON CONFLICT (subject) DO UPDATE SET failed_at = sign_in_pace.failed_at
               RETURNING failed_at"""
        ),
        {"subject": subject, "now": now},
    )
    return list(found.scalar_one())


async def save_pace(
    session: Session, subject: bytes, failed_at: list[datetime], now: datetime
) -> None:
    await session.execute(
        text(
            """UPDATE sign_in_pace SET failed_at = :failed_at, last_failed_at = :now
               WHERE subject = :subject"""
        ),
        {"subject": subject, "failed_at": failed_at, "now": now},
    )


async def refund_pace(session: Session, subject: bytes, at: datetime) -> None:
    """A try that succeeded does not count."""
    await session.execute(
        text(
            """UPDATE sign_in_pace SET failed_at = array_remove(failed_at, CAST(:at AS timestamptz))
               WHERE subject = :subject"""
        ),
        {"subject": subject, "at": at},
    )


async def knows_device(session: Session | ReadSession, account_id: UUID, device: bytes) -> bool:
    found = await session.execute(
        select(col(KnownDevice.account_id)).where(
            col(KnownDevice.token_hash) == device, col(KnownDevice.account_id) == account_id
        )
    )
    return found.first() is not None


async def is_device(session: Session | ReadSession, device: bytes) -> bool:
    """Whether this cookie is one we gave."""
    found = await session.execute(
        select(col(KnownDevice.account_id)).where(col(KnownDevice.token_hash) == device).limit(1)
    )
    return found.first() is not None


async def remember_device(
    session: Session, account_id: UUID, device: bytes, now: datetime, keep: int
) -> None:
    """The account's newest ``keep`` devices."""
    await session.execute(
        text(
            """INSERT INTO known_device (token_hash, account_id, created_at, last_used_at)
               VALUES (:device, :account, :now, :now)
               ON CONFLICT (token_hash, account_id) DO UPDATE SET last_used_at = excluded.last_used_at"""
        ),
        {"device": device, "account": account_id, "now": now},
    )
    await session.execute(
        text(
            """DELETE FROM known_device WHERE account_id = :account AND token_hash NOT IN (
                   SELECT token_hash FROM known_device WHERE account_id = :account
                   ORDER BY last_used_at DESC LIMIT :keep)"""
        ),
        {"account": account_id, "keep": keep},
    )


async def forget_devices(session: Session, account_id: UUID) -> None:
    await session.execute(delete(KnownDevice).where(col(KnownDevice.account_id) == account_id))


async def purge(session: Session, before: datetime, devices_before: datetime) -> None:
    """Forget tries older than ``before`` and devices unused since ``devices_before``."""
    await session.execute(delete(SignInLock).where(col(SignInLock.last_failed_at) < before))
    await session.execute(delete(SignInPace).where(col(SignInPace.last_failed_at) < before))
    await session.execute(delete(KnownDevice).where(col(KnownDevice.last_used_at) < devices_before))
