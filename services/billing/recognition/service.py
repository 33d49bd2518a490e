"""Deferred revenue: a payment is earned day by day in the agency's calendar, what is left can be given back.

Meaning: a schedule's days earn what :class:`rules.Term` says, never more, never less, whenever they are booked. What makes it true: a
day begins once for an agency (``books.opened_through``, under the lock of its books). Schedules made before are in the sum
of the day, which is taken from their immutable columns at any later time; those made after earn the day by themselves
(``recognition_due``). A refund cuts a schedule after the last day that has begun. The journal gets one entry a day and stream, and
another one for each round that found late payments.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from services.billing.ledger import rules as accounts
from services.billing.ledger.service import Posting, close_month, hold_books, post, post_new
from services.billing.recognition import repository, rules
from services.billing.recognition.facts import PaymentFact, RefundFact
from services.billing.recognition.models import RecognitionSchedule
from services.billing.recognition.repository import DaySum, Taken
from shared.agencies import Agency
from shared.clock import Clock, local_date
from shared.contracts.metrics import Segment, Stream
from shared.database import Database, Session
from shared.ids import new_id
from shared.metrics.record import record_deferred, record_revenue
from shared.money import Money

log = structlog.get_logger(__name__)

SEGMENT: Segment = "online"
LAW_SOURCE = "sales_and_access_rights"
#: Days that are booked in one transaction: nobody else posts to the agency's books meanwhile.
DAYS_A_TRANSACTION = 50


async def post_payment(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A payment: owed by the provider, deferred; the days that have begun are due at once."""
    lines = accounts.payment_lines(fact.stream, fact.amount.amount, fact.vat_vnd, fact.debit)
    if await post(session, _posting(fact, "paid", "payment", fact.paid_at, lines), now):
        await _earn(session, fact, now)
        await _tell_payment(session, fact, now)


