"""Another plan in the middle of a period, in the books: what is left of payments is earned by another one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from services.billing.ledger import rules as accounts
from services.billing.ledger.service import post_new
from services.billing.recognition import repository, rules, schedules, telling
from services.billing.recognition.facts import PaymentFact
from services.billing.recognition.models import RecognitionSchedule
from shared.agencies import Agency
from shared.clock import local_date
from shared.database import Session


async def post_change(
    session: Session, fact: PaymentFact, replaced: Sequence[UUID], now: datetime
) -> int:
    """A change of plan in the middle of a period. Returns the net đồng that went from the ``replaced`` payments to the new one.

    Their open schedules end with today, which they earn; what is left of them and the new payment's net are earned over the new
    period, by one schedule, from :func:`rules.days_after_change` on. Both are deferred in the same account: the entry is that of the new
    payment alone, and there is none where nothing was paid. A change that was posted before returns what it carried then.
    A refund of the new payment is taken from that schedule; one of a replaced payment too, as far as the schedule has more than the
    new payment's own money.
    Raises ``ValueError`` for payments of another agency, stream or currency, or a negative amount.
    """
    opened, running = await _held(session, fact.agency, replaced, now)
    before = await repository.carried_into(session, fact.payment_id)
    if before is not None:
        return before
    if {(one.stream, one.currency) for one in running} - {(fact.stream, fact.amount.currency)}:
        raise ValueError("what is left of one stream or currency is not another's")
    if fact.amount.amount < 0 or fact.net.amount < 0:
        raise ValueError(f"a change is not paid with {fact.amount}")
    if fact.amount.amount:
        lines = accounts.payment_lines(fact.stream, fact.amount.amount, fact.vat_vnd, fact.debit)
        await post_new(session, fact.posting("paid", "payment", fact.paid_at, lines), now)
        await telling.payment(session, fact, now)
    cut = opened + timedelta(days=1)
    carried = _left(running, cut)
    await repository.replace_payments(session, replaced, fact.payment_id)
    await schedules.hand_over(session, running, cut, fact.payment_id)
    total = fact.net.amount + carried
    if total:
        days = rules.days_after_change(map(repository.term, running), cut, *fact.days)
        await schedules.begin(
            session,
            agency=fact.agency.id,
            payment_id=fact.payment_id,
            stream=fact.stream,
            currency=fact.amount.currency,
            term=rules.Term(*days, total),
            opened_through=opened,
        )
    return carried


async def _held(
    session: Session, agency: Agency, payment_ids: Sequence[UUID], now: datetime
) -> tuple[date, list[RecognitionSchedule]]:
    """The last day that has begun and the open schedules of payments; nobody else changes either until COMMIT."""
    await repository.lock_payments(session, agency.id, payment_ids)
    opened = await schedules.open_today(session, agency, now)
    return opened, await repository.open_schedules(session, payment_ids)


def _left(running: Sequence[RecognitionSchedule], cut: date) -> int:
    return sum(repository.term(schedule).left_from(cut) for schedule in running)


async def move_left(
    session: Session,
    agency: Agency,
    payments: Sequence[UUID],
    heir: tuple[UUID, datetime, datetime],
    now: datetime,
) -> int:
    """What is left of payments after today is earned by another one (``heir``: it, its period) over the days that are left of its
    period; today where none is left. Nothing is posted: it stays deferred. Returns the net đồng that moved."""
    to, start, end = heir
    opened, running = await _held(session, agency, [*payments, to], now)
    running = [one for one in running if one.payment_id != to]
    cut = opened + timedelta(days=1)
    moved = _left(running, cut)
    await schedules.hand_over(session, running, cut, to)
    if moved:
        first, last = local_date(start, agency.zone), local_date(end, agency.zone)
        await schedules.begin(
            session,
            agency=agency.id,
            payment_id=to,
            stream=running[0].stream,
            currency=running[0].currency,
            term=rules.Term(*rules.days_given_again(last, max(cut, first)), moved),
            opened_through=opened,
        )
    return moved
