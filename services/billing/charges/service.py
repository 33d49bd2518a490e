"""Readers who pay by card: the payment page of an order, a new card, and coming back from there."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog

from services.billing.charges import repository
from services.billing.charges.asking import FORGOTTEN_AFTER, PAGE_OPEN_FOR, Asking
from services.billing.charges.models import Charge
from services.billing.orders import repository as orders_repository
from services.billing.orders.models import SalesOrder
from services.billing.payments.adapters.port import (
    Fact,
    GoneError,
    Page,
    PageOpen,
    PageSpec,
    ProviderFailedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.plans import repository as plans_repository
from services.billing.readers.models import Reader
from services.billing.subscriptions import repository as subscriptions_repository
from services.billing.subscriptions.rules import LIVE, RENEWAL, State
from shared.database import Session
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.ids import new_id

log = structlog.get_logger(__name__)


class Charges(Asking):
    """Use cases of readers who pay by card; the worker's are :class:`Asking`."""

    async def page(self, reader: Reader, code: str, language: str) -> str:
        """The address of the page on which an order of this reader's is paid, or a card given for it.

        Raises :class:`NotFoundError` for anybody else's, :class:`ConflictError` for an order that is not open, is being collected, or of
        which a part was transferred (``order-begun``: a page is for the whole),
        :class:`UnavailableError` when the provider does not answer.
        """
        charge, order = await self._page_row(reader, code, language)
        if charge.state == "open":
            fact = await self._ask(self._provider.page_facts(charge.page_id or ""))
            if isinstance(fact, PageOpen):
                return fact.url or charge.url
            await self._apply(fact)
            charge, order = await self._page_row(reader, code, language)
        return await self._open(charge, reader, await self._spec(charge, reader, order))

    async def _page_row(
        self, reader: Reader, code: str, language: str
    ) -> tuple[Charge, SalesOrder]:
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            found = await orders_repository.by_code(session, reader.agency, code)
            if found is None or found.reader_id != reader.id:
                raise NotFoundError
            order = await orders_repository.lock(session, found.id)
            if order.state != "open" or (order.amount_vnd == 0 and not order.renews):
                raise ConflictError("This order is not open", slug="order-not-open")
            if await repository.collecting(session, order.id):
                raise ConflictError("The bank has not decided yet", slug="payment-processing")
            if await orders_repository.begun(session, order):
                raise ConflictError(slug="order-begun")
            charge = await repository.page_of(session, order.id)
            if charge is None:
                charge = self._new(reader, now, language, order_id=order.id)
                charge.amount_vnd = order.amount_vnd
                session.add(charge)
            return charge, order

    def _new(
        self,
        reader: Reader,
        now: datetime,
        language: str,
        *,
        order_id: UUID | None = None,
        subscription_id: UUID | None = None,
    ) -> Charge:
        return Charge(
            id=new_id(),
            agency=reader.agency,
            reader_id=reader.id,
            order_id=order_id,
            subscription_id=subscription_id,
            provider=self._provider.name,
            kind="page",
            amount_vnd=0,
            language=language,
            ask_at=now + FORGOTTEN_AFTER,
            created_at=now,
            updated_at=now,
        )

    async def card_page(self, reader: Reader, subscription_id: UUID, language: str) -> str:
        """The address of a page on which this reader gives another card for a subscription. Raises as :meth:`page` does."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            row = await subscriptions_repository.by_id(session, reader.agency, subscription_id)
            if row is None or row.reader_id != reader.id or row.collection != RENEWAL:
                raise NotFoundError
            if State(row.state) not in LIVE:
                raise ConflictError("This subscription has ended", slug="subscription-ended")
            known = await repository.card_page_of(session, row.id)
            charge = known or self._new(reader, now, language, subscription_id=row.id)
            session.add(charge)
        if charge.state == "open":
            fact = await self._ask(self._provider.page_facts(charge.page_id or ""))
            if isinstance(fact, PageOpen):
                return fact.url or charge.url
            await self._apply(fact)
            return await self.card_page(reader, subscription_id, language)
        return await self._open(charge, reader, await self._spec(charge, reader, None))

    async def _spec(self, charge: Charge, reader: Reader, order: SalesOrder | None) -> PageSpec:
        base = f"{self._public_url}/r/{reader.agency}"
        async with self._database.read() as session:
            customer = await repository.customer_of(session, charge.provider, reader.id)
            offer = (
                await plans_repository.offer(session, order.agency, order.price_id)
                if order is not None
                else None
            )
        done = f"{base}/orders/{order.code}" if order is not None else f"{base}/account"
        if order is None:
            left = f"{base}/account"
        else:
            left = f"{base}/plans?canceled=1" if order.purpose == "sale" else done
        return PageSpec(
            charge_id=charge.id,
            agency=charge.agency,
            description=offer.name(charge.language) if offer is not None else "",
            amount_vnd=charge.amount_vnd,
            keeps=order is None or order.renews,
            customer=customer,
            email=reader.email,
            success_url=f"{done}?paid={charge.id}" if order else f"{done}?card={charge.id}",
            cancel_url=left,
            language=charge.language,
            expires_at=charge.created_at + PAGE_OPEN_FOR,  # the same again under the same key
            key=self._key(charge),
        )

    async def _open(self, charge: Charge, reader: Reader, spec: PageSpec) -> str:
        try:
            page = await self._provider.open_page(spec)
        except GoneError:
            # The provider does not know this customer any more: forgotten, and the page is made by e-mail.
            await self._forget_customer(spec.customer)
            return await self._other_key(charge, reader)
        except ProviderFailedError:
            return await self._other_key(charge, reader)
        except ProviderUnavailableError as error:
            raise _away() from error
        except ProviderRefusedError as error:
            async with self._database.transaction() as session:
                await subscriptions_repository.lock_reader(session, reader.id)
                row = await repository.lock(session, charge.id)
                row.state, row.ask_at, row.failure = "closed", None, "refused"
            raise UnavailableError(
                "The payment page could not be opened", slug="payments-refused"
            ) from error
        return await self._opened(charge, reader, page)

    async def _other_key(self, charge: Charge, reader: Reader) -> str:
        """Once more under another key: under the first one the same answer would come again."""
        if charge.key_number > 0:
            raise _away()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            row = await repository.lock(session, charge.id)
            row.key_number += 1
            order = (
                await orders_repository.lock(session, row.order_id)
                if row.order_id is not None
                else None
            )
        return await self._open(row, reader, await self._spec(row, reader, order))

    async def _opened(self, charge: Charge, reader: Reader, page: Page) -> str:
        now = self._clock.now()
        async with self._database.transaction() as session:
            await subscriptions_repository.lock_reader(session, reader.id)
            row = await repository.lock(session, charge.id)
            if row.state not in ("created", "open"):
                raise ConflictError("This order is not open", slug="order-not-open")
            row.page_id, row.url, row.state = page.id, page.url, "open"
            row.ask_at, row.asks = row.created_at + PAGE_OPEN_FOR, 0
            wanted = row.order_id is None or await _may_be_paid(session, row.order_id)
            if not wanted:  # another plan or way was chosen meanwhile, or the card is being charged
                row.ask_at = now
        if not wanted:
            raise ConflictError("Another plan was chosen", slug="order-not-open")
        return page.url

    async def look(self, charge_id: UUID, reader_id: UUID) -> None:
        """Ask what became of a page that this reader comes back from. Nothing is asked of what is settled, and nobody reads on
        because of an address. A provider that is away is asked by the worker."""
        async with self._database.read() as session:
            charge = await repository.by_id(session, charge_id)
        if charge is None or charge.reader_id != reader_id or charge.page_id is None:
            return
        if charge.state not in ("open", "processing"):
            return
        try:
            await self._apply(await self._provider.page_facts(charge.page_id))
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            log.warning("page_not_asked", charge=str(charge_id), error=repr(error))

    async def _ask(self, answer: object) -> Fact:
        try:
            return await answer  # type: ignore[misc, no-any-return]
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            raise _away() from error


async def _may_be_paid(session: Session, order_id: UUID) -> bool:
    """Whether a page may be shown on which an order's whole amount is paid."""
    order = await orders_repository.lock(session, order_id)
    if order.state != "open" or await repository.collecting(session, order_id):
        return False
    return not await orders_repository.begun(session, order)


def _away() -> UnavailableError:
    return UnavailableError(
        "The payment page cannot be reached right now",
        slug="payments-unavailable",
        headers={"Retry-After": "5"},
    )
