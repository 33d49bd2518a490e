"""Events every service records, as entries. The unique source reference is the inbox: see ``commutative``."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from shared.contracts import Event
from shared.contracts.metrics import DeferredRecorded, MrrMoved, RevenueRecorded
from shared.database import Session
from shared.inbox import Consumer, PermanentError
from shared.metrics.entries import service
from shared.metrics.entries.rules import Entry
from shared.metrics.entries.service import DeferredChange, Movement


async def _recorded(work: Awaitable[int]) -> None:
    try:
        await work
    except (service.ContradictionError, service.UnacceptableEntryError) as error:
        raise PermanentError(str(error)) from error


async def revenue_recorded(session: Session, events: Sequence[Event[RevenueRecorded]]) -> None:
    await _recorded(
        service.record_entries(
            session,
            [
                Entry(
                    agency=event.agency,
                    segment=event.data.segment,
                    stream=event.data.stream,
                    currency=event.data.currency,
                    source_reference=event.data.source_reference,
                    payer=event.data.payer,
                    law_source=event.data.law_source,
                    account=event.data.account,
                    amount=event.data.amount,
                    recognised_on=event.data.recognised_on,
                    document=event.data.document,
                )
                for event in events
            ],
        )
    )


async def deferred_recorded(session: Session, events: Sequence[Event[DeferredRecorded]]) -> None:
    await _recorded(
        service.record_deferred(
            session,
            [
                DeferredChange(
                    agency=event.agency,
                    segment=event.data.segment,
                    stream=event.data.stream,
                    currency=event.data.currency,
                    source_reference=event.data.source_reference,
                    amount=event.data.amount,
                    occurred_on=event.data.occurred_on,
                )
                for event in events
            ],
        )
    )


async def mrr_moved(session: Session, events: Sequence[Event[MrrMoved]]) -> None:
    await _recorded(
        service.record_movements(
            session,
            [
                Movement(
                    agency=event.agency,
                    segment=event.data.segment,
                    stream=event.data.stream,
                    currency=event.data.currency,
                    source_reference=event.data.source_reference,
                    movement=event.data.movement,
                    amount=event.data.amount,
                    occurred_on=event.data.occurred_on,
                )
                for event in events
            ],
        )
    )


#: The one consumer of the layer.
RECORDER = Consumer(
    service="metrics",
    stream="METRICS",
    name="metrics-recorder",
    handlers={
        RevenueRecorded: revenue_recorded,
        DeferredRecorded: deferred_recorded,
        MrrMoved: mrr_moved,
    },
    commutative=True,
)
