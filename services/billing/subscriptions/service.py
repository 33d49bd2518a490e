"""Subscriptions: what the provider says and what was paid, turned into a state, a right to read, and MRR.

Everything is derived from facts that do not depend on the order in which they arrived, and written in the caller's
transaction, together with the events that tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from services.billing.letters import rules as letter_rules
from services.billing.letters import service as letters
from services.billing.payments.adapters.port import Origin, PaymentProvider, SubscriptionFacts
from services.billing.plans import repository as plans
from services.billing.plans.rules import monthly
from services.billing.readers.models import Reader
from services.billing.subscriptions import repository, rules
from services.billing.subscriptions.models import EntitlementRow, Subscription
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock, local_date
from shared.contracts import new_event
from shared.contracts.billing import EntitlementChanged, EntitlementGranted, EntitlementRevoked
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id
from shared.metrics.record import record_mrr_movement
from shared.money import Money
from shared.outbox import record

log = structlog.get_logger(__name__)

REVIEWS_A_ROUND = 200


class ForbiddenTransitionError(Exception):
    """The table of transitions does not allow it: the notification is kept for a person to look at."""


async def observe(
    session: Session, provider: str, facts: SubscriptionFacts, origin: Origin, now: datetime
) -> Subscription:
    """Write down what the provider says of a subscription (the caller holds its lock and has just asked)."""
    row = await repository.by_provider_id(session, provider, facts.id)
    if row is None:
        row = Subscription(
            id=new_id(),
            agency=origin.agency,
            reader_id=origin.reader_id,
            price_id=origin.price_id,
            provider=provider,
            provider_id=facts.id,
            provider_status=facts.status,
            state=rules.State.INCOMPLETE,
            period_start=facts.period_start,
            period_end=facts.period_end,
            created_at=facts.created_at,
            updated_at=now,
        )
        session.add(row)
        await session.flush()
        await repository.add_transition(session, row.id, None, row.state, now)
    elif facts.cancel_at_period_end and not row.cancel_at_period_end:
        await _tell_canceled(session, row, facts, now)
    row.provider_status = facts.status
    row.cancel_at_period_end = facts.cancel_at_period_end
    row.ended_at = facts.ended_at
    row.period_start, row.period_end = facts.period_start, facts.period_end
    return row


async def _tell_canceled(
    session: Session, row: Subscription, facts: SubscriptionFacts, now: datetime
) -> None:
    until = await repository.paid_until(session, row.id) or facts.period_end
    offer = await plans.offer(session, row.agency, row.price_id)
    assert offer is not None  # a foreign key holds it
    sold = letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)
    told = letter_rules.canceled(row.id, row.version, sold, until)
    await letters.write(session, row.agency, row.reader_id, told, now)


async def refresh(session: Session, row: Subscription, grace: timedelta, now: datetime) -> None:
    """Derive state, right to read and MRR anew from the facts, and tell what changed."""
    await session.flush()
    periods = await repository.paid_periods(session, row.id)
    facts = rules.Facts(
        row.provider_status,
        row.cancel_at_period_end,
        row.ended_at,
        tuple(rules.Paid(start, end) for start, end, returned in periods if not returned),
        grace if row.collection == rules.RENEWAL else timedelta(0),
        refunded=bool(periods) and max(periods, key=lambda period: period[1])[2],
    )
    before, after = rules.State(row.state), rules.derive_state(facts, now)
    if not rules.may_become(before, after):
        raise ForbiddenTransitionError(f"subscription {row.id}: {before} does not become {after}")
    row.version += 1
    row.updated_at = now
    row.review_at = rules.review_at(facts, now)
    if before != after:
        row.state = after
        await repository.add_transition(session, row.id, before, after, now)
    offer = await plans.offer(session, row.agency, row.price_id)
    assert offer is not None  # a foreign key holds it
    await _announce(session, row, facts, offer.plan_code, offer.scope, now)
    until, reads_until = facts.paid_until, facts.readable_until
    if rules.fails(before, after) and until is not None and reads_until is not None:
        sold = letter_rules.Sold(offer.name_vi, offer.name_en, offer.period)
        told = letter_rules.payment_failed(row.id, sold, offer.amount_vnd, until, reads_until)
        await letters.write(session, row.agency, row.reader_id, told, now)
    begun = facts.begins_at(now) is None
    paid_vnd = offer.amount_vnd if row.term_vnd is None else row.term_vnd
    await _move_mrr(session, row, monthly(paid_vnd, offer.period) if begun else 0, now)
    await session.flush()


async def _announce(
    session: Session,
    row: Subscription,
    facts: rules.Facts,
    plan_code: str,
    scope: str,
    now: datetime,
) -> None:
    stored = await repository.entitlement(session, row.id)
    before = (
        rules.Right(stored.plan_code, stored.valid_from, stored.valid_until, stored.revoked)
        if stored
        else None
    )
    decided = rules.next_right(before, facts, plan_code, now)
    if decided is None:
        return
    word, right = decided
    if stored is None:
        stored = EntitlementRow(
            id=new_id(),
            agency=row.agency,
            reader_id=row.reader_id,
            subscription_id=row.id,
            plan_code=right.plan_code,
            scope=scope,
            valid_from=right.valid_from,
            valid_until=right.valid_until,
            version=1,
            updated_at=now,
        )
        session.add(stored)
    else:
        stored.plan_code = right.plan_code
        stored.valid_from, stored.valid_until = right.valid_from, right.valid_until
        stored.revoked = right.revoked
        stored.version += 1
        stored.updated_at = now
    common: dict[str, Any] = {
        "entitlement_id": stored.id,
        "reader_id": stored.reader_id,
        "plan_code": stored.plan_code,
        "scope": stored.scope,
        "valid_from": stored.valid_from,
        "valid_until": stored.valid_until,
        "subscription_id": row.id,
    }
    payload: EntitlementGranted | EntitlementChanged | EntitlementRevoked
    if word == "revoked":
        payload = EntitlementRevoked(**common, reason=_reason(facts))
    elif word == "granted":
        payload = EntitlementGranted(**common)
    else:
        payload = EntitlementChanged(**common)
    event = new_event(
        payload, agency=row.agency, subject=str(stored.id), version=stored.version, now=now
    )
    await record(session, event)


def _reason(facts: rules.Facts) -> str:
    if facts.refunded:
        return "refund"
    return "canceled" if facts.ended_at is not None else "unpaid"


async def _move_mrr(session: Session, row: Subscription, full_vnd: int, now: datetime) -> None:
    wanted = full_vnd if rules.State(row.state) in rules.PAYING else 0
    returning = row.mrr_vnd == 0 and await repository.paid_before(session, row.reader_id, row.id)
    movement = rules.mrr_movement(row.mrr_vnd, wanted, returning=returning)
    if movement is None:
        return
    change = wanted - row.mrr_vnd
    agency = await get_agency(session, row.agency)
    day = local_date(now, agency.zone)
    row.mrr_vnd = wanted
    await repository.add_movement(
        session,
        {
            "id": row.id,
            "version": row.version,
            "movement": movement,
            "amount": change,
            "day": day,
        },
    )
    await record_mrr_movement(
        session,
        agency=row.agency,
        source_reference=f"billing:mrr:{row.id}:{row.version}",
        segment="online",
        stream="subscription",
        movement=movement,
        amount=Money(change),
        occurred_on=day,
        now=now,
    )


async def lock_terms(session: Session, reader_id: UUID) -> None:
    """One at a time pays for a reader's terms, or gives one of them back."""
    await repository.lock_terms(session, reader_id)


