"""Invoices: one a payment, numbered without gaps; the database refuses everything else."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from services.billing.invoices.rules import InvoiceLineFact
from services.billing.invoices.service import Buyer, InvoiceFact, issue
from services.billing.plans.rules import NoVatRateError
from shared.agencies import get_agency
from shared.ids import new_id
from tests.fixtures.roles import as_superuser, assert_never
from tests.fixtures.waiting import eventually
from tests.integration.billing.invariants_read import read_invariants
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

#: The world stands at ten in the morning of 23 November 2026.
TODAY = date(2026, 11, 23)
PRICE = 59_000
MONTH = InvoiceLineFact(
    "Đọc báo (1 tháng)",
    "Reading (1 month)",
    PRICE,
    "press_subscription",
    period_from=TODAY,
    period_until=date(2026, 12, 23),
)
NUMBERS = "SELECT agency, document FROM invoice ORDER BY agency, series, number"


async def intrude(world: World, *statements: tuple[object, ...]) -> None:
    """Past every guard of the database."""
    intruder = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        for statement, *values in statements:
            await intruder.execute(statement, *values)
    finally:
        await intruder.close()


async def payment_of(
    world: World, agency: str = AGENCY, amount: int = PRICE, paid_at: datetime | None = None
) -> InvoiceFact:
    """A payment with its reader and nothing else; what its invoice would be."""
    id_, at = new_id(), paid_at or world.clock.now()
    email = f"{id_}@example.vn"
    await intrude(
        world,
        (
            "INSERT INTO reader (id, agency, email, name, created_at) VALUES ($1, $2, $3, 'Lan', $4)",
            *(id_, agency, email, at),
        ),
        (
            """INSERT INTO payment (id, agency, subscription_id, order_id, reader_id, provider, reference, amount_vnd,
                                    period_start, period_end, paid_at)
               VALUES ($1, $2, $1, $1, $1, 'test', $3, $4, $5::timestamptz, $5::timestamptz + interval '30 days', $5)""",
            *(id_, agency, str(id_), amount, at),
        ),
    )
    async with world.billing.database.read() as session:
        found = await get_agency(session, agency)
    line = replace(MONTH, unit_gross_vnd=amount)
    return InvoiceFact(id_, found, Buyer(id_, email, "Lan"), at, "VND", (line,))


async def issued(world: World, fact: InvoiceFact) -> str:
    async with world.billing.database.transaction() as session:
        return (await issue(session, fact, world.clock.now())).document


async def waiting_for_locks(world: World, count: int) -> None:
    sql = """SELECT count(*) = :count FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    await eventually(lambda: world.value(sql, count=count))


async def gaps(world: World, agency: str | None = None, *, whole: bool = True) -> int:
    found = await read_invariants(world.billing, agency, whole=whole)
    return found["invoices_are_numbered_without_gaps"]


# In the transaction that records a payment


async def test_a_payment_brings_its_invoice_and_a_renewal_the_next_number(world: World):
    browser = await world.signed_in("lan@example.vn")
    page = await world.start_checkout(browser)
    await world.pay(page)
    await world.deliver()
    (first,) = await world.rows(
        """SELECT i.document, i.issued_on, i.paid_on, i.seller_name, i.buyer_email, i.language, i.currency, i.net_vnd,
                  i.vat_vnd, i.gross_vnd, p.amount_vnd, i.reader_id = p.reader_id
           FROM invoice i JOIN payment p ON p.id = i.payment_id AND p.agency = i.agency"""
    )
    agency = await world.value("SELECT name FROM agency WHERE id = :id", id=AGENCY)
    assert first == (
        *("26-000001", TODAY, TODAY, agency, "lan@example.vn", "vi", "VND"),
        *(PRICE, 0, PRICE, PRICE, True),
    )
    assert await world.rows(
        """SELECT line_no, description_vi, description_en, quantity, unit_gross_vnd, net_vnd, vat_vnd, gross_vnd,
                  vat_treatment, vat_basis_points, period_from, period_until FROM invoice_line"""
    ) == [
        (
            *(1, "Đọc báo không giới hạn (1 tháng)", "Unlimited reading (1 month)", 1),
            *(PRICE, PRICE, 0, PRICE, "exempt", None, TODAY, date(2026, 12, 23)),
        )
    ]
    await world.advance(timedelta(days=30, hours=2))
    await world.deliver()
    assert await world.rows(NUMBERS) == [(AGENCY, "26-000001"), (AGENCY, "26-000002")]
    await world.assert_sound()


