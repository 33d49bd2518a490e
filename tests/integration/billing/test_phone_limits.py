"""How many codes go by text: by number, by reader, and for an agency a day; mail stays open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.billing.metrics import TEXTS
from tests.integration.billing.test_phones import (
    ACCOUNT,
    LAN,
    NUMBER,
    PHONE,
    SHOWN,
    ask,
    by_number,
    enter,
    is_in,
    text_code,
    with_number,
)
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World, make_world

A_DAY = 4
SENT = "SELECT count(*) FROM mail_message WHERE is_text"


def number(last: int) -> str:
    return f"0912 345 {last:03}"


@pytest.fixture
async def measured(billing_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """Of a handful of texts a day."""
    async with make_world(billing_url, tmp_path, texts_per_day=A_DAY) as made:
        yield made


async def test_a_number_gets_few_texts_and_its_reader_is_not_locked_out(world: World) -> None:
    await with_number(world)
    known = await by_number(world)
    await known.submit(ACCOUNT, f"{ACCOUNT}/sessions/end", {"session": ""})
    world.clock.advance(timedelta(hours=2))
    before, statuses = await world.value(SENT), []
    for network in range(12):
        answer = await ask(world.browser(f"192.0.{network}.1"), SHOWN)
        statuses.append(answer.status_code)
    assert statuses == [303] * 5 + [429] * 7, "strangers together"
    seconds = int(answer.headers["retry-after"])
    assert 600 <= seconds <= 3_600 and f"sau {-(-seconds // 60)} phút" in answer.text
    assert await world.value(SENT) == before + 5
    assert (await ask(known, SHOWN)).status_code == 303, "a known browser gets in"
    assert (await enter(known, await text_code(world))).status_code == 303
    assert await is_in(known) == LAN
    for _ in range(2):
        world.clock.advance(timedelta(seconds=31))
        asked = [await ask(world.browser("198.51.100.1"), number(7)) for _ in range(2)]
    assert [one.status_code for one in asked] == [303, 429], (
        "one network, one number: three an hour"
    )
    assert (await ask(world.browser("192.0.1.1"), LAN)).status_code == 303, "mail is counted apart"


async def test_a_reader_has_few_numbers_sent_a_code(world: World) -> None:
    browser = await world.signed_in(LAN)
    asked = [
        await browser.submit(PHONE, PHONE, {"number": number(last)}) for last in range(100, 107)
    ]
    assert [one.status_code for one in asked] == [200] * 5 + [429] * 2
    assert "quá nhiều mã" in asked[-1].text
    # Nor does one reader, or many, send one number more than its measure.
    for name in range(3):
        other = await world.signed_in(f"reader{name}@example.vn", address=f"198.51.{name}.1")
        asked = [await other.submit(PHONE, PHONE, {"number": SHOWN}) for _ in range(3)]
    assert [one.status_code for one in asked] == [429] * 3
    assert await world.value("SELECT count(*) FROM proof_code WHERE sent_to = :n", n=NUMBER) == 5


async def test_an_agencys_day_has_an_end_and_mail_goes_on(measured: World) -> None:
    """What somebody earns by having texts sent to numbers of theirs has a measure; whoever is known here has one of their own."""
    world = measured
    await with_number(world)
    known = await by_number(world)
    await known.submit(ACCOUNT, f"{ACCOUNT}/sessions/end", {"session": ""})
    limited = TEXTS.labels(AGENCY, "limited")
    before, sent = limited._value.get(), await world.value(SENT)
    asked = [await ask(world.browser(f"192.0.{last}.1"), number(last)) for last in range(A_DAY + 2)]
    statuses = [one.status_code for one in asked]
    assert statuses == [303] * (A_DAY - 1) + [429] * 3, "the registered number was the first"
    assert "Hãy đăng nhập bằng địa chỉ e-mail" in asked[-1].text
    assert 60 <= int(asked[-1].headers["retry-after"]) <= 86_400 // A_DAY
    assert await world.value(SENT) == sent + A_DAY - 1
    assert limited._value.get() == before + 3
    assert (await ask(world.browser("192.0.9.1"), "new@example.vn")).status_code == 303
    assert (await ask(known, SHOWN)).status_code == 303
    assert (await enter(known, await text_code(world))).status_code == 303
    there = f"/r/{OTHER_AGENCY}/sign-in"
    elsewhere = await world.browser("192.0.9.2").submit(there, there, {"email": number(1)})
    assert elsewhere.status_code == 303, "each agency has its own"
    world.clock.advance(timedelta(hours=6))
    assert (await ask(world.browser("192.0.9.3"), number(9))).status_code == 303, "it slides"


async def test_the_measure_holds_when_everything_is_asked_at_once(measured: World) -> None:
    world = measured
    browsers = [world.browser(f"192.0.{last}.1") for last in range(10)]
    asked = await asyncio.gather(
        *(ask(browser, number(last)) for last, browser in enumerate(browsers))
    )
    assert sorted(one.status_code for one in asked) == [303] * A_DAY + [429] * (10 - A_DAY)
    assert await world.value(SENT) == A_DAY
    assert await world.value("SELECT count(*) FROM sign_in_code") == A_DAY
