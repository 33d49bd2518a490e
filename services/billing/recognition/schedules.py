"""Schedules of payments: begun, cut, handed over. Who calls holds the agency's books (:func:`open_today`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from services.billing.ledger.service import hold_books
from services.billing.recognition import repository, rules
from services.billing.recognition.models import RecognitionSchedule
from services.billing.recognition.repository import DaySum
from shared.agencies import Agency
from shared.clock import local_date
from shared.database import Session
from shared.ids import new_id


async def open_today(session: Session, agency: Agency, now: datetime) -> date:
    """Begin today for the agency, and hold its books; the last day that has begun."""
    row = await hold_books(session, agency.id)
    today = local_date(now, agency.zone)
    if row.opened_through < today:
        await repository.open_through(session, agency.id, today)
    return max(row.opened_through, today)


async def begin(
    session: Session,
    *,
    agency: str,
    payment_id: UUID,
    stream: str,
    currency: str,
    term: rules.Term,
    opened_through: date,
) -> None:
    counted_from, earned = rules.begun(term, opened_through)
    session.add(
        RecognitionSchedule(
            id=new_id(),
            agency=agency,
            payment_id=payment_id,
            stream=stream,
            currency=currency,
            starts_on=term.starts_on,
            ends_on=term.ends_on,
            total_vnd=term.total_vnd,
            counted_from=counted_from,
        )
    )
    due = [DaySum(day, stream, currency, amount_vnd) for day, amount_vnd in earned]
    await repository.add_due(session, agency, due)


async def cut(
    session: Session,
    schedule: RecognitionSchedule,
    day: date,
    reversed_vnd: int,
    carried_vnd: int,
    opened_through: date,
) -> None:
    """End a schedule before ``day``; what is carried is earned by a successor over the days that are left."""
    schedule.closed_on = repository.term(schedule).within(day)
    schedule.reversed_vnd = reversed_vnd
    schedule.carried_vnd = carried_vnd
    await session.flush()
    if carried_vnd:
        # With everything earned nothing would be left to carry: there are days ahead.
        await begin(
            session,
            agency=schedule.agency,
            payment_id=schedule.payment_id,
            stream=schedule.stream,
            currency=schedule.currency,
            term=rules.Term(schedule.closed_on, schedule.ends_on, carried_vnd),
            opened_through=opened_through,
        )


async def hand_over(
    session: Session, running: Sequence[RecognitionSchedule], day: date, payment_id: UUID
) -> None:
    """End schedules before ``day``; what is left of them is another payment's."""
    for schedule in running:
        term = repository.term(schedule)
        schedule.closed_on = term.within(day)
        schedule.carried_vnd, schedule.carried_to = term.left_from(day), payment_id
    await session.flush()
