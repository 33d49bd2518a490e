"""Contributions: the reader names the amount; it is paid as any order is (``orders.settle``), earned at once, and opens nothing."""

from __future__ import annotations

from services.billing.orders.models import SalesOrder
from services.billing.orders.service import Orders
from services.billing.plans.repository import Offer
from services.billing.plans.rules import CONTRIBUTION, VAT_OF_CONTRIBUTIONS, NoVatRateError
from services.billing.plans.service import Plans, vat_row_of
from services.billing.readers.models import Reader
from shared.agencies import get_agency
from shared.clock import Clock, local_date
from shared.database import Database
from shared.errors import ConflictError, NotFoundError


class Contributions:
    """Use cases of a reader who gives."""

    def __init__(self, database: Database, clock: Clock, plans: Plans, orders: Orders) -> None:
        self._database = database
        self._clock = clock
        self._plans = plans
        self._orders = orders

    async def offer(self, agency: str) -> Offer | None:
        """What may be given: the limits and suggestions of the agency; None where it takes none."""
        sold = await self._plans.offers(agency)
        return next((one for one in sold if one.kind == CONTRIBUTION), None)

    async def start(
        self, reader: Reader, amount_vnd: int, return_to: str, language: str
    ) -> SalesOrder:
        """The order to pay. Raises :class:`NotFoundError` where the agency takes none, :class:`ConflictError` for an amount outside of
        its limits (``contribution-amount``), for a day on which the table does not say how contributions are taxed (``no-vat-rate``:
        nobody pays then, as nobody could book it), and as ``Orders.start`` does."""
        offer = await self.offer(reader.agency)
        if offer is None:
            raise NotFoundError
        async with self._database.read() as session:
            agency = await get_agency(session, reader.agency)
            today = local_date(self._clock.now(), agency.zone)
            try:
                await vat_row_of(session, VAT_OF_CONTRIBUTIONS, today)
            except NoVatRateError as error:
                raise ConflictError(str(error), slug="no-vat-rate") from error
        return await self._orders.start(
            reader, offer.price_id, return_to, language, amount_vnd=amount_vnd
        )
