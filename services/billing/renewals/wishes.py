"""What readers wish of a subscription, or staff for them: not to renew it, to renew it after all, to pause."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from services.billing.charges.apply import collect_again, tired
from services.billing.charges.debts import close_debt
from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.orders import repository as orders_repository
from services.billing.orders.service import replace_order
from services.billing.plans import repository as plans_repository
from services.billing.renewals.service import review
from services.billing.subscriptions import repository, rules
from services.billing.subscriptions import service as subscriptions
from services.billing.subscriptions.models import Subscription
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock, start_of_day
from shared.database import Database, Session
from shared.errors import ConflictError, FieldError, InvalidInputError, NotFoundError

#: The longest pause.
PAUSE_AT_MOST = timedelta(days=183)


class Wishes:
    """Each raises :class:`NotFoundError` for somebody else's subscription, and :class:`ConflictError` for what cannot be."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def cancel(
        self, agency: str, reader_id: UUID, subscription_id: UUID, *, why: str = ""
    ) -> Subscription:
        """Not to be renewed: it is read to the end of what is paid for. What is owed is not collected any more; a charge whose
        outcome is not known yet is, and then that period is the last one. Nothing changes when it is wished again.

        ``why``: the reason of a member of staff who does it for the reader; it goes into the audit trail.
        """
        async with self._database.transaction() as session:
            row = await self._held(session, agency, reader_id, subscription_id)
            now = self._clock.now()
            if rules.State(row.state) not in rules.LIVE:
                raise ConflictError("This subscription has ended", slug="subscription-ended")
            row.canceled_by_refund = False
            if row.cancel_at_period_end:
                return row
            row.cancel_at_period_end = True
            row.next_price_id = row.next_seats = row.paused_until = None
            owed = await repository.owed(session, row.id)
            if owed is not None and not owed[2]:
                await close_debt(session, row, now)
            facts = await subscriptions.refresh(session, row, now)
            await self._tell_canceled(session, row, facts, now)
            await _note(session, row, audit.Action.RENEWAL_ENDED, why, now, cancels=True)
            return row

    async def resume(
        self, agency: str, reader_id: UUID, subscription_id: UUID, *, why: str = ""
    ) -> Subscription:
        """To be renewed after all, or before its pause is over."""
        async with self._database.transaction() as session:
            row = await self._held(session, agency, reader_id, subscription_id)
            now = self._clock.now()
            if rules.State(row.state) not in rules.LIVE:
                raise ConflictError("This subscription has ended", slug="subscription-ended")
            other = await subscriptions.live(session, reader_id, besides=row.id)
            if row.cancel_at_period_end and other is not None:
                raise ConflictError(
                    "You have another subscription that renews: cancel that one before you resume this one",
                    slug="already-subscribed",
                )
            if row.cancel_at_period_end:
                await _close_other_wish(session, reader_id, now)
            wanted = row.cancel_at_period_end
            row.cancel_at_period_end = row.canceled_by_refund = False
            if row.paused_until is not None and row.paused_until > now:
                # Before what is paid for is over there was no pause yet; afterwards the next period begins now. A pause that is over,
                # and whose next period is owed, ends no second time: what is owed would never lapse.
                row.paused_until = now if now >= row.period_end else None
            others = await repository.others_until(session, reader_id, row.id)
            if others is not None and others > max(now, row.period_end):
                row.paused_until = (
                    others  # a gift or a term was to follow: no day is paid for twice
                )
            await review(session, row, now)
            if wanted:
                told = letter_rules.resumed(row.id, row.version, await _sold(session, row))
                await letters.write_wish(session, agency, reader_id, told, now)
                await _note(session, row, audit.Action.RENEWAL_RESUMED, why, now, cancels=False)
            return row

    async def pause(
        self, agency: str, reader_id: UUID, subscription_id: UUID, until: date
    ) -> Subscription:
        """Nothing is collected and nothing read from the end of what is paid for to the beginning of ``until``, a day in the
        agency's zone. Raises :class:`InvalidInputError` for a day that is too early or too late."""
        async with self._database.transaction() as session:
            row = await self._held(session, agency, reader_id, subscription_id)
            found = await get_agency(session, agency)
            at, now = start_of_day(until, found.zone), self._clock.now()
            owed = await repository.owed(session, row.id)
            if rules.State(row.state) is not rules.State.ACTIVE or owed is not None:
                raise ConflictError("Only what runs can be paused", slug="not-active")
            if not row.period_end < at <= row.period_end + PAUSE_AT_MOST:
                raise InvalidInputError(
                    errors=(
                        FieldError(
                            "until",
                            "The pause cannot end then",
                            "a day after {first}, {most} days later at most",
                            {
                                "first": f"{row.period_end.astimezone(found.zone):%Y-%m-%d}",
                                "most": PAUSE_AT_MOST.days,
                            },
                        ),
                    )
                )
            row.paused_until = at
            await subscriptions.refresh(session, row, now)
            return row

    async def _held(
        self, session: Session, agency: str, reader_id: UUID, subscription_id: UUID
    ) -> Subscription:
        await repository.lock_reader(session, reader_id)
        known = await repository.by_id(session, agency, subscription_id)
        if known is None or known.reader_id != reader_id:
            raise NotFoundError
        if known.collection == rules.TERM:
            raise ConflictError("This subscription ends by itself", slug="subscription-ended")
        return await repository.lock(session, known.id)

    async def pay_now(self, agency: str, reader_id: UUID, subscription_id: UUID) -> None:
        """Try the card at once for what is owed; nothing happens where nothing is, while a try is on its way, or after many that
        were refused."""
        async with self._database.transaction() as session:
            row, now = (
                await self._held(session, agency, reader_id, subscription_id),
                self._clock.now(),
            )
            if not await tired(session, row, now):
                await collect_again(session, row, now)

    async def _tell_canceled(
        self, session: Session, row: Subscription, facts: rules.Facts, now: datetime
    ) -> None:
        sold = await _sold(session, row)
        until = facts.paid_until or now
        told = letter_rules.canceled(row.id, row.version, sold, until, ended=until <= now)
        await letters.write_wish(session, row.agency, row.reader_id, told, now)


async def _sold(session: Session, row: Subscription) -> letter_rules.Sold:
    offer = await plans_repository.offer(session, row.agency, row.price_id)
    assert offer is not None  # a foreign key holds it
    return letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)


async def _close_other_wish(session: Session, reader_id: UUID, now: datetime) -> None:
    """What the reader was about to buy in its place: paid now it would be nobody's money. Raises :class:`ConflictError` while a bank
    decides about it."""
    order = await orders_repository.open_order(session, reader_id)
    if order is None or order.gift or await orders_repository.received_vnd(session, order.id):
        return
    await replace_order(session, order, now)


async def _note(
    session: Session,
    row: Subscription,
    action: audit.Action,
    why: str,
    now: datetime,
    *,
    cancels: bool,
) -> None:
    """Into the audit trail, where a member of staff did it."""
    if not why:
        return
    await audit.record(
        session,
        action,
        agency=row.agency,
        at=now,
        subject=f"reader/{row.reader_id}",
        label=f"subscription/{row.id}",
        before={"cancel_at_period_end": not cancels},
        after={"cancel_at_period_end": cancels, "why": why},
    )
