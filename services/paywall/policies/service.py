"""Use cases of policies, and each web process's copy of those in force."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.paywall.policies import repository
from services.paywall.policies.models import PolicyVersionRow
from services.paywall.policies.rules import Policy, Window, month_window
from services.paywall.policies.schemas import PolicyBody, PolicyOut, compiled
from shared import audit
from shared.agencies import Agency, get_agency
from shared.audit import Action, Actor
from shared.audit.rules import difference
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError, PreconditionError

HISTORY_LINES = 20


class AgencyPolicy:
    """An agency with its policy in force and its present window, in memory."""

    __slots__ = ("_window", "agency", "origins", "policy")

    def __init__(self, agency: Agency, policy: Policy) -> None:
        self.agency = agency
        self.policy = policy
        self.origins = agency.origins
        self._window: Window | None = None

    def window(self, now: datetime) -> Window:
        """The window that holds ``now``; computed once a month."""
        window = self._window
        if window is None or not window.holds(now):
            window = self._window = month_window(now, self.agency.zone)
        return window


class PolicyBook:
    """Every agency's policy, without a query. Kept fresh by ``Refresher``."""

    def __init__(self) -> None:
        self._by_agency: dict[str, AgencyPolicy] = {}
        self.origins: frozenset[str] = frozenset()

    def get(self, agency: str) -> AgencyPolicy | None:
        return self._by_agency.get(agency)

    def replace(
        self, agencies: Iterable[Agency], policies: Iterable[tuple[str, int, dict[str, Any]]]
    ) -> None:
        known = {agency.id: agency for agency in agencies}
        self._by_agency = {
            id_: AgencyPolicy(
                known[id_], compiled(id_, version, PolicyBody.model_validate(document))
            )
            for id_, version, document in policies
        }
        self.origins = frozenset[str]().union(*(own.origins for own in self._by_agency.values()))


class PolicyService:
    """Seeing and changing an agency's policy."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, agency: str) -> PolicyOut:
        """Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            row = await repository.newest(session, agency)
        if row is None:
            raise NotFoundError(f"{agency} has no policy yet", slug="policy-unknown")
        return _out(row)

    async def agency(self, agency: str) -> Agency:
        """Raises :class:`NotFoundError`."""
        async with self._database.read() as session:
            return await get_agency(session, agency)

    async def put(
        self, agency: str, body: PolicyBody, *, expected: int, editor: Actor
    ) -> PolicyOut:
        """Put a new version in force in place of version ``expected`` (0: there is none yet).

        Raises :class:`PreconditionError` when another version is in force by now.
        """
        document, now = body.model_dump(mode="json"), self._clock.now()
        async with self._database.transaction() as session:
            before = await repository.newest(session, agency)
            version = expected + 1
            added = await repository.add(
                session, agency=agency, version=version, document=document, at=now, by=editor.name
            )
            if not added:
                raise PreconditionError(
                    f"Version {expected} is not the one in force; load it again",
                    slug="policy-changed",
                    version=before.version if before else 0,
                )
            was, new = difference(before.document if before else {}, document)
            await audit.record(
                session,
                Action.POLICY_CHANGED if expected else Action.POLICY_CREATED,
                agency=agency,
                at=now,
                subject=f"policy/{version}",
                before=was,
                after=new,
                actor=editor,
            )
        return PolicyOut(
            **body.model_dump(), version=version, changed_at=now, changed_by=editor.name
        )

    async def history(self, agency: str) -> list[tuple[PolicyVersionRow, PolicyVersionRow | None]]:
        """The newest versions, each with the one before it."""
        async with self._database.read() as session:
            rows = await repository.history(session, agency, limit=HISTORY_LINES + 1)
        return list(zip(rows[:HISTORY_LINES], [*rows[1:], None], strict=False))


def _out(row: PolicyVersionRow) -> PolicyOut:
    return PolicyOut.model_validate(
        row.document
        | {"version": row.version, "changed_at": row.created_at, "changed_by": row.created_by}
    )
