"""What the worker asks providers: what became of pages and charges, and the charges of cards themselves.

No call to a provider is made inside a transaction: what is to be asked is written down, asked, and the answer is applied as a
fact. A call of unknown outcome is asked again under its own key, after looking for what it may have done.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from services.billing.charges import repository
from services.billing.charges.apply import apply
from services.billing.charges.models import Charge
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import SalesOrder
from services.billing.payments.adapters.port import (
    Fact,
    Failed,
    GoneError,
    MandateCharge,
    MethodGone,
    PageClosed,
    PageOpen,
    PaymentProvider,
    ProviderFailedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.payments.method import Method
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions.models import Subscription
from shared.clock import Clock
from shared.database import Database
from shared.faults import fault_point
from shared.loops import Heartbeat

log = structlog.get_logger(__name__)

#: How long a payment page stays open: the provider allows a day.
PAGE_OPEN_FOR = timedelta(hours=23)
#: How long a charge is in one worker's hands.
LEASE = timedelta(minutes=2)
#: A call to the provider is not begun later than so long before the lease ends.
CALL_MOST = timedelta(seconds=45)
#: When a page of which nobody knows whether it was made is given up.
FORGOTTEN_AFTER = timedelta(minutes=10)
#: A provider that keeps an answer of its own failure is asked under another key after this long.
OTHER_KEY_AFTER = timedelta(minutes=5)
POLL_SECONDS = 1.0
NAMED_A_ROUND = 20
#: A provider that could not be told that a card was let go is told again after this long.
TELL_AGAIN = timedelta(hours=1)


def wait_after(asks: int) -> timedelta:
    """How long to wait after ``asks`` calls of unknown outcome: 30 s, 1 min, 2 min … an hour."""
    return timedelta(seconds=min(30 * 2 ** min(max(asks - 1, 0), 10), 3_600))


class Asking:
    """Asks about charges, one after the other or in several slots."""

    def __init__(
        self, database: Database, clock: Clock, provider: PaymentProvider, *, public_url: str
    ) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._public_url = public_url.rstrip("/")

    @staticmethod
    def _key(charge: Charge) -> str:
        return f"charge:{charge.id}:{charge.key_number}"

    async def _forget_customer(self, customer: str) -> None:
        async with self._database.transaction() as session:
            await repository.forget_customer(session, self._provider.name, customer)

    async def _apply(self, fact: Fact) -> bool:
        async with self._database.transaction() as session:
            applied = await apply(session, self._provider.name, fact, self._clock.now())
            await fault_point("payment.before_commit")
        await fault_point("payment.after_commit")
        return applied

    async def run_due(self) -> int:
        """Ask providers what is due now, one after the other. Returns how many."""
        done = 0
        while await self.ask_one():
            done += 1
        return done

    async def ask_one(self) -> bool:
        """Ask about the charge that is due the longest. False when none is."""
        async with self._database.transaction() as session:
            claimed = await repository.claim(session, self._clock.now(), LEASE)
        if claimed is None:
            return False
        try:
            await self.ask(*claimed)
        except Exception:  # whatever it is: nobody else's charge waits for it
            log.exception("charge_not_asked", charge=str(claimed[0]))
            await self._not_asked(*claimed)
        return True

    async def _not_asked(self, id_: UUID, asks: int) -> None:
        async with self._database.read() as session:
            charge = await repository.by_id(session, id_)
        if charge is not None and charge.asks == asks:
            await self._later(charge, wait_after(charge.asks), None)

    async def ask_now(self, charge_id: UUID) -> None:
        """:meth:`ask`, for somebody who waits for the answer."""
        async with self._database.transaction() as session:
            asks = await repository.count_ask(session, charge_id, self._clock.now(), LEASE)
        if asks is not None:
            await self.ask(charge_id, asks)

    async def ask(self, charge_id: UUID, asks: int) -> None:
        """Ask the provider about one charge, for the ``asks``-th time, and apply what it says. An answer that does not come is asked for
        again later. Nothing is done by who was so slow that somebody else asks meanwhile."""
        async with self._database.read() as session:
            charge = await repository.by_id(session, charge_id)
            order = (
                await orders_repository.by_id(session, charge.order_id)
                if charge is not None and charge.order_id is not None
                else None
            )
            row = (
                await subscriptions_repository.by_id(session, order.agency, order.subscription_id)
                if order is not None and order.subscription_id is not None
                else None
            )
            begun = order is not None and await orders_repository.begun(session, order)
        if charge is None or charge.asks != asks:
            return
        wanted = self._wanted(charge, order, row) and not (begun and charge.kind == "page")
        try:
            fact = await self._fact(charge, wanted=wanted)
        except ProviderFailedError as error:
            await self._later(charge, OTHER_KEY_AFTER, error, other_key=True)
        except ProviderUnavailableError as error:
            await self._later(charge, wait_after(charge.asks), error)
        except ProviderRefusedError as error:
            log.error("provider_refused", charge=str(charge.id), error=str(error))
            await self._refused(charge)
        else:
            if isinstance(fact, PageOpen):
                await self._later(charge, timedelta(hours=1), None)
            elif fact is not None:
                await fault_point("charge.answered")
                await self._apply(fact)

    def _wanted(self, charge: Charge, order: SalesOrder | None, row: Subscription | None) -> bool:
        """Who does not want another period, or whose right has ended, is not charged for it, where that has not happened yet."""
        if order is None:
            return True
        if order.state != "open":
            return False
        over = order.purpose == "renewal" and self._clock.now() >= order.expires_at
        canceled = row is not None and row.cancel_at_period_end
        return charge.kind != "mandate" or not (over or canceled)

    async def _fact(self, charge: Charge, *, wanted: bool) -> Fact | None:
        if charge.kind == "mandate" and charge.state == "created":
            return await self._charge(charge, wanted=wanted)
        if charge.state == "processing" and charge.page_id is None:
            return await self._provider.charge_facts(charge.reference or "")
        if charge.page_id is None:
            return PageClosed(charge.id)  # its address was never shown to anybody
        over = self._clock.now() - charge.created_at >= PAGE_OPEN_FOR
        if charge.state == "open" and (over or not wanted):
            return await self._provider.close_page(charge.page_id)
        return await self._provider.page_facts(charge.page_id)

    async def _charge(self, charge: Charge, *, wanted: bool) -> Fact | None:
        """Charge a card; a page on which the same order could be paid is closed before."""
        assert charge.mandate_id is not None and charge.order_id is not None  # the table says so
        async with self._database.read() as session:
            mandate = await subscriptions_repository.mandate(session, charge.mandate_id)
            pages = await repository.open_pages(session, charge.order_id)
            order = await orders_repository.by_id(session, charge.order_id)
        assert mandate is not None and order is not None  # foreign keys hold them
        asked_before = charge.asks > 1
        if asked_before:
            found = await self._provider.find_charge(charge.id, mandate.customer)
            if found is not None:
                return found
        if not wanted:
            return PageClosed(charge.id)
        if mandate.revoked_at is not None:
            return Failed(charge.id, "", "mandate_revoked", method_gone=True)
        for page in pages:
            await self._apply(await self._provider.close_page(page))
        if pages and not await self._still_open(charge.order_id):
            return PageClosed(charge.id)  # it was paid there, or may be
        async with self._database.read() as session:
            until = self._clock.now() + CALL_MOST
            if not await repository.holds(session, charge.id, charge.asks, until):
                return None  # the lease is over, or nearly: whoever has it now asks, and knows what is wanted now
        return await self._provider.charge(
            MandateCharge(
                charge_id=charge.id,
                agency=charge.agency,
                description=order.code,
                amount_vnd=charge.amount_vnd,
                customer=mandate.customer,
                method=mandate.method,
                key=self._key(charge),
            )
        )

    async def _still_open(self, order_id: UUID) -> bool:
        async with self._database.read() as session:
            order = await orders_repository.by_id(session, order_id)
            elsewhere = await repository.may_be_paid(session, order_id)
        return order is not None and order.state == "open" and not elsewhere

    async def _later(
        self,
        charge: Charge,
        wait: timedelta,
        error: Exception | None,
        *,
        other_key: bool = False,
    ) -> None:
        if error is not None:
            log.warning("provider_not_answered", charge=str(charge.id), error=repr(error))
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, charge.reader_id)
            row = await repository.lock(session, charge.id)
            if row.state in ("created", "open", "processing") and row.asks == charge.asks:
                row.ask_at = self._clock.now() + wait
                row.key_number += other_key

    async def _refused(self, charge: Charge) -> None:
        """The provider says that this cannot be: a charge is failed, a page that it does not know is closed."""
        fact: Fact = PageClosed(charge.id)
        if charge.kind == "mandate":
            fact = Failed(charge.id, "", "refused")
        await self._apply(fact)

    async def name_cards(self) -> int:
        """Ask what people call the cards that were given lately. Returns how many."""
        async with self._database.read() as reading:
            unnamed = await repository.unnamed_mandates(reading, NAMED_A_ROUND)
        for id_, method_id in unnamed:
            try:
                method = await self._provider.method(method_id)
            except GoneError:
                await self._apply(MethodGone(method=method_id))
                continue
            except ProviderUnavailableError as error:
                log.warning("card_not_named", error=repr(error))
                continue
            except ProviderRefusedError as error:  # it would be no other the next time
                log.warning("card_has_no_name", error=repr(error))
                method = Method("", method_id)
            async with self._database.transaction() as session:
                await repository.name_mandate(session, id_, method.label or "•", method.expires_on)
        return len(unnamed)

    async def let_go(self) -> int:
        """Tell the provider which cards are not charged any more, each until it knows. Returns how many it knows of now."""
        known = 0
        while True:
            now = self._clock.now()
            async with self._database.transaction() as session:
                claimed = await repository.claim_let_go(session, now, now + TELL_AGAIN)
            if claimed is None:
                return known
            id_, method_id = claimed
            try:
                await self._provider.revoke(method_id)
            except (ProviderUnavailableError, ProviderRefusedError) as error:
                log.warning("card_not_let_go", mandate=str(id_), error=repr(error))
                continue
            async with self._database.transaction() as session:
                await repository.let_go(session, id_)
            known += 1

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """One of the slots that run side by side."""
        while not stop.is_set():
            heartbeat.beat()
            found = await self.ask_one()
            heartbeat.succeeded()
            if not found:
                await _pause(stop, POLL_SECONDS)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
