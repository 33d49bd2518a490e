"""The books: posting, deferred revenue, recognition day by day. Everything in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

import asyncpg

from services.billing import metrics
from services.billing.ledger import repository, rules
from services.billing.ledger.models import RecognitionSchedule
from shared.agencies import Agency, get_agency
from shared.clock import Clock, local_date
from shared.contracts import Event
from shared.database import Database, Session
from shared.errors import NotFoundError
from shared.ids import new_id
from shared.metrics.record import (
    deferred_event,
    record_deferred,
    record_revenue,
    revenue_event,
)
from shared.money import Money
from shared.outbox import record_raw

LAW_SOURCE = "sales_and_access_rights"
SCHEDULES_A_ROUND = 500


@dataclass(frozen=True, slots=True)
class Posting:
    """A fact for the books. ``business_key`` makes it one entry, however often it is told."""

    agency: str
    business_key: str
    kind: str
    source_id: UUID
    occurred_on: date
    occurred_at: datetime
    lines: tuple[rules.Line, ...]
    currency: str = "VND"
    reverses: UUID | None = None


async def open_books(session: Session, agency: str) -> None:
    """The agency's chart of accounts. Safe to repeat."""
    await repository.save_chart(session, agency)


async def post(session: Session, posting: Posting, now: datetime) -> bool:
    """Post a fact; False when it was posted before. Raises :class:`rules.UnbalancedEntryError`."""
    rules.check_lines(posting.lines)
    posted = await repository.insert_entry(
        session,
        {
            "id": new_id(),
            "agency": posting.agency,
            "currency": posting.currency,
            "business_key": posting.business_key,
            "kind": posting.kind,
            "source_id": posting.source_id,
            "occurred_on": posting.occurred_on,
            "occurred_at": posting.occurred_at,
            "posted_at": now,
            "reverses": posting.reverses,
        },
        posting.lines,
    )
    if posted:
        metrics.JOURNAL_ENTRIES.labels(posting.kind).inc()
    return posted


@dataclass(frozen=True, slots=True)
class PaymentFact:
    """A payment as the books see it."""

    payment_id: UUID
    agency: Agency
    key: str
    amount: Money
    vat_vnd: int
    paid_at: datetime
    period_start: datetime
    period_end: datetime