async def test_who_buys_in_english_has_an_english_invoice(world: World):
    browser = await world.signed_in("john@example.vn")
    await browser.get(f"/r/{AGENCY}/plans?lang=en")
    await world.pay(await world.start_checkout(browser))
    await world.deliver()
    assert await world.value("SELECT language FROM invoice") == "en"


async def test_issuing_again_gives_the_same_invoice_and_spends_no_number(world: World):
    fact = await payment_of(world)
    async with world.billing.database.transaction() as session:
        first = await issue(session, fact, world.clock.now())
        again = await issue(session, fact, world.clock.now())
        assert again.id == first.id and again.document == first.document == "26-000001"
    assert await issued(world, fact) == "26-000001"
    assert await issued(world, await payment_of(world)) == "26-000002"
    assert await issued(world, await payment_of(world, OTHER_AGENCY)) == "26-000001"


async def test_a_year_begins_with_number_one_at_the_agencys_midnight(world: World):
    assert await issued(world, await payment_of(world)) == "26-000001"
    midnight = datetime(2026, 12, 31, 17, 0, tzinfo=UTC)
    world.clock.advance(midnight - timedelta(seconds=1) - world.clock.now())
    assert await issued(world, await payment_of(world)) == "26-000002"
    late = await payment_of(world)
    world.clock.advance(timedelta(seconds=1))
    assert await issued(world, late) == "27-000001", "of the day it is issued on"
    assert await world.rows("SELECT issued_on, paid_on FROM invoice WHERE series = '27'") == [
        (date(2027, 1, 1), date(2026, 12, 31))
    ]
    assert await gaps(world) == 0


async def test_numbers_past_a_million_are_shown_whole(world: World):
    await intrude(world, ("INSERT INTO invoice_series VALUES ($1, '26', 999998)", AGENCY))
    facts = [await payment_of(world) for _ in range(2)]
    assert [await issued(world, fact) for fact in facts] == ["26-999999", "26-1000000"]


async def test_tax_is_that_of_the_day_of_the_payment_and_exempt_is_no_rate(world: World):
    async with world.billing.database.transaction() as session:
        for since, until, rate in (
            ("2026-01-01", "2026-11-23", 800),
            ("2026-11-23", "2027-01-01", 1000),
        ):
            await session.execute(
                text(
                    """INSERT INTO vat_rate (kind, valid_from, valid_until, treatment, rate_basis_points, source)
                       VALUES ('advertising', CAST(:since AS date), CAST(:until AS date), 'rate', :rate, 'test')"""
                ),
                {
                    "since": date.fromisoformat(since),
                    "until": date.fromisoformat(until),
                    "rate": rate,
                },
            )
    yesterday = world.clock.now() - timedelta(days=1)
    fact = await payment_of(world, amount=PRICE + 3 * 110, paid_at=yesterday)
    advertising = InvoiceLineFact("Quảng cáo", "Advertising", 110, "advertising", quantity=3)
    await issued(world, replace(fact, lines=(MONTH, advertising)))
    assert await world.rows(
        """SELECT line_no, net_vnd, vat_vnd, gross_vnd, vat_treatment, vat_basis_points, period_from
           FROM invoice_line ORDER BY line_no"""
    ) == [
        (1, PRICE, 0, PRICE, "exempt", None, TODAY),
        (2, 306, 24, 330, "rate", 800, None),  # 330 × 8 / 108 = 24.4
    ]
    assert await world.rows("SELECT net_vnd, vat_vnd, gross_vnd FROM invoice") == [
        (PRICE + 306, 24, PRICE + 330)
    ]
    next_year = await payment_of(world, paid_at=datetime(2027, 1, 1, tzinfo=UTC))
    for wrong in ("advertising", "nothing"):
        with pytest.raises(NoVatRateError):
            await issued(world, replace(next_year, lines=(replace(MONTH, vat_kind=wrong),)))
    assert await world.value("SELECT last_number FROM invoice_series") == 1


