"""From the plans page to the provider's payment page, and back to a receipt.

A call of unknown outcome is repeated under its own key (the row's id), so that a reader never pays twice for a time-out;
after a refusal a new row, and so a new key, is made.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn
from uuid import UUID

import structlog

from services.billing.payments import repository
from services.billing.payments.adapters.port import (
    CheckoutSpec,
    Origin,
    PaymentProvider,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from services.billing.payments.models import Checkout, Payment
from services.billing.payments.service import Payments
from services.billing.plans.repository import Offer
from services.billing.plans.service import Plans
from services.billing.readers.models import Reader
from services.billing.readers.repository import set_language
from services.billing.subscriptions.service import Subscriptions
from shared.clock import Clock
from shared.database import Database
from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.faults import fault_point
from shared.ids import new_id

REUSE_FOR = timedelta(hours=20)  # the provider keeps keys and open payment pages for a day
CLOSE_FOR = REUSE_FOR + timedelta(hours=25)  # after that no page of a checkout can be open
CLOSING_ROUNDS = 3
LEAVE_SECONDS = 3.0
NOBODY = UUID(int=0)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the reader comes back to. ``payment`` is None while the provider has not confirmed."""

    checkout: Checkout
    offer: Offer
    payment: Payment | None


class Checkouts:
    """Use cases of a reader who pays."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        provider: PaymentProvider,
        plans: Plans,
        payments: Payments,
        subscriptions: Subscriptions,
        *,
        public_url: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider
        self._plans = plans
        self._payments = payments
        self._subscriptions = subscriptions
        self._public_url = public_url.rstrip("/")

    async def start(self, reader: Reader, price_id: UUID, return_to: str, language: str) -> str:
        """The address of the payment page.

        Raises :class:`NotFoundError` for an unknown price, :class:`ConflictError` for a price that is no longer sold
        or a reader who subscribes already, :class:`UnavailableError` when the provider does not answer.
        """
        offer = await self._plans.offer(reader.agency, price_id)
        if not offer.current:
            raise ConflictError("This price is no longer sold", slug="price-superseded")
        if (
            await self._subscriptions.live_of_reader(reader.id) is not None
            or await self._subscriptions.term_until(reader.id) is not None
        ):
            raise ConflictError("You have a subscription already", slug="already-subscribed")
        try:
            checkout = await self._open_row(reader, offer, return_to, language)
            await self._close_others(reader, checkout)
            if checkout.provider_session is not None:
                facts = await self._provider.fetch_checkout(checkout.provider_session)
                if facts.open:
                    return facts.url
                checkout = await self._replace(checkout, facts.paid)
            return await self._hosted(checkout, reader, offer)
        except ProviderUnavailableError as error:
            raise UnavailableError(
                "The payment page cannot be reached right now",
                slug="payments-unavailable",
                headers={"Retry-After": "5"},
            ) from error

    async def leave(self, reader: Reader) -> None:
        """Another way to pay was chosen: nobody should be able to pay on a page of the provider's any more.

        A provider that does not answer keeps nobody from the other way. Raises :class:`ConflictError` when a page has been paid.
        """
        since = self._clock.now() - CLOSE_FOR
        async with self._database.read() as reading:
            others = await repository.other_open_checkouts(reading, reader.id, NOBODY, since)
        for other in others:
            try:
                async with asyncio.timeout(LEAVE_SECONDS):
                    await self._close(other)
            except (ProviderUnavailableError, ProviderRefusedError, TimeoutError) as error:
                log.warning("payment_page_left_open", checkout=str(other.id), error=repr(error))

    async def _open_row(
        self, reader: Reader, offer: Offer, return_to: str, language: str
    ) -> Checkout:
        now = self._clock.now()
        async with self._database.transaction() as session:
            await repository.lock_reader(session, reader.id)
            await set_language(session, reader.id, language)
            found = await repository.open_checkout(
                session, reader.id, offer.price_id, now - REUSE_FOR
            )
            if found is not None:
                if return_to and found.return_to != return_to:
                    found.return_to = return_to
                return found
            checkout = Checkout(
                id=new_id(),
                agency=reader.agency,
                reader_id=reader.id,
                price_id=offer.price_id,
                provider=self._provider.name,
                provider_customer=await repository.customer_of(
                    session, self._provider.name, reader.id
                ),
                language=language,
                return_to=return_to,
                created_at=now,
            )
            session.add(checkout)
            return checkout

    async def _close_others(self, reader: Reader, chosen: Checkout) -> None:
        """One payment page a reader: who changes their mind about the plan must not be able to pay for both.

        Raises :class:`ConflictError` when one of the others has been paid.
        """
        since = self._clock.now() - CLOSE_FOR
        for _ in range(CLOSING_ROUNDS):
            async with self._database.read() as reading:
                others = await repository.other_open_checkouts(reading, reader.id, chosen.id, since)
            if not others:
                return
            for other in others:  # looked for again: one may have got its payment page just now
                await self._close(other)
        raise ConflictError("Another plan was chosen", slug="checkout-replaced")

    async def _close(self, checkout: Checkout) -> None:
        if checkout.provider_session is not None:
            facts = await self._provider.close_checkout(checkout.provider_session)
            if facts.paid:
                await self._already_paid(checkout.provider_session)
        async with self._database.transaction() as session:
            await repository.close_open(session, checkout.id, checkout.provider_session)

    async def _already_paid(self, provider_session: str) -> NoReturn:
        await self.apply(provider_session)
        raise ConflictError("You have a subscription already", slug="already-subscribed")

    async def _replace(self, old: Checkout, paid: bool) -> Checkout:
        """The old payment page is closed: a new way, unless the old one was paid."""
        if paid:
            await self._already_paid(old.provider_session or "")
        now = self._clock.now()
        async with self._database.transaction() as session:
            await repository.set_checkout(session, old.id, state="expired")
            fresh = Checkout(
                id=new_id(),
                agency=old.agency,
                reader_id=old.reader_id,
                price_id=old.price_id,
                provider=old.provider,
                provider_customer=await repository.customer_of(
                    session, old.provider, old.reader_id
                ),
                language=old.language,
                return_to=old.return_to,
                created_at=now,
            )
            session.add(fresh)
        return fresh

    async def _hosted(self, checkout: Checkout, reader: Reader, offer: Offer) -> str:
        external = await self._plans.external_price(offer)
        base = f"{self._public_url}/r/{reader.agency}"
        try:
            hosted = await self._provider.create_checkout(
                CheckoutSpec(
                    checkout_id=checkout.id,
                    origin=Origin(reader.agency, reader.id, offer.price_id),
                    external_price=external,
                    customer=checkout.provider_customer,
                    email=reader.email,
                    success_url=f"{base}/checkout/done?session_id={{CHECKOUT_SESSION_ID}}",
                    cancel_url=f"{base}/plans?canceled=1",
                    language=checkout.language,
                    key=f"checkout:{checkout.id}",
                )
            )
        except ProviderRefusedError as error:
            async with self._database.transaction() as session:
                await repository.set_checkout(session, checkout.id, state="refused")
            raise UnavailableError(
                "The payment page could not be opened", slug="payments-refused"
            ) from error
        async with self._database.transaction() as session:
            open_still = await repository.keep_session(session, checkout.id, hosted.session_id)
        if not open_still:  # another plan was chosen in another window while this page was made
            await self._provider.close_checkout(hosted.session_id)
            raise ConflictError("Another plan was chosen", slug="checkout-replaced")
        return hosted.url

    async def apply(self, provider_session: str) -> bool:
        """Ask the provider how it went, and apply that: the same use case as the webhook's, so whichever comes
        first does it and the other changes nothing. Whether it is paid."""
        facts = await self._provider.fetch_checkout(provider_session)
        async with self._database.transaction() as session:
            applied = await self._payments.apply_checkout(session, facts)
            await fault_point("payment.before_commit")
        await fault_point("payment.after_commit")
        return applied

    async def receipt(self, reader: Reader, provider_session: str) -> Receipt:
        """What became of a checkout of this reader's. Raises :class:`NotFoundError` for anybody else's.

        The provider is asked, not the address: nobody reads on because of a link.
        """
        async with self._database.read() as session:
            checkout = await repository.checkout_by_session(
                session, self._provider.name, provider_session
            )
        if checkout is None or checkout.reader_id != reader.id:
            raise NotFoundError
        offer = await self._plans.offer(reader.agency, checkout.price_id)
        payment = await self._payment(provider_session)
        return Receipt(checkout, offer, payment)

    async def _payment(self, provider_session: str) -> Payment | None:
        try:
            facts = await self._provider.fetch_checkout(provider_session)
            if facts.invoice is None:
                return None
            async with self._database.read() as reading:
                known = await repository.payment_by_invoice(
                    reading, self._provider.name, facts.invoice.id
                )
            if known is None and await self.apply(provider_session):
                async with self._database.read() as reading:
                    known = await repository.payment_by_invoice(
                        reading, self._provider.name, facts.invoice.id
                    )
            return known
        except ProviderUnavailableError:
            return None  # the page says that the payment is being confirmed, and looks again
        except ProviderRefusedError as error:
            raise NotFoundError from error
