"""A bank statement on finance's pages: problems named, a summary first, taken in once by the second press, then applied."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.billing.staff import statement_pages
from services.billing.transfers.statement import MAX_BYTES
from shared.audit import Action
from tests.fixtures.audited import entries
from tests.integration.billing.paying import (
    ACCOUNT,
    MONTH,
    OTHER_ACCOUNT,
    SECRETS,
    credited,
    credits,
    ordered,
    tell,
    told,
)
from tests.integration.billing.test_credits_pages import token_for
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, World, form_token, make_world

PAGE = f"/staff/{AGENCY}/transfers/statement"
#: As the demo bank writes a statement (infra/bank_sandbox/README.md).
HEADING = '"Ngày giao dịch";"Số tham chiếu";"Ghi nợ";"Ghi có";"Số dư";"Nội dung"'


@pytest.fixture
async def world(billing_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """The seed has entered the agencies' accounts."""
    async with make_world(billing_url, tmp_path, bank_webhook_secrets=SECRETS) as made:
        yield made


def statement(*rows: tuple[str, str, int], heading: str = HEADING) -> bytes:
    """(reference, note, amount) of each credit, and one debit."""
    lines = [heading]
    for number, (reference, note, amount) in enumerate(rows):
        money = f"{amount:,}".replace(",", ".")
        at = f"23/11/2026 0{1 + number % 9}:{number % 60:02}:00"
        lines.append(f'"{at}";"{reference}";"";"{money}";"1.000.000";"{note}"')
    lines.append('"23/11/2026 09:00:00";"FT-OUT";"50.000";"";"950.000";"rut tien"')
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def staff(world: World, token: str = "finance-token") -> httpx.AsyncClient:
    return world.browser(press_staff=token).client


async def send(
    client: httpx.AsyncClient, raw: bytes, *, account: str = ACCOUNT, name: str = "sao-ke.csv"
) -> httpx.Response:
    token = form_token((await client.get(PAGE)).text)
    return await client.post(
        PAGE,
        data={"csrf_token": token, "account": account},
        files={"file": (name, raw, "text/csv")},
        headers={"Origin": OWN},
    )


async def confirm(
    client: httpx.AsyncClient, page: str, *, confirmed: bool = True
) -> httpx.Response:
    token = form_token((await client.get(PAGE)).text)
    data = {"csrf_token": token} | ({"confirmed": "true"} if confirmed else {})
    return await client.post(page, data=data, headers={"Origin": OWN})


async def test_a_statement_is_shown_first_taken_in_by_the_second_press_and_applied_by_the_worker(
    world: World,
) -> None:
    browser, code = await ordered(world)
    await credited(world, "da biet", 7, id_=1, reference="FT-KNOWN")
    client = staff(world)
    raw = statement(("FT-KNOWN", "da biet", 7), ("FT-1", code, MONTH), ("", "khong ma", 1_000))
    shown = await send(client, raw)
    assert shown.status_code == 303, shown.text
    page = shown.headers["location"]
    summary = (await client.get(page)).text
    assert "60.007\u00a0₫" in summary and "sao-ke.csv" in summary
    assert "2 khoản chưa biết được ghi sổ" in summary and "finance-token@example.vn" in summary
    assert "23/11/2026 01:00 – 23/11/2026 03:02" in summary
    assert await world.value("SELECT count(*) FROM webhook_event WHERE source = 'statement'") == 0
    asked = await confirm(client, page, confirmed=False)
    assert asked.status_code == 200 and '<details class="confirm" open>' in asked.text
    assert await world.value("SELECT count(*) FROM webhook_event WHERE source = 'statement'") == 0
    for _ in range(2):  # confirmed twice
        done = await confirm(client, page)
        assert (done.status_code, done.headers["location"]) == (303, page)
        running = (await client.get(page)).text
        assert "Còn 3 dòng đang được ghi" in running
        assert '<meta http-equiv="refresh" content="2">' in running
    assert await credits(world) == [(7, 7, "no_order")], "the worker's, not the web process's"
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json()["state"] == "open"
    await world.billing.applier.apply_due()
    over = (await client.get(page)).text
    assert "Đã nhập xong: 2 khoản mới, 1 khoản đã biết" in over and "refresh" not in over
    assert await credits(world) == [(7, 7, "no_order"), (MONTH, 0, ""), (1_000, 1_000, "no_order")]
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json()["state"] == "paid"
    assert await world.value("SELECT count(*) FROM webhook_event WHERE source = 'statement'") == 3
    [entry] = [
        e for e in await entries(world.billing.database) if e.action == Action.STATEMENT_IMPORTED
    ]
    assert (entry.actor, entry.label) == ("finance-token@example.vn", "sao-ke.csv")
    assert entry.after is not None
    assert {key: entry.after[key] for key in ("account", "credits", "new", "total_vnd")} == {
        "account": ACCOUNT,
        "credits": 3,
        "new": 2,
        "total_vnd": 60_007,
    }
    # The same file again changes nothing.
    before = await credits(world)
    page = (await send(client, raw)).headers["location"]
    assert "Mọi khoản đều đã biết" in (await client.get(page)).text
    await confirm(client, page)
    await world.billing.applier.apply_due()
    assert "0 khoản mới, 3 khoản đã biết" in (await client.get(page)).text
    assert await credits(world) == before
    await world.billing.recognition.run_due()
    await world.assert_sound()


