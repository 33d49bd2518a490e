"""Staff give a reader days of reading, for a reason, and take them back. Nothing is paid, so nothing is booked.

Meaning: a right to read everything for whole days, from now or after what is paid for already; a renewal is charged on its day all
the same. Locks: the reader.
"""

from __future__ import annotations

from uuid import UUID

from services.billing.given import repository, rules
from services.billing.given.models import GivenDays, GivenDaysEnded
from services.billing.readers import repository as readers
from services.billing.refunds.service import By
from services.billing.subscriptions import once
from services.billing.subscriptions.repository import lock_reader
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id


class Given:
    """Use cases of the support desk. ``alone``: more days than these, within ninety, only finance gives."""

    def __init__(self, database: Database, clock: Clock, *, alone: int) -> None:
        self._database = database
        self._clock = clock
        self.alone = alone

    async def give(
        self,
        agency: str,
        reader_id: UUID,
        days: int | None,
        why: str,
        by: By,
        *,
        after: bool,
        finance: bool,
    ) -> GivenDays:
        """Give days, from now or ``after`` what runs. Raises :class:`NotFoundError` for another agency's reader,
        :class:`ConflictError` for no or too many days."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            found = await get_agency(session, agency)
            reader = await readers.by_id(session, agency, reader_id)
            if reader is None:
                raise NotFoundError
            await lock_reader(session, reader_id)
            erased = await readers.is_erased(session, reader_id)
            lately = await repository.given_since(session, reader_id, now - rules.COUNTED_WITHIN)
            refused = rules.refusal(days, lately, alone=self.alone, finance=finance)
            if erased or refused is not None or days is None:
                raise ConflictError(slug="reader-erased" if erased else refused or "days-number")
            until = await repository.runs_until(session, reader_id, now)
            starts_at, ends_at = rules.stretch(days, now, until, found.zone, after=after)
            row = GivenDays(
                id=new_id(),
                agency=agency,
                reader_id=reader_id,
                days=days,
                starts_at=starts_at,
                ends_at=ends_at,
                reason=why,
                given_by=by.id,
                given_name=by.name,
                given_at=now,
            )
            session.add(row)
            await session.flush()
            right = once.OnceRight(
                None, rules.PLAN_CODE, "site", starts_at, ends_at, given_id=row.id
            )
            await once.grant_once(session, right, agency, reader_id, now)
            await audit.record(
                session,
                audit.Action.DAYS_GIVEN,
                agency=agency,
                at=now,
                subject=f"reader/{reader_id}",
                label=reader.email,
                after={
                    "days": days,
                    "from": starts_at.isoformat(),
                    "until": ends_at.isoformat(),
                    "why": why,
                },
            )
            return row

    async def end(self, agency: str, reader_id: UUID, given_id: UUID, why: str, by: By) -> None:
        """Take days back: the right ends now. Raises :class:`NotFoundError` for another reader's, :class:`ConflictError` for days that
        are over or were taken back."""
        now = self._clock.now()
        async with self._database.transaction() as session:
            await lock_reader(session, reader_id)
            row = await repository.by_id(session, agency, reader_id, given_id)
            if row is None:
                raise NotFoundError
            if row.ends_at <= now or await repository.has_ended(session, given_id):
                raise ConflictError(slug="days-over")
            session.add(
                GivenDaysEnded(
                    given_id=given_id,
                    agency=agency,
                    reason=why,
                    ended_by=by.id,
                    ended_name=by.name,
                    ended_at=now,
                )
            )
            await session.flush()
            await once.revoke_given(session, given_id, now)
            await audit.record(
                session,
                audit.Action.DAYS_ENDED,
                agency=agency,
                at=now,
                subject=f"reader/{reader_id}",
                label=f"given-days/{given_id}",
                before={"until": row.ends_at.isoformat()},
                after={"until": now.isoformat(), "why": why},
            )
