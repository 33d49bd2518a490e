"""Holds and bookings on a real database: never the same unit twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import text

from services.ads.availability import service as availability
from services.ads.bookings import service
from services.ads.bookings.rules import Action
from services.ads.bookings.service import Step, take_timed_steps
from services.ads.catalogue import service as catalogue
from shared.agencies import get_agency, list_agencies
from shared.contracts import decode
from shared.database import Database
from shared.errors import ConflictError
from tests.fixtures.ads import AGENCY, OTHER, book, stock, until

A_MOMENT = timedelta(seconds=1.5)


async def free(database: Database, product: str, quantity: int = 1, starts_in: int = 1) -> int:
    async with database.read() as session:
        agency = await get_agency(session, AGENCY)
        day = await availability.agency_today(session, agency) + timedelta(days=starts_in)
        card = await catalogue.get_product(session, AGENCY, product)
        found = await availability.ask(session, agency, card.placement_ids, day, day, quantity)
    return found.fit.available


async def events(database: Database) -> list:
    pool = await database.pool()
    return [
        decode(row["payload"]) for row in await pool.fetch("SELECT payload FROM outbox ORDER BY id")
    ]


async def test_of_fifty_parallel_bookings_of_the_last_hundred_units_exactly_one_wins(
    ads_url, database
):
    await book(database, "all", 1900, starts_in=1, creative=False)
    others = [
        Database(ads_url, application_name=f"seller-{n}", pool_size=17) for n in range(3)
    ]  # everyone gets as far as the lock

    async def connect(other: Database) -> None:
        async with other.read() as session:
            await session.execute(text("SELECT pg_sleep(0.2)"))

    for other in others:  # fifty at once are more than a busy machine opens in time
        await asyncio.gather(*(connect(other) for _ in range(17)))

    async def attempt(number: int):
        try:
            return await book(others[number % 3], "all", 100, starts_in=1, creative=False)
        except ConflictError as error:
            assert error.slug == "not-available"
            assert error.extra["available"] == 0
            return None

    results = await asyncio.gather(*(attempt(n) for n in range(50)))
    for other in others:
        await other.close()
    assert sum(found is not None for found in results) == 1
    assert await free(database, "all") == 0
    booked = [e for e in await events(database) if e.type.endswith("ads.line.booked.v1")]
    assert len(booked) == 2


async def test_parallel_holds_of_overlapping_products_never_exceed_any_cut(ads_url, database):
    """1,000 a day on each of two places: top-only may have at most 1,000, both together at most 2,000."""

    async def attempt(number: int):
        product = "top-only" if number % 2 else "all"
        try:
            await book(database, product, 170, starts_in=1, creative=False, action=Action.RESERVE)
        except ConflictError:
            return None
        return product

    won = await asyncio.gather(*(attempt(n) for n in range(30)))
    top, every = won.count("top-only"), won.count("all")
    assert top * 170 <= 1000
    assert (top + every) * 170 <= 2000
    assert (top + every) == 11, "all that fits has been sold"
    assert await free(database, "all") == 2000 - 11 * 170


async def test_a_wide_line_moves_aside_for_a_narrow_one_and_a_refusal_names_it_when_it_cannot(
    database,
):
    wide = await book(database, "all", 1000, starts_in=1)
    assert await free(database, "top-only") == 1000, "the wide line can run entirely at the side"
    more = await book(database, "all", 400, starts_in=1)
    assert await free(database, "top-only") == 600
    with pytest.raises(ConflictError) as refused:
        await book(database, "top-only", 601, starts_in=1)
    assert refused.value.extra["available"] == 600
    assert {c["line_id"] for c in refused.value.extra["contending"]} == {str(wide), str(more)}
    await book(database, "top-only", 600, starts_in=1)
    assert await free(database, "all") == 0


async def test_a_hold_counts_until_its_expiry_by_the_databases_clock_and_then_is_free_without_the_timer(
    database,
):
    line = await book(database, "all", 2000, starts_in=1, action=Action.RESERVE)
    assert await free(database, "all") == 0
    pool = await database.pool()
    await pool.execute(
        "UPDATE line SET hold_expires_at = clock_timestamp() - interval '1 microsecond' WHERE id = $1",
        line,
    )
    assert await free(database, "all") == 2000
    await book(database, "all", 2000, starts_in=1)  # sold to somebody else
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        with pytest.raises(ConflictError) as late:
            await service.act(session, agency, line, Step(Action.BOOK, "late"))
    assert late.value.slug == "hold-expired"


async def test_a_booking_that_waited_for_the_lock_judges_its_hold_by_the_time_after_the_wait(
    ads_url, database
):
    """Otherwise the unit of a hold that ran out meanwhile would be sold twice."""
    line = await book(
        database, "all", 2000, starts_in=1, action=Action.RESERVE, hold=timedelta(milliseconds=1500)
    )
    blocker = await asyncpg.connect(ads_url)
    await blocker.execute("BEGIN")
    await blocker.execute(f"SELECT id FROM agency WHERE id = '{AGENCY}' FOR NO KEY UPDATE")

    async def late() -> None:
        async with database.transaction() as session:
            agency = await get_agency(session, AGENCY)
            await service.act(session, agency, line, Step(Action.BOOK, "late"))

    waiting = asyncio.create_task(late())
    # The booking's transaction has begun (and waits) while the hold is still good.
    await until(
        lambda: blocker.fetchval(
            """SELECT count(*) FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND datname = current_database()"""
        )
    )
    await until(
        lambda: blocker.fetchval(
            "SELECT hold_expires_at <= clock_timestamp() FROM line WHERE id = $1", line
        )
    )
    await blocker.execute("COMMIT")
    await blocker.close()
    with pytest.raises(ConflictError, match="run out"):
        await waiting


async def test_the_timer_expires_starts_and_finishes_lines_and_says_so_once(database):
    held = await book(database, "all", 10, starts_in=1, action=Action.RESERVE)
    running = await book(database, "all", 10)
    later = await book(database, "all", 10, starts_in=3)
    pool = await database.pool()
    await pool.execute(
        "UPDATE line SET hold_expires_at = clock_timestamp() - interval '1 s' WHERE id = $1", held
    )

    async def tick() -> None:
        for action in (Action.EXPIRE, Action.START, Action.FINISH):
            async with database.transaction() as session:
                agencies = {a.id: a for a in await list_agencies(session)}
                await take_timed_steps(session, action, agencies)

    await asyncio.gather(tick(), tick())
    states = dict(await pool.fetch("SELECT id, status FROM line"))
    assert (states[held], states[running], states[later]) == ("Expired", "InFlight", "Booked")
    await pool.execute(
        "UPDATE line SET starts_on = starts_on - 5, ends_on = ends_on - 5 WHERE id = $1", running
    )
    await tick()
    assert await pool.fetchval("SELECT status FROM line WHERE id = $1", running) == "Finished"
    expired = [e for e in await events(database) if e.type == "vn.press.ads.line.expired.v1"]
    assert [e.data.line_id for e in expired] == [held]
    versions = await pool.fetch(
        "SELECT version, action FROM line_change WHERE line_id = $1 ORDER BY 1", held
    )
    assert [tuple(row) for row in versions] == [(2, "reserve"), (3, "expire")]


async def test_a_canceled_line_gives_its_units_back(database):
    line = await book(database, "all", 2000, starts_in=1)
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        await service.act(session, agency, line, Step(Action.CANCEL, "seller"))
    assert await free(database, "all") == 2000


async def test_an_event_and_its_booking_are_stored_together_or_not_at_all(database):
    class Stop(Exception):
        pass

    with pytest.raises(Stop):
        async with database.transaction() as session:
            agency = await get_agency(session, AGENCY)
            brand = await catalogue.add_advertiser(session, AGENCY, "Khách")
            today = await availability.agency_today(session, agency)
            _, lines = await service.create_order(
                session,
                agency,
                advertiser_id=brand,
                name="",
                specs=[service.LineSpec("all", today, today, 10)],
                actor="x",
            )
            await service.act(session, agency, lines[0], Step(Action.BOOK, "x"))
            raise Stop
    assert await events(database) == []
    assert await free(database, "all", starts_in=0) == 2000


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE line SET quantity = 0",
        "UPDATE line SET status = 'Whatever'",
        "UPDATE line SET status = 'Reserved'",  # a hold without an expiry
        "UPDATE line SET ends_on = starts_on - 1",
        "UPDATE line SET agency_id = 'dai-khac'",
        "UPDATE line_change SET actor = 'nobody'",
        "DELETE FROM line_change",
        "INSERT INTO lease (line_id, units, counted, expires_at) SELECT id, 1, 2, now() FROM line",
    ],
)
async def test_the_database_refuses_what_must_never_be(database, statement):
    await book(database, "all", 10)
    pool = await database.pool()
    with pytest.raises(asyncpg.PostgresError):
        await pool.execute(statement)


async def test_a_hold_that_is_being_extended_as_it_runs_out_is_not_sold_to_somebody_else(database):
    held = await book(
        database, "all", 2000, starts_in=1, creative=False, action=Action.RESERVE, hold=A_MOMENT
    )
    waiting = """SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    over = "SELECT hold_expires_at <= clock_timestamp() FROM line WHERE id = $1"
    pool = await database.pool()
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        await service.act(session, agency, held, Step(Action.ASK_BOOKING, "first"))
        await until(lambda: pool.fetchval(over, held))
        rival = asyncio.create_task(book(database, "all", 2000, starts_in=1, creative=False))

        async def stuck_or_done() -> bool:
            return rival.done() or await pool.fetchval(waiting) > 0

        await until(stuck_or_done)
    with pytest.raises(ConflictError):
        await rival
    assert await free(database, "all") == 0


