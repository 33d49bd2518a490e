"""A mailbox gets no more codes than its measure: whatever they are for, and whoever asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.billing.mailboxes import rules
from services.billing.mailboxes import service as mailboxes
from services.billing.mailboxes.service import MailboxBusyError
from shared.ids import new_id
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, World

LAN = "lan@truong.example.vn"
BURST = rules.MAILBOX[0].burst


async def refused(world: World, address: str = LAN, agency: str = AGENCY, **asker: Any) -> int:
    """Count one code; after how many seconds the next may go where there is none left, else 0."""
    now, by = world.clock.now(), asker.get("by", "a network")
    try:
        async with world.billing.database.transaction() as session:
            if reader := asker.get("reader"):
                await mailboxes.count_for_reader(session, agency, address, reader, now)
            else:
                known = asker.get("known", False)
                await mailboxes.count(session, agency, address, by, now, known=known)
    except MailboxBusyError as error:
        return error.seconds
    return 0


async def test_who_asks_too_often_waits_and_others_do_not(world: World) -> None:
    for _ in range(BURST):
        assert not await refused(world)
    wait = await refused(world)
    assert wait == rules.MAILBOX[0].seconds // BURST
    assert await refused(world, "lan+2@truong.example.vn"), "a tag makes no other mailbox"
    for other in ({"by": "another network"}, {"address": "minh@truong.example.vn"}):
        assert not await refused(world, **other)
    assert not await refused(world, agency=OTHER_AGENCY)
    world.clock.advance(timedelta(seconds=wait))
    assert not await refused(world), "one more after the wait"
    assert await refused(world)


async def test_strangers_together_have_a_measure_and_shut_no_known_browser_out(
    world: World,
) -> None:
    for number in range(rules.MAILBOX_ALL[0].burst):
        assert not await refused(world, by=f"network {number}")
    assert await refused(world, by="one more")
    assert await refused(world, reader=new_id()), "readers who name it are strangers too"
    assert not await refused(world, by="a browser", known=True)


async def test_a_reader_has_so_many_codes_a_day_sent_to_whatever_mailboxes(world: World) -> None:
    reader = new_id()
    for number in range(rules.READER.burst):
        assert not await refused(world, f"n{number}@truong.example.vn", reader=reader)
    assert await refused(world, LAN, reader=reader)
    assert not await refused(world, LAN, reader=new_id())
    counted = await world.value(
        "SELECT count(*) FROM rate_bucket WHERE bucket LIKE :like", like=f"%:{AGENCY}:{LAN}"
    )
    assert counted == len(rules.MAILBOX_ALL), "what was refused is not counted"
