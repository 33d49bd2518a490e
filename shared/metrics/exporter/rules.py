"""What the exporter says, as text of the Prometheus exposition format: pure, exact integers.

The client library's own renderer goes through floats and takes a hundred times as long for a province: here every amount is an
``int`` from the database to the byte, and one above 2^53 (which a Prometheus sample cannot hold) is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from shared.clock import start_of_day
from shared.metrics.growth import rules as growth
from shared.metrics.rules import MOVEMENTS, state_funded

LARGEST_EXACT = 2**53
VND = "VND"

Series = tuple[str, str, str]  # segment, stream, currency
Lines = dict[str, list[str]]

#: family → help. Money families exist once per currency, with its code as the ending.
MONEY_HELP = {
    "press_revenue_ytd": "Revenue recognised since the fiscal year began, in whole units of the currency",
    "press_revenue_baseline_ytd": "Baseline revenue of the same fiscal days",
    "press_revenue_baseline_year": "Baseline revenue of the whole year",
    "press_revenue_trailing_28d": "Revenue recognised in the last 28 days, today included",
    "press_revenue_baseline_trailing_28d": "Baseline revenue of the same 28 days",
    "press_mrr": "Monthly recurring revenue",
    "press_deferred_revenue": "Billed and not yet recognised",
    "press_mrr_movement_mtd": "Movements of monthly recurring revenue since the month began",
}
OTHER_HELP = {
    "press_revenue_growth_target_ratio": "Growth asked of the agency (0.2 = 20 %)",
    "press_fiscal_year_start_timestamp_seconds": "When the agency's fiscal year began",
    "press_fiscal_year_end_timestamp_seconds": "When the agency's fiscal year ends (exclusive)",
    "press_baseline_info": "The frozen baseline version that growth is measured against",
    "press_revenue_as_of_timestamp_seconds": "The moment these figures were read",
    "press_revenue_heard_timestamp_seconds": "When an event last brought revenue of this series (imports do not count)",
    "press_agencies_on_target_ratio": "Share of agencies whose growth to date meets their target, by all revenue",
    "press_agencies_on_target_without_state_ratio": "The same, by revenue without state funding",
}


class InexactAmountError(ValueError):
    """An amount that a Prometheus sample cannot hold exactly."""


def exact(value: int) -> str:
    """An integer as a sample's value."""
    if abs(value) > LARGEST_EXACT:
        raise InexactAmountError(f"{value} is beyond 2^53 and cannot be exported exactly")
    return str(value)