async def post_gift(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A gift was paid: deferred, and nothing of it is earned before :func:`post_redeemed`."""
    lines = accounts.gift_sold_lines(fact.debit, fact.amount.amount, fact.vat_vnd)
    await post_new(session, _posting(fact, "paid", "payment", fact.paid_at, lines), now)
    await _tell_payment(session, fact, now)


async def post_redeemed(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A gift's period is known: its days that have begun are due at once. (Nothing is left to earn where the rest of its price is tax.)"""
    if not fact.net.amount:
        return
    lines = accounts.gift_redeemed_lines(fact.stream, fact.net.amount)
    await post_new(session, _posting(fact, "redeemed", "gift_redeemed", now, lines), now)
    await _earn(session, fact, now)


def _posting(
    fact: PaymentFact, step: str, kind: str, at: datetime, lines: tuple[accounts.Line, ...]
) -> Posting:
    return Posting(
        fact.agency.id,
        f"{fact.key}:{step}",
        kind,
        fact.payment_id,
        local_date(at, fact.agency.zone),
        at,
        lines,
        fact.amount.currency,
    )


async def _earn(session: Session, fact: PaymentFact, now: datetime) -> None:
    assert fact.period_start is not None and fact.period_end is not None
    zone = fact.agency.zone
    starts_on, ends_on = rules.days_bought(
        local_date(fact.period_start, zone), local_date(fact.period_end, zone)
    )
    await _begin(
        session,
        agency=fact.agency.id,
        payment_id=fact.payment_id,
        stream=fact.stream,
        currency=fact.net.currency,
        term=rules.Term(starts_on, ends_on, fact.net.amount),
        opened_through=await _open_today(session, fact.agency, now),
    )


async def _tell_payment(session: Session, fact: PaymentFact, now: datetime) -> None:
    await record_deferred(
        session,
        agency=fact.agency.id,
        source_reference=f"billing:payment:{fact.payment_id}",
        segment=SEGMENT,
        stream=fact.stream,
        amount=fact.net,
        occurred_on=local_date(fact.paid_at, fact.agency.zone),
        now=now,
    )


async def _open_today(session: Session, agency: Agency, now: datetime) -> date:
    """Begin today for the agency, and hold its books; the last day that has begun."""
    row = await hold_books(session, agency.id)
    today = local_date(now, agency.zone)
    if row.opened_through < today:
        await repository.open_through(session, agency.id, today)
    return max(row.opened_through, today)


async def _begin(
    session: Session,
    *,
    agency: str,
    payment_id: UUID,
    stream: str,
    currency: str,
    term: rules.Term,
    opened_through: date,
) -> None:
    counted_from = max(term.starts_on, opened_through + timedelta(days=1))
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
    days = (term.within(counted_from) - term.starts_on).days
    begun = [term.starts_on + timedelta(days=n) for n in range(days)]
    earned = [
        DaySum(day, stream, currency, term.left_from(day) - term.left_from(day + timedelta(days=1)))
        for day in begun
    ]
    await repository.add_due(session, agency, earned)


async def post_refund(session: Session, fact: RefundFact, now: datetime) -> int:
    """Give back net and VAT: of the net first what had not been earned by today, then revenue. Returns how much had not been earned.

    What stays deferred after a partial refund is spread over the days that are left, by a new schedule.
    """
    net = fact.amount.amount - fact.vat_vnd
    if fact.unopened:
        split = accounts.RefundSplit(net, 0)
    else:
        split = await _cut_schedules(session, fact, net, now)
    posting = Posting(
        fact.agency.id,
        f"{fact.key}:refunded",
        "refund",
        fact.refund_id,
        local_date(fact.refunded_at, fact.agency.zone),
        fact.refunded_at,
        split.lines(
            fact.stream, fact.vat_vnd, fact.credit, accounts.GIFTS if fact.unopened else None
        ),
        fact.amount.currency,
    )
    await post_new(session, posting, now)
    await _tell_refund(session, fact, split, now)
    return split.deferred_vnd


async def _cut_schedules(
    session: Session, fact: RefundFact, net_vnd: int, now: datetime
) -> accounts.RefundSplit:
    """Take back of a payment's schedules what of the refund had not been earned."""
    opened = await _open_today(session, fact.agency, now)
    cut = opened + timedelta(days=1)
    schedules = await repository.open_schedules(session, fact.payment_id)
    still = sum(repository.term(schedule).left_from(cut) for schedule in schedules)
    split = accounts.split_refund(net_vnd, still)
    left = split.deferred_vnd
    for schedule in schedules:
        open_amount = repository.term(schedule).left_from(cut)
        taken = min(left, open_amount)
        left -= taken
        if taken:
            await _cut(session, schedule, cut, taken, open_amount - taken, opened)
    return split


async def _cut(
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
        await _begin(
            session,
            agency=schedule.agency,
            payment_id=schedule.payment_id,
            stream=schedule.stream,
            currency=schedule.currency,
            term=rules.Term(schedule.closed_on, schedule.ends_on, carried_vnd),
            opened_through=opened_through,
        )


async def _tell_refund(
    session: Session, fact: RefundFact, split: accounts.RefundSplit, now: datetime
) -> None:
    reference = f"billing:refund:{fact.refund_id}"
    day = local_date(fact.refunded_at, fact.agency.zone)
    if split.deferred_vnd:
        await record_deferred(
            session,
            agency=fact.agency.id,
            source_reference=reference,
            segment=SEGMENT,
            stream=fact.stream,
            amount=Money(-split.deferred_vnd, fact.amount.currency),
            occurred_on=day,
            now=now,
        )
    if split.earned_vnd:
        await record_revenue(
            session,
            agency=fact.agency.id,
            source_reference=reference,
            segment=SEGMENT,
            stream=fact.stream,
            payer="reader",
            law_source=LAW_SOURCE,
            account=accounts.STREAMS[fact.stream].refunds,
            amount=Money(-split.earned_vnd, fact.amount.currency),
            recognised_on=day,
            now=now,
            document=str(fact.payment_id),
        )


class Recognition:
    """The timer that books what days have earned, closing a month, and the way down from a day to its payments."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run_due(self) -> int:
        """Begin today, take the sums of days that have begun, book what is due. Returns how many entries.

        Every step is a transaction of its own and can be repeated, or be done by another process meanwhile. What fails for one
        agency is logged and raised when all others have had their turn.
        """
        async with self._database.read() as reading:
            behind = await repository.behind(reading, self._clock.now())
            due = await repository.agencies_with_due(reading)
        entries, failed = 0, []
        for agency in sorted({*behind, *due}):
            try:
                if agency in behind:
                    await self._count(agency, *behind[agency])
                entries += await self._book(agency)
            except (
                Exception
            ) as error:  # whatever it is: the other agencies' days are not to wait for it
                log.exception("recognition_failed", agency=agency)
                failed.append(error)
        if failed:
            raise failed[0]
        return entries

    async def _count(self, agency: str, counted_through: date, today: date) -> None:
        async with self._database.transaction() as session:
            await repository.open_through(session, agency, today)
        for number in range(1, (today - counted_through).days + 1):
            day = counted_through + timedelta(days=number)
            # Long, and without a lock: whatever happens meanwhile does not change what the day earns.
            async with self._database.read() as reading:
                sums = await repository.day_sums(reading, agency, day)
            async with self._database.transaction() as session:
                row = await hold_books(session, agency)
                if row.counted_through != day - timedelta(days=1):
                    return  # another process was faster
                await repository.add_due(session, agency, sums)
                await repository.counted(session, agency, day)

    async def _book(self, agency: str) -> int:
        entries = 0
        while True:
            async with self._database.transaction() as session:
                taken = await _book_due(session, agency, self._clock.now())
            if not taken:
                return entries
            entries += taken

    async def close_month(self, agency: str, month: date) -> date:
        """Book what the month has earned and close the books through it; its last day.

        Raises :class:`ConflictError` when it is closed already, not over, or its days are not counted yet.
        """
        await self._book(agency)
        async with self._database.transaction() as session:
            await hold_books(session, agency)
            now = self._clock.now()
            while await _book_due(session, agency, now):
                pass  # what has come since; from here to COMMIT nothing more comes
            return await close_month(session, agency, month, now)

    async def shares(
        self, agency: str, day_id: UUID, *, limit: int, after: UUID | None = None
    ) -> list[dict[str, Any]]:
        """What each payment earned on a day of recognition (an entry's ``source_id``), computed from its schedule."""
        async with self._database.read() as session:
            return await repository.shares(session, agency, day_id, limit=limit, after=after)


async def _book_due(session: Session, agency: str, now: datetime) -> int:
    """Post what is due of the first days. Returns how many entries."""
    taken = await repository.take_due(session, agency, DAYS_A_TRANSACTION)
    for item in taken:
        await _post_day(session, agency, item, now)
    return len(taken)


async def _post_day(session: Session, agency: str, item: Taken, now: datetime) -> None:
    reference = f"recognition:{item.stream}:{item.currency}:{item.day}:{item.number}"
    posting = Posting(
        agency,
        reference,
        "recognition",
        item.day_id,
        item.day,
        now,
        accounts.earned_lines(item.stream, item.amount_vnd),
        item.currency,
    )
    await post_new(session, posting, now)
    stream: Stream = item.stream  # type: ignore[assignment]  # a column of text
    await record_revenue(
        session,
        agency=agency,
        source_reference=f"billing:{reference}",
        segment=SEGMENT,
        stream=stream,
        payer="reader",
        law_source=LAW_SOURCE,
        account=accounts.STREAMS[stream].revenue,
        amount=Money(item.amount_vnd, item.currency),
        recognised_on=item.day,
        now=now,
        document=str(item.day_id),
    )
    await record_deferred(
        session,
        agency=agency,
        source_reference=f"billing:{reference}",
        segment=SEGMENT,
        stream=stream,
        amount=Money(-item.amount_vnd, item.currency),
        occurred_on=item.day,
        now=now,
    )
