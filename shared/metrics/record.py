"""How every service tells what it earned: in the transaction of the fact itself.

Nothing is stored here but the outbox row; the layer's own consumer keeps the entries. The event's id is derived from
the source reference, so that recording a fact twice is one event and one entry.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID, uuid5

from shared.contracts.envelope import Event, Payload, new_event
from shared.contracts.metrics import (
    DeferredRecorded,
    Movement,
    MrrMoved,
    Payer,
    RevenueRecorded,
    Segment,
    Stream,
)
from shared.database import Session
from shared.money import Money
from shared.outbox import record

_NAMESPACE = UUID("6f6fd1b6-6c59-5a3f-9a53-0b8e0c6f2d11")  # fixed for ever: event ids depend on it


def _event(payload: Payload, agency: str, source_reference: str, now: datetime) -> Event[Payload]:
    return new_event(
        payload,
        agency=agency,
        subject=source_reference,
        now=now,
        publisher=source_reference.partition(":")[0],
        event_id=uuid5(_NAMESPACE, f"{payload.TYPE}|{agency}|{source_reference}"),
    )


def revenue_event(
    *,
    agency: str,
    source_reference: str,
    segment: Segment,
    stream: Stream,
    payer: Payer,
    law_source: str,
    account: str,
    amount: Money,
    recognised_on: date,
    now: datetime,
    document: str = "",
) -> Event[Payload]:
    """The event that :func:`record_revenue` stores (for hot paths that write many at once)."""
    return _event(
        RevenueRecorded(
            source_reference=source_reference,
            segment=segment,
            stream=stream,
            payer=payer,
            law_source=law_source,
            account=account,
            currency=amount.currency,
            amount=amount.amount,
            recognised_on=recognised_on,
            document=document,
        ),
        agency,
        source_reference,
        now,
    )


async def record_revenue(
    session: Session,
    *,
    agency: str,
    source_reference: str,
    segment: Segment,
    stream: Stream,
    payer: Payer,
    law_source: str,
    account: str,
    amount: Money,
    recognised_on: date,
    now: datetime,
    document: str = "",
) -> None:
    """Revenue earned on ``recognised_on`` (agency's zone); net of VAT, signed (a reversal is negative).

    ``source_reference`` is unique for the fact within the agency and begins with the service that records it, e.g.
    ``billing:recognition:<period>:<day>``; its streams stand in ``shared.contracts.metrics.STREAMS``.
    ``law_source`` is a kind of Press Law 126/2025 (``shared.metrics.rules.LAW_SOURCES``).
    """
    event = revenue_event(
        agency=agency,
        source_reference=source_reference,
        segment=segment,
        stream=stream,
        payer=payer,
        law_source=law_source,
        account=account,
        amount=amount,
        recognised_on=recognised_on,
        now=now,
        document=document,
    )
    await record(session, event)


def deferred_event(
    *,
    agency: str,
    source_reference: str,
    segment: Segment,
    stream: Stream,
    amount: Money,
    occurred_on: date,
    now: datetime,
) -> Event[Payload]:
    """The event that :func:`record_deferred` stores (for hot paths that write many at once)."""
    payload = DeferredRecorded(
        source_reference=source_reference,
        segment=segment,
        stream=stream,
        currency=amount.currency,
        amount=amount.amount,
        occurred_on=occurred_on,
    )
    return _event(payload, agency, source_reference, now)


async def record_deferred(
    session: Session,
    *,
    agency: str,
    source_reference: str,
    segment: Segment,
    stream: Stream,
    amount: Money,
    occurred_on: date,
    now: datetime,
) -> None:
    """A change of deferred revenue: + when billed ahead, − when recognised, refunded or reversed."""
    event = deferred_event(
        agency=agency,
        source_reference=source_reference,
        segment=segment,
        stream=stream,
        amount=amount,
        occurred_on=occurred_on,
        now=now,
    )
    await record(session, event)


def mrr_event(
    *,
    agency: str,
    source_reference: str,
    segment: Segment,
    stream: Stream,
    movement: Movement,
    amount: Money,
    occurred_on: date,
    now: datetime,
) -> Event[Payload]:
    """A movement of monthly recurring revenue (ex tax, normalised to a month), signed."""
    payload = MrrMoved(
        source_reference=source_reference,
        segment=segment,
        stream=stream,
        currency=amount.currency,
        movement=movement,
        amount=amount.amount,
        occurred_on=occurred_on,
    )
    return _event(payload, agency, source_reference, now)
