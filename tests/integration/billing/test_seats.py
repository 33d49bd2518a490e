"""Groups: who has a seat reads while its owner does, and never more readers than are paid for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.billing.seats.service import Group
from shared.errors import ConflictError
from shared.mail.outbox import recent_mail
from tests.integration.billing.lives import Lives
from tests.integration.billing.paying import credited
from tests.integration.billing.world import AGENCY, GOOD_CARD, Browser, World

DAY = timedelta(days=1)
OWNER, CHILD, OTHER = "me@example.vn", "con@example.vn", "em@example.vn"


class Groups(Lives):
    """Owners and members, as their pages act."""

    async def offer(self, code: str, period: str = "month") -> Any:
        offers = await self.world.billing.plans.offers(AGENCY)
        return next(one for one in offers if (one.plan_code, one.period) == (code, period))

    async def pays(
        self,
        email: str,
        code: str = "gia-dinh",
        period: str = "month",
        *,
        seats: int | None = None,
        card: bool = True,
    ) -> str:
        """An order for a group's plan, paid by card or by transfer. Its code."""
        reader, offer = await self.reader(email), await self.offer(code, period)
        orders = self.world.billing.orders
        order = await orders.start(reader, offer.price_id, "", "vi", renews=card, seats=seats)
        if card:
            await self.world.pay(await self.page(email, order.code), GOOD_CARD)
            await self.world.deliver()
        else:
            await credited(self.world, order.code, order.amount_vnd, id_=self.transfer_id())
        return str(order.code)

    def transfer_id(self) -> int:
        self.transfers_told = getattr(self, "transfers_told", 0) + 1
        return int(self.transfers_told)

    async def group(self, email: str) -> Group:
        found = await self.world.billing.seats.groups(await self.reader(email))
        return found[0]

    async def invites(self, owner: str, email: str) -> UUID:
        group = await self.group(owner)
        seats = self.world.billing.seats
        return (await seats.invite(await self.reader(owner), group.row.id, email)).id

    async def joins(self, owner: str, email: str) -> UUID:
        """Invited and accepted; the seat's id."""
        invitation = await self.invites(owner, email)
        seat = await self.world.billing.seats.accept(await self.reader(email), invitation)
        return seat.id

    async def reads(self) -> set[str]:
        """Who reads everything now."""
        return await self.rights()


@pytest.fixture
def groups(paid_by_transfer: World) -> Groups:
    return Groups(paid_by_transfer)


async def letters(world: World, kind: str) -> list[tuple[Any, ...]]:
    return await world.rows(
        """SELECT coalesce(l.recipient, r.email), l.facts FROM letter l JOIN reader r ON r.id = l.reader_id
           WHERE l.kind = :kind ORDER BY l.created_at, 1""",
        kind=kind,
    )


async def submit(browser: Browser, action: str, **data: Any) -> Any:
    page = f"/r/{AGENCY}/account"
    return await browser.submit(
        page, f"{page}/seats/{action}", {k: str(v) for k, v in data.items()}
    )


async def test_a_family_is_invited_accepts_and_ends_by_its_pages(groups: Groups):
    world = groups.world
    await groups.pays(OWNER)
    group = await groups.group(OWNER)
    assert (group.row.seats, group.taken, group.free) == (4, 1, 3)
    owner = await world.signed_in(OWNER)
    for _ in range(2):  # a second press
        answer = await submit(owner, "invite", subscription=group.row.id, email=" Con@Example.vn ")
        assert answer.headers["location"].endswith("notice=seat-invited#seats")
    assert [one[0] for one in await letters(world, "invited")] == [CHILD], "one letter"
    await world.billing.letters.send_due()
    mail = next(one for one in await recent_mail(world.billing.database) if one.recipient == CHILD)
    link = next(word for word in mail.body.split() if "/invitations/" in word).split("?")[0]
    path = link.removeprefix("http://billing.test")
    shown = await world.browser().get(path)
    assert shown.status_code == 303 and "/sign-in" in shown.headers["location"]
    stranger = await world.signed_in(OTHER)
    page = await stranger.get(path)
    assert "hộp thư khác" in page.text and OWNER not in page.text
    assert (await submit_to(stranger, path)).status_code == 409
    child = await world.signed_in(CHILD)
    assert "Gói gia đình" in (await child.get(path)).text
    for _ in range(2):
        answer = await submit_to(child, path)
        assert answer.status_code == 303, answer.text
    assert await groups.reads() == {OWNER, CHILD}
    listed = (await owner.get(f"/r/{AGENCY}/account")).text
    assert CHILD in listed and "2/4 chỗ" in listed
    assert OWNER in (await child.get(f"/r/{AGENCY}/account")).text
    told = [one["data"] for one in await world.events() if ".entitlement.granted" in one["type"]]
    ids = {(await groups.reader(one)).id for one in (OWNER, CHILD)}
    assert {UUID(one["reader_id"]) for one in told} == ids
    assert [one for one in told if one["subscription_id"] is None], "a member's is no subscription"
    staff = world.browser(press_staff="support-token")
    desk = (await staff.get(f"/staff/{AGENCY}/readers/{(await groups.reader(OWNER)).id}")).text
    assert CHILD in desk and "Chỗ số 2" in desk
    assert (
        OWNER
        in (await staff.get(f"/staff/{AGENCY}/readers/{(await groups.reader(CHILD)).id}")).text
    )
    seat = (await groups.group(OWNER)).members[0].seat_id
    assert (await submit(child, "end", seat=seat)).status_code == 404, "only the owner ends it"
    assert (await submit(stranger, "leave", seat=seat)).status_code == 404
    for _ in range(2):
        answer = await submit(owner, "end", seat=seat)
        assert answer.headers["location"].endswith("notice=seat-is-ended#seats")
    assert await groups.reads() == {OWNER}
    assert [one[0] for one in await letters(world, "seat_ended")] == [CHILD]
    assert (await submit_to(child, path)).status_code == 409, "the invitation was used"
    await world.assert_sound()