async def give_back_period(session: Session, subscription_id: UUID, now: datetime) -> None:
    """A period of a term went back whole (the caller holds :func:`lock_terms`): what is paid for ends with the last one that is
    kept. A period that went back between two others leaves no gap: one right has one beginning and one end."""
    row = await session.get(Subscription, subscription_id, with_for_update=True)
    assert row is not None  # a foreign key holds it
    kept = await repository.last_kept(session, subscription_id)
    if kept is not None:
        row.price_id, row.period_start, row.period_end, row.term_vnd = kept
    await refresh(session, row, timedelta(0), now)


async def term_for(
    session: Session, agency: str, reader_id: UUID, price_id: UUID, now: datetime
) -> Subscription:
    """The reader's term, locked; a new one, which nothing is paid for yet, where there is none."""
    await repository.lock_terms(session, reader_id)
    row = await repository.term_of_reader(session, reader_id)
    if row is None:
        id_ = new_id()
        row = Subscription(
            id=id_,
            agency=agency,
            reader_id=reader_id,
            price_id=price_id,
            provider=rules.OWN,
            provider_id=str(id_),
            provider_status="active",
            collection=rules.TERM,
            anchor_day=1,
            state=rules.State.INCOMPLETE,
            period_start=now,
            period_end=now + timedelta(days=1),
            created_at=now,
            updated_at=now,
        )
        session.add(row)
        await session.flush()
        await repository.add_transition(session, row.id, None, row.state, now)
    return row


