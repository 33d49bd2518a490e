"""What the invariants say, by the readings that the worker makes."""

from __future__ import annotations

from typing import Protocol

from services.billing.invariants import repository, rules
from services.billing.invariants.catalogue import ALL
from services.billing.invariants.service import Invariants
from shared.database import Database


class Checked(Protocol):
    database: Database
    invariants: Invariants


async def read_invariants(
    of: Checked, agency: str | None = None, *, whole: bool = True
) -> dict[str, int]:
    """Violations of each invariant after everything was read, or what has changed since the last reading."""
    await of.invariants.read(whole=whole)
    async with of.database.read() as session:
        kept = await repository.findings(session, agency)
        readings = await repository.readings(session)
    failed = {name: one for name, one in readings.items() if one.error or one.whole_error}
    assert failed == {}, failed
    return {one.name: sum(rules.by_agency(kept.get(one.name, {})).values()) for one in ALL}


async def broken(of: Checked, agency: str | None = None, *, whole: bool = True) -> dict[str, int]:
    """Those that do not hold."""
    return {name: n for name, n in (await read_invariants(of, agency, whole=whole)).items() if n}
