"""What waits for finance: listed, counted, and put aside with a reason once somebody has looked into it."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from services.billing import metrics
from services.billing.exceptions import repository
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError

#: An open dispute ends by its bank's word, money that is nobody's when it is given back; the others may be put aside.
Aside = Literal["refund", "credit", "foreign", "payout", "payout_line", "moved"]
KINDS = ("refund", "credit", "dispute", "unclaimed", "foreign", "payout", "payout_line", "moved")


class Exceptions:
    """Use cases of finance."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def listing(self, agency: str, limit: int) -> dict[str, list[dict[str, Any]]]:
        """What waits, by kind, the newest first."""
        async with self._database.read() as session:
            await get_agency(session, agency)
            found = await repository.listing(session, agency, limit)
        return {kind: [one for one in found if one["kind"] == kind] for kind in KINDS}

    async def put_aside(self, agency: str, kind: Aside, subject: UUID, why: str) -> None:
        """It waits no more. Raises :class:`NotFoundError` for what does not wait."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            if not await repository.put_aside(session, agency, kind, subject, why, now):
                raise NotFoundError
            await audit.record(
                session,
                audit.Action.EXCEPTION_DONE,
                agency=agency,
                at=now,
                subject=f"{kind.replace('_', '-')}/{subject}",
                after={"why": why},
            )

    async def measure(self) -> None:
        """The gauge, also of what there is none of."""
        async with self._database.read() as session:
            counted = await repository.counts(session)
            agencies = await repository.agencies(session)
        for agency in agencies:
            for kind in KINDS:
                metrics.EXCEPTIONS.labels(agency, kind).set(counted.get((agency, kind), 0))
