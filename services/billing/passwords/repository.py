"""Every SQL statement about readers' passwords."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlmodel import col

from services.billing.passwords.models import PasswordCode, ReaderPassword
from services.billing.readers.models import Reader
from shared.database import ReadSession, Session


async def of_reader(session: Session | ReadSession, reader_id: UUID) -> ReaderPassword | None:
    """As it is now. A caller that changes it holds the reader's lock."""
    found: ReaderPassword | None = await session.scalar(
        select(ReaderPassword)
        .where(col(ReaderPassword.reader_id) == reader_id)
        .execution_options(populate_existing=True)
    )
    return found


async def of_address(session: ReadSession, agency: str, email: str) -> ReaderPassword | None:
    """The password of who has this address, where they have one."""
    found: ReaderPassword | None = await session.scalar(
        select(ReaderPassword)
        .join(Reader, col(Reader.id) == col(ReaderPassword.reader_id))
        .where(col(Reader.agency) == agency, col(Reader.email) == email)
    )
    return found


async def forget(session: Session, reader_id: UUID) -> bool:
    """The password and the codes that wait go; whether there was one."""
    await forget_codes(session, reader_id)
    gone = await session.execute(
        delete(ReaderPassword)
        .where(col(ReaderPassword.reader_id) == reader_id)
        .returning(col(ReaderPassword.id))
    )
    return gone.first() is not None


async def codes_for_update(
    session: Session, reader_id: UUID, address: str, now: datetime
) -> Sequence[PasswordCode]:
    """A reader's codes in time that were sent to the address they have now."""
    return (
        await session.scalars(
            select(PasswordCode)
            .where(
                col(PasswordCode.reader_id) == reader_id,
                col(PasswordCode.address) == address,
                col(PasswordCode.expires_at) > now,
            )
            .order_by(col(PasswordCode.id))
            .with_for_update()
        )
    ).all()


async def code_sent(session: ReadSession, reader_id: UUID, address: str, now: datetime) -> bool:
    """Whether a code is in time that was sent to the address."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM password_code
               WHERE reader_id = :reader AND address = :address AND expires_at > :now)"""
        ),
        {"reader": reader_id, "address": address, "now": now},
    )
    return bool(found)


async def forget_code(session: Session, id_: UUID) -> None:
    await session.execute(text("DELETE FROM password_code WHERE id = :id"), {"id": id_})


async def forget_codes(session: Session, reader_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM password_code WHERE reader_id = :reader"), {"reader": reader_id}
    )


async def forget_old(session: Session, before: datetime) -> None:
    await session.execute(
        text("DELETE FROM password_code WHERE expires_at < :before"), {"before": before}
    )
