"""Who carries on whom: pure.

An edge says that one segment of a predecessor is carried on by a successor from a date. There is one edge at most for each
(predecessor, segment), so every figure has exactly one owner at any date: a merger moves figures and never adds any.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from shared.metrics.rules import SEGMENTS


@dataclass(frozen=True, slots=True)
class Edge:
    """``successor`` carries on ``segment`` of ``predecessor`` from ``effective_on``."""

    predecessor: str
    segment: str
    successor: str
    effective_on: date
    note: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The growth an agency has to reach by ``deadline``, as a ratio (0.2 = 20 %)."""

    agency: str
    deadline: date
    ratio: Decimal


class LineageCycleError(ValueError):
    """An agency would carry on itself."""


Owners = dict[tuple[str, str], str]


def owners(agencies: Iterable[str], edges: Iterable[Edge], on: date) -> Owners:
    """(agency, segment) → the agency that owns its figures on a date. Raises :class:`LineageCycleError`."""
    step = {
        (edge.predecessor, edge.segment): edge.successor
        for edge in edges
        if edge.effective_on <= on
    }
    found: Owners = {}
    for agency in agencies:
        for segment in SEGMENTS:
            owner, seen = agency, {agency}
            while (owner, segment) in step:
                owner = step[(owner, segment)]
                if owner in seen:
                    raise LineageCycleError(f"{agency} would carry on itself in {segment}")
                seen.add(owner)
            found[(agency, segment)] = owner
    return found


def members(owned: Owners, owner: str) -> tuple[tuple[str, str], ...]:
    """The (agency, segment) pairs whose figures belong to ``owner``; empty when it has been carried on whole."""
    return tuple(sorted(pair for pair, holder in owned.items() if holder == owner))


def live(owned: Owners) -> tuple[str, ...]:
    """The agencies that own anything: those that were not carried on whole."""
    return tuple(sorted(set(owned.values())))
