"""Every SQL statement about uploaded statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text

from services.billing.statements.models import StatementUpload
from services.billing.transfers.facts import CreditNotice
from services.billing.webhooks import repository as inbox
from services.billing.webhooks.repository import Incoming
from shared.database import ReadSession, Session

VIA = "statement"


async def upload(session: ReadSession, agency: str, id_: UUID) -> StatementUpload | None:
    found: StatementUpload | None = await session.scalar(
        select(StatementUpload).where(StatementUpload.id == id_, StatementUpload.agency == agency)  # type: ignore[arg-type]
    )
    return found


async def lock_upload(session: Session, agency: str, id_: UUID) -> StatementUpload | None:
    found: StatementUpload | None = await session.scalar(
        select(StatementUpload)
        .where(StatementUpload.id == id_, StatementUpload.agency == agency)  # type: ignore[arg-type]
        .with_for_update()
    )
    return found


async def known(
    session: Session | ReadSession,
    agency: str,
    source: str,
    account: str,
    credits: Sequence[CreditNotice],
) -> int:
    """How many of a statement's credits have been heard of: by a statement, or by another source with their reference."""
    found = await session.scalar(
        text(
            """SELECT count(*) FROM unnest(CAST(:ids AS text[]), CAST(:references AS text[]), CAST(:amounts AS bigint[]))
                    AS s(id, reference, amount)
               WHERE EXISTS (SELECT FROM webhook_event w
                             WHERE w.source = :source AND w.event_id = :agency || '/' || :account || '/' || s.id)
                  OR EXISTS (SELECT FROM bank_notice n
                             WHERE n.agency = :agency AND n.source = :source AND n.external_id = s.id)
                  OR (s.reference <> '' AND EXISTS (
                         SELECT FROM bank_credit c WHERE c.agency = :agency AND c.account = :account
                             AND c.reference = s.reference AND c.amount_vnd = s.amount))"""
        ),
        {
            "agency": agency,
            "source": source,
            "account": account,
            "ids": [one.external_id for one in credits],
            "references": [one.reference for one in credits],
            "amounts": [one.amount_vnd for one in credits],
        },
    )
    return int(found or 0)


async def keep(session: Session, now: datetime, events: Sequence[Incoming]) -> None:
    """Rows of a statement into the inbox, in the caller's transaction and in one SQL statement; those that are there stay."""
    raw = await (await session.connection()).get_raw_connection()
    assert raw.driver_connection is not None
    await inbox.store(raw.driver_connection, VIA, now, events)


async def forget_untaken(session: Session, before: datetime) -> None:
    await session.execute(
        text("DELETE FROM statement_upload WHERE taken_at IS NULL AND uploaded_at < :before"),
        {"before": before},
    )


async def applying(session: ReadSession, agency: str, source: str) -> tuple[int, int]:
    """How many rows of the agency's statements wait in the inbox, and how many were given up."""
    row = (
        await session.execute(
            text(
                """SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'parked')
                   FROM webhook_event
                   WHERE state IN ('waiting', 'parked') AND source = :source AND agency = :agency"""
            ),
            {"source": source, "agency": agency},
        )
    ).one()
    return row[0], row[1]