# Without gaps


async def test_a_transaction_that_is_rolled_back_gives_its_number_back(world: World):
    """The second waits for the first; which number it gets depends on how that one ends."""
    facts = [await payment_of(world) for _ in range(3)]

    async def rolled_back(fact: InvoiceFact) -> None:
        with pytest.raises(RuntimeError):
            async with world.billing.database.transaction() as session:
                assert (await issue(session, fact, world.clock.now())).number == 1
                nonlocal second
                second = asyncio.ensure_future(issued(world, facts[1]))
                await waiting_for_locks(world, 1)
                raise RuntimeError

    second: asyncio.Future[str]
    await rolled_back(facts[0])
    assert await second == "26-000001"
    assert await issued(world, facts[2]) == "26-000002"
    assert await issued(world, facts[0]) == "26-000003"
    assert await gaps(world) == 0


async def test_many_at_once_some_of_them_rolled_back_leave_no_gap(world: World):
    draw = random.Random(20261127)
    facts = [await payment_of(world, draw.choice((AGENCY, OTHER_AGENCY))) for _ in range(24)]

    async def one(fact: InvoiceFact, falls: bool) -> None:
        async with world.billing.database.transaction() as session:
            await issue(session, fact, world.clock.now())
            await asyncio.sleep(draw.random() / 100)
            if falls:
                raise RuntimeError

    tried = [one(fact, draw.random() < 0.4) for fact in facts]
    done = await asyncio.gather(*tried, return_exceptions=True)
    assert {type(one) for one in done} == {type(None), RuntimeError}
    for agency in (AGENCY, OTHER_AGENCY):
        numbers = await world.rows(
            "SELECT number FROM invoice WHERE agency = :a ORDER BY number", a=agency
        )
        assert [number for (number,) in numbers] == list(range(1, len(numbers) + 1))
    assert await world.value("SELECT count(*) FROM invoice") == done.count(None)


async def test_the_same_payment_twice_at_once_has_one_invoice_and_spends_one_number(world: World):
    fact = await payment_of(world)
    async with world.billing.database.transaction() as session:
        await issue(session, fact, world.clock.now())
        other = asyncio.ensure_future(issued(world, fact))
        await waiting_for_locks(world, 1)
    with pytest.raises(IntegrityError, match="uq_invoice_payment_id"):
        await other
    assert await issued(world, await payment_of(world)) == "26-000002"


# What the database refuses