async def submit_to(browser: Browser, invitation: str) -> Any:
    account = f"/r/{AGENCY}/account"
    return await browser.submit(account, f"{invitation}/accept", {})


async def test_the_last_seat_is_one_readers_and_the_other_is_told(groups: Groups):
    world, seats = groups.world, groups.world.billing.seats
    await groups.pays(OWNER)
    for number in range(2):
        await groups.joins(OWNER, f"n{number}@example.vn")
    rivals = [CHILD, OTHER]
    invitations = [await groups.invites(OWNER, one) for one in rivals]
    readers = [await groups.reader(one) for one in rivals]
    took = await asyncio.gather(
        *(seats.accept(who, id_) for who, id_ in zip(readers, invitations, strict=True)),
        *(seats.accept(who, id_) for who, id_ in zip(readers, invitations, strict=True)),
        return_exceptions=True,
    )
    refused = [one for one in took if isinstance(one, ConflictError)]
    assert [one.slug for one in refused] == ["seat-full", "seat-full"]
    loser = next(
        r for r, result in zip(rivals, took, strict=False) if isinstance(result, ConflictError)
    )
    browser = await world.signed_in(loser)
    path = f"/r/{AGENCY}/invitations/{invitations[rivals.index(loser)]}"
    assert "nhanh hơn" in (await submit_to(browser, path)).text
    row = (await groups.group(OWNER)).row
    assert len(await groups.reads()) == 4
    member = await groups.reader(loser)
    with pytest.raises(DBAPIError, match="refused"):
        async with world.billing.database.transaction() as session:
            await session.execute(
                text(
                    """INSERT INTO seat (id, agency, subscription_id, reader_id, number, joined_at)
                       VALUES (:reader, :agency, :id, :reader, 5, now())"""
                ),
                {"reader": member.id, "agency": AGENCY, "id": row.id},
            )
    with pytest.raises(DBAPIError, match="more seats taken"):
        async with world.billing.database.transaction() as session:
            await session.execute(
                text("UPDATE subscription SET seats = 3 WHERE id = :id"), {"id": row.id}
            )
    own = next(one for one in rivals if one != loser)
    leaving = await groups.reader(own)
    place = (await world.billing.seats.places(leaving))[0]
    await asyncio.gather(seats.leave(leaving, place.seat_id), seats.leave(leaving, place.seat_id))
    assert own not in await groups.reads()
    await seats.accept(member, invitations[rivals.index(loser)])
    assert loser in await groups.reads()
    await world.assert_sound()


async def test_a_mailbox_gets_a_few_letters_of_a_group_however_they_are_asked_for(groups: Groups):
    """An invitation that is withdrawn and written anew is the same letter to whoever reads the mailbox."""
    await groups.pays(OWNER)
    seats, owner = groups.world.billing.seats, await groups.reader(OWNER)
    for _ in range(5):
        await seats.withdraw(owner, await groups.invites(OWNER, CHILD))
        await groups.world.advance(DAY)
    with pytest.raises(ConflictError) as refused:
        await groups.invites(OWNER, CHILD)
    assert refused.value.slug == "seat-invited-often"
    assert len(await letters(groups.world, "invited")) == 5
    await groups.invites(OWNER, OTHER)
    await groups.world.advance(15 * DAY)
    assert await groups.joins(OWNER, CHILD)


async def test_an_older_code_of_a_domain_that_is_verified_changes_nothing(groups: Groups):
    world = groups.world
    await groups.pays(OWNER, "to-chuc")
    row, owner = (await groups.group(OWNER)).row, await world.signed_in(OWNER)
    codes = []
    for name in ("a", "b"):
        await submit(owner, "domain", subscription=row.id, address=f"{name}@cong-ty.vn")
        codes.append(await world.last_code(f"{name}@cong-ty.vn"))
        await world.advance(timedelta(minutes=1))
    for code, notice in zip(
        codes[::-1], ("seat-domain-verified", "seat-domain-wrong"), strict=True
    ):
        answer = await submit(owner, "domain/verify", subscription=row.id, code=code)
        assert answer.headers["location"].endswith(f"notice={notice}#seats")
    assert [one.domain for one in (await groups.group(OWNER)).domains] == ["cong-ty.vn"]
