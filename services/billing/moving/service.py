"""Taking subscriptions over that a provider collected by itself.

Meaning: a reader's period that is paid for there is theirs here, and the next one is collected once, by us. What makes it true, in
this order: a row says that the move has begun (from now on it is found again); the provider is told not to renew; what it then
answers, and nothing that was read before, says until when is paid; only if that is paid, one transaction makes everything ours. So a
crash between any two steps leaves the provider collecting alone, or nobody and a row that the command, or the worker, takes up
again; ours charges nothing before the provider has said that it does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.billing.addresses import repository as addresses
from services.billing.moving import repository, rules
from services.billing.moving.models import MovedSubscription
from services.billing.moving.rules import Later, Reason, Sold
from services.billing.moving.taking import take
from services.billing.payments.adapters.port import (
    PaymentProvider,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.payments.running import Running
from services.billing.plans import repository as plans_repository
from services.billing.plans.repository import Offer
from services.billing.readers import repository as readers_repository
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions import service as subscriptions
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database, Session
from shared.faults import fault_point
from shared.ids import new_id
from shared.mail.address import normalise_email

log = structlog.get_logger(__name__)

#: How long a move is in one worker's hands.
LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one subscription: ``moved`` (now), ``before`` (by an earlier run), ``begun`` (the provider may have been told; it
    is taken up again), ``skipped`` (nothing was changed), ``left`` (it was begun, and a person decides). ``left_vnd``: deferred
    revenue that was taken over; ``own_price``: it goes on at another price than the one that is sold."""

    external_id: str
    customer: str
    what: str
    reason: Reason | None = None
    left_vnd: int = 0
    own_price: bool = False


@dataclass(slots=True)
class Report:
    """What a run did, or of a dry one what it would do."""

    outcomes: list[Outcome] = field(default_factory=list)
    unknown_prices: Counter[tuple[str, str, int, str]] = field(default_factory=Counter)

    def count(self, what: str) -> int:
        return sum(one.what == what for one in self.outcomes)

    @property
    def left_vnd(self) -> int:
        return sum(one.left_vnd for one in self.outcomes)

    @property
    def unfinished(self) -> bool:
        """Whether it is to be run again."""
        again = (Reason.AWAY, Reason.COLLECTING)
        return any(one.what == "begun" or one.reason in again for one in self.outcomes)


@dataclass(frozen=True, slots=True)
class _Run:
    """What holds for all of one run."""

    agency: str
    sold: Mapping[str, Sold]
    offers: Mapping[Sold, Offer]
    tells: bool
    dry: bool
    customers: Counter[str]
    addresses: Counter[str]