async def raw_invoice(
    world: World,
    fact: InvoiceFact,
    *,
    lines: list[dict[str, object]] | None = None,
    **other: object,
) -> UUID:
    """Straight into the tables, past every check of the code; refused at COMMIT or not at all."""
    id_ = uuid4()
    values = {
        **{"id": id_, "agency": fact.agency.id, "series": "26", "number": None},
        **{"payment": fact.payment_id, "reader": fact.reader.id, "seller": fact.agency.name},
        **{"at": world.clock.now(), "day": TODAY, "paid_on": TODAY, "email": fact.reader.email},
        **{"net": PRICE, "vat": 0, "gross": PRICE, "language": "vi", "currency": "VND"},
    } | other
    async with world.billing.database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO invoice (id, agency, series, number, document, payment_id, reader_id, issued_at, issued_on,
                       paid_on, seller_name, buyer_name, buyer_email, language, currency, net_vnd, vat_vnd, gross_vnd)
                   VALUES (:id, :agency, :series, CAST(:number AS integer), 'my own', :payment, :reader, :at,
                       CAST(:day AS date), CAST(:paid_on AS date), :seller, 'Lan', :email, :language, :currency, :net,
                       :vat, :gross)"""
            ),
            values,
        )
        await add_lines(session, id_, [{}] if lines is None else lines)
    return id_


async def add_lines(session, id_: UUID, lines: list[dict[str, object]]) -> None:
    """All in one statement."""
    columns = {
        "number": "integer", "vi": "text", "en": "text", "quantity": "integer", "unit": "bigint",
        "net": "bigint", "vat": "bigint", "gross": "bigint", "treatment": "text", "rate": "integer",
        "first": "date", "until": "date",
    }  # fmt: skip
    plain = {"vi": "Gói", "en": "Plan", "quantity": 1, "unit": PRICE, "net": PRICE, "vat": 0,
             "gross": PRICE, "treatment": "exempt", "rate": None, "first": None, "until": None}  # fmt: skip
    rows = [{"number": at, **plain, **line} for at, line in enumerate(lines, start=1)]
    if rows:
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
        await session.execute(
            text(
                f"""INSERT INTO invoice_line (invoice_id, line_no, description_vi, description_en, quantity,
                        unit_gross_vnd, net_vnd, vat_vnd, gross_vnd, vat_treatment, vat_basis_points, period_from,
                        period_until)
                    SELECT :id, l.* FROM unnest({arrays}) AS l"""
            ),
            {"id": id_, **{name: [row[name] for row in rows] for name in columns}},
        )


async def test_what_is_right_is_taken_and_its_number_shown_as_the_database_says(world: World):
    fact = await payment_of(world)
    await raw_invoice(world, fact)
    await raw_invoice(world, await payment_of(world), number=2)
    assert await world.rows(NUMBERS) == [(AGENCY, "26-000001"), (AGENCY, "26-000002")]
    rate = {"treatment": "rate", "rate": 0, "first": TODAY, "until": TODAY + timedelta(days=1)}
    parts = [{"unit": 9_000, "net": 9_000, "gross": 9_000}, {"unit": 25_000, "quantity": 2, "net": 50_000, "gross": 50_000}]  # fmt: skip
    await raw_invoice(world, await payment_of(world), lines=[rate])
    await raw_invoice(world, await payment_of(world), lines=parts)
    await raw_invoice(world, await payment_of(world, amount=PRICE + 1))  # a part of a payment


@pytest.mark.parametrize("number", [-1, 0, 1, 3, 7])
async def test_a_number_that_does_not_follow_the_last_is_refused(world: World, number: int):
    await raw_invoice(world, await payment_of(world))
    with pytest.raises(DBAPIError, match="the next one of series 26 is 2"):
        await raw_invoice(world, await payment_of(world), number=number)
    assert await world.value("SELECT last_number FROM invoice_series") == 1


async def test_a_payment_has_one_invoice_and_it_is_its_agencys(world: World):
    fact, other = await payment_of(world), await payment_of(world, OTHER_AGENCY)
    await raw_invoice(world, fact)
    with pytest.raises(IntegrityError, match="uq_invoice_payment_id"):
        await raw_invoice(world, fact)
    theirs = replace(other, agency=fact.agency, reader=fact.reader)
    with pytest.raises(IntegrityError, match="fk_invoice_payment_id_payment"):
        await raw_invoice(world, theirs)
    assert await world.rows(NUMBERS) == [(AGENCY, "26-000001")]


async def test_an_invoice_names_the_reader_who_paid(world: World):
    fact, another = await payment_of(world), await payment_of(world)
    with pytest.raises(DBAPIError, match="of another reader"):
        await raw_invoice(world, fact, reader=another.reader.id)


@pytest.mark.parametrize(
    ("other", "refusal"),
    [
        ({"net": PRICE + 1, "gross": PRICE + 1}, "more than was paid"),
        ({"day": TODAY + timedelta(days=1)}, "another reader or day"),
        ({"paid_on": TODAY - timedelta(days=1)}, "another reader or day"),
        ({"series": "27"}, "ck_invoice_series"),
        ({"series": "2026"}, "ck_invoice_series"),
        ({"net": PRICE - 1}, "ck_invoice_sum"),
        ({"net": PRICE + 1, "vat": -1}, "ck_invoice_vat_vnd"),
        ({"net": 0, "gross": 0}, "ck_invoice_gross_vnd"),
        ({"seller": ""}, "ck_invoice_seller_name"),
        ({"email": "nobody"}, "ck_invoice_buyer_email"),
        ({"language": "fr"}, "ck_invoice_language"),
        ({"currency": "đồng"}, "ck_invoice_currency"),
        ({"lines": []}, "has no lines"),
        ({"lines": [{"unit": 1, "net": 1, "gross": 1}]}, "1 of them sum to 1, or"),
        ({"lines": [{}, {}]}, f"2 of them sum to {2 * PRICE}, or"),
        ({"lines": [{"number": 2}]}, "or are not all of it"),
        ({"lines": [{"number": 0, "unit": 0, "net": 0, "gross": 0}, {"number": 2}]}, "or are not all of it"),
        ({"lines": [{"number": 3, "unit": 9_000, "net": 9_000, "gross": 9_000}, {"number": 1, "unit": 50_000, "net": 50_000, "gross": 50_000}]},
         "or are not all of it"),
        ({"lines": [{"treatment": "rate", "rate": 800, "net": PRICE - 1, "vat": 1}]}, "lines of invoice"),
        ({"net": PRICE - 1, "vat": 1}, "lines of invoice"),
        ({"lines": [{"treatment": "rate", "rate": 1, "vat": 1, "unit": PRICE + 1, "gross": PRICE + 1}]}, "lines of invoice"),
        ({"lines": [{"net": PRICE - 1}]}, "ck_invoice_line_sum"),
        ({"lines": [{"unit": PRICE - 1}]}, "ck_invoice_line_unit"),
        ({"lines": [{"quantity": -1, "unit": -PRICE}]}, "ck_invoice_line_quantity"),
        ({"lines": [{"net": PRICE - 1, "vat": 1}]}, "ck_invoice_line_vat"),
        ({"lines": [{"rate": 0}]}, "ck_invoice_line_vat"),
        ({"lines": [{"treatment": "rate"}]}, "ck_invoice_line_vat"),
        ({"lines": [{"treatment": "rate", "rate": -1}]}, "ck_invoice_line_vat"),
        ({"lines": [{"treatment": "zero"}]}, "ck_invoice_line_vat_treatment"),
        ({"lines": [{"vi": ""}]}, "ck_invoice_line_description_vi"),
        ({"lines": [{"en": ""}]}, "ck_invoice_line_description_en"),
        ({"lines": [{"first": TODAY}]}, "ck_invoice_line_period"),
        ({"lines": [{"until": TODAY}]}, "ck_invoice_line_period"),
        ({"lines": [{"first": TODAY, "until": TODAY}]}, "ck_invoice_line_period"),
    ],
    ids=str,
)  # fmt: skip
async def test_an_invoice_that_does_not_add_up_or_says_something_else_is_refused(
    world: World, other: dict, refusal: str
):
    with pytest.raises(DBAPIError, match=refusal):
        await raw_invoice(world, await payment_of(world), **other)
    counts = "SELECT (SELECT count(*) FROM invoice), (SELECT count(*) FROM invoice_line), (SELECT count(*) FROM invoice_series)"
    assert await world.rows(counts) == [(0, 0, 0)]


async def test_no_line_follows_later_not_even_one_of_nothing(world: World):
    id_ = await raw_invoice(world, await payment_of(world))
    free = {"unit": 0, "net": 0, "gross": 0}
    for lines, refusal in (
        ([{**free, "number": 2}], "or are not all of it"),
        ([{**free, "number": 1}], "pk_invoice_line"),
        ([{**free, "number": 0}, {"number": 2}], "or are not all of it"),
    ):
        with pytest.raises(DBAPIError, match=refusal):
            async with world.billing.database.transaction() as session:
                await add_lines(session, id_, lines)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoice SET buyer_name = 'somebody'",
        "UPDATE invoice SET number = number + 1",
        "UPDATE invoice_line SET description_vi = 'something'",
        "DELETE FROM invoice_line",
        "DELETE FROM invoice",
        "TRUNCATE invoice_line",
        "TRUNCATE invoice CASCADE",
        "DELETE FROM invoice_series",
        "TRUNCATE invoice_series",
    ],
)
async def test_an_invoice_is_never_changed_or_removed(world: World, change: str):
    await raw_invoice(world, await payment_of(world))
    await assert_never(world.billing.settings.database_url, change)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoice_series SET last_number = last_number + 1",
        "INSERT INTO invoice_series SELECT agency, '27', 5 FROM invoice_series",
    ],
)
async def test_a_series_is_counted_by_its_invoices_only(world: World, change: str):
    await raw_invoice(world, await payment_of(world))
    with pytest.raises(DBAPIError, match="counted by its invoices"):
        async with world.billing.database.transaction() as session:
            await session.execute(text(change))


# What is always true


@pytest.mark.parametrize(
    ("broken", "counted"),
    [
        ("DELETE FROM invoice WHERE number = 1", 1),
        ("DELETE FROM invoice WHERE number = 2", 1),
        ("DELETE FROM invoice WHERE number = 3", 1),
        ("DELETE FROM invoice", 1),
        ("UPDATE invoice SET number = 9 WHERE number = 3", 1),
        ("UPDATE invoice_series SET last_number = 4", 1),
        ("UPDATE invoice SET number = number", 0),
    ],
)
async def test_a_gap_is_found(world: World, broken: str, counted: int):
    for _ in range(3):
        await issued(world, await payment_of(world))
    await issued(world, await payment_of(world, OTHER_AGENCY))
    assert await gaps(world, AGENCY) == 0
    await intrude(
        world, (broken + (" WHERE" if "WHERE" not in broken else " AND") + " agency = $1", AGENCY)
    )
    for whole in (False, True):
        assert await gaps(world, AGENCY, whole=whole) == counted
        assert await gaps(world, OTHER_AGENCY, whole=whole) == 0


#: As if it had been written long ago.
LONG_AGO = "UPDATE {} SET id = lpad(to_hex({}), 32, '0')::uuid"


async def test_a_reading_of_what_is_new_sees_where_it_joins_what_was_before_and_forgets_no_gap(
    world: World,
):
    """Three long ago, three now: a gap between, one among the old ones, which only a reading of everything sees."""
    for _ in range(3):
        await issued(world, await payment_of(world))
    await intrude(world, (LONG_AGO.format("invoice", "number"),))
    for _ in range(3):
        await issued(world, await payment_of(world))
    both = (False, True)
    assert [await gaps(world, whole=whole) for whole in (True, *both)] == [0, 0, 0]
    await intrude(world, ("UPDATE invoice SET number = -number WHERE number = 2",))
    assert [await gaps(world, whole=whole) for whole in (*both, False)] == [0, 1, 1]
    await intrude(world, ("UPDATE invoice SET number = -number WHERE number < 0",))
    assert await gaps(world, whole=False) == 0, "what was found was read again"
    await intrude(world, ("DELETE FROM invoice WHERE number = 3",))
    assert [await gaps(world, whole=whole) for whole in both] == [1, 1]


async def test_a_payment_without_an_invoice_is_found(world: World):
    async def missing(agency: str | None = None, *, whole: bool = False) -> int:
        found = await read_invariants(world.billing, agency, whole=whole)
        return found["payments_have_invoices"]

    await issued(world, await payment_of(world))
    assert await missing(whole=True) == 0
    old = await payment_of(world, amount=1)
    await intrude(world, (LONG_AGO.format("payment", "1") + " WHERE amount_vnd = 1",))
    assert (await missing(), await missing(whole=True)) == (0, 1)
    await payment_of(world)
    assert (await missing(), await missing(whole=True)) == (2, 2)
    assert (await missing(AGENCY), await missing(OTHER_AGENCY)) == (2, 0)
    await intrude(world, ("UPDATE payment SET amount_vnd = 0 WHERE reader_id = $1", old.payment_id))
    assert await missing() == 1, "of what was found before it is seen that it was mended"
