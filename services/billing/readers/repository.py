"""Every SQL statement about readers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update

from services.billing.readers.models import Consent, Reader, ReaderSession
from shared.database import ReadSession, Session

_INSERT_READER = text(
    """INSERT INTO reader (id, agency, email, language, created_at) VALUES (:id, :agency, :email, :language, :now)
       ON CONFLICT (agency, email) DO NOTHING"""
)


async def reader_by_email(
    session: Session, reader_id: UUID, agency: str, email: str, language: str, now: datetime
) -> Reader:
    """The reader under this address, made under ``reader_id`` when there is none yet."""
    return await _known_or_new(session, reader_id, agency, email, language, now, held=False)


async def held_by_email(
    session: Session, reader_id: UUID, agency: str, email: str, language: str, now: datetime
) -> Reader:
    """:func:`reader_by_email`, and nobody gives them another address until COMMIT. The caller takes no reader's lock after it: who
    changes an address has that lock, and waits for this one."""
    return await _known_or_new(session, reader_id, agency, email, language, now, held=True)


async def _known_or_new(
    session: Session,
    reader_id: UUID,
    agency: str,
    email: str,
    language: str,
    now: datetime,
    *,
    held: bool,
) -> Reader:
    values = {"id": reader_id, "agency": agency, "email": email, "language": language, "now": now}
    own = select(Reader).where(Reader.agency == agency, Reader.email == email)  # type: ignore[arg-type]
    if held:
        own = own.with_for_update(read=True, key_share=True)
    while True:
        await session.execute(_INSERT_READER, values)
        found: Reader | None = await session.scalar(own)
        if found is not None:
            return (
                found  # else the address was changed between the two statements: nobody has it now
            )


async def remember(session: Session, agency: str, mailbox: bytes) -> None:
    """The hash of the mailbox of who is not new if they come back."""
    await session.execute(
        text(
            """INSERT INTO former_reader (agency, mailbox_hash) VALUES (:agency, :mailbox)
               ON CONFLICT DO NOTHING"""
        ),
        {"agency": agency, "mailbox": mailbox},
    )


async def mark_returned(session: Session, reader_id: UUID, agency: str, mailbox: bytes) -> None:
    """A reader who was just made is not new where their mailbox was a former reader's."""
    await session.execute(
        text(
            """UPDATE reader SET returned = true WHERE id = :id AND EXISTS
                 (SELECT FROM former_reader WHERE agency = :agency AND mailbox_hash = :mailbox)"""
        ),
        {"id": reader_id, "agency": agency, "mailbox": mailbox},
    )


async def is_erased(session: Session, reader_id: UUID) -> bool:
    """Whether a reader's data was deleted."""
    found = await session.scalar(
        text("SELECT erased_at IS NOT NULL FROM reader WHERE id = :id"), {"id": reader_id}
    )
    return bool(found)


async def by_email(session: Session | ReadSession, agency: str, email: str) -> Reader | None:
    """The reader under this address, where there is one."""
    found: Reader | None = await session.scalar(
        select(Reader).where(Reader.agency == agency, Reader.email == email)  # type: ignore[arg-type]
    )
    return found


async def set_language(session: Session, reader_id: UUID, language: str) -> None:
    """The language that this reader's letters are in from now on."""
    await session.execute(
        text("UPDATE reader SET language = :language WHERE id = :id AND language <> :language"),
        {"id": reader_id, "language": language},
    )


async def language_of(session: Session, reader_id: UUID) -> str:
    """The language of this reader's letters."""
    found: str = await session.scalar(
        text("SELECT language FROM reader WHERE id = :id"), {"id": reader_id}
    )
    return found


async def session_by_token(
    session: Session | ReadSession, agency: str, token: bytes, now: datetime
) -> tuple[ReaderSession, Reader] | None:
    row = (
        await session.execute(
            select(ReaderSession, Reader)
            .join(Reader, Reader.id == ReaderSession.reader_id)  # type: ignore[arg-type]
            .where(
                ReaderSession.token_hash == token,  # type: ignore[arg-type]
                ReaderSession.agency == agency,  # type: ignore[arg-type]
                ReaderSession.ended_at.is_(None),  # type: ignore[union-attr]
                ReaderSession.expires_at > now,  # type: ignore[arg-type]
            )
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def sessions_of(
    session: Session | ReadSession, reader_id: UUID, now: datetime
) -> Sequence[ReaderSession]:
    return (
        await session.scalars(
            select(ReaderSession)
            .where(
                ReaderSession.reader_id == reader_id,  # type: ignore[arg-type]
                ReaderSession.ended_at.is_(None),  # type: ignore[union-attr]
                ReaderSession.expires_at > now,  # type: ignore[arg-type]
            )
            .order_by(ReaderSession.last_seen_at.desc())  # type: ignore[attr-defined]
        )
    ).all()


async def touch(session: Session, id_: UUID, now: datetime, expires_at: datetime) -> None:
    await session.execute(
        update(ReaderSession)
        .where(ReaderSession.id == id_)  # type: ignore[arg-type]
        .values(last_seen_at=now, expires_at=expires_at)
    )


async def end_session(session: Session, id_: UUID, reader_id: UUID, now: datetime) -> bool:
    """Whether there was such a session of this reader's."""
    result: Any = await session.execute(
        update(ReaderSession)
        .where(
            ReaderSession.id == id_,  # type: ignore[arg-type]
            ReaderSession.reader_id == reader_id,  # type: ignore[arg-type]
            ReaderSession.ended_at.is_(None),  # type: ignore[union-attr]
        )
        .values(ended_at=now)
    )
    return bool(result.rowcount)


async def end_all(session: Session, agency: str, reader_id: UUID, now: datetime) -> int:
    """End every session of a reader's. Returns how many there were."""
    ended = await session.execute(
        update(ReaderSession)
        .where(
            ReaderSession.agency == agency,  # type: ignore[arg-type]
            ReaderSession.reader_id == reader_id,  # type: ignore[arg-type]
            ReaderSession.ended_at.is_(None),  # type: ignore[union-attr]
            ReaderSession.expires_at > now,  # type: ignore[arg-type]
        )
        .values(ended_at=now)
        .returning(ReaderSession.id)  # type: ignore[call-overload]
    )
    return len(ended.all())


async def by_id(session: Session | ReadSession, agency: str, reader_id: UUID) -> Reader | None:
    found: Reader | None = await session.scalar(
        select(Reader).where(Reader.agency == agency, Reader.id == reader_id)  # type: ignore[arg-type]
    )
    return found


async def end_by_token(session: Session, agency: str, token: bytes, now: datetime) -> None:
    """Whoever signs in again leaves no session behind in this browser."""
    await session.execute(
        update(ReaderSession)
        .where(
            ReaderSession.token_hash == token,  # type: ignore[arg-type]
            ReaderSession.agency == agency,  # type: ignore[arg-type]
            ReaderSession.ended_at.is_(None),  # type: ignore[union-attr]
        )
        .values(ended_at=now)
    )


async def latest_consents(session: Session | ReadSession, reader_id: UUID) -> dict[str, Consent]:
    """The newest word on each purpose."""
    rows = await session.scalars(
        select(Consent)
        .where(Consent.reader_id == reader_id)  # type: ignore[arg-type]
        .order_by(Consent.given_at, Consent.id)  # type: ignore[arg-type]
    )
    return {row.purpose: row for row in rows}
