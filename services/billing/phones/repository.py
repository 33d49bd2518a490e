"""Every SQL statement about mobile numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from services.billing.phones.models import ProofCode
from services.billing.readers.models import Reader
from shared.database import ReadSession, Session


async def number_of(session: Session | ReadSession, reader_id: UUID) -> str:
    """A reader's number; empty where they have none."""
    found: str | None = await session.scalar(
        text("SELECT number FROM reader_phone WHERE reader_id = :reader"), {"reader": reader_id}
    )
    return found or ""


async def reader_by_number(session: Session | ReadSession, agency: str, number: str) -> UUID | None:
    found: UUID | None = await session.scalar(
        text("SELECT reader_id FROM reader_phone WHERE agency = :agency AND number = :number"),
        {"agency": agency, "number": number},
    )
    return found


async def held_by_number(session: Session, agency: str, number: str) -> Reader | None:
    """The reader who has this number; until COMMIT it stays theirs. Their row is held before the number's, as a deletion does it."""
    while True:
        id_ = await reader_by_number(session, agency, number)
        if id_ is None:
            return None
        found: Reader | None = await session.scalar(
            select(Reader)
            .where(col(Reader.id) == id_)
            .with_for_update(read=True, key_share=True)
            .execution_options(populate_existing=True)
        )
        stands = await session.scalar(
            text(
                "SELECT 1 FROM reader_phone WHERE reader_id = :reader AND number = :number FOR KEY SHARE"
            ),
            {"reader": id_, "number": number},
        )
        if found is not None and stands:
            return found  # else it was given up between the statements


async def put(session: Session, agency: str, reader_id: UUID, number: str, now: datetime) -> bool:
    """The number is this reader's, in the place of another one of theirs. False where somebody else has it: then nothing changes."""
    try:
        async with session.begin_nested():
            await session.execute(
                text(
                    """INSERT INTO reader_phone (reader_id, agency, number, added_at) VALUES (:reader, :agency, :number, :now)
                       ON CONFLICT (reader_id) DO UPDATE SET number = excluded.number, added_at = excluded.added_at"""
                ),
                {"reader": reader_id, "agency": agency, "number": number, "now": now},
            )
    except IntegrityError:
        return False
    return True


async def add(session: Session, agency: str, reader_id: UUID, number: str, now: datetime) -> bool:
    """The number is this reader's; False where somebody has it, or they have one: then nothing changes."""
    added = await session.scalar(
        text(
            """INSERT INTO reader_phone (reader_id, agency, number, added_at) VALUES (:reader, :agency, :number, :now)
               ON CONFLICT DO NOTHING RETURNING true"""
        ),
        {"reader": reader_id, "agency": agency, "number": number, "now": now},
    )
    return bool(added)


async def remove(session: Session, reader_id: UUID, added_after: datetime | None = None) -> str:
    """The number that was this reader's and is no more; empty where there was none, or only an older one than ``added_after``."""
    removed: str | None = await session.scalar(
        text(
            """DELETE FROM reader_phone WHERE reader_id = :reader
               AND (CAST(:after AS timestamptz) IS NULL OR added_at >= :after) RETURNING number"""
        ),
        {"reader": reader_id, "after": added_after},
    )
    return removed or ""


async def end_sessions_by_number(
    session: Session, reader_id: UUID, kept: UUID | None, now: datetime
) -> None:
    """Who came in by a number that is no more theirs is out."""
    await session.execute(
        text(
            """UPDATE reader_session SET ended_at = :now WHERE reader_id = :reader AND by_number
               AND ended_at IS NULL AND id IS DISTINCT FROM CAST(:kept AS uuid)"""
        ),
        {"reader": reader_id, "kept": kept, "now": now},
    )


async def confirm_session(session: Session, id_: UUID, reader_id: UUID) -> None:
    """The mailbox has confirmed a session that the number opened."""
    await session.execute(
        text(
            "UPDATE reader_session SET by_number = false WHERE id = :id AND reader_id = :reader AND ended_at IS NULL"
        ),
        {"id": id_, "reader": reader_id},
    )


async def codes_for_update(session: Session, reader_id: UUID, now: datetime) -> Sequence[ProofCode]:
    """A reader's codes in time (the caller holds the reader's lock)."""
    return (
        await session.scalars(
            select(ProofCode)
            .where(col(ProofCode.reader_id) == reader_id, col(ProofCode.expires_at) > now)
            .order_by(col(ProofCode.id))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def forget_code(session: Session, id_: UUID) -> None:
    await session.execute(text("DELETE FROM proof_code WHERE id = :id"), {"id": id_})


async def forget_codes(session: Session, reader_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM proof_code WHERE reader_id = :reader"), {"reader": reader_id}
    )


async def keep_proof(
    session: Session, agency: str, browser: bytes, number: str, expires_at: datetime
) -> None:
    """This browser has proved a number that is nobody's, the last one where there are several."""
    await session.execute(
        text(
            """INSERT INTO number_proof (agency, browser_hash, number, expires_at) VALUES (:agency, :browser, :number, :until)
               ON CONFLICT (agency, browser_hash)
               DO UPDATE SET number = excluded.number, email = '', expires_at = excluded.expires_at"""
        ),
        {"agency": agency, "browser": browser, "number": number, "until": expires_at},
    )


async def proof(
    session: Session | ReadSession, agency: str, browser: bytes, now: datetime
) -> tuple[str, str] | None:
    """The number that this browser has proved, and the address that it gave for it."""
    row = (
        await session.execute(
            text(
                """SELECT number, email FROM number_proof
                   WHERE agency = :agency AND browser_hash = :browser AND expires_at > :now"""
            ),
            {"agency": agency, "browser": browser, "now": now},
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


async def name_address(session: Session, agency: str, browser: bytes, email: str) -> None:
    await session.execute(
        text(
            "UPDATE number_proof SET email = :email WHERE agency = :agency AND browser_hash = :browser"
        ),
        {"agency": agency, "browser": browser, "email": email},
    )


async def drop_proof(session: Session, agency: str, browser: bytes) -> None:
    await session.execute(
        text("DELETE FROM number_proof WHERE agency = :agency AND browser_hash = :browser"),
        {"agency": agency, "browser": browser},
    )


async def use_proof(
    session: Session, agency: str, browser: bytes, email: str, now: datetime
) -> str:
    """The number that this browser has proved for the account of an address, once; empty where there is none."""
    found: str | None = await session.scalar(
        text(
            """DELETE FROM number_proof WHERE agency = :agency AND browser_hash = :browser AND email = :email
               AND expires_at > :now RETURNING number"""
        ),
        {"agency": agency, "browser": browser, "email": email, "now": now},
    )
    return found or ""


async def forget_old(session: Session, now: datetime) -> None:
    """Codes and proofs that are over."""
    for table in ("proof_code", "number_proof"):
        await session.execute(
            text(f"DELETE FROM {table} WHERE expires_at <= :now"),  # noqa: S608 - names of ours
            {"now": now},
        )
