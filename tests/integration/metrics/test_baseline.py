"""Baselines: frozen for good, summed over predecessors, and imports that repeat safely."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.metrics.baseline import service as baseline
from shared.metrics.growth.service import agency_report
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.imports.service import FileProblemsError
from shared.metrics.lineage.rules import Edge, LineageCycleError, Target
from shared.metrics.lineage.service import save
from tests.fixtures.audited import entries
from tests.fixtures.imports import imported, revenue_file
from tests.integration.metrics.conftest import NOW

TARGET = Decimal("0.2")


def baseline_file(amount, segment="tv"):
    rows = [f"2024,{segment},advertising,{month},{amount}" for month in range(1, 13)]
    return "\n".join(["year,segment,stream,month,amount_vnd", *rows]).encode()


async def import_and_freeze(database, agency, amount, segment="tv"):
    _, version = await baseline.import_draft(
        database,
        FileReader(),
        agency=agency,
        file_name="b.csv",
        content=baseline_file(amount, segment),
        by="maker",
        now=NOW,
    )
    async with database.transaction() as session:
        await baseline.freeze(
            session, agency=agency, version=version.version, approver="boss", now=NOW
        )
    return version.version


async def import_revenue(database, agency, *rows):
    return await imported(database, revenue_file(*rows), now=NOW, agency=agency)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE baseline_row SET amount = 1",
        "DELETE FROM baseline_row",
        "INSERT INTO baseline_row VALUES ('alpha', 'tv', 'events', 'VND', 1, 1, 5)",
        "UPDATE baseline_version SET sha256 = repeat('0', 64)",
        "DELETE FROM baseline_version",
    ],
)
async def test_the_database_refuses_to_touch_what_is_frozen(database, statement):
    await import_and_freeze(database, "alpha", 3_100)
    with pytest.raises(DBAPIError, match="is frozen"):
        async with database.transaction() as session:
            await session.execute(text(statement))
    assert await baseline.altered(database) == []


async def test_a_new_version_leaves_an_old_report_as_it_was(database):
    first = await import_and_freeze(database, "alpha", 3_100)
    await import_revenue(database, "alpha", "2026-06,tv,advertising,3720,k1")
    when = {"now": NOW, "default_target": TARGET}
    before = await agency_report(database, "alpha", **when)
    second = await import_and_freeze(database, "alpha", 6_200)
    assert (first, second) == (1, 2)
    after = await agency_report(database, "alpha", **when)
    assert after.figures["all"].baseline_year == 6_200 * 12
    again = await agency_report(database, "alpha", baseline_version=1, **when)
    assert (again.figures, again.baseline) == (before.figures, before.baseline)


async def test_a_draft_is_not_measured_against_and_the_same_file_is_the_same_version(database):
    for _ in range(2):
        _, version = await baseline.import_draft(
            database,
            FileReader(),
            agency="alpha",
            file_name="b.csv",
            content=baseline_file(5),
            by="m",
            now=NOW,
        )
        assert version.version == 1
    report = await agency_report(database, "alpha", now=NOW, default_target=TARGET)
    assert report.baseline is None
    assert report.figures["all"].verdict == "no_baseline"
    with pytest.raises(NotFoundError):
        await agency_report(database, "alpha", now=NOW, default_target=TARGET, baseline_version=1)


async def test_a_baseline_of_zero_cannot_be_frozen(database):
    with pytest.raises(InvalidInputError):
        await import_and_freeze(database, "alpha", 0)


async def merge(database):
    async with database.transaction() as session:
        await save(
            session,
            now=NOW,
            lineage=[
                Edge(old, segment, "gamma", date(2026, 4, 1))
                for old in ("alpha", "beta")
                for segment in ("print", "online", "radio", "tv")
            ],
        )


async def test_a_merger_never_looks_like_growth(database):
    """Both predecessors earn exactly their baseline; so does the successor, before and after the merger."""
    await merge(database)
    for old, segment in (("alpha", "print"), ("beta", "tv")):
        await import_and_freeze(database, old, 3_100, segment)
        rows = [f"2026-{m:02d},{segment},advertising,3100,{old}{m}" for m in (1, 2, 3)]
        await import_revenue(database, old, *rows)
    rows = [f"2026-{m:02d},{s},advertising,3100,{s}{m}" for m in (4, 5, 6) for s in ("print", "tv")]
    await import_revenue(database, "gamma", *rows)
    async with database.transaction() as session:
        made = await baseline.compose_draft(session, agency="gamma", by="m", now=NOW)
        await baseline.freeze(session, agency="gamma", version=made.version, approver="b", now=NOW)
        again = await baseline.compose_draft(session, agency="gamma", by="m", now=NOW)
    assert again.version == made.version, "the same parts are the same version"
    end_of_june = datetime(2026, 6, 30, 3, tzinfo=UTC)
    report = await agency_report(database, "gamma", now=end_of_june, default_target=TARGET)
    assert report.figures["all"].revenue_ytd == report.figures["all"].baseline_ytd == 3_100 * 12
    assert report.figures["all"].growth == 0
    before = await agency_report(
        database, "alpha", now=NOW, as_of=date(2026, 3, 31), default_target=TARGET
    )
    assert before.figures["all"].growth == 0, (
        "the predecessor's own report of the time is still there"
    )
    with pytest.raises(NotFoundError):
        await agency_report(database, "alpha", now=NOW, default_target=TARGET)


async def test_a_part_without_a_frozen_baseline_prevents_the_sum(database):
    await merge(database)
    await import_and_freeze(database, "alpha", 3_100)
    with pytest.raises(ConflictError, match="beta"):
        async with database.transaction() as session:
            await baseline.compose_draft(session, agency="gamma", by="m", now=NOW)


async def test_an_import_repeats_safely_and_a_changed_amount_is_a_named_row(database):
    assert await import_revenue(database, "alpha", "2026-06,tv,advertising,3000,k1") == 30
    assert await import_revenue(database, "alpha", "2026-06,tv,advertising,3000,k1") == 0
    added = await import_revenue(
        database, "alpha", "2026-06,tv,advertising,3000,k1", "2026-07-01,tv,advertising,5,k2"
    )
    assert added == 1
    with pytest.raises(FileProblemsError) as refused:
        await import_revenue(database, "alpha", "2026-07-01,tv,advertising,6,k2")
    problem = refused.value.problems[0]
    assert (problem.row, problem.found) == (2, "6")
    assert "5" in str(problem.expected)


async def draft(database, amount):
    _, version = await baseline.import_draft(
        database,
        FileReader(),
        agency="alpha",
        file_name="b.csv",
        content=baseline_file(amount),
        by="maker",
        now=NOW,
    )
    async with database.read() as session:
        return await baseline.get_baseline(session, "alpha", version.version)


async def test_nobody_signs_other_figures_than_he_looked_at(database):
    """The number of a discarded draft is given again; an open page shows the old one's figures."""
    seen = await draft(database, 3_100)
    number = seen.version.version
    async with database.transaction() as session:
        await baseline.discard(session, agency="alpha", version=number, now=NOW)
    other = await draft(database, 9_999)
    assert other.version.version == number
    for looked_at in (baseline.signature(seen), ""):
        with pytest.raises(ConflictError):
            async with database.transaction() as session:
                await baseline.freeze(
                    session,
                    agency="alpha",
                    version=number,
                    approver="boss",
                    now=NOW,
                    looked_at=looked_at,
                )
    async with database.read() as session:
        assert await baseline.frozen_baseline(session, "alpha") is None


