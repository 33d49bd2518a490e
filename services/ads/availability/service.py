"""What is free: asked by the calendar and the quote, and again inside every booking."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from services.ads.availability import repository
from services.ads.availability.repository import (
    AnySession,
    ClaimLabel,
    database_time,
    lock_inventory,
)
from services.ads.availability.rules import MAX_DAYS, Book, DayFit, Places, RangeFit, new_shortages
from shared.agencies import Agency, get_agency
from shared.clock import local_date
from shared.database import Session
from shared.errors import ConflictError

__all__ = [
    "Avails",
    "agency_today",
    "ask",
    "calendar",
    "changing_inventory",
    "database_time",
    "lock_inventory",
]
#: Lines start within two years and run for at most one.
HORIZON = timedelta(days=3 * MAX_DAYS)


@dataclass(frozen=True, slots=True)
class Avails:
    """An answer and the names of those who contend."""

    fit: RangeFit
    contending: tuple[ClaimLabel, ...]
    first_day: date

    @property
    def short_days(self) -> tuple[date, ...]:
        return tuple(self.first_day + timedelta(days=i) for i in self.fit.short_days)


async def agency_today(session: AnySession, agency: Agency) -> date:
    """Today in the agency's zone, by the database's clock."""
    return local_date(await database_time(session), agency.zone)


async def ask(
    session: AnySession,
    agency: Agency,
    wanted: frozenset[UUID],
    starts_on: date,
    ends_on: date,
    quantity: int,
    *,
    except_line: UUID | None = None,
) -> Avails:
    """Whether a flight fits beside all others. Exact only while the inventory lock is held."""
    today = await agency_today(session, agency)
    found, labels = await repository.claims(session, agency.id, starts_on, ends_on, today)
    book = Book(
        await repository.capacities(session, agency.id),
        [claim for claim in found if claim.key != str(except_line)],
        today,
    )
    fit = book.flight(frozenset(wanted), starts_on, ends_on, quantity)
    return Avails(fit, tuple(labels[key] for key in sorted(fit.contending)), starts_on)


async def calendar(
    session: AnySession,
    agency: Agency,
    products: dict[str, frozenset[UUID]],
    first: date,
    days: int,
) -> dict[str, list[DayFit]]:
    """Each product's days from ``first`` on."""
    today = await agency_today(session, agency)
    last = first + timedelta(days=days - 1)
    found, _ = await repository.claims(session, agency.id, first, last, today)
    book = Book(await repository.capacities(session, agency.id), found, today)
    wanted: dict[str, Places] = {code: frozenset(places) for code, places in products.items()}
    return {
        code: [book.day(places, first + timedelta(days=i)) for i in range(days)]
        for code, places in wanted.items()
    }


@asynccontextmanager
async def changing_inventory(session: Session, agency_id: str) -> AsyncIterator[None]:
    """Around a change of what there is to sell: what is sold must still fit after it, on every day ahead.

    Waits for bookings under way, and they for it. Raises :class:`ConflictError` ``capacity-sold``.
    """
    await lock_inventory(session, agency_id)
    agency = await get_agency(session, agency_id)
    today = await agency_today(session, agency)
    before, _ = await _whole_book(session, agency_id, today)
    yield
    after, labels = await _whole_book(session, agency_id, today)
    short = new_shortages(before, after)
    if not short:
        return
    names = sorted(frozenset().union(*(shortage.contending for shortage in short)))
    raise ConflictError(
        f"{short[0].units} impressions sold for {short[0].day} would have no room: "
        + ", ".join(labels[key].name for key in sorted(short[0].contending)),
        slug="capacity-sold",
        short_days=[shortage.day.isoformat() for shortage in short],
        contending=[labels[key].as_dict() for key in names],
    )


async def _whole_book(
    session: Session, agency: str, today: date
) -> tuple[Book, dict[str, ClaimLabel]]:
    found, labels = await repository.claims(session, agency, today, today + HORIZON, today)
    return Book(await repository.capacities(session, agency), found, today), labels
