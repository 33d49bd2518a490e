"""Use cases of policies, and each web process's copy of those in force."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.paywall.policies import repository
from services.paywall.policies.models import AuditRow, PolicyVersionRow
from services.paywall.policies.rules import Policy, Window, month_window
from services.paywall.policies.schemas import PolicyBody, PolicyOut, compiled
from shared.agencies import Agency, get_agency
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFoundError, PreconditionError

AUDIT_LINES = 20


@dataclass(frozen=True, slots=True)
class Editor:
    """Who changes a policy."""

    name: str
    account_id: UUID | None = None


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
        self, agency: str, body: PolicyBody, *, expected: int, editor: Editor
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
            repository.audit(
                session,
                at=now,
                agency=agency,
                account_id=editor.account_id,
                actor=editor.name,
                action="policy.changed" if expected else "policy.created",
                subject=f"policy/{version}",
                before=before.document if before else None,
                after=document,
            )
        return PolicyOut(
            **body.model_dump(), version=version, changed_at=now, changed_by=editor.name
        )

    async def history(self, agency: str) -> list[AuditRow]:
        """The newest lines of the agency's audit trail."""
        async with self._database.read() as session:
            return await repository.audit_lines(session, agency, limit=AUDIT_LINES)


def _out(row: PolicyVersionRow) -> PolicyOut:
    return PolicyOut.model_validate(
        row.document
        | {"version": row.version, "changed_at": row.created_at, "changed_by": row.created_by}
    )
