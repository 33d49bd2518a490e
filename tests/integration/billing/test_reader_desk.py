"""The support desk: finding a reader by what they say of themselves, their page, and what is done on their behalf."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from services.billing.readers.models import Reader
from shared.audit import Action
from tests.fixtures.audited import entries
from tests.integration.billing.paying import credited, order, ordered, person
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, Browser, World

READERS = f"/staff/{AGENCY}/readers"
NAMES = (
    ("an@example.vn", "Nguyễn Thị Ánh"),
    ("duc.tran@example.vn", "Trần Đức Đạt"),
    ("lan_pham@example.vn", "Phạm Lan"),
)


@pytest.fixture
def world(paid_by_transfer: World) -> World:
    return paid_by_transfer


def support(world: World, token: str = "support-token") -> Browser:
    return world.browser(press_staff=token)


async def made(world: World, *people: tuple[str, str], agency: str = AGENCY) -> list[UUID]:
    ids = [uuid4() for _ in people]
    for id_, (email, name) in zip(ids, people, strict=True):
        world.clock.advance(timedelta(seconds=1))
        async with world.billing.database.transaction() as session:
            session.add(
                Reader(id=id_, agency=agency, email=email, name=name, created_at=world.clock.now())
            )
    return ids


def found(answer: httpx.Response) -> list[UUID]:
    assert answer.status_code == 200, answer.text
    return [UUID(one) for one in re.findall(rf'href="{READERS}/([0-9a-f-]+)"', answer.text)]


@pytest.mark.parametrize(
    ("words", "who"),
    [
        ("nguyen thi anh", [0]),
        ("ÁNH nguyễn", [0]),
        ("Nguye\u0302\u0303n", [0]),  # typed with marks that stand by themselves
        ("đạt", [1]),
        ("DAT", [1]),
        ("duc.tran@", [1]),
        ("example.vn", [2, 1, 0]),
        ("ham", [2]),  # inside a word
        ("lan_pham", [2]),
        ("n_p", [2]),
        ("l%n", []),
        ("\\", []),
        ("nguyen pham", []),
    ],
)
async def test_a_reader_is_found_with_or_without_marks_by_parts_of_words(
    world: World, words: str, who: list[int]
) -> None:
    ids = await made(world, *NAMES)
    await made(world, *NAMES, agency=OTHER_AGENCY)
    answer = await support(world).client.get(READERS, params={"words": words})
    assert found(answer) == [ids[n] for n in who]


async def test_a_reader_is_found_by_an_orders_code_and_an_invoices_number(world: World) -> None:
    await made(world, *NAMES)
    _, code = await ordered(world, "lan@example.vn")
    await credited(world, code)
    lan = (await person(world, "lan@example.vn")).id
    staff = support(world).client
    number = await world.value("SELECT document FROM invoice")
    for words in (
        code,
        code.lower(),
        f"CK {code[:5]} {code[5:]} tien bao",
        code[3:9],
        number,
        "000001",
    ):
        assert found(await staff.get(READERS, params={"words": words})) == [lan], words
    for words in ("PRPRPR", "27-000001", "000002"):
        assert found(await staff.get(READERS, params={"words": words})) == [], words


async def test_every_reader_that_fits_is_reached_and_nobody_is_listed_without_words(
    world: World,
) -> None:
    ids = await made(world, *((f"reader-{n:03}@example.vn", "") for n in range(120)))
    staff, path, seen = support(world).client, f"{READERS}?words=READER", []
    while path:
        answer = await staff.get(path)
        seen += found(answer)
        older = re.search(r'href="(\?[^"]*after=[^"]*)"', answer.text)
        path = f"{READERS}{older[1].replace('&amp;', '&')}" if older else ""
    assert seen == ids[::-1]
    newest = await staff.get(READERS)
    assert found(newest) == ids[:-21:-1] and "after=" not in newest.text
    skipped = await staff.get(f"{READERS}?after=20200101T000000.000000_{ids[0]}")
    assert found(skipped) == ids[:-21:-1], "without words there is no second page"


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        ("support-token", READERS, 200),
        ("finance-token", READERS, 200),
        ("seller-token", READERS, 403),
        ("other-token", READERS, 404),
        ("support-token", f"{READERS}?after=nowhere", 422),
        ("support-token", f"{READERS}?words=%00", 422),
        ("support-token", f"{READERS}/{UUID(int=7)}", 404),
        ("support-token", f"{READERS}/x", 422),
    ],
)
async def test_who_may_look_and_for_what(world: World, token: str, path: str, status: int) -> None:
    assert (await support(world, token).get(path)).status_code == status


async def test_another_agencys_reader_is_not_there(world: World) -> None:
    [theirs] = await made(world, ("an@example.vn", "An"), agency=OTHER_AGENCY)
    staff = support(world)
    for path in ("", "/sign-out"):
        answer = (
            await staff.get(f"{READERS}/{theirs}")
            if not path
            else await staff.submit(
                f"/r/{AGENCY}/sign-in",
                f"{READERS}/{theirs}{path}",
                {"reason": "x", "confirmed": "true"},
            )
        )
        assert answer.status_code in (403, 404), answer.text


async def test_one_page_has_everything_of_a_reader(world: World) -> None:
    browser, code = await ordered(world, "lan@example.vn")
    await credited(world, code)
    await credited(world, code, 10_000, id_=2)  # nobody's order any more
    open_order = await order(world, browser, "year")
    await world.subscribed("card@example.vn")
    await world.deliver()
    lan = (await person(world, "lan@example.vn")).id
    page = (await support(world).get(f"{READERS}/{lan}")).text
    document = await world.value("SELECT document FROM invoice WHERE reader_id = :id", id=lan)
    for said in (
        *("lan@example.vn", code, open_order, document, "59.000", "10.000"),
        *("Đọc báo không giới hạn", "Toàn bộ báo", "đang đọc được", "23/12/2026"),
        *("Tiền chuyển khoản đang chờ", "chuyển khoản", "203.0.113.0/24"),
    ):
        assert said in page, said
    assert "card@example.vn" not in page
    english = (await support(world).get(f"{READERS}/{lan}?lang=en")).text
    assert "What they may read" in english and "reads now" in english


async def press(
    staff: Browser, page: str, action: str, **data: str
) -> tuple[httpx.Response, httpx.Response]:
    """The answer to the first press, and to the second one."""
    first = await staff.submit(page, action, data)
    return first, await staff.submit(page, action, {**data, "confirmed": "true"})


async def test_a_renewal_is_ended_and_taken_up_again_on_the_readers_behalf(world: World) -> None:
    await world.subscribed("lan@example.vn")
    await world.deliver()
    lan = (await person(world, "lan@example.vn")).id
    row = await world.value("SELECT id FROM subscription")
    page, staff = f"{READERS}/{lan}", support(world)
    for step, said, cancels in (
        ("cancel", "thẻ không bị trừ tiền nữa", True),
        ("resume", "lại bị trừ 59.000", False),
    ):
        action = f"{page}/subscriptions/{row}/{step}"
        nothing = await staff.submit(page, action, {"reason": " ", "confirmed": "true"})
        assert nothing.status_code == 422 and "Hãy ghi lý do" in nothing.text
        first, second = await press(staff, page, action, reason="gọi điện ngày 23/11")
        assert first.status_code == 200 and said in first.text
        assert 'value="gọi điện ngày 23/11"' in first.text, "what was typed stays"
        assert second.status_code == 303, second.text
        assert await world.value("SELECT cancel_at_period_end FROM subscription") is cancels
    told = [one for one in await entries(world.billing.database) if one.subject == f"reader/{lan}"]
    assert [one.action for one in told] == [Action.RENEWAL_ENDED, Action.RENEWAL_RESUMED]
    assert {one.after["why"] for one in told} == {"gọi điện ngày 23/11"}
    shown = (await staff.get(page)).text
    assert "Ngừng tự gia hạn gói của bạn đọc" in shown and "gọi điện ngày 23/11" in shown
    other = await staff.submit(
        page, f"{page}/subscriptions/{uuid4()}/cancel", {"reason": "x", "confirmed": "true"}
    )
    assert other.status_code == 404


async def test_a_term_has_no_renewal_to_end(world: World) -> None:
    _, code = await ordered(world, "lan@example.vn")
    await credited(world, code)
    lan = (await person(world, "lan@example.vn")).id
    row = await world.value("SELECT id FROM subscription")
    page = f"{READERS}/{lan}"
    _, second = await press(support(world), page, f"{page}/subscriptions/{row}/cancel", reason="x")
    assert second.status_code == 409 and "tự kết thúc" in second.text


async def test_a_reader_is_signed_out_everywhere(world: World) -> None:
    phone, desktop = [await world.signed_in("lan@example.vn") for _ in range(2)]
    other = await world.signed_in("minh@example.vn")
    lan = (await person(world, "lan@example.vn")).id
    page, staff = f"{READERS}/{lan}", support(world)
    first, second = await press(staff, page, f"{page}/sign-out", reason="mất điện thoại")
    assert "năm phút" in first.text and second.status_code == 303
    for browser, status in ((phone, 303), (desktop, 303), (other, 200)):
        assert (await browser.get(f"/r/{AGENCY}/account")).status_code == status
    [entry] = [
        one
        for one in await entries(world.billing.database)
        if one.action == Action.READER_SIGNED_OUT
    ]
    assert entry.after == {"devices": 2, "why": "mất điện thoại"}


@pytest.mark.parametrize(("token", "status"), [("tired-token", 403), ("seller-token", 403)])
async def test_who_has_not_the_role_or_not_proved_who_he_is_does_nothing(
    world: World, token: str, status: int
) -> None:
    await world.signed_in("lan@example.vn")
    lan = (await person(world, "lan@example.vn")).id
    answer = await support(world, token).submit(
        f"/r/{AGENCY}/sign-in",
        f"{READERS}/{lan}/sign-out",
        {"reason": "x", "confirmed": "true"},
    )
    assert answer.status_code == status
    assert await world.value("SELECT count(*) FROM reader_session WHERE ended_at IS NULL") == 1


async def test_the_search_stays_quick_with_many_readers(world: World) -> None:
    async with world.billing.database.transaction() as session:
        await session.execute(
            text(
                """INSERT INTO reader (id, agency, email, name, created_at)
                   SELECT gen_random_uuid(), :agency, 'r' || n || '@example.vn', 'Nguyễn Văn ' || n, now()
                   FROM generate_series(1, 20000) n"""
            ),
            {"agency": AGENCY},
        )
    page = await world.billing.desk.find(AGENCY, "nguyễn 19999", limit=50)
    assert [one["email"] for one in page.readers] == ["r19999@example.vn"]