class Subscriptions:
    """Use cases of readers, staff and the clock."""

    def __init__(
        self, database: Database, clock: Clock, provider: PaymentProvider, *, grace: timedelta
    ) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self.grace = grace

    async def of_reader(self, reader_id: UUID) -> Sequence[Subscription]:
        async with self._database.read() as session:
            return await repository.of_reader(session, reader_id)

    async def live_of_reader(
        self, reader_id: UUID, *, besides: UUID | None = None
    ) -> Subscription | None:
        """The subscription that makes a second one (or ``besides``) a mistake, if there is one."""
        live = [
            row
            for row in await self.of_reader(reader_id)
            if rules.renews(row.state, row.collection, cancels=row.cancel_at_period_end)
            and row.id != besides
        ]
        return live[0] if live else None

    async def term_until(self, reader_id: UUID) -> datetime | None:
        """Until when the reader has paid for a term that is running; None when there is none."""
        ends = [
            row.period_end
            for row in await self.of_reader(reader_id)
            if row.collection == rules.TERM and rules.State(row.state) in rules.LIVE
        ]
        return max(ends, default=None)

    async def term(self, reader: Reader, id_: UUID) -> Subscription:
        """A term of this reader's. Raises :class:`NotFoundError` for anything else."""
        async with self._database.read() as session:
            row = await repository.by_id(session, reader.agency, id_)
        if row is None or row.reader_id != reader.id or row.collection != rules.TERM:
            raise NotFoundError
        return row

    async def rights(self, reader_id: UUID) -> list[tuple[str, datetime]]:
        """(scope, until) of what a reader may read now."""
        async with self._database.read() as session:
            return await repository.valid_entitlements(session, reader_id, self._clock.now())

    async def set_cancel_at_period_end(
        self, agency: str, reader_id: UUID, subscription_id: UUID, *, cancel: bool, why: str = ""
    ) -> Subscription:
        """Cancel at the end of what is paid, or take that back. The provider is told first, then asked.

        ``why``: the reason of a member of staff who does it for the reader; it goes into the audit trail.

        Raises :class:`NotFoundError` for somebody else's, :class:`ConflictError` when it is over already, or when
        another one took its place: nobody is to pay twice for the same reading.
        """
        async with self._database.read() as reading:
            row = await repository.by_id(reading, agency, subscription_id)
        if row is None or row.reader_id != reader_id:
            raise NotFoundError
        if row.collection == rules.TERM:
            raise ConflictError("This subscription ends by itself", slug="subscription-ended")
        if rules.State(row.state) not in rules.LIVE:
            raise ConflictError("This subscription has ended", slug="subscription-ended")
        # A reader belongs to one agency, and so do all of their subscriptions.
        if not cancel and await self.live_of_reader(reader_id, besides=row.id) is not None:
            raise ConflictError(
                "You have another subscription that renews: cancel that one before you resume this one",
                slug="already-subscribed",
            )
        # The version makes the key stable for one wish, and new for the next one.
        key = f"subscription:{row.id}:{row.version}:{'cancel' if cancel else 'resume'}"
        await self._provider.set_cancel_at_period_end(row.provider_id, cancel=cancel, key=key)
        async with self._database.transaction() as session:
            await repository.lock(session, row.provider, row.provider_id)
            facts = await self._provider.fetch_subscription(row.provider_id)
            origin = Origin(row.agency, row.reader_id, row.price_id)
            now = self._clock.now()
            current = await observe(session, row.provider, facts, origin, now)
            await refresh(session, current, self.grace, now)
            if why:
                await audit.record(
                    session,
                    audit.Action.RENEWAL_ENDED if cancel else audit.Action.RENEWAL_RESUMED,
                    agency=agency,
                    at=now,
                    subject=f"reader/{reader_id}",
                    label=f"subscription/{row.id}",
                    before={"cancel_at_period_end": not cancel},
                    after={"cancel_at_period_end": cancel, "why": why},
                )
            return current

    async def review_due(self) -> int:
        """What the clock alone changes: ends that have come, grace that has run out. Returns how many."""
        total = 0
        while True:
            async with self._database.transaction() as session:
                now = self._clock.now()
                rows = await repository.due_for_review(session, now, REVIEWS_A_ROUND)
                for row in rows:
                    await refresh(session, row, self.grace, now)
            total += len(rows)
            if len(rows) < REVIEWS_A_ROUND:
                return total

    async def list_for_staff(
        self, agency: str, *, state: str | None, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.list_for_staff(
                session, agency, state=state, limit=limit, offset=offset
            )
