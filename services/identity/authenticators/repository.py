"""Statements about tries to sign in."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import delete, text
from sqlmodel import col

from services.identity.authenticators.models import SignInLock, SignInNetwork
from services.identity.authenticators.rules import Attempts
from shared.database import Session


def email_digest(email: str) -> bytes:
    return hashlib.sha256(email.encode()).digest()


async def lock_attempts(session: Session, email: str, now: datetime) -> Attempts:
    """What is remembered for an address, held until the transaction ends."""
    key = {"email": email_digest(email), "now": now}
    await session.execute(
        text(
            """INSERT INTO sign_in_lock (email_hash, failures, last_failed_at) VALUES (:email, 0, :now)
               ON CONFLICT (email_hash) DO NOTHING"""
        ),
        key,
    )
    row = (
        await session.execute(
            text(
                """SELECT failures, last_failed_at, locked_until FROM sign_in_lock
                   WHERE email_hash = :email FOR UPDATE"""
            ),
            {"email": key["email"]},
        )
    ).one()
    return Attempts(*row)


async def save_attempts(session: Session, email: str, attempts: Attempts) -> None:
    await session.execute(
        text(
            """UPDATE sign_in_lock SET failures = :failures, last_failed_at = :last, locked_until = :until
               WHERE email_hash = :email"""
        ),
        {
            "email": email_digest(email),
            "failures": attempts.failures,
            "last": attempts.last_failed_at,
            "until": attempts.locked_until,
        },
    )


async def clear_attempts(session: Session, email: str) -> bool:
    """Forget an address's failures; whether it was locked."""
    row = (
        await session.execute(
            text("DELETE FROM sign_in_lock WHERE email_hash = :email RETURNING locked_until"),
            {"email": email_digest(email)},
        )
    ).one_or_none()
    return row is not None and row[0] is not None


async def locked_until(session: Session, emails: list[str], now: datetime) -> dict[str, datetime]:
    """Which of these addresses are locked, and until when."""
    digests = {email_digest(email): email for email in emails}
    rows = await session.execute(
        text(
            """SELECT email_hash, locked_until FROM sign_in_lock
               WHERE email_hash = ANY(:emails) AND locked_until > :now"""
        ),
        {"emails": list(digests), "now": now},
    )
    return {digests[bytes(digest)]: until for digest, until in rows}


async def lock_network(
    session: Session, network: str, now: datetime
) -> tuple[datetime | None, int]:
    """A network's window and count, held until the transaction ends."""
    await session.execute(
        text(
            """INSERT INTO sign_in_network (network, window_started_at, failures)
               VALUES (:network, :now, 0) ON CONFLICT (network) DO NOTHING"""
        ),
        {"network": network, "now": now},
    )
    row = (
        await session.execute(
            text(
                """SELECT window_started_at, failures FROM sign_in_network
                   WHERE network = :network FOR UPDATE"""
            ),
            {"network": network},
        )
    ).one()
    return row[0], row[1]


async def save_network(
    session: Session, network: str, window_started_at: datetime, failures: int
) -> None:
    await session.execute(
        text(
            """UPDATE sign_in_network SET window_started_at = :started, failures = :failures
               WHERE network = :network"""
        ),
        {"network": network, "started": window_started_at, "failures": failures},
    )


async def refund_network(session: Session, network: str) -> None:
    """A try that succeeded does not count."""
    await session.execute(
        text(
            """UPDATE sign_in_network SET failures = greatest(failures - 1, 0)
               WHERE network = :network"""
        ),
        {"network": network},
    )


async def purge(session: Session, before: datetime) -> None:
    """Forget tries older than ``before``."""
    await session.execute(delete(SignInLock).where(col(SignInLock.last_failed_at) < before))
    await session.execute(
        delete(SignInNetwork).where(col(SignInNetwork.window_started_at) < before)
    )
