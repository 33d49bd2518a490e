"""Every SQL statement about codes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.sign_in.models import SignInCode
from shared.database import ReadSession, Session

_KNOWN = text(
    """SELECT EXISTS (SELECT FROM reader_session s JOIN reader r ON r.id = s.reader_id
       LEFT JOIN reader_phone p ON p.reader_id = r.id
       WHERE r.agency = :agency AND s.browser_hash = :browser
         AND (:sent_to = p.number OR (:sent_to = r.email AND NOT s.by_number)))"""
)


async def lock_destination(session: Session, agency: str, sent_to: str) -> None:
    """Until the transaction ends, nobody else asks for a code to this mailbox or number."""
    query = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 20_261))")
    await session.execute(query, {"key": f"{agency}:{sent_to}"})


async def is_known(session: Session, agency: str, sent_to: str, browser: bytes) -> bool:
    """Whether this browser was signed in as this reader before; by the mailbox, where ``sent_to`` is one."""
    values = {"agency": agency, "sent_to": sent_to, "browser": browser}
    return bool((await session.execute(_KNOWN, values)).scalar_one())


async def unused_since(session: Session, agency: str, sent_to: str, since: datetime) -> int:
    query = text(
        """SELECT count(*) FROM sign_in_code
           WHERE agency = :agency AND sent_to = :sent_to AND created_at > :since AND used_at IS NULL"""
    )
    values = {"agency": agency, "sent_to": sent_to, "since": since}
    return int((await session.execute(query, values)).scalar_one())


async def newest_of_browser(
    session: Session | ReadSession, agency: str, browser: bytes, now: datetime, sent_to: str = ""
) -> SignInCode | None:
    """The last code sent for this browser (to ``sent_to`` when given) that is still in time."""
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
    if sent_to:
        query = query.where(SignInCode.sent_to == sent_to)  # type: ignore[arg-type]
    found: SignInCode | None = await session.scalar(query)
    return found


async def codes_for_update(
    session: Session, agency: str, browser: bytes, now: datetime
) -> Sequence[SignInCode]:
    """Every unused code in time that was sent to where this browser asked for, whichever browser caused it."""
    own = select(col(SignInCode.sent_to)).where(
        col(SignInCode.agency) == agency,
        col(SignInCode.browser_hash) == browser,
        col(SignInCode.expires_at) > now,
    )
    return (
        await session.scalars(
            select(SignInCode)
            .where(
                SignInCode.agency == agency,  # type: ignore[arg-type]
                SignInCode.sent_to.in_(own),  # type: ignore[attr-defined]
                SignInCode.expires_at > now,  # type: ignore[arg-type]
                SignInCode.used_at.is_(None),  # type: ignore[union-attr]
            )
            .order_by(SignInCode.id)  # type: ignore[arg-type]
            .with_for_update()
        )
    ).all()


async def forget_code(session: Session, id_: UUID) -> None:
    await session.execute(text("DELETE FROM sign_in_code WHERE id = :id"), {"id": id_})


async def forget_old(session: Session, before: datetime) -> None:
    await session.execute(
        text("DELETE FROM sign_in_code WHERE expires_at < :before"), {"before": before}
    )
