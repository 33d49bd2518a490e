"""Deferred revenue: a payment is earned day by day in the agency's calendar, what is left can be given back.

Meaning: a schedule's days earn what :class:`rules.Term` says, never more, never less, whenever they are booked. What makes it true: a
day begins once for an agency (``books.opened_through``, under the lock of its books). Schedules made before are in the sum
of the day, which is taken from their immutable columns at any later time; those made after earn the day by themselves
(``recognition_due``). A refund cuts a schedule after the last day that has begun. The journal gets one entry a day and stream, and
another one for each round that found late payments.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from services.billing.ledger import rules as accounts
from services.billing.ledger.repository import posted
from services.billing.ledger.service import Posting, close_month, hold_books, post_new
from services.billing.recognition import repository, rules, schedules, telling
from services.billing.recognition.facts import PaymentFact, RefundFact
from services.billing.recognition.repository import Taken
from shared.clock import Clock
from shared.contracts.metrics import Stream
from shared.database import Database, ReadSession, Session
from shared.metrics.record import record_deferred, record_revenue
from shared.money import Money

log = structlog.get_logger(__name__)

#: Days that are booked in one transaction: nobody else posts to the agency's books meanwhile.
DAYS_A_TRANSACTION = 50


async def post_payment(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A payment: owed by the provider, deferred; the days that have begun are due at once.

    Raises :class:`PostedBeforeError` for one that is in the books already: without its schedule nothing of it would ever be earned.
    """
    lines = accounts.payment_lines(fact.stream, fact.amount.amount, fact.vat_vnd, fact.debit)
    await post_new(session, fact.posting("paid", "payment", fact.paid_at, lines), now)
    await _earn(session, fact, now)
    await telling.payment(session, fact, now)


