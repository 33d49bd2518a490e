"""What the metrics layer hears of payments and refunds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.billing.ledger import rules as accounts
from services.billing.recognition.facts import PaymentFact, RefundFact
from shared.clock import local_date
from shared.contracts.envelope import Event, Payload
from shared.contracts.metrics import Segment, Stream
from shared.database import Session
from shared.metrics.record import deferred_event, record_deferred, record_revenue
from shared.money import Money
from shared.outbox import record

SEGMENT: Segment = "online"
#: The kind of revenue of Press Law 126/2025 that a stream is (``shared.metrics.rules.LAW_SOURCES``).
LAW_SOURCES: Mapping[Stream, str] = {
    "subscription": "sales_and_access_rights",
    "contribution": "business_and_services",
}


def payment_event(fact: PaymentFact, now: datetime) -> Event[Payload]:
    """A payment was billed ahead."""
    return deferred_event(
        agency=fact.agency.id,
        source_reference=f"billing:payment:{fact.payment_id}",
        segment=SEGMENT,
        stream=fact.stream,
        amount=fact.net,
        occurred_on=local_date(fact.paid_at, fact.agency.zone),
        now=now,
    )


async def payment(session: Session, fact: PaymentFact, now: datetime) -> None:
    await record(session, payment_event(fact, now))


async def opening(session: Session, fact: PaymentFact, net_vnd: int, now: datetime) -> None:
    """What was deferred elsewhere is deferred here from today on."""
    await record_deferred(
        session,
        agency=fact.agency.id,
        source_reference=f"billing:opening:{fact.payment_id}",
        segment=SEGMENT,
        stream=fact.stream,
        amount=Money(net_vnd, fact.amount.currency),
        occurred_on=local_date(now, fact.agency.zone),
        now=now,
    )


async def contribution(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A contribution was earned."""
    await record_revenue(
        session,
        agency=fact.agency.id,
        source_reference=f"billing:payment:{fact.payment_id}",
        segment=SEGMENT,
        stream=fact.stream,
        payer="reader",
        law_source=LAW_SOURCES[fact.stream],
        account=accounts.STREAMS[fact.stream].revenue,
        amount=fact.net,
        recognised_on=local_date(fact.paid_at, fact.agency.zone),
        now=now,
        document=str(fact.payment_id),
    )


async def refund(
    session: Session, fact: RefundFact, split: accounts.RefundSplit, now: datetime
) -> None:
    taken = accounts.RefundSplit(-split.deferred_vnd, -split.earned_vnd)
    await _moved(session, fact, f"billing:refund:{fact.refund_id}", taken, fact.refunded_at, now)


async def refund_failed(
    session: Session, fact: RefundFact, split: accounts.RefundSplit, at: datetime, now: datetime
) -> None:
    """``split``: of the refund that failed ``at`` this time."""
    await _moved(session, fact, f"billing:refund-failed:{fact.refund_id}", split, at, now)


async def _moved(
    session: Session,
    fact: RefundFact,
    reference: str,
    change: accounts.RefundSplit,
    at: datetime,
    now: datetime,
) -> None:
    """``change``: signed, as it moves what is deferred and what was earned."""
    day = local_date(at, fact.agency.zone)
    if change.deferred_vnd:
        await record_deferred(
            session,
            agency=fact.agency.id,
            source_reference=reference,
            segment=SEGMENT,
            stream=fact.stream,
            amount=Money(change.deferred_vnd, fact.amount.currency),
            occurred_on=day,
            now=now,
        )
    if change.earned_vnd:
        await record_revenue(
            session,
            agency=fact.agency.id,
            source_reference=reference,
            segment=SEGMENT,
            stream=fact.stream,
            payer="reader",
            law_source=LAW_SOURCES[fact.stream],
            account=accounts.STREAMS[fact.stream].refunds,
            amount=Money(change.earned_vnd, fact.amount.currency),
            recognised_on=day,
            now=now,
            document=str(fact.payment_id),
        )