async def test_a_reader_who_pays_meanwhile_does_not_wait_for_the_statement(world: World) -> None:
    browser, code = await ordered(world)
    client = staff(world)
    page = (await send(client, statement(*((f"FT-{n}", "a", 1) for n in range(30))))).headers[
        "location"
    ]
    await confirm(client, page)
    await tell(world, told(world, code))
    assert await world.billing.applier.apply_one()
    assert (await browser.get(f"/r/{AGENCY}/orders/{code}/state")).json()["state"] == "paid"
    assert await world.billing.applier.apply_due() == 30


async def test_two_people_who_confirm_at_one_moment_take_it_in_once(world: World) -> None:
    clients = [staff(world) for _ in range(4)]
    page = (await send(clients[0], statement(("FT-1", "a", 1)))).headers["location"]
    answers = await asyncio.gather(*(confirm(client, page) for client in clients))
    assert {answer.status_code for answer in answers} == {303}
    assert await world.value("SELECT count(*) FROM webhook_event WHERE source = 'statement'") == 1
    told = await entries(world.billing.database)
    assert sum(e.action == Action.STATEMENT_IMPORTED for e in told) == 1


async def test_problems_are_listed_by_line_and_column_and_nothing_is_taken(world: World) -> None:
    client = staff(world)
    rows = [f'"23/11/2026";"FT-{n}";"";"mot tram";"";"x"' for n in range(60)]
    raw = "\n".join([HEADING, '"23/11/2026";"FT-OK";"";"1.000";"";"x"', *rows]).encode()
    refused = await send(client, raw)
    assert refused.status_code == 422
    assert "có 60 chỗ cần sửa" in refused.text and "50 chỗ đầu tiên" in refused.text
    assert refused.text.count("mot tram") == 50
    assert "Dòng 3" in refused.text and "Ghi có" in refused.text
    assert "số đồng chẵn, dạng 1234567 hoặc 1.234.567" in refused.text
    english = await client.get(f"{PAGE}?lang=en")
    assert english.status_code == 200
    refused = await send(client, raw)
    assert "whole đồng, as 1234567 or 1.234.567" in refused.text and "Line 3" in refused.text
    assert await world.value("SELECT count(*) FROM statement_upload") == 0


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "dòng tiêu đề"),
        (b"PK\x03\x04excel", "tệp CSV mã UTF-8"),
        (b"\xff\x00\x81", "CSV"),
        (b"x" * (MAX_BYTES + 1), "tệp tối đa 5 MB"),
        (HEADING.encode(), "ít nhất một khoản ghi có"),
        (b"\0" * 100, ""),
    ],
    ids=["empty", "Excel", "bytes", "large", "no credit", "NUL"],
)
async def test_what_is_no_statement_is_refused_in_words(
    world: World, raw: bytes, said: str
) -> None:
    answer = await send(staff(world), raw)
    assert answer.status_code == 422 and said in answer.text
    assert await world.value("SELECT count(*) FROM statement_upload") == 0


async def test_a_body_beyond_the_limit_of_its_route_is_refused_and_other_routes_keep_theirs(
    world: World,
) -> None:
    client = staff(world)
    assert (await send(client, b"x" * statement_pages.MAX_FORM_BYTES)).status_code == 413
    for path in (f"{PAGE}/x", f"/staff/{AGENCY}/webhooks/replay", f"/r/{AGENCY}/checkout"):
        answer = await client.post(path, content=b"x" * 3_000_000, headers={"Origin": OWN})
        assert answer.status_code == 413, path


