"""What is free: asked by the calendar and the quote, and again inside every booking."""

from __future__ import annotations

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
from services.ads.availability.rules import Book, DayFit, Places, RangeFit
from shared.agencies import Agency
from shared.clock import local_date

__all__ = ["Avails", "agency_today", "ask", "calendar", "database_time", "lock_inventory"]


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