class Moving:
    """Use cases of the command, and of the worker that finishes what it began."""

    def __init__(self, database: Database, clock: Clock, provider: PaymentProvider) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider

    async def move(
        self,
        agency: str,
        sold: Mapping[str, Sold],
        *,
        dry: bool = False,
        tells: bool = False,
        told: Callable[[Outcome], None] = lambda _: None,
    ) -> Report:
        """Take over what can be. ``told`` hears of each as it is done. Safe to repeat, to kill and to run twice at once.

        Raises :class:`NotFoundError` for no agency, :class:`rules.PlanMapError` for a map to what is not sold,
        :class:`ProviderUnavailableError` and :class:`ProviderRefusedError` when the list cannot be read.
        """
        offers = await self._offers(agency, sold)
        report = Report()

        def heard(outcome: Outcome) -> None:
            report.outcomes.append(outcome)
            told(outcome)

        taken_up = set[str]()
        if not dry:
            async with self._database.read() as session:
                unfinished = await repository.begun(session, agency)
            for id_ in unfinished:
                outcome = await self._finish(id_)
                taken_up.add(outcome.external_id)
                heard(outcome)
        customers, addresses = Counter[str](), Counter[str]()
        async for one in self._provider.running():
            customers[one.customer] += 1
            addresses[one.email.strip().lower()] += 1
        run = _Run(agency, sold, offers, tells, dry, customers, addresses)
        async for one in self._provider.running():
            if one.id in taken_up:
                continue
            outcome = await self._one(run, one)
            if outcome.reason is Reason.UNKNOWN_PRICE:
                report.unknown_prices[one.price, one.period, one.amount, one.currency] += 1
            heard(outcome)
        if not dry:
            await self._on_record(agency, report)
        return report

    async def _offers(self, agency: str, sold: Mapping[str, Sold]) -> dict[Sold, Offer]:
        async with self._database.read() as session:
            await get_agency(session, agency)
            current = await plans_repository.offers(session, agency)
        known = {Sold(one.plan_code, one.period): one for one in current if one.kind == "period"}
        for price, wanted in sold.items():
            if wanted not in known:
                raise rules.PlanMapError(
                    f"{price}: {wanted.plan_code}/{wanted.period} is not sold by {agency}"
                )
            if known[wanted].per_seat:  # a price there does not say for how many readers it is
                raise rules.PlanMapError(
                    f"{price}: {wanted.plan_code}/{wanted.period} is paid for each seat: its owner orders it here"
                )
        return known

    async def _on_record(self, agency: str, report: Report) -> None:
        counts = {what: report.count(what) for what in ("moved", "begun", "left", "skipped")}
        async with self._database.transaction() as session:
            await audit.record(
                session,
                audit.Action.SUBSCRIPTIONS_MOVED,
                agency=agency,
                at=self._clock.now(),
                subject=f"provider/{self._provider.name}",
                after={**counts, "deferred_vnd": report.left_vnd},
            )

    async def _one(self, run: _Run, found: Running) -> Outcome:
        """One of the provider's list."""
        async with self._database.read() as session:
            known = await repository.by_external(session, self._provider.name, found.id)
        if known is not None:
            return await self._known(run, known, found)
        try:
            reason = await self._hindered(run, found)
            if reason is None and not run.dry:
                # What was listed may be minutes old: the reader's own wish to end it is not to be taken for ours.
                found = await self._provider.running_one(found.id)
                reason = await self._hindered(run, found)
        except ProviderUnavailableError:
            reason = Reason.AWAY
        except ProviderRefusedError as error:
            log.warning("move_refused", subscription=found.id, error=str(error))
            reason = Reason.REFUSED
        if reason is not None:
            return Outcome(found.id, found.customer, "skipped", reason)
        offer = run.offers[run.sold[found.price]]
        own = offer.amount_vnd != found.amount
        if run.dry:
            return Outcome(found.id, found.customer, "moved", own_price=own)
        begun = await self._begin(run, found, offer)
        if isinstance(begun, Reason):
            return Outcome(found.id, found.customer, "skipped", begun)
        await fault_point("move.begun")
        return await self._finish(begun)

    async def _known(self, run: _Run, known: MovedSubscription, found: Running) -> Outcome:
        if known.agency != run.agency:
            return Outcome(found.id, found.customer, "skipped", Reason.OTHER_AGENCY)
        if known.state == "begun":
            if run.dry:
                return Outcome(found.id, found.customer, "begun")
            return await self._finish(known.id)
        if known.state == "left":
            return Outcome(found.id, found.customer, "left", Reason[known.reason])
        return Outcome(found.id, found.customer, "before")

    async def _hindered(self, run: _Run, found: Running) -> Reason | None:
        reason = rules.judge(found, run.sold)
        if reason is not None:
            return reason
        email = normalise_email(found.email)
        if email is None:
            return Reason.NO_EMAIL
        if run.customers[found.customer] > 1 or run.addresses[found.email.strip().lower()] > 1:
            return Reason.SEVERAL
        async with self._database.read() as session:
            email = await addresses.moved_to(session, run.agency, email)
            reader_id = await repository.reader_of(session, run.agency, email)
            if reader_id is not None and await subscriptions.live(session, reader_id) is not None:
                return Reason.SUBSCRIBED
        return None

    async def _begin(self, run: _Run, found: Running, offer: Offer) -> UUID | Reason:
        """Write down that it is taken over, for whom and at which price. Nothing of it is ours yet."""
        now, email = self._clock.now(), normalise_email(found.email)
        assert email is not None  # it was asked before
        async with self._database.transaction() as session:
            email = await addresses.moved_to(session, run.agency, email)
            reader = await readers_repository.reader_by_email(
                session, new_id(), run.agency, email, found.language, now
            )
            await subscriptions_repository.lock_reader(session, reader.id)
            known = await repository.by_external(session, self._provider.name, found.id)
            if known is not None:  # another run was faster
                return known.id
            if await subscriptions.live(session, reader.id) is not None:
                return Reason.SUBSCRIBED
            if await repository.is_moving(session, reader.id):
                return Reason.SEVERAL
            if not reader.name and found.name:
                reader.name = found.name[:200]
                session.add(reader)
            row = MovedSubscription(
                id=new_id(),
                agency=run.agency,
                provider=self._provider.name,
                external_id=found.id,
                external_price=found.price,
                reader_id=reader.id,
                price_id=await _agreed(session, offer, found.amount, now),
                ends=found.ends,
                tells=run.tells,
                look_at=now + rules.AGAIN,
                begun_at=now,
            )
            session.add(row)
        return row.id

    async def _finish(self, id_: UUID) -> Outcome:
        """Take up a move that has begun, at whichever step it stands."""
        async with self._database.read() as session:
            row = await repository.by_id(session, id_)
            assert row is not None  # rows stay
            offer = await plans_repository.offer(session, row.agency, row.price_id)
            dunning = await subscriptions_repository.dunning(session, row.agency)
        assert offer is not None  # a foreign key holds it
        try:
            found = await self._told(row)
        except ProviderUnavailableError as error:
            log.warning("move_not_answered", subscription=row.external_id, error=repr(error))
            return await self._put_off(row, Later(Reason.AWAY, self._clock.now() + rules.SOON))
        except ProviderRefusedError as error:
            log.error("move_refused", subscription=row.external_id, error=str(error))
            return await self._put_off(row, Later(Reason.REFUSED, self._clock.now() + rules.LATER))
        await fault_point("move.told")
        now = self._clock.now()
        follows = rules.after_told(found, row.external_price, offer.amount_vnd, dunning.grace, now)
        if isinstance(follows, Later):
            return await self._put_off(row, follows, found.customer)
        if follows is not None:
            return await self._leave(row, follows, found.customer)
        async with self._database.transaction() as session:
            taken = await take(session, row.id, found, offer, now)
            await fault_point("move.before_commit")
        await fault_point("move.after_commit")
        if isinstance(taken, Reason):
            return Outcome(row.external_id, found.customer, "left", taken)
        what = "before" if taken is None else "moved"
        return Outcome(row.external_id, found.customer, what, None, taken or 0, not offer.current)

    async def _told(self, row: MovedSubscription) -> Running:
        """The provider renews it no more; how it stands now. One whose reader did not want it renewed is not told again."""
        if row.ends:
            found = await self._provider.running_one(row.external_id)
            if found.ends or found.ended_at is not None:
                return found
        return await self._provider.let_end(row.external_id)

    async def _put_off(self, row: MovedSubscription, later: Later, customer: str = "") -> Outcome:
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, row.reader_id)
            held = await repository.lock(session, row.id)
            if held.state == "begun":
                held.reason, held.look_at = later.reason.name, later.at
        return Outcome(row.external_id, customer, "begun", later.reason)

    async def _leave(self, row: MovedSubscription, reason: Reason, customer: str) -> Outcome:
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, row.reader_id)
            held = await repository.lock(session, row.id)
            if held.state == "begun":
                held.state, held.reason, held.look_at = "left", reason.name, None
        return Outcome(row.external_id, customer, "left", reason)

    # -- the worker ---------------------------------------------------------------------------

    async def run_due(self) -> int:
        """Finish what was begun, and look whether the provider keeps to what it was told. Returns how many were looked at."""
        done = 0
        while True:
            async with self._database.transaction() as session:
                id_ = await repository.claim(session, self._clock.now(), LEASE)
            if id_ is None:
                return done
            done += 1
            try:
                await self._look(id_)
            except (ProviderUnavailableError, ProviderRefusedError) as error:
                log.warning("move_not_looked_at", move=str(id_), error=repr(error))
            except Exception:  # whatever it is: nobody else's waits for it
                log.exception("move_not_looked_at", move=str(id_))

    async def _look(self, id_: UUID) -> None:
        async with self._database.read() as session:
            row = await repository.by_id(session, id_)
        assert row is not None  # rows stay
        if row.state == "begun":
            await self._finish(id_)
            return
        assert row.period_end is not None  # the table says so
        found = await self._provider.running_one(row.external_id)
        stands = rules.standing(found, row.period_end)
        if stands in ("resumed", "renewed") and found.ended_at is None:
            found = await self._provider.let_end(row.external_id)
            log.warning("moved_subscription_told_again", subscription=row.external_id)
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, row.reader_id)
            held = await repository.lock(session, row.id)
            if held.state != "moved":
                return
            if stands == "renewed" and held.charged_at is None:
                held.charged_at = now
                log.error("moved_subscription_renewed_there", subscription=row.external_id)
            if found.ended_at is not None:
                held.state, held.look_at = "over", None
            else:
                held.look_at = rules.look_after(found, now)


async def _agreed(session: Session, offer: Offer, amount_vnd: int, now: datetime) -> UUID:
    """The price that the reader has agreed to: the one that is sold where it is the same, else their own, which nobody else is sold."""
    if offer.amount_vnd == amount_vnd:
        return offer.price_id
    await plans_repository.lock_plan(session, offer.plan_id)
    known = await repository.price_of(session, offer.plan_id, offer.period, amount_vnd)
    if known is not None:
        return known
    id_ = new_id()
    await repository.add_own_price(
        session,
        id_,
        agency=offer.agency,
        plan_id=offer.plan_id,
        period=offer.period,
        amount_vnd=amount_vnd,
        now=now,
    )
    return id_