async def set_capacity(database: Database, code: str, daily_capacity: int) -> None:
    async with database.transaction() as session:
        place = {"code": code, "name": code, "section": "home", "width": 300, "height": 250}
        await catalogue.set_placement(session, AGENCY, place | {"daily_capacity": daily_capacity})


async def set_places(database: Database, product: str, *places: str) -> None:
    async with database.transaction() as session:
        await catalogue.set_product(session, AGENCY, product, product, places)


@pytest.mark.parametrize("action", [Action.RESERVE, Action.BOOK])
async def test_capacity_is_not_lowered_below_what_is_sold_or_held_on_any_day_ahead(
    database, action
):
    line = await book(database, "all", 1500, starts_in=40, creative=False, action=action)
    await set_capacity(database, "top", 500)
    with pytest.raises(ConflictError) as refused:
        await set_capacity(database, "top", 499)
    assert refused.value.slug == "capacity-sold"
    async with database.read() as session:
        agency = await get_agency(session, AGENCY)
        day = await availability.agency_today(session, agency) + timedelta(days=40)
    assert refused.value.extra["short_days"] == [day.isoformat()]
    assert [c["line_id"] for c in refused.value.extra["contending"]] == [str(line)]
    assert str(day) in refused.value.detail
    assert await free(database, "all", starts_in=40) == 0, "the refused change left nothing behind"