async def post_contribution(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A contribution: earned at once. Raises :class:`PostedBeforeError` the second time."""
    lines = accounts.contribution_lines(fact.debit, fact.amount.amount, fact.vat_vnd)
    await post_new(session, fact.posting("paid", "payment", fact.paid_at, lines), now)
    await telling.contribution(session, fact, now)


async def post_gift(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A gift was paid: deferred, and nothing of it is earned before :func:`post_redeemed`."""
    lines = accounts.gift_sold_lines(fact.debit, fact.amount.amount, fact.vat_vnd)
    await post_new(session, fact.posting("paid", "payment", fact.paid_at, lines), now)
    await telling.payment(session, fact, now)


async def post_redeemed(session: Session, fact: PaymentFact, now: datetime) -> None:
    """A gift's period is known: its days that have begun are due at once. (Nothing is left to earn where the rest of its price is tax.)"""
    if not fact.net.amount:
        return
    lines = accounts.gift_redeemed_lines(fact.stream, fact.net.amount)
    await post_new(session, fact.posting("redeemed", "gift_redeemed", now, lines), now)
    await _earn(session, fact, now)


async def _earn(session: Session, fact: PaymentFact, now: datetime) -> None:
    await schedules.begin(
        session,
        agency=fact.agency.id,
        payment_id=fact.payment_id,
        stream=fact.stream,
        currency=fact.net.currency,
        term=rules.Term(*fact.days, fact.net.amount),
        opened_through=await schedules.open_today(session, fact.agency, now),
    )


async def post_refund(session: Session, fact: RefundFact, now: datetime) -> int:
    """Give back net and VAT: of the net first what had not been earned by today, then revenue. Returns how much had not been earned.

    What stays deferred after a partial refund is spread over the days that are left, by a new schedule.
    """
    net = fact.amount.amount - fact.vat_vnd
    if fact.unopened:
        split = accounts.RefundSplit(net, 0)
    else:
        split = await _cut_schedules(session, fact, net, now)
    owed = accounts.GIFTS if fact.unopened else None
    lines = split.lines(fact.stream, fact.vat_vnd, fact.credit, owed)
    await post_new(session, fact.posting("refunded", "refund", fact.refunded_at, lines), now)
    await telling.refund(session, fact, split, now)
    return split.deferred_vnd


async def _cut_schedules(
    session: Session, fact: RefundFact, net_vnd: int, now: datetime
) -> accounts.RefundSplit:
    """Take back what of the refund had not been earned: of the payment's schedules, or where a change of plan took over what was
    left of it, of the credit that is left in the other payment's (which is earned before that one's own money)."""
    opened = await schedules.open_today(session, fact.agency, now)
    cut = opened + timedelta(days=1)
    holder = await repository.holder_of(session, fact.payment_id)
    running = await repository.open_schedules(session, [holder])
    still = sum(repository.term(one).left_from(cut) for one in running)
    if holder != fact.payment_id:  # what that one was paid with itself is not this one's
        still = max(still - await repository.own_net(session, holder), 0)
    split = accounts.split_refund(net_vnd, still)
    left = split.deferred_vnd
    for schedule in running:
        open_amount = repository.term(schedule).left_from(cut)
        taken = min(left, open_amount)
        left -= taken
        if taken:
            await schedules.cut(session, schedule, cut, taken, open_amount - taken, opened)
    return split


async def refund_vat(
    session: Session, payment_id: UUID, vat_vnd: int, price_vnd: int, refund_vnd: int
) -> int:
    """The VAT in the next refund of a payment of ``price_vnd`` with ``vat_vnd`` of VAT: see :func:`rules.vat_of_refund`."""
    given_back, vat_back = await repository.given_back(session, payment_id)
    return rules.vat_of_refund(vat_vnd, price_vnd, given_back, vat_back, refund_vnd)


async def given_back(session: Session, payment_id: UUID) -> tuple[int, int]:
    """What went back of a payment, and the VAT in it, by the books; a refund that failed did not."""
    return await repository.given_back(session, payment_id)


async def post_refund_failed(
    session: Session,
    fact: RefundFact,
    deferred_vnd: int,
    now: datetime,
    *,
    failed_at: datetime | None = None,
) -> None:
    """A refund that is in the books did not arrive, or a dispute that was lost is won: its entry is reversed, once.

    What it had taken from days to come (``deferred_vnd``, as :func:`post_refund` returned it) is earned over the days that
    are left of the payment's schedules, from tomorrow on; today where none is left. A gift that is not redeemed is worth it again.
    The caller, who holds the payment's row, says in the same transaction that the refund failed and takes it off the payment.
    Raises ``NoResultFound`` for a refund that was never posted, ``ValueError`` for a ``deferred_vnd`` that is not what was posted,
    :class:`PostedBeforeError` the second time.
    """
    at = failed_at or now
    opened = await schedules.open_today(session, fact.agency, now)
    reversed_, lines = await posted(session, fact.agency.id, f"{fact.key}:refunded")
    stream = accounts.STREAMS[fact.stream]
    moved = {line.account: line.amount_vnd for line in lines}
    waiting = moved.get(accounts.GIFTS, 0)
    split = accounts.RefundSplit(
        (moved.get(stream.deferred, 0) if stream.deferred else 0) + waiting,
        moved.get(stream.refunds, 0),
    )
    if split.deferred_vnd != deferred_vnd:
        raise ValueError(f"{fact.key} took {split.deferred_vnd} of what was deferred")
    back = fact.posting("refund-failed", "refund_failed", at, accounts.opposite(lines), reversed_)
    await post_new(session, back, now)
    if waiting and await repository.has_period(session, fact.payment_id):
        # It was redeemed meanwhile, with what was left of it then.
        lines = accounts.gift_redeemed_lines(fact.stream, waiting)
        redeemed = fact.posting("refund-failed-redeemed", "gift_redeemed", at, lines)
        await post_new(session, redeemed, now)
        waiting = 0
    if deferred_vnd and not waiting:
        holder = await repository.holder_of(session, fact.payment_id)
        end = await repository.last_end(session, holder)
        await schedules.begin(
            session,
            agency=fact.agency.id,
            payment_id=holder,
            stream=fact.stream,
            currency=fact.amount.currency,
            term=rules.Term(*rules.days_given_again(end, opened + timedelta(days=1)), deferred_vnd),
            opened_through=opened,
        )
    await telling.refund_failed(session, fact, split, at, now)


async def unearned_net(
    session: Session | ReadSession, payment_ids: Sequence[UUID], cut: date
) -> int:
    """Net đồng of these payments that ``cut`` and the days after it would earn, for a preview: nothing is locked or begun."""
    return await repository.unearned(session, payment_ids, cut)


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
        segment=telling.SEGMENT,
        stream=stream,
        payer="reader",
        law_source=telling.LAW_SOURCES[stream],
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
        segment=telling.SEGMENT,
        stream=stream,
        amount=Money(-item.amount_vnd, item.currency),
        occurred_on=item.day,
        now=now,
    )
