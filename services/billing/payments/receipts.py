"""A receipt that is sent once more, because its reader asked for it."""

from __future__ import annotations

from uuid import UUID

from services.billing.invoices import repository as invoices
from services.billing.payments import repository
from services.billing.payments.service import tell_receipt
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError
from shared.ids import new_id


class Receipts:
    """What the support desk does about receipts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send_again(self, agency: str, reader_id: UUID, payment_id: UUID, why: str) -> None:
        """The receipt of a payment is written anew, as things stand now, to the address that its reader has now.

        Raises :class:`NotFoundError` for no such payment of this reader's, and for one that has no receipt: a trial, no order's money.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            payment = await repository.receipted(session, agency, reader_id, payment_id)
            if payment is None:
                raise NotFoundError
            found = await get_agency(session, agency)
            invoice = next(iter(await invoices.of_payments(session, [payment_id])), None)
            await tell_receipt(session, payment, invoice, found, now, again=new_id())
            await audit.record(
                session,
                audit.Action.RECEIPT_RESENT,
                agency=agency,
                at=now,
                subject=f"reader/{reader_id}",
                label=f"payment/{payment_id}",
                after={"why": why},
            )
