"""Networks of a company or a school: asked for by who pays, approved by staff, and a seat for who is there, as long as they are."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from services.billing.invariants.invariant import WHOLE
from services.billing.networks.checks import NetworksAreToldAndEnd
from services.billing.networks.rules import (
    ASKED_A_DAY,
    RANGES_AT_MOST,
    SEEN_FOR,
    RefusedRangeError,
)
from shared.audit import Action, Actor, acting
from shared.errors import ConflictError, NotFoundError
from shared.web.i18n import LANGUAGE_COOKIE
from tests.fixtures.audited import entries
from tests.fixtures.roles import as_superuser
from tests.fixtures.waiting import eventually
from tests.integration.billing.returning import dashboard_refund, reference_of
from tests.integration.billing.test_seats import CHILD, DAY, OTHER, OWNER, Groups, letters, submit
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, Browser, World
from tests.integration.billing.world import form_token as token_of

RANGE, INSIDE, OUTSIDE = "113.160.1.0/24", "113.160.1.9", "113.160.2.9"
SCHOOL, STAFF = "to-chuc", f"/staff/{AGENCY}/networks"
PLANS = f"/r/{AGENCY}/plans"
SECOND = timedelta(seconds=1)


class Offices(Groups):
    """A group, its networks, and who comes from where."""

    @property
    def networks(self) -> Any:
        return self.world.billing.networks

    async def asks(self, owner: str = OWNER, typed: str = RANGE, address: str = INSIDE) -> UUID:
        row = (await self.group(owner)).row
        found = await self.networks.ask(await self.reader(owner), row.id, typed, address)
        return UUID(str(found.id))

    async def approved(self, owner: str = OWNER, typed: str = RANGE) -> UUID:
        id_ = await self.asks(owner, typed)
        await self.approves(id_)
        return id_

    async def approves(self, id_: UUID) -> None:
        with acting(Actor.system("test")):
            await self.networks.approve(AGENCY, id_, "whois: APNIC", "Hà")

    async def stops(self, id_: UUID) -> None:
        with acting(Actor.system("test")):
            await self.networks.stop(AGENCY, id_, "sold")

    async def takes(self, email: str, owner: str = OWNER, address: str = INSIDE) -> Any:
        row = (await self.group(owner)).row
        return await self.world.billing.seats.join(await self.reader(email), row.id, address)

    async def comes(self, email: str, address: str = INSIDE) -> None:
        await self.networks.seen(await self.reader(email), address)

    async def told(self) -> list[tuple[int, list[Any], list[Any]]]:
        """(version, ranges, readable) as they were told, one group's or several'."""
        return [
            (one["version"], one["data"]["ranges"], one["data"]["readable"])
            for one in await self.world.events()
            if one["type"].endswith("billing.networks.changed.v1")
        ]


@pytest.fixture
def offices(paid_by_transfer: World) -> Offices:
    return Offices(paid_by_transfer)


ADDRESSES = ["113.160.1.0", "113.160.1.255"]


def page_of(id_: Any) -> str:
    return f"/r/{AGENCY}/account/seats/{id_}/networks"


async def in_english(browser: Browser) -> Browser:
    browser.client.cookies.set(LANGUAGE_COOKIE, "en")
    return browser


async def test_a_range_is_asked_for_approved_and_used_by_its_pages(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=5)
    group = (await offices.group(OWNER)).row
    page = page_of(group.id)
    owner = await in_english(await world.signed_in(OWNER, address=INSIDE))
    assert f"{page}" in (await owner.get(f"/r/{AGENCY}/account")).text
    assert f"You come from {INSIDE} now" in (await owner.get(page)).text
    wrong = await owner.submit(page, page, {"range": "113.160.1.9/24"})
    assert wrong.status_code == 422 and "Did you mean 113.160.1.0/24?" in wrong.text
    assert 'value="113.160.1.9/24"' in wrong.text, "what was typed is there to be mended"
    for _ in range(2):  # a second press
        done = await owner.submit(page, page, {"range": " 113.160.1.0 – 113.160.1.255 "})
        assert done.headers["location"] == f"{page}?notice=network-asked"
    assert await world.value("SELECT count(*) FROM seat_network") == 1
    shown = (await owner.get(page)).text
    assert RANGE in shown and "256 addresses" in shown and "waits for our staff" in shown
    stranger = await world.signed_in(OTHER, address=INSIDE)
    for answer in (
        await stranger.get(page),
        await stranger.submit(f"/r/{AGENCY}/account", page, {"range": RANGE}),
        await submit(stranger, "join", subscription=group.id),
    ):
        assert answer.status_code == 404, "it is not theirs, and not approved"

    id_ = await world.value("SELECT id FROM seat_network")
    support = await in_english(world.browser(press_staff="support-token"))
    queue = (await support.get(STAFF)).text
    assert f"Asked from {INSIDE}" in queue and "not within the range" not in queue
    once = await support.submit(STAFF, f"{STAFF}/{id_}/approve", {"reason": "whois"})
    assert once.status_code == 200 and await offices.told() == [], "the first press asks"
    blank = {"reason": "  ", "confirmed": "true"}
    assert (await support.submit(STAFF, f"{STAFF}/{id_}/approve", blank)).status_code == 422
    sent = {"reason": "whois: APNIC, Trường Hưng Yên", "confirmed": "true"}
    done = await support.submit(STAFF, f"{STAFF}/{id_}/approve", sent)
    assert done.headers["location"] == f"{STAFF}?notice=approved"
    again = await support.submit(STAFF, f"{STAFF}/{id_}/approve", sent)
    assert again.status_code == 409 and "decided on or withdrawn" in again.text
    [entry] = [
        e for e in await entries(world.billing.database) if e.action == Action.NETWORK_APPROVED
    ]
    assert entry.after == {"range": RANGE, "state": "approved", "why": sent["reason"]}
    assert entry.before["asked_from_within"] is True
    assert await world.rows("SELECT asked_from, approved_by FROM seat_network") == [
        (None, "support-token")
    ]
    [(to, facts)] = await letters(world, "network")
    assert (to, facts["state"], facts["why"]) == (OWNER, "approved", "")
    [(version, ranges, [[_, until]])] = await offices.told()
    ends = await world.value("SELECT max(valid_until) FROM entitlement WHERE NOT revoked")
    assert (version, ranges) == (1, [ADDRESSES]) and datetime.fromisoformat(until) == ends

    offered = "The network that you are on pays for"
    assert offered in (await (await in_english(stranger)).get(PLANS)).text
    outside = await in_english(await world.signed_in(CHILD, address=OUTSIDE))
    assert offered not in (await outside.get(PLANS)).text
    assert (await submit(outside, "join", subscription=group.id)).status_code == 404
    for _ in range(2):
        answer = await submit(stranger, "join", subscription=group.id)
        assert answer.headers["location"].endswith("notice=seat-taken-up#seats")
    assert await offices.reads() == {OWNER, OTHER}
    assert await world.rows("SELECT network_id, invitation_id FROM seat") == [(id_, None)]
    account = (await stranger.get(f"/r/{AGENCY}/account")).text
    assert "It ends on 23" in account
    mine = (await owner.get(page)).text
    assert OTHER in mine and "the seat ends on 23" in mine
    seat = await world.value("SELECT id FROM seat")
    await submit(owner, "end", seat=seat)
    assert await offices.reads() == {OWNER}
    assert offered not in (await stranger.get(PLANS)).text, "put out by the owner"
    answer = await submit(stranger, "join", subscription=group.id)
    assert "notice=seat-ended" in answer.headers["location"]

    ended = {"reason": "moved", "confirmed": "true"}
    done = await support.submit(STAFF, f"{STAFF}/{id_}/end", ended)
    assert done.headers["location"] == f"{STAFF}?notice=ended"
    assert [one[:2] for one in await offices.told()] == [(1, [ADDRESSES]), (2, [])]
    assert "moved" in (await owner.get(page)).text
    await world.assert_sound()


async def test_where_somebody_comes_from_is_what_the_proxies_say_and_nothing_else(
    offices: Offices,
) -> None:
    """Who writes an address of the network into a header of their own is not there."""
    await offices.pays(OWNER, SCHOOL, seats=5)
    await offices.approved()
    group = (await offices.group(OWNER)).row.id
    browser = await offices.world.signed_in(CHILD, address=OUTSIDE)

    async def joins(hops: int, *forwarded: str) -> int:
        app = offices.world.with_settings(forwarded_hops=hops)
        transport = browser.client._transport
        transport.app = app  # type: ignore[attr-defined]
        headers = [("Origin", OWN), *(("X-Forwarded-For", one) for one in forwarded)]
        page = await browser.client.get(PLANS, headers=headers)
        data = {"csrf_token": token_of(page.text), "subscription": str(group)}
        where = f"/r/{AGENCY}/account/seats/join"
        answer = await browser.client.post(where, data=data, headers=headers)
        return answer.status_code

    for hops, forwarded in (
        (0, (INSIDE,)),
        (1, (f"{INSIDE}, {OUTSIDE}",)),
        (1, (INSIDE, OUTSIDE)),
        (2, (f"{INSIDE}, {OUTSIDE}, 203.0.113.1",)),
        (1, ("not an address",)),
    ):
        assert await joins(hops, *forwarded) == 404, (hops, forwarded)
    assert await joins(1, f"{OUTSIDE}, ::ffff:{INSIDE}") == 303
    assert await offices.reads() == {OWNER, CHILD}


async def test_what_cannot_be_asked_for(offices: Offices):
    world, networks = offices.world, offices.networks
    await offices.pays(OWNER, SCHOOL, seats=5)
    await offices.pays(OTHER, SCHOOL, seats=5)
    await offices.pays(CHILD, "gia-dinh")
    owner, row = await offices.reader(OWNER), (await offices.group(OWNER)).row.id
    with pytest.raises(RefusedRangeError) as wrong:
        await networks.ask(owner, row, "192.168.1.0/24", INSIDE)
    assert wrong.value.slug == "network-private"
    for reader, group in ((OTHER, OWNER), (CHILD, CHILD), (OWNER, CHILD)):
        with pytest.raises(NotFoundError):  # another's group; a family
            await networks.ask(
                await offices.reader(reader), (await offices.group(group)).row.id, RANGE, ""
            )
    with pytest.raises(NotFoundError):
        await networks.of_group(await offices.reader(CHILD), (await offices.group(CHILD)).row.id)
    waiting = await offices.asks()
    rival = await offices.asks(OTHER, address=OUTSIDE)  # both wait: staff decide whose it is
    support = await in_english(world.browser(press_staff="support-token"))
    assert "not within the range" in (await support.get(STAFF)).text
    await offices.approves(waiting)
    with pytest.raises(ConflictError) as taken:
        await offices.approves(rival)
    assert taken.value.slug == "network-taken"
    await networks.end(await offices.reader(OTHER), rival)

    async def slug(owner: str, typed: str) -> str:
        with pytest.raises(ConflictError) as refused:
            await offices.asks(owner, typed)
        return refused.value.slug

    for part in ("113.160.1.0/25", "113.160.1.255", "113.160.0.255-113.160.1.0", RANGE):
        assert await slug(OWNER, part) == "network-known"
    assert await slug(OTHER, "113.160.1.255-113.160.2.5") == "network-taken"
    await offices.asks(OTHER, "113.160.2.0")
    for number in range(RANGES_AT_MOST - 1):
        await offices.asks(OWNER, f"113.160.9.{number}")
    assert await slug(OWNER, "113.160.9.99") == "network-many"
    for number in range(ASKED_A_DAY - RANGES_AT_MOST):
        await networks.end(owner, await _own(world, row))
        await offices.asks(OWNER, f"113.160.8.{number}")
    await networks.end(owner, await _own(world, row))
    assert await slug(OWNER, "113.160.8.99") == "network-often"
    with pytest.raises(NotFoundError):
        await networks.end(await offices.reader(OTHER), waiting)


async def _own(world: World, group: UUID) -> UUID:
    """A range of a group that waits."""
    found: UUID = await world.value(
        """SELECT id FROM seat_network WHERE subscription_id = :id AND ended_at IS NULL AND approved_at IS NULL
           ORDER BY id LIMIT 1""",
        id=group,
    )
    return found


async def test_a_seat_by_a_network_is_kept_for_thirty_days_after_the_last_visit(offices: Offices):
    world, networks = offices.world, offices.networks
    await offices.pays(OWNER, f"{SCHOOL}", "year", seats=5, card=False)
    id_ = await offices.approved()
    await offices.approved(typed="2400:db00::1-2400:db00:0:1::")
    seat = await offices.takes(CHILD)
    await offices.takes(OTHER)
    await world.advance(10 * DAY)
    await offices.comes(CHILD)
    await offices.comes(OTHER, OUTSIDE)
    await world.advance(20 * DAY - SECOND)
    assert await networks.run_due() == 0
    assert await offices.reads() == {OWNER, CHILD, OTHER}
    await world.advance(SECOND)
    assert await networks.run_due() == 1 and await networks.run_due() == 0
    assert await offices.reads() == {OWNER, CHILD}, "who was there again keeps it"
    assert [(to, facts["by"]) for to, facts in await letters(world, "seat_ended")] == [
        (OTHER, "network")
    ]
    assert await world.value("SELECT number FROM seat WHERE ended_at IS NULL") == 2
    await offices.takes(OTHER)
    assert await offices.reads() == {OWNER, CHILD, OTHER}, "back in the office"
    long_ago = "UPDATE seat SET seen_at = seen_at - interval '31 days', joined_at = joined_at - interval '99 days'"
    intruder = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        for harm, found in (
            ("UPDATE seat_network SET last_ip = '113.160.1.254' WHERE family(first_ip) = 4", 1),
            ("UPDATE subscription SET state = 'expired'", 2),
            (f"{long_ago} WHERE id = '{seat.id}'", 1),
        ):
            change = intruder.transaction()
            await change.start()
            await intruder.execute(harm)
            assert await intruder.fetchval(_counted(world)) == found, harm
            await change.rollback()
        assert await intruder.fetchval(_counted(world)) == 0
    finally:
        await intruder.close()
    # A range that has ended is no place to be seen; what was had by it runs out.
    await offices.stops(id_)
    await world.advance(9 * DAY)
    for one in (CHILD, OTHER):
        await offices.comes(one)
    await world.advance(SECOND)
    assert await networks.run_due() == 0
    await world.advance(DAY)
    assert await networks.run_due() == 1 and await offices.reads() == {OWNER, OTHER}
    await world.assert_sound()


async def test_the_website_and_the_pages_see_who_is_there(offices: Offices):
    """An article that is read in the office keeps the seat; one that is read at home does not."""
    world = offices.world
    await offices.pays(OWNER, SCHOOL, "year", seats=5, card=False)
    await offices.approved()
    await offices.takes(CHILD)
    home = await world.signed_in(CHILD, address=OUTSIDE)
    office = await world.signed_in(CHILD, address=INSIDE)

    async def seen() -> datetime:
        found: datetime = await world.value("SELECT seen_at FROM seat")
        return found

    for browser, path, renews in (
        (home, f"/v1/agencies/{AGENCY}/session", False),
        (home, PLANS, False),
        (office, f"/v1/agencies/{AGENCY}/session", True),
        (office, PLANS, True),
        (office, f"/r/{AGENCY}/account", True),
    ):
        await world.advance(2 * DAY)
        before = await seen()
        assert (await browser.get(path)).status_code == 200
        assert await seen() == (world.clock.now() if renews else before), path
    fresh = await world.signed_in(OTHER, address=INSIDE)
    await submit(fresh, "join", subscription=(await offices.group(OWNER)).row.id)
    await world.advance(2 * DAY)
    again = await world.signed_in(OTHER, address=INSIDE)
    await again.get(f"/v1/agencies/{AGENCY}/session")
    last = await world.value("SELECT max(seen_at) FROM seat")
    assert last == world.clock.now(), "also in the first hour of a session"


async def test_who_is_invited_keeps_the_seat_wherever_they_are(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, "year", seats=5, card=False)
    await offices.approved()
    seat = await offices.takes(CHILD)
    with pytest.raises(ConflictError):  # who has a seat needs no invitation
        await offices.invites(OWNER, CHILD)
    invitation = await offices.invites(OWNER, OTHER)
    taken = await offices.takes(OTHER)
    assert not await world.billing.seat_domains.has_seat(await offices.reader(OTHER))
    accepted = await world.billing.seats.accept(await offices.reader(OTHER), invitation)
    assert accepted.id == taken.id, "the same seat"
    await world.advance(SEEN_FOR)
    assert await offices.networks.run_due() == 1
    assert await offices.reads() == {OWNER, OTHER}
    assert await world.value("SELECT ended_by FROM seat WHERE id = :id", id=seat.id) == "network"
    async with world.billing.database.transaction() as session:
        with pytest.raises(Exception, match="is refused"):
            await session.execute(
                text("UPDATE seat SET network_id = (SELECT id FROM seat_network), seen_at = now()")
            )
    await world.assert_sound()


async def test_the_last_seat_is_one_readers_also_by_a_network(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=5)
    await offices.approved()
    for number in range(3):
        await offices.takes(f"n{number}@example.vn")
    rivals = [CHILD, OTHER]
    invitation = await offices.invites(OWNER, CHILD)
    readers = [await offices.reader(one) for one in rivals]
    group = (await offices.group(OWNER)).row.id
    seats = world.billing.seats
    took = await asyncio.gather(
        *(seats.join(readers[1], group, INSIDE) for _ in range(2)),
        seats.accept(readers[0], invitation),
        return_exceptions=True,
    )
    won = [one for one in took if not isinstance(one, BaseException)]
    assert len({one.id for one in won}) == 1
    assert {one.slug for one in took if isinstance(one, ConflictError)} == {"seat-full"}
    assert len(await offices.reads()) == 5
    await world.assert_sound()


async def test_staff_approve_while_the_owner_withdraws_and_two_groups_want_one_range(
    offices: Offices,
) -> None:
    world, networks = offices.world, offices.networks
    await offices.pays(OWNER, SCHOOL, seats=5)
    await offices.pays(OTHER, SCHOOL, seats=5)
    owner = await offices.reader(OWNER)
    for _ in range(3):
        id_ = await offices.asks()
        done = await asyncio.gather(
            offices.approves(id_), networks.end(owner, id_), return_exceptions=True
        )
        assert done[1] is None, "an owner can always let go"
        assert done[0] is None or getattr(done[0], "slug", "") == "network-over"
        assert await world.value("SELECT count(*) FROM seat_network WHERE ended_at IS NULL") == 0
        told = await offices.told()
        assert [one[0] for one in told] == list(range(1, len(told) + 1))
        assert told == [] or told[-1][1] == [], "nothing is open"
        await world.advance(SECOND)
    wanted = [await offices.asks(), await offices.asks(OTHER, "113.160.1.200-113.160.3.1")]
    done = await asyncio.gather(*(offices.approves(one) for one in wanted), return_exceptions=True)
    assert sorted(getattr(one, "slug", "") for one in done) == ["", "network-taken"]
    lost = wanted[0 if done[0] else 1]
    # The table refuses it too, whoever asks.
    with pytest.raises(Exception, match="ex_seat_network_overlap"):
        async with world.billing.database.transaction() as session:
            await session.execute(
                text(
                    """UPDATE seat_network SET approved_at = asked_at, approved_by = 'x', evidence = 'x', asked_from = NULL
                       WHERE id = :id"""
                ),
                {"id": lost},
            )
    await world.assert_sound()


async def test_networks_end_with_the_plan_and_are_told_as_it_runs(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=5)
    await offices.approved()
    await offices.takes(CHILD)
    waiting = await offices.asks(typed="113.160.7.0/24")
    await world.advance(31 * DAY)
    await world.deliver()
    first, second = await offices.told()
    assert (first[0], second[0]) == (1, 2) and first[2][0][0] == second[2][0][0]
    assert datetime.fromisoformat(second[2][0][1]) > datetime.fromisoformat(first[2][0][1])
    await dashboard_refund(world, await reference_of(world, OWNER))
    await world.deliver()
    assert await offices.reads() == set()
    assert await world.rows("SELECT DISTINCT ended_by FROM seat_network") == [("plan",)]
    told = await offices.told()
    assert told[-1][1:] == ([], []) and [one[0] for one in told] == list(range(1, len(told) + 1))
    with pytest.raises(ConflictError) as refused:
        await offices.approves(waiting)
    assert refused.value.slug == "network-over"
    with pytest.raises(ConflictError) as over:
        await offices.asks()
    assert over.value.slug == "seat-over"
    with pytest.raises(NotFoundError):
        await offices.takes(OTHER)
    assert await offices.networks.run_due() == 1, "also of a plan that is over"
    await world.assert_sound()


async def test_a_plan_of_another_kind_that_follows_has_no_networks(offices: Offices):
    """A school's term, and a family's paid for to follow it."""
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=5, card=False)
    await offices.approved()
    ends = await world.value("SELECT max(period_end) FROM payment")
    await offices.pays(OWNER, "gia-dinh", card=False)
    told = await offices.told()
    assert [datetime.fromisoformat(one[2][-1][1]) for one in told] == [ends] * len(told)
    assert await world.value("SELECT count(*) FROM seat_network WHERE ended_at IS NULL") == 1
    await world.advance(ends - world.clock.now())
    await world.deliver()
    assert await world.value("SELECT ended_by FROM seat_network") == "plan"
    assert (await offices.told())[-1][1] == []
    await world.assert_sound()


async def test_a_period_for_fewer_readers_ends_the_newest_seats_by_network_too(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=6)
    await offices.approved()
    names = [f"n{number}@example.vn" for number in range(5)]
    for name in names:
        await offices.takes(name)
    row, owner, offer = (
        await offices.live(OWNER),
        await offices.reader(OWNER),
        await offices.offer(SCHOOL),
    )
    assert row is not None
    await world.billing.seats.end(owner, (await offices.group(OWNER)).members[0].seat_id)
    await world.billing.changes.confirm(owner, row.id, offer.price_id, 0, "vi", 5)
    with pytest.raises(ConflictError) as refused:
        await offices.takes(CHILD)
    assert refused.value.slug == "seat-full", "of the next period's seats none is left"
    await world.advance(20 * DAY)
    for name in names[1:]:
        await offices.comes(name)
    await world.advance(12 * DAY)
    await world.deliver()
    assert await offices.reads() == {OWNER, *names[1:]}
    await world.assert_sound()


def _counted(world: World) -> str:
    """What the invariant finds, of all agencies and now."""
    sql = NetworksAreToldAndEnd().sql(WHOLE).replace(":now", f"'{world.clock.now().isoformat()}'")
    return f"SELECT coalesce(sum(count), 0) FROM ({sql}) AS found"


async def waiters(world: World, count: int) -> None:
    """So many wait for a lock of a reader's."""

    async def wait() -> bool:
        found = await world.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        return bool(found == count)

    await eventually(wait, f"{count} wait")


