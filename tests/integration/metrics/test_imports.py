"""Revenue files: read once and apart, recorded in batches, by whoever is there, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.audit import Action
from shared.errors import ConflictError, NotFoundError
from shared.metrics import sheets
from shared.metrics.entries import service as entry_service
from shared.metrics.imports import service
from shared.metrics.imports.adapters.reader import FileReader
from shared.metrics.imports.service import BATCH_ROWS, FileProblemsError
from shared.metrics.worker import check_invariants
from shared.money import part
from tests.fixtures.imports import entries, imported, many_months, revenue_file, sum_of, uploaded
from tests.fixtures.roles import assert_never
from tests.integration.metrics.conftest import NOW
from tests.integration.metrics.test_entries import entry

BIG = many_months(3 * BATCH_ROWS + 7)


async def shown(database, file, **more):
    return await service.show(database, agency=file.agency, file_id=file.id, **more)


async def confirm(database, file, by="maker"):
    await service.confirm_revenue(database, agency=file.agency, file_id=file.id, by=by, now=NOW)


@given(st.integers(-(10**15), 10**15), st.integers(1, 12))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_months_amount_is_spread_over_its_days_exactly(database_url, amount, month):
    """The rule in SQL is the rule of ``shared.money``."""
    import psycopg

    from shared.metrics.imports.repository import _ENTRIES

    statement = _ENTRIES.replace("FROM import_row r", "FROM r")
    for name, value in (
        ("through", "'9999-12-31'::date"),
        ("id", "1"),
        ("after", "0"),
        ("upto", "1"),
    ):
        statement = statement.replace(f":{name}", value)
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "WITH r AS (SELECT 1 import_id, 1 AS position, 2 number, '' segment, '' stream, '' payer, '' law_source, "
            "'' account, '' AS document, 'k' AS key, %s::bigint amount, %s::date first_on, "
            "(%s::date + interval '1 month' - interval '1 day')::date last_on) "
            f"SELECT recognised_on, amount, source_reference FROM ({statement}) t ORDER BY 1",
            (amount, f"2025-{month:02d}-01", f"2025-{month:02d}-01"),
        ).fetchall()
    assert [row[1] for row in found] == [part(amount, i, len(found)) for i in range(len(found))]
    assert sum(row[1] for row in found) == amount
    assert [row[2] for row in found] == [f"import:k:{row[0]}" for row in found]


async def test_a_file_is_read_once_and_its_pages_come_from_the_database(database, monkeypatch):
    file = await uploaded(database, BIG, now=NOW)

    async def never(*_):
        raise AssertionError("read again")

    monkeypatch.setattr(FileReader, "revenue", never)
    first, last = await shown(database, file), await shown(database, file, page=7)
    assert (first.pages, len(first.rows), len(last.rows)) == (7, 100, 7)
    assert (first.rows[0].number, last.rows[-1].number) == (2, file.rows + 1)
    assert first.file.total_vnd == sum(1000 + n for n in range(file.rows))
    await confirm(database, file)
    assert (await shown(database, file)).file.recorded_rows == BATCH_ROWS


async def test_a_small_file_is_recorded_at_once_and_a_large_one_in_batches(database):
    small = await uploaded(database, many_months(BATCH_ROWS, name="s"), now=NOW)
    await confirm(database, small)
    assert (await shown(database, small)).file.applied_at == NOW
    large = await uploaded(database, BIG, now=NOW)
    await confirm(database, large)
    steps = [(await shown(database, large)).file.recorded_rows]
    while await service.record_batch(database, now=NOW):
        steps.append((await shown(database, large)).file.recorded_rows)
    assert steps == [BATCH_ROWS, 2 * BATCH_ROWS, 3 * BATCH_ROWS, 3 * BATCH_ROWS + 7]
    assert await sum_of(database, large.id) == large.total_vnd
    assert not any((await check_invariants(database)).values())


async def test_two_officers_and_four_workers_at_once_record_it_once(database):
    file = await uploaded(database, BIG, now=NOW)
    await asyncio.gather(*(confirm(database, file, by) for by in ("anh", "binh", "anh")))

    taken = []

    async def work():
        while (await shown(database, file)).file.applied_at is None:
            if done := await service.record_batch(database, now=NOW):
                taken.append(done.recorded_rows)

    await asyncio.gather(*(work() for _ in range(4)))
    assert taken == sorted(set(taken)) and taken[-1] == file.rows, "each batch is one worker's"
    assert await sum_of(database, file.id) == file.total_vnd
    async with database.read() as session:
        told = await session.execute(
            text("SELECT count(*) FROM audit_entry WHERE action = :action"),
            {"action": Action.IMPORT_CONFIRMED},
        )
        assert told.scalar_one() == 1


async def test_the_same_file_uploaded_twice_at_once_is_one_file(database):
    first, second = await asyncio.gather(
        *(uploaded(database, many_months(300), now=NOW, name=n) for n in ("a.csv", "b.csv"))
    )
    assert first.id == second.id
    async with database.read() as session:
        rows = await session.execute(text("SELECT count(*) FROM import_row"))
        assert rows.scalar_one() == 300


async def test_other_revenue_of_the_agency_is_recorded_between_the_batches(database):
    """The recorder waits for one batch at the most, never for the file."""
    file = await uploaded(database, many_months(10 * BATCH_ROWS), now=NOW)
    await confirm(database, file)
    seen = []

    async def batches():
        while await service.record_batch(database, now=NOW):
            pass
        seen.append("end")

    async def recorder():
        while "end" not in seen:
            async with database.transaction() as session:
                await entry_service.record_entries(session, [entry(f"r{len(seen)}")])
            seen.append("recorded")

    await asyncio.gather(batches(), recorder())
    # Each batch lets at least every second one in: a lock kept for the whole file would let in one.
    assert seen.index("end") >= 4
    assert await sum_of(database, file.id) == file.total_vnd


async def test_one_file_of_an_agency_is_recorded_at_a_time_and_other_agencies_do_not_wait(database):
    first = await uploaded(database, BIG, now=NOW)
    second = await uploaded(database, many_months(5, name="x"), now=NOW)
    other = await uploaded(database, many_months(5), now=NOW, agency="beta")
    await confirm(database, first)
    with pytest.raises(ConflictError):
        await confirm(database, second)
    assert (await shown(database, second)).busy.id == first.id
    await confirm(database, other)
    assert (await shown(database, other)).file.applied_at
    with pytest.raises(DBAPIError, match="uq_import_file_recording"):
        async with (
            database.transaction() as session
        ):  # past the use case, the database says the same
            await service.mark_confirmed(session, second.id, "anh", NOW)
    while await service.record_batch(database, now=NOW):
        pass
    await confirm(database, second)
    assert (await shown(database, second)).file.applied_at


async def test_a_file_that_contradicts_what_came_in_between_is_refused_whole(database):
    first = await uploaded(database, revenue_file("2026-07-01,tv,advertising,5,k"), now=NOW)
    rows = ("2026-07-02,tv,advertising,1,new", "2026-07-01,tv,advertising,6,k")
    second = await uploaded(database, revenue_file(*rows), now=NOW)
    await confirm(database, first)
    with pytest.raises(FileProblemsError) as refused:
        await confirm(database, second)
    [problem] = refused.value.problems
    assert (problem.row, problem.found, problem.expected.values) == (3, "6", {"stored": 5})
    assert await entries(database) == 1
    assert (await shown(database, second)).file.confirmed_at is None


async def test_an_upload_says_how_many_rows_are_recorded_before(database):
    await imported(database, many_months(3), now=NOW)
    more = await uploaded(database, many_months(5), now=NOW + timedelta(days=1))
    assert (await shown(database, more)).file.known_rows == 3
    assert await imported(database, many_months(4), now=NOW) == 30


async def test_another_agencys_file_is_not_found(database):
    file = await uploaded(database, many_months(2), now=NOW)
    for act in (service.show, service.confirm_revenue):
        more = {} if act is service.show else {"by": "x", "now": NOW}
        with pytest.raises(NotFoundError):
            await act(database, agency="beta", file_id=file.id, **more)


async def test_rows_that_were_read_never_change(database_url, database):
    await uploaded(database, many_months(2), now=NOW)
    for statement in ("UPDATE import_row SET amount = 1", "DELETE FROM import_row"):
        await assert_never(database_url, statement)


async def test_the_largest_sum_a_file_may_have_fits_every_total(database):
    most = f"2026-07-01,tv,advertising,{10**15},most"
    assert await imported(database, revenue_file(most), now=NOW) == 1
    assert not any((await check_invariants(database)).values())
    with pytest.raises(FileProblemsError) as refused:
        await uploaded(database, revenue_file(most, "2026-07-01,tv,events,-1,k"), now=NOW)
    assert "đồng in all" in str(refused.value.problems[0].expected)


async def test_a_file_that_takes_too_long_to_read_is_refused(database):
    with pytest.raises(FileProblemsError, match="1 problems") as refused:
        await service.upload_revenue(
            database,
            FileReader(seconds=0.001),
            agency="alpha",
            file_name="slow.csv",
            content=BIG,
            by="maker",
            now=NOW,
        )
    assert "within seconds" in str(refused.value.problems[0].expected)
    assert len(many_months(sheets.MAX_ROWS)) < sheets.MAX_FILE_BYTES, "the largest is allowed"
