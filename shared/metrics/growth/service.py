"""Use case of growth: one agency's figures on a day, by both definitions of revenue, in one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from shared.agencies import Agency, get_agency, list_agencies
from shared.clock import local_date
from shared.database import Database, ReadSession
from shared.errors import NotFoundError
from shared.metrics.baseline.service import Baseline, Version, frozen_baseline
from shared.metrics.growth import repository, rules
from shared.metrics.growth.repository import Members, MonthOfSeries
from shared.metrics.growth.rules import DEFINITIONS, Definition, Need, Projection, Verdict
from shared.metrics.lineage.rules import live, members
from shared.metrics.lineage.service import owners_on, targets
from shared.metrics.rules import state_funded

VND = "VND"


@dataclass(frozen=True, slots=True)
class Figures:
    """Growth by one definition of revenue. Baseline figures are None without a frozen baseline."""

    definition: Definition
    revenue_ytd: int
    revenue_trailing: int
    baseline_ytd: int | None
    baseline_year: int | None
    baseline_trailing: int | None
    growth: Fraction | None
    trailing_growth: Fraction | None
    projection: Projection | None
    projected_growth: Fraction | None
    goal: int | None
    need: Need | None
    verdict: Verdict
    revenue_by_month: dict[int, int]
    baseline_by_month: dict[int, int]


@dataclass(frozen=True, slots=True)
class SeriesFigures:
    """The year to date of one segment and stream."""

    segment: str
    stream: str
    revenue_ytd: int
    baseline_ytd: int | None
    growth: Fraction | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the finance page shows of an agency."""

    agency: Agency
    as_of: date
    members: Members
    baseline: Version | None
    target: Decimal
    deadline: date | None
    figures: dict[Definition, Figures]
    series: tuple[SeriesFigures, ...]
    deferred: int
    mrr: int
    mrr_movements: dict[str, int]
    other_currencies: dict[str, int]


SeriesMonths = dict[tuple[str, str], dict[int, int]]


async def report(
    session: ReadSession,
    agency_id: str,
    *,
    now: datetime,
    default_target: Decimal,
    as_of: date | None = None,
    baseline_version: int | None = None,
) -> Report:
    """Growth of an agency (with all it carries on) on ``as_of``, by default today in its zone.

    An older frozen baseline may be named, so that an old report can be had again. Raises :class:`NotFoundError`.
    """
    agency = await get_agency(session, agency_id)
    day = as_of or local_date(now, agency.zone)
    pairs = await owned_on(session, agency_id, day)
    first, _ = rules.fiscal_year(day)
    months = await repository.revenue_by_month(session, pairs, first, day)
    trailing = await repository.revenue_between(session, pairs, *rules.trailing_window(day))
    baseline = await frozen_baseline(session, agency_id, baseline_version)
    target, deadline = rules.choose_target(
        (await targets(session, [agency_id])).get(agency_id, []), day, default_target
    )
    mrr, movements = await repository.mrr_movements(session, pairs, day.replace(day=1), day)
    revenue = _revenue_months(months)
    base = _baseline_months(baseline, {segment for _, segment in pairs})
    others: dict[str, int] = {}
    for item in months:
        if item.currency != VND:
            others[item.currency] = others.get(item.currency, 0) + item.amount
    return Report(
        agency=agency,
        as_of=day,
        members=pairs,
        baseline=baseline.version if baseline else None,
        target=target,
        deadline=deadline,
        figures={
            definition: figures(definition, revenue, trailing, base, target, day)
            for definition in DEFINITIONS
        },
        series=_series(revenue, base, day),
        deferred=await repository.deferred(session, pairs),
        mrr=mrr,
        mrr_movements=movements,
        other_currencies=others,
    )


def _revenue_months(months: list[MonthOfSeries]) -> SeriesMonths:
    found: SeriesMonths = {}
    for item in months:
        if item.currency == VND:
            found.setdefault((item.segment, item.stream), {})[item.month] = item.amount
    return found


def _baseline_months(baseline: Baseline | None, segments: set[str]) -> SeriesMonths | None:
    """By series; a segment that another agency has carried on is compared there, not here."""
    if baseline is None:
        return None
    found: SeriesMonths = {}
    for row in baseline.rows:
        if row.currency == VND and row.segment in segments:
            found.setdefault((row.segment, row.stream), {})[row.month] = row.amount
    return found


