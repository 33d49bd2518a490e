"""When what is read, and how findings are counted: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

#: How much before the mark a reading begins: the clocks of the machines differ by less, and no id is so much older than the transaction
#: that writes it.
MARGIN = timedelta(minutes=2)
#: The same of moments that billing's own clock gave, and of what may be wrong a quarter of an hour after it began only.
BACK = timedelta(minutes=20)
#: Everything is read again after this time at the earliest, when somebody asks for it, and when a reading of it failed.
ASKED_AGAIN, FAILED_AGAIN = timedelta(minutes=10), timedelta(hours=1)
#: Subjects of one invariant that are kept by name; of more only the agency's sum is kept, until everything is read again.
NAMED = 1_000
#: Readers that one query is asked for.
READERS_AT_ONCE = 5_000


class Wrong(NamedTuple):
    """What a query found. ``subject`` '' is the agency as a whole; ``agency`` '' is none."""

    agency: str
    subject: str
    violations: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How an invariant stands: when what had changed was last read (or everything: ``whole_at``), and what went wrong since.

    ``read_from``: where the next reading of changes begins, by the database's clock; the others by billing's.
    """

    read_from: datetime | None = None
    checked_at: datetime | None = None
    whole_at: datetime | None = None
    whole_tried_at: datetime | None = None
    error: str = ""
    whole_error: str = ""


def last_night(now: datetime, hour: int, zone: ZoneInfo) -> datetime:
    """The last time at which it was ``hour`` o'clock in ``zone``."""
    there = now.astimezone(zone)
    at = there.replace(hour=hour, minute=0, second=0, microsecond=0)
    return at if at <= there else (at - timedelta(days=1))


def whole_due(reading: Reading, now: datetime, night: datetime, *, asked: bool) -> bool:
    """Whether everything is to be read: it was not since ``night``, or somebody asked for it."""
    tried = reading.whole_tried_at
    if reading.whole_at is None or reading.whole_at < night:
        return not reading.whole_error or tried is None or now - tried >= FAILED_AGAIN
    return asked and (tried is None or now - tried >= ASKED_AGAIN)


def lowest_id(at: datetime) -> UUID:
    """Not above any id that was made at ``at`` or later (UUIDv7, RFC 9562: milliseconds since 1970 in the first 48 bits)."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def counted(found: Iterable[Wrong]) -> dict[tuple[str, str], int]:
    """Findings by agency and subject. Beyond ``NAMED`` subjects an agency's sum stands for those that are not kept."""
    kept: dict[tuple[str, str], int] = {}
    sums: dict[str, int] = {}
    named = 0
    for one in found:
        if not one.subject:
            kept[one.agency, ""] = max(kept.get((one.agency, ""), 0), one.violations)
            continue
        sums[one.agency] = sums.get(one.agency, 0) + one.violations
        key = one.agency, one.subject
        if key in kept or named < NAMED:
            named += key not in kept
            kept[key] = kept.get(key, 0) + one.violations
    for agency, violations in sums.items():
        if violations > sum(n for (of, subject), n in kept.items() if of == agency and subject):
            kept[agency, ""] = max(kept.get((agency, ""), 0), violations)
    return kept


def by_agency(findings: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Violations of each agency: those of its subjects, or the agency's own sum where that is more."""
    subjects: dict[str, int] = {}
    for (agency, subject), violations in findings.items():
        if subject:
            subjects[agency] = subjects.get(agency, 0) + violations
    whole = {agency: n for (agency, subject), n in findings.items() if not subject}
    return {one: max(subjects.get(one, 0), whole.get(one, 0)) for one in {*subjects, *whole}}