@dataclass(slots=True)
class AgencyFigures:
    """What one snapshot holds of an agency (with all it carries on)."""

    agency: str
    zone: ZoneInfo
    day: date
    target: Decimal
    revenue_ytd: dict[Series, int] = field(default_factory=dict)
    revenue_trailing: dict[Series, int] = field(default_factory=dict)
    deferred: dict[Series, int] = field(default_factory=dict)
    heard: dict[Series, datetime] = field(default_factory=dict)
    mrr: dict[Series, int] = field(default_factory=dict)
    movements: dict[tuple[Series, str], int] = field(default_factory=dict)
    baseline_version: int | None = None
    baseline: Mapping[Series, Mapping[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """An agency's lines by family, and whether it meets its target by either definition of revenue."""

    chunks: dict[str, str]
    meets: bool
    meets_without_state: bool


def render_agency(figures: AgencyFigures) -> Rendered:
    """Known series without revenue are 0; baseline families are there only with a frozen baseline."""
    lines: Lines = {}
    baseline = figures.baseline
    first, last = growth.fiscal_year(figures.day)
    window = growth.trailing_window(figures.day)
    known = sorted({*figures.revenue_ytd, *(baseline or {})})
    base_ytd = {
        series: growth.baseline_between(months, first, figures.day)
        for series, months in (baseline or {}).items()
    }
    for series in known:
        labels = _labels(figures.agency, series)
        _add(lines, "press_revenue_ytd", series, labels, figures.revenue_ytd.get(series, 0))
        trailing = figures.revenue_trailing.get(series, 0)
        _add(lines, "press_revenue_trailing_28d", series, labels, trailing)
        if baseline is not None:
            months = baseline.get(series, {})
            year = sum(months.values())
            base_trailing = growth.baseline_between(months, *window)
            ytd = base_ytd.get(series, 0)
            _add(lines, "press_revenue_baseline_ytd", series, labels, ytd)
            _add(lines, "press_revenue_baseline_year", series, labels, year)
            _add(lines, "press_revenue_baseline_trailing_28d", series, labels, base_trailing)
    for series, amount in sorted(figures.mrr.items()):
        labels = _labels(figures.agency, series)
        _add(lines, "press_mrr", series, labels, amount)
        for movement in MOVEMENTS:
            moved = figures.movements.get((series, movement), 0)
            more = f'{labels},movement="{movement}"'
            _add(lines, "press_mrr_movement_mtd", series, more, moved)
    for series, amount in sorted(figures.deferred.items()):
        labels = _labels(figures.agency, series)
        _add(lines, "press_deferred_revenue", series, labels, amount)
    family = "press_revenue_heard_timestamp_seconds"
    for series, at in sorted(figures.heard.items()):
        labels = _labels(figures.agency, series)
        lines.setdefault(family, []).append(f"{family}{{{labels}}} {exact(int(at.timestamp()))}\n")
    _render_facts(lines, figures, first, last)
    return Rendered(
        {family: "".join(found) for family, found in lines.items()},
        _meets(figures, base_ytd, without_state=False),
        _meets(figures, base_ytd, without_state=True),
    )


def _render_facts(lines: Lines, figures: AgencyFigures, first: date, last: date) -> None:
    agency = f'agency="{figures.agency}"'
    begin = start_of_day(first, figures.zone)
    end = start_of_day(date(last.year + 1, 1, 1), figures.zone)
    facts = {
        "press_revenue_growth_target_ratio": f"{figures.target.normalize():f}",
        "press_fiscal_year_start_timestamp_seconds": exact(int(begin.timestamp())),
        "press_fiscal_year_end_timestamp_seconds": exact(int(end.timestamp())),
    }
    for family, value in facts.items():
        lines[family] = [f"{family}{{{agency}}} {value}\n"]
    if figures.baseline_version is not None:
        family = "press_baseline_info"
        lines[family] = [f'{family}{{{agency},version="{figures.baseline_version}"}} 1\n']


def _labels(agency: str, series: Series) -> str:
    segment, stream, currency = series
    return f'agency="{agency}",segment="{segment}",stream="{stream}",currency="{currency}"'


def _add(lines: Lines, base: str, series: Series, labels: str, value: int) -> None:
    family = f"{base}_{series[2].lower()}"
    lines.setdefault(family, []).append(f"{family}{{{labels}}} {exact(value)}\n")


def _meets(figures: AgencyFigures, base_ytd: Mapping[Series, int], *, without_state: bool) -> bool:
    def total(amounts: Mapping[Series, int]) -> int:
        return sum(
            amount
            for (_, stream, currency), amount in amounts.items()
            if currency == VND and not (without_state and state_funded(stream))
        )

    base = total(base_ytd) if figures.baseline is not None else None
    return growth.meets_target(total(figures.revenue_ytd), base, figures.target)


def render(rendered: Iterable[Rendered], as_of: datetime) -> str:
    """All agencies' figures, family by family."""
    found = list(rendered)
    families = {family for item in found for family in item.chunks}
    parts = []
    for family in sorted(families):
        parts.append(f"# HELP {family} {_help(family)}\n# TYPE {family} gauge\n")
        parts.extend(item.chunks.get(family, "") for item in found)
    totals = {"press_revenue_as_of_timestamp_seconds": exact(int(as_of.timestamp()))}
    if found:
        totals["press_agencies_on_target_ratio"] = _share([item.meets for item in found])
        totals["press_agencies_on_target_without_state_ratio"] = _share(
            [item.meets_without_state for item in found]
        )
    for family, value in totals.items():
        parts.append(
            f"# HELP {family} {OTHER_HELP[family]}\n# TYPE {family} gauge\n{family} {value}\n"
        )
    return "".join(parts)


def _help(family: str) -> str:
    if family in OTHER_HELP:
        return OTHER_HELP[family]
    base, _, currency = family.rpartition("_")
    return f"{MONEY_HELP[base]} ({currency.upper()})"


def _share(flags: list[bool]) -> str:
    ratio = Decimal(sum(flags)) / Decimal(len(flags))
    return f"{ratio.quantize(Decimal('0.000001')).normalize():f}"
