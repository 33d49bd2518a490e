"""Every SQL statement about changes of address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, text
from sqlmodel import col

from services.billing.addresses.models import AddressChange, AddressCode
from services.billing.readers.models import ReaderSession
from shared.database import ReadSession, Session


async def is_taken(
    session: Session, agency: str, email: str, reader_id: UUID, now: datetime
) -> bool:
    """Whether another reader has an address, or may still have it back."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM reader WHERE agency = :agency AND email = :email AND id <> :reader)
                   OR EXISTS (SELECT FROM address_change WHERE agency = :agency AND old_email = :email AND reader_id <> :reader
                              AND undone_at IS NULL AND undo_until > :now)"""
        ),
        {"agency": agency, "email": email, "reader": reader_id, "now": now},
    )
    return bool(found)


async def held(session: Session, agency: str, email: str, now: datetime) -> AddressChange | None:
    """The change by which an address is free, and may still be had back: the first one of them."""
    found: AddressChange | None = await session.scalar(
        select(AddressChange)
        .where(
            col(AddressChange.agency) == agency,
            col(AddressChange.old_email) == email,
            col(AddressChange.undone_at).is_(None),
            col(AddressChange.undo_until) > now,
        )
        .order_by(col(AddressChange.changed_at), col(AddressChange.id))
        .limit(1)
    )
    return found


async def back_until(
    session: Session | ReadSession, reader_id: UUID, now: datetime
) -> datetime | None:
    """Until when an address that a reader had may be had back; None where none may."""
    found: datetime | None = await session.scalar(
        select(func.max(col(AddressChange.undo_until))).where(
            col(AddressChange.reader_id) == reader_id,
            col(AddressChange.undone_at).is_(None),
            col(AddressChange.undo_until) > now,
        )
    )
    return found


async def moved_to(session: Session | ReadSession, agency: str, email: str) -> str:
    """The address that who was known by ``email`` has now; ``email`` itself where somebody has it, or nobody had."""
    found: str | None = await session.scalar(
        text(
            """SELECT r.email FROM address_change c JOIN reader r ON r.id = c.reader_id
               WHERE c.agency = :agency AND c.old_email = :email AND c.undone_at IS NULL
                 AND NOT EXISTS (SELECT FROM reader o WHERE o.agency = :agency AND o.email = :email)
               ORDER BY c.changed_at DESC LIMIT 1"""
        ),
        {"agency": agency, "email": email},
    )
    return found or email


async def codes_for_update(
    session: Session, reader_id: UUID, now: datetime
) -> Sequence[AddressCode]:
    return (
        await session.scalars(
            select(AddressCode)
            .where(col(AddressCode.reader_id) == reader_id, col(AddressCode.expires_at) > now)
            .order_by(col(AddressCode.id))
            .with_for_update()
        )
    ).all()


async def forget_code(session: Session, id_: UUID) -> None:
    await session.execute(text("DELETE FROM address_code WHERE id = :id"), {"id": id_})


async def forget_codes(session: Session, reader_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM address_code WHERE reader_id = :reader"), {"reader": reader_id}
    )


async def forget_old(session: Session, before: datetime) -> None:
    await session.execute(
        text("DELETE FROM address_code WHERE expires_at < :before"), {"before": before}
    )


async def set_email(session: Session, reader_id: UUID, email: str) -> None:
    """Raises ``IntegrityError`` where somebody else was faster.

    Whoever signs in by either address at this moment waits for it: a reader's row is held while a session of theirs is opened.
    """
    await session.execute(
        text("UPDATE reader SET email = :email WHERE id = :reader AND email <> :email"),
        {"reader": reader_id, "email": email},
    )


async def keep_session(
    session: Session, id_: UUID, reader_id: UUID, token: bytes, now: datetime
) -> bool:
    """The one session of a reader's that stays, under another token. Whether it still runs."""
    kept = await session.execute(
        text(
            """UPDATE reader_session SET token_hash = :token
               WHERE id = :id AND reader_id = :reader AND ended_at IS NULL AND expires_at > :now RETURNING id"""
        ),
        {"id": id_, "reader": reader_id, "token": token, "now": now},
    )
    return kept.first() is not None


async def end_others(session: Session, reader_id: UUID, kept: UUID, now: datetime) -> None:
    rows = await session.scalars(
        select(ReaderSession)
        .where(
            col(ReaderSession.reader_id) == reader_id,
            col(ReaderSession.id) != kept,
            col(ReaderSession.ended_at).is_(None),
        )
        .with_for_update()
    )
    for row in rows:
        row.ended_at = now
    await session.flush()


async def change(
    session: Session | ReadSession, agency: str, reader_id: UUID, id_: UUID
) -> AddressChange | None:
    found: AddressChange | None = await session.scalar(
        select(AddressChange)
        .where(
            col(AddressChange.id) == id_,
            col(AddressChange.agency) == agency,
            col(AddressChange.reader_id) == reader_id,
        )
        .execution_options(populate_existing=True)
    )
    return found


async def undo_from(session: Session, change: AddressChange, now: datetime) -> None:
    """This change, and those that were made after it, are taken back."""
    await session.execute(
        text(
            """UPDATE address_change SET undone_at = greatest(:now, changed_at)
               WHERE reader_id = :reader AND undone_at IS NULL AND (changed_at, id) >= (:at, :id)"""
        ),
        {"now": now, "reader": change.reader_id, "at": change.changed_at, "id": change.id},
    )
