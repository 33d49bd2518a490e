"""Changes of plan whose money went back whole: what they took the place of is there again, and is not where that refund fails.

Meaning: who has the money of a change back reads on by what they had paid before, as if they had not changed; what the days in between
earned stays earned. What makes it true: a cut lasts as long as the payment that made it is kept (``payment.restored_from`` remembers
it), what is left in the schedule of the change goes back to what it replaced, and price, seats and offer are those of the order that is
kept. Locks: the reader, the payments, the books.
"""

from __future__ import annotations

from datetime import datetime

from services.billing.offers import service as offers
from services.billing.orders import repository as orders_repository
from services.billing.payments import repository
from services.billing.payments.models import Payment
from services.billing.recognition import repository as recognition_repository
from services.billing.recognition.changes import move_left
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import RENEWAL
from shared.agencies import get_agency
from shared.database import Session


async def undo_change(session: Session, payment: Payment, now: datetime) -> None:
    """All money of ``payment`` went back (the caller has locked it): the cuts that it made are lifted, or end where the next payment
    that is kept begins. Nothing where it was no change."""
    replaced = await repository.replaced_by(session, payment.id)
    if not replaced:
        return
    assert payment.subscription_id is not None and payment.period_start is not None  # a change
    following = await repository.next_kept(session, payment)
    for old in replaced:
        assert old.period_end is not None  # it was cut
        old.restored_from = payment.id
        if following is None or following[1] >= old.period_end:
            old.cut_at = old.replaced_by = None
        else:
            old.replaced_by, old.cut_at = following
    await session.flush()
    # Of a change whose own money went back before, it is what that had taken the place of that is read again.
    heir = next((one for one in reversed(replaced) if not _returned(one)), replaced[-1])
    assert heir.period_start is not None and heir.period_end is not None  # it was cut
    if payment.replaced_by is not None or heir.replaced_by is not None:
        return  # what was left is credit in a later payment, or belongs to days that are over
    agency = await get_agency(session, payment.agency)
    period = heir.id, heir.period_start, heir.period_end
    await move_left(session, agency, [payment.id], period, now)
    if following is not None:
        return  # the plan is the one that was paid for since
    row = await subscriptions_repository.lock(session, payment.subscription_id)
    await _go_on(session, row, heir)
    row.anchor_day = max(
        at.astimezone(agency.zone).day for at in (heir.period_start, heir.period_end)
    )


async def redo_change(session: Session, payment: Payment, now: datetime) -> None:
    """The money of ``payment`` is with us after all (the caller has locked it, and it says so): what it had taken the place of is cut
    again. Where something else took that place meanwhile, its own period ends there too."""
    replaced = await repository.restored_from(session, payment.id)
    if not replaced:
        return
    assert payment.subscription_id is not None and payment.period_start is not None  # a change
    for old in replaced:
        assert old.period_start is not None  # it was cut
        old.cut_at = max(old.period_start, payment.period_start)
        old.replaced_by = payment.id
    following = await repository.next_kept(session, payment)
    assert payment.period_end is not None  # the table says so
    if payment.replaced_by is None and following is not None and following[1] < payment.period_end:
        payment.replaced_by, payment.cut_at = following
    await session.flush()
    agency = await get_agency(session, payment.agency)
    holder = await repository.lock(
        session, await recognition_repository.holder_of(session, payment.id)
    )
    assert holder.period_start is not None and holder.period_end is not None  # of a subscription
    period = holder.id, holder.period_start, holder.period_end
    await move_left(session, agency, [one.id for one in replaced], period, now)
    row = await subscriptions_repository.lock(session, payment.subscription_id)
    if payment.replaced_by is None and following is None:
        row.anchor_day = payment.period_start.astimezone(agency.zone).day
        await _go_on(session, row, payment)


async def _go_on(session: Session, row: Subscription, payment: Payment) -> None:
    """The subscription goes on as the order of ``payment`` said: at its price, for its seats, with what is left of its offer. (A term
    has no next period.)"""
    assert payment.order_id is not None  # a period is of an order
    order = await orders_repository.by_id(session, payment.order_id)
    assert order is not None  # a foreign key holds it
    row.price_id, row.offer_id, row.offer_left = order.price_id, None, None
    if row.collection == RENEWAL:
        row.next_price_id, row.next_seats = order.price_id, order.seats
    await offers.take(session, order, row)


def _returned(payment: Payment) -> bool:
    return payment.refunded_vnd >= max(payment.amount_vnd, 1)