async def post_payment(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A payment: owed by the provider, deferred; and what its days up to today have earned."""
    agency, zone = fact.agency.id, fact.agency.zone
    paid_on = local_date(fact.paid_at, zone)
    posted = await post(
        session,
        Posting(
            agency,
            f"{fact.key}:paid",
            "payment",
            fact.payment_id,
            paid_on,
            fact.paid_at,
            rules.payment_lines(fact.amount.amount, fact.vat_vnd),
            fact.amount.currency,
        ),
        now,
    )
    if not posted:
        return
    starts_on, ends_on = rules.days_bought(
        local_date(fact.period_start, zone), local_date(fact.period_end, zone)
    )
    net = fact.amount - Money(fact.vat_vnd, fact.amount.currency)
    schedule = RecognitionSchedule(
        id=new_id(),
        agency=agency,
        payment_id=fact.payment_id,
        currency=net.currency,
        starts_on=starts_on,
        ends_on=ends_on,
        total_vnd=net.amount,
        next_on=starts_on,
    )
    session.add(schedule)
    await session.flush()
    await record_deferred(
        session,
        agency=agency,
        source_reference=f"billing:payment:{fact.payment_id}",
        segment="online",
        stream="subscription",
        amount=net,
        occurred_on=paid_on,
        now=now,
    )
    await recognise(session, now, only=schedule.id)


async def recognise(
    session: Session, now: datetime, *, only: UUID | None = None, size: int = SCHEDULES_A_ROUND
) -> int:
    """Post every due day, with the metrics layer's events, in this transaction. Returns how many entries.

    With ``only`` the schedule is brought wholly up to today; otherwise one round of ``size`` schedules.
    """
    entries = 0
    while True:
        days, taken = await repository.recognise(session, now, size=size, only=only)
        if days:
            raw = await _driver(session)
            await record_raw(raw, [event for day in days for event in _day_events(day, now)])
            metrics.JOURNAL_ENTRIES.labels("recognition").inc(len(days))
        entries += len(days)
        if only is None or not taken:
            return entries


def _day_events(day: repository.RecognisedDay, now: datetime) -> tuple[Event[Any], Event[Any]]:
    reference = f"billing:recognition:{day.schedule_id}:{day.day}"
    earned = revenue_event(
        agency=day.agency,
        source_reference=reference,
        segment="online",
        stream="subscription",
        payer="reader",
        law_source=LAW_SOURCE,
        account=rules.REVENUE,
        amount=Money(day.amount_vnd, day.currency),
        recognised_on=day.day,
        now=now,
        document=str(day.schedule_id),
    )
    released = deferred_event(
        agency=day.agency,
        source_reference=reference,
        segment="online",
        stream="subscription",
        amount=Money(-day.amount_vnd, day.currency),
        occurred_on=day.day,
        now=now,
    )
    return earned, released


async def _driver(session: Session) -> asyncpg.Connection:
    """The driver's connection inside this very transaction (which has begun: a statement went before)."""
    connection = await session.connection()
    return cast(asyncpg.Connection, (await connection.get_raw_connection()).driver_connection)


@dataclass(frozen=True, slots=True)
class RefundFact:
    refund_id: UUID
    payment_id: UUID
    agency: Agency
    key: str
    amount: Money
    refunded_at: datetime


async def post_refund(session: Session, fact: RefundFact, now: datetime) -> int:
    """Give back: first what had not been earned, then revenue. Returns how much had not been earned.

    The days up to today are recognised first. What stays deferred after a partial refund is spread over the days
    that are left, by a new schedule.
    """
    today = local_date(now, fact.agency.zone)
    for schedule in await repository.schedules_for_update(session, fact.payment_id):
        await recognise(session, now, only=schedule.id)
    schedules = await repository.schedules_for_update(session, fact.payment_id)
    still = sum(schedule.total_vnd - schedule.recognised_vnd for schedule in schedules)
    split = rules.split_refund(fact.amount.amount, still)
    left = split.deferred_vnd
    for schedule in schedules:
        open_amount = schedule.total_vnd - schedule.recognised_vnd
        taken = min(left, open_amount)
        left -= taken
        if taken:
            _close(session, schedule, taken, open_amount - taken, today)
    await session.flush()
    await post(
        session,
        Posting(
            fact.agency.id,
            f"{fact.key}:refunded",
            "refund",
            fact.refund_id,
            local_date(fact.refunded_at, fact.agency.zone),
            fact.refunded_at,
            split.lines(),
            fact.amount.currency,
        ),
        now,
    )
    await _tell_refund(session, fact, split, now)
    return split.deferred_vnd


def _close(
    session: Session,
    schedule: RecognitionSchedule,
    reversed_vnd: int,
    carried_vnd: int,
    today: date,
) -> None:
    schedule.closed_on = today
    schedule.reversed_vnd = reversed_vnd
    schedule.carried_vnd = carried_vnd
    if carried_vnd:
        # With everything earned nothing would be left to carry: there are days ahead.
        session.add(
            RecognitionSchedule(
                id=new_id(),
                agency=schedule.agency,
                payment_id=schedule.payment_id,
                currency=schedule.currency,
                starts_on=schedule.next_on,
                ends_on=schedule.ends_on,
                total_vnd=carried_vnd,
                next_on=schedule.next_on,
            )
        )


async def _tell_refund(
    session: Session, fact: RefundFact, split: rules.RefundSplit, now: datetime
) -> None:
    reference = f"billing:refund:{fact.refund_id}"
    day = local_date(fact.refunded_at, fact.agency.zone)
    currency = fact.amount.currency
    if split.deferred_vnd:
        await record_deferred(
            session,
            agency=fact.agency.id,
            source_reference=reference,
            segment="online",
            stream="subscription",
            amount=Money(-split.deferred_vnd, currency),
            occurred_on=day,
            now=now,
        )
    if split.earned_vnd:
        await record_revenue(
            session,
            agency=fact.agency.id,
            source_reference=reference,
            segment="online",
            stream="subscription",
            payer="reader",
            law_source=LAW_SOURCE,
            account=rules.REFUNDS,
            amount=Money(-split.earned_vnd, currency),
            recognised_on=day,
            now=now,
            document=str(fact.payment_id),
        )


class Ledger:
    """Reading the books, and the timer that recognises."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def recognise_due(self) -> int:
        """Everything that is due, in rounds of one transaction each. Returns how many entries."""
        total = 0
        while True:
            async with self._database.transaction() as session:
                days = await recognise(session, self._clock.now())
            total += days
            if days == 0:
                return total

    async def trial_balance(self, agency: str) -> list[repository.Balance]:
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.trial_balance(session, agency)

    async def entries(
        self,
        agency: str,
        *,
        limit: int = 50,
        source_id: UUID | None = None,
        before: datetime | None = None,
    ) -> list[dict[str, Any]]:
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.entries(
                session, agency, limit=limit, source_id=source_id, before=before
            )

    async def entry(self, agency: str, entry_id: UUID) -> dict[str, Any]:
        """One entry with its lines and what stands behind it. Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            found = await repository.entries(session, agency, limit=1, entry_id=entry_id)
        if not found:
            raise NotFoundError
        return found[0]