async def test_of_freezing_and_discarding_at_once_one_wins_and_the_other_is_told(database):
    for _ in range(5):
        number = (await draft(database, 3_100)).version.version

        async def freeze(number=number):
            async with database.transaction() as session:
                await baseline.freeze(
                    session, agency="alpha", version=number, approver="boss", now=NOW
                )

        async def discard(number=number):
            async with database.transaction() as session:
                await baseline.discard(session, agency="alpha", version=number, now=NOW)

        results = await asyncio.gather(freeze(), discard(), return_exceptions=True)
        [lost] = [one for one in results if one is not None]
        assert isinstance(lost, ConflictError | NotFoundError)
        async with database.read() as session:
            there = [one.version for one in await baseline.versions(session, "alpha")]
        assert (number in there) is isinstance(lost, ConflictError)
        if number in there:
            return  # frozen: the same file is this version from now on


async def test_who_carries_on_whom_and_what_growth_is_asked_is_on_the_trail_of_all_it_touches(
    database,
):
    edge = Edge("alpha", "tv", "gamma", date(2026, 4, 1))
    target = Target("gamma", date(2030, 12, 31), Decimal("0.2"))

    async def saved(edge, target):
        before = len(await entries(database))
        async with database.transaction() as session:
            await save(session, lineage=[edge], targets=[target], now=NOW)
        found = (await entries(database))[before:]
        return {(e.agency, e.action): (e.before, e.after) for e in found}

    first = await saved(edge, target)
    carried = {"successor": "gamma", "effective_on": "2026-04-01", "note": ""}
    assert first == {
        ("alpha", "lineage-saved"): (None, carried),
        ("gamma", "lineage-saved"): (None, carried),
        ("gamma", "target-saved"): (None, {"ratio": "0.2"}),
    }
    assert await saved(edge, target) == {}, "again changes nothing"
    moved = await saved(replace(edge, successor="beta"), replace(target, ratio=Decimal("0.1")))
    assert set(moved) == {
        ("alpha", "lineage-saved"),
        ("beta", "lineage-saved"),
        ("gamma", "lineage-saved"),
        ("gamma", "target-saved"),
    }
    assert moved["gamma", "lineage-saved"] == (carried, carried | {"successor": "beta"})
    assert moved["gamma", "target-saved"] == ({"ratio": "0.2"}, {"ratio": "0.1"})


async def test_a_circle_is_refused_and_leaves_no_entry(database):
    before = len(await entries(database))
    edges = [
        Edge("alpha", "tv", "beta", date(2026, 4, 1)),
        Edge("beta", "tv", "alpha", date(2027, 1, 1)),
    ]
    with pytest.raises(LineageCycleError):
        async with database.transaction() as session:
            await save(session, lineage=edges, now=NOW)
    assert len(await entries(database)) == before