async def test_a_hold_that_has_run_out_does_not_keep_capacity_up(database):
    line = await book(database, "all", 2000, starts_in=1, creative=False, action=Action.RESERVE)
    pool = await database.pool()
    await pool.execute("UPDATE line SET hold_expires_at = clock_timestamp() WHERE id = $1", line)
    await set_capacity(database, "top", 0)
    assert await free(database, "all") == 1000


async def test_placements_are_not_moved_away_from_under_a_sold_line(database):
    line = await book(database, "all", 1500, starts_in=1, creative=False)
    with pytest.raises(ConflictError) as refused:
        await set_places(database, "all", "side")
    assert refused.value.slug == "capacity-sold"
    assert [c["line_id"] for c in refused.value.extra["contending"]] == [str(line)]
    assert await free(database, "all") == 500
    await set_capacity(database, "side", 1500)
    await set_places(database, "all", "side")
    assert await free(database, "all") == 0


async def test_what_is_short_already_does_not_forbid_a_change_that_helps(database):
    await book(database, "top-only", 1000, starts_in=1, creative=False)
    pool = await database.pool()
    await pool.execute("UPDATE placement SET daily_capacity = 100 WHERE code = 'top'")
    await set_capacity(database, "top", 200)
    await set_capacity(database, "side", 0)
    with pytest.raises(ConflictError):
        await set_capacity(database, "top", 199)


async def test_lowering_capacity_waits_for_a_booking_under_way_and_then_sees_it(database):
    waiting = """SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    draft = await book(database, "all", 2000, starts_in=1, creative=False, action=Action.RESERVE)
    pool = await database.pool()
    await pool.execute("UPDATE line SET hold_expires_at = NULL, status = 'Draft'")
    async with database.transaction() as session:
        agency = await get_agency(session, AGENCY)
        await service.act(session, agency, draft, Step(Action.BOOK, "seller"))
        change = asyncio.create_task(set_capacity(database, "top", 999))

        async def stuck_or_done() -> bool:
            return change.done() or await pool.fetchval(waiting) > 0

        await until(stuck_or_done)
    with pytest.raises(ConflictError):
        await change


async def test_an_agencys_order_numbers_count_its_own_orders_and_tell_nothing_of_anothers(
    ads_url, database
):
    await stock(database, OTHER)
    sellers = [Database(ads_url, application_name=f"seller-{n}", pool_size=6) for n in range(2)]
    await asyncio.gather(
        *(
            book(seller, quantity=1, agency=agency, action=Action.RESERVE, creative=False)
            for agency in (AGENCY, OTHER, AGENCY)
            for seller in sellers * 2
        )
    )
    for seller in sellers:
        await seller.close()
    pool = await database.pool()
    for agency, count in ((AGENCY, 8), (OTHER, 4)):
        rows = await pool.fetch("SELECT number FROM ad_order WHERE agency_id = $1", agency)
        assert sorted(row["number"] for row in rows) == list(range(1, count + 1))