async def test_without_a_file_or_with_anothers_account_nothing_happens(world: World) -> None:
    client = staff(world)
    token = form_token((await client.get(PAGE)).text)
    form = {"csrf_token": token, "account": ACCOUNT}
    answer = await client.post(PAGE, data=form, headers={"Origin": OWN})
    assert answer.status_code == 422 and "tệp CSV" in answer.text
    raw = statement(("FT-1", "a", 1))
    for account in (OTHER_ACCOUNT, "", "\x00", "9" * 10_000):
        assert (await send(client, raw, account=account)).status_code == 404
    named = await send(client, raw, name="n" * 1_000 + ".csv")
    assert named.status_code == 303
    assert await world.value("SELECT length(file_name) FROM statement_upload") == 200


@pytest.mark.parametrize(
    ("token", "sees", "takes"),
    [
        ("support-token", 403, 403),
        ("seller-token", 403, 403),
        ("other-token", 404, 404),
        ("tired-token", 200, 403),  # to prove who he is
    ],
)
async def test_only_finance_takes_in_a_statement(
    world: World, token: str, sees: int, takes: int
) -> None:
    page = (await send(staff(world), statement(("FT-1", "a", 1)))).headers["location"]
    client = staff(world, token)
    data = {
        "csrf_token": token_for(world, token),
        "account": ACCOUNT,
        "confirmed": "true",
    }
    for path in (PAGE, page):
        assert (await client.get(path)).status_code == sees, path
    assert (await client.post(page, data=data, headers={"Origin": OWN})).status_code == takes
    if token != "tired-token":
        file = {"file": ("a.csv", statement(("FT-1", "a", 1)), "text/csv")}
        answer = await client.post(PAGE, data=data, files=file, headers={"Origin": OWN})
        assert answer.status_code == sees
    assert await world.value("SELECT count(*) FROM webhook_event") == 0
    assert await world.value("SELECT count(*) FROM statement_upload") == 1


async def test_a_form_without_its_token_and_another_agencys_upload_do_nothing(world: World) -> None:
    client = staff(world)
    page = (await send(client, statement(("FT-1", "a", 1)))).headers["location"]
    for path in (PAGE, page):
        answer = await client.post(
            path, data={"confirmed": "true", "account": ACCOUNT}, headers={"Origin": OWN}
        )
        assert answer.status_code == 403, path
    others = staff(world, "other-token")
    theirs = page.replace(AGENCY, OTHER_AGENCY)
    assert (await others.get(theirs)).status_code == 404
    books = f"/staff/{OTHER_AGENCY}/books"
    token = form_token((await others.get(books)).text)
    data = {"csrf_token": token, "confirmed": "true"}
    assert (await others.post(theirs, data=data, headers={"Origin": OWN})).status_code == 404
    assert await world.value("SELECT count(*) FROM webhook_event") == 0


async def test_what_nobody_confirmed_within_a_day_is_forgotten_and_what_was_taken_stays(
    world: World, billing_url: str
) -> None:
    client = staff(world)
    taken = (await send(client, statement(("FT-1", "a", 1)))).headers["location"]
    await confirm(client, taken)
    left = (await send(client, statement(("FT-2", "a", 1)))).headers["location"]
    world.clock.advance(timedelta(hours=23))
    await world.billing.statements.forget_old()
    assert (await client.get(left)).status_code == 200
    connection = await asyncpg.connect(billing_url)
    try:
        for sql in (
            "DELETE FROM statement_upload WHERE taken_at IS NOT NULL",
            "UPDATE statement_upload SET taken_at = NULL, credits = '', new_count = NULL",
            "UPDATE statement_upload SET account = '9', credits = credits WHERE taken_at IS NULL",
            "UPDATE statement_upload SET credits = '' WHERE taken_at IS NULL",
            "UPDATE statement_upload SET taken_at = now() WHERE taken_at IS NULL",
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await connection.execute(sql)
                pytest.fail(f"not refused: {sql}")
    finally:
        await connection.close()
    world.clock.advance(timedelta(hours=2))
    await world.billing.statements.forget_old()
    assert (await client.get(left)).status_code == 404
    assert (await client.get(taken)).status_code == 200


async def test_the_largest_statement_is_read_and_taken_in_within_seconds(world: World) -> None:
    client = staff(world)
    raw = statement(*((f"FT{n:012}", f"tien bao {n}", 1_000 + n) for n in range(19_999)))
    began = time.monotonic()
    page = (await send(client, raw)).headers["location"]
    read = time.monotonic()
    summary = await client.get(page)
    shown = time.monotonic()
    await confirm(client, page)
    taken = time.monotonic()
    print(f"read {read - began:.1f} s, shown {shown - read:.1f} s, taken {taken - shown:.1f} s")
    assert re.search(r"19999 khoản chưa biết", summary.text)
    assert await world.value("SELECT count(*) FROM webhook_event WHERE state = 'waiting'") == 19_999
    assert taken - began < 60