async def test_who_comes_back_while_their_seat_ends_keeps_it(offices: Offices):
    """The clock has found the seat due; before it has the lock its reader is on the network again."""
    world, networks = offices.world, offices.networks
    await offices.pays(OWNER, SCHOOL, "year", seats=5, card=False)
    await offices.approved()
    await offices.takes(CHILD)
    await world.advance(SEEN_FOR)
    owner = await offices.reader(OWNER)
    held = await asyncpg.connect(world.billing.settings.database_url.replace("+asyncpg", ""))
    try:
        holding = held.transaction()
        await holding.start()
        await held.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 11)), "
            "pg_advisory_xact_lock(hashtextextended($2, 11))",
            str(owner.id),
            str((await offices.reader(CHILD)).id),
        )
        coming = asyncio.create_task(offices.comes(CHILD))
        await waiters(world, 1)
        ending = asyncio.create_task(networks.run_due())
        await waiters(world, 2)
        await holding.commit()
        await coming
        assert await ending == 0
    finally:
        await held.close()
    assert await offices.reads() == {OWNER, CHILD}


async def test_the_owners_data_is_deleted_and_the_ranges_with_it(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=5)
    await offices.approved()
    await offices.asks(typed="113.160.7.7", address=OUTSIDE)
    seat = await offices.takes(CHILD)
    owner = await offices.reader(OWNER)
    copied = [one async for one in _section(world, "group_networks", owner)]
    assert [(one["first_address"], one["asked_from"]) for one in copied] == [
        ("113.160.1.0", None),
        ("113.160.7.7", OUTSIDE),
    ]
    await world.billing.seats.end(owner, seat.id)
    await offices.cancels(OWNER)
    await world.advance(40 * DAY)
    await world.deliver()
    with acting(Actor.system("test")):
        await world.billing.erasing.on_request(AGENCY, owner.id, "letter 7")
    assert (
        await world.rows("SELECT first_ip, last_ip, asked_from FROM seat_network")
        == [(None, None, None)] * 2
    )
    assert await world.rows("SELECT told FROM seat_network_told") == [({},)]
    assert (await world.billing.networks.queue(AGENCY)).ended == []
    await world.assert_sound()


async def _section(world: World, name: str, reader: Any) -> Any:
    from services.billing.mydata import repository

    async with world.billing.database.read() as session:
        async for row in repository.rows(session, name, reader):
            yield row


async def test_another_agencys_staff_and_who_has_not_the_role_decide_nothing(offices: Offices):
    world = offices.world
    await offices.pays(OWNER, SCHOOL, seats=5)
    id_ = await offices.approved()
    theirs = world.browser(press_staff="other-token")
    page, books = f"/staff/{OTHER_AGENCY}/networks", f"/staff/{OTHER_AGENCY}/books"
    assert RANGE not in (await theirs.get(page)).text
    for act in ("approve", "refuse", "end"):
        sent = {"reason": "x", "confirmed": "true"}
        answer = await theirs.submit(books, f"{page}/{id_}/{act}", sent)
        assert answer.status_code == 404
    seller = world.browser(press_staff="seller-token")
    assert (await seller.get(STAFF)).status_code == 403
    assert [one[0] for one in await offices.told()] == [1]