def figures(
    definition: Definition,
    revenue: SeriesMonths,
    trailing: dict[tuple[str, str], int],
    baseline: SeriesMonths | None,
    target: Decimal,
    day: date,
) -> Figures:
    """One definition's figures. Sums are made of the series' own figures, so that they add up on the page."""

    def counts(series: tuple[str, str]) -> bool:
        return definition == "all" or not state_funded(series[1])

    by_month = _total_by_month({k: v for k, v in revenue.items() if counts(k)})
    revenue_ytd = sum(by_month.values())
    revenue_trailing = sum(amount for series, amount in trailing.items() if counts(series))
    if baseline is None:
        return Figures(
            *(definition, revenue_ytd, revenue_trailing, None, None, None, None, None, None),
            *(None, None, None, "no_baseline", by_month, {}),
        )
    chosen = {series: months for series, months in baseline.items() if counts(series)}
    first, _ = rules.fiscal_year(day)
    window = rules.trailing_window(day)
    ytd = sum(rules.baseline_between(months, first, day) for months in chosen.values())
    base_trailing = sum(rules.baseline_between(months, *window) for months in chosen.values())
    base_by_month = _total_by_month(chosen)
    year = sum(base_by_month.values())
    paces = rules.recent_paces(by_month, base_by_month, day, (revenue_trailing, base_trailing))
    projection = rules.project(revenue_ytd, ytd, year, paces)
    ratio = rules.growth(revenue_ytd, ytd)
    projected = rules.growth(projection.expected, year) if projection else None
    goal = rules.target_amount(year, target)
    return Figures(
        definition=definition,
        revenue_ytd=revenue_ytd,
        revenue_trailing=revenue_trailing,
        baseline_ytd=ytd,
        baseline_year=year,
        baseline_trailing=base_trailing,
        growth=ratio,
        trailing_growth=rules.growth(revenue_trailing, base_trailing),
        projection=projection,
        projected_growth=projected,
        goal=goal,
        need=rules.need(revenue_ytd, goal, day),
        verdict=rules.verdict(ratio, projected, target),
        revenue_by_month=by_month,
        baseline_by_month=base_by_month,
    )


def _total_by_month(series: SeriesMonths) -> dict[int, int]:
    found: dict[int, int] = {}
    for months in series.values():
        for month, amount in months.items():
            found[month] = found.get(month, 0) + amount
    return found


def _series(
    revenue: SeriesMonths, baseline: SeriesMonths | None, day: date
) -> tuple[SeriesFigures, ...]:
    first, _ = rules.fiscal_year(day)
    found = []
    for key in sorted({*revenue, *(baseline or {})}):
        earned = sum(revenue.get(key, {}).values())
        base = (
            rules.baseline_between(baseline.get(key, {}), first, day)
            if baseline is not None
            else None
        )
        found.append(SeriesFigures(*key, earned, base, rules.growth(earned, base)))
    return tuple(found)


async def agency_report(
    database: Database,
    agency_id: str,
    *,
    now: datetime,
    default_target: Decimal,
    as_of: date | None = None,
    baseline_version: int | None = None,
) -> Report:
    """:func:`report` in a snapshot of its own."""
    async with database.read() as session:
        return await report(
            session,
            agency_id,
            now=now,
            default_target=default_target,
            as_of=as_of,
            baseline_version=baseline_version,
        )


async def reports(
    database: Database, agency_ids: tuple[str, ...], *, now: datetime, default_target: Decimal
) -> list[Report]:
    """The agencies among ``agency_ids`` that still own anything, in one snapshot."""
    async with database.read() as session:
        known = {agency.id: agency for agency in await list_agencies(session)}
        found = []
        for agency_id in agency_ids:
            if agency_id not in known:
                continue
            today = local_date(now, known[agency_id].zone)
            if agency_id in live(await owners_on(session, today)):
                found.append(
                    await report(session, agency_id, now=now, default_target=default_target)
                )
        return found


async def owned_on(session: ReadSession, agency_id: str, day: date) -> Members:
    """Whose entries belong to an agency on a day. Raises :class:`NotFoundError`."""
    await get_agency(session, agency_id)
    pairs = members(await owners_on(session, day), agency_id)
    if not pairs:
        raise NotFoundError("This agency has been carried on by another", slug="agency-carried-on")
    return pairs
