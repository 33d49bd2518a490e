"""What members of a group read through their owner's renewals, grace, pause, refunds, changes of plan and end; and what is booked."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from services.billing import demo_groups
from services.billing.mailboxes.rules import CODE_TRIES, MAILBOX
from services.billing.mailboxes.service import MailboxBusyError
from services.billing.offers.rules import Kind, Terms
from services.billing.seats import rules
from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.mail.outbox import recent_mail
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import broken
from tests.integration.billing.lives import API
from tests.integration.billing.paying import credited
from tests.integration.billing.renewing import arrive, due, told
from tests.integration.billing.test_seats import (
    CHILD,
    DAY,
    OTHER,
    OWNER,
    Groups,
    letters,
    submit,
)
from tests.integration.billing.world import AGENCY, FAILS_ON_RENEWAL, World

STUDENTS = Terms(
    id=UUID(int=1),
    price_id=UUID(int=2),
    kind=Kind.STUDENT,
    amount_vnd=1_000,
    periods=None,
    valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    valid_until=None,
    lapsed_days=None,
    again_days=None,
    domains=("truong.example.vn",),
    ended_at=None,
)


@pytest.fixture
def groups(paid_by_transfer: World) -> Groups:
    return Groups(paid_by_transfer)


async def passes(groups: Groups, by: timedelta, reading: set[str]) -> None:
    """Time goes by, what is due is done, and these read; every invariant holds."""
    await groups.world.advance(by)
    await groups.world.deliver()
    assert await groups.reads() == reading
    await groups.world.assert_sound()


async def test_members_read_in_the_stretches_of_their_owner(groups: Groups):
    world, wishes = groups.world, groups.world.billing.wishes
    both = {OWNER, CHILD}
    await groups.pays(OWNER)
    await world.advance(3 * DAY)
    seat = await groups.joins(OWNER, CHILD)
    await groups.buys(CHILD, "week")  # a plan of the member's own, beside the seat
    await world.deliver()
    own = (await groups.live(CHILD)).id
    await wishes.cancel(AGENCY, (await groups.reader(CHILD)).id, own)
    await passes(groups, 28 * DAY, both)  # renewed once
    row = await groups.live(OWNER)
    assert (row.seats, row.mrr_vnd) == (4, 119_000)
    assert (
        await world.value("SELECT count(*) FROM sales_order WHERE seats = 4 AND state = 'paid'")
        == 2
    )
    await groups.pauses(OWNER, date(2027, 2, 10))
    await passes(groups, 30 * DAY, set())
    await groups.resumes(OWNER)
    await passes(groups, timedelta(hours=1), both)
    await groups.gives_card(OWNER, FAILS_ON_RENEWAL)
    await world.deliver()
    await passes(groups, 31 * DAY, both)
    assert (await groups.live(OWNER)).state == "grace"
    await passes(groups, 7 * DAY, set())
    assert (await groups.subscriptions(OWNER))[0].state == "expired"
    assert [one[0] for one in await letters(world, "group_ended")] == [CHILD]
    with pytest.raises(ConflictError) as refused:
        await groups.invites(OWNER, OTHER)
    assert refused.value.slug == "seat-over"
    newest = await world.value(
        "SELECT reference FROM payment WHERE amount_vnd = 119000 ORDER BY period_start DESC LIMIT 1"
    )
    first = await world.value(
        "SELECT reference FROM payment WHERE amount_vnd = 119000 ORDER BY period_start LIMIT 1"
    )
    for reference in (first, newest):
        data = {"payment_intent": reference}
        assert (await world.payer.post("/v1/refunds", data=data, headers=API)).status_code == 200
    await passes(groups, timedelta(hours=1), set())
    rights = await world.rows(
        "SELECT reader_id, valid_from, valid_until, revoked FROM entitlement WHERE plan_code = 'gia-dinh'"
    )
    child = (await groups.reader(CHILD)).id
    joined = await world.value("SELECT joined_at FROM seat WHERE id = :id", id=seat)
    of_owner = {
        (max(one[1], joined), one[2], one[3])
        for one in rights
        if one[0] != child and one[2] > joined
    }
    assert {one[1:] for one in rights if one[0] == child} == of_owner, "the same stretches"
    assert await world.value("SELECT count(*) FROM payment WHERE reader_id = :id", id=child) == 1
    intruder = await asyncpg.connect(as_superuser(world.billing.settings.database_url))
    try:
        await intruder.execute("SET session_replication_role = replica")
        for harm, fires in (
            (
                "UPDATE entitlement SET valid_until = valid_until + interval '900 days', revoked = false WHERE seat_id IS NOT NULL",
                "members_read_as_their_owners",
            ),
            ("UPDATE subscription SET seats = 1 WHERE seats > 1", "seats_are_paid_for"),
        ):
            async with intruder.transaction():
                await intruder.execute(harm)
            assert fires in await broken(world.billing), fires
    finally:
        await intruder.close()


async def test_a_term_of_fewer_readers_ends_the_newest_seats_when_it_begins(groups: Groups):
    world = groups.world
    await groups.pays(OWNER, card=False)
    await groups.joins(OWNER, CHILD)
    last = await groups.joins(OWNER, OTHER)
    assert await groups.reads() == {OWNER, CHILD, OTHER}
    order = await groups.chooses(OWNER, "month", renews=False)  # a plan for one, to follow
    await credited(world, order.code, order.amount_vnd, id_=77)
    assert (await groups.group(OWNER)).row.seats == 4, "the one that runs"
    await passes(groups, 29 * DAY, {OWNER, CHILD, OTHER})
    await passes(groups, 2 * DAY, {OWNER})
    told = await letters(world, "seat_ended")
    assert [(one[0], one[1]["by"]) for one in told] == [(CHILD, "plan"), (OTHER, "plan")]
    assert await world.value("SELECT ended_by FROM seat WHERE id = :id", id=last) == "plan"
    assert await world.billing.seats.groups(await groups.reader(OWNER)) == []


async def test_another_plan_that_is_to_follow_changes_nothing_of_the_one_that_runs(
    groups: Groups,
) -> None:
    """A school's term, and one for a single reader paid for to follow it: until then it is the school's, by its name and its domain."""
    world, seats, school = groups.world, groups.world.billing.seats, "Gói cơ quan, trường học"
    await groups.pays(OWNER, "to-chuc", card=False)
    order = await groups.chooses(OWNER, "month", renews=False)
    await credited(world, order.code, order.amount_vnd, id_=77)
    row, owner = (await groups.group(OWNER)).row, await world.signed_in(OWNER)
    one = "an@truong.example.vn"
    await submit(owner, "domain", subscription=row.id, address=one)
    code = await world.last_code(one)
    answer = await submit(owner, "domain/verify", subscription=row.id, code=code)
    assert answer.headers["location"].endswith("notice=seat-domain-verified#seats")
    reader = await groups.reader(one)
    assert [found.name_vi for found in await seats.open_groups(reader)] == [school]
    await seats.join(reader, row.id)
    invitation = await groups.invites(OWNER, CHILD)
    child = await groups.reader(CHILD)
    assert (await seats.invited(child, invitation)).offer.name_vi == school
    await seats.accept(child, invitation)
    assert (await groups.group(OWNER)).offer.name_vi == school
    assert [place.name_vi for place in await seats.places(child)] == [school]
    await passes(groups, 31 * DAY, {OWNER})
    told = await letters(world, "invited") + await letters(world, "seat_ended")
    assert [(to, facts["plan"]["vi"]) for to, facts in told] == [
        (CHILD, school),
        (one, school),
        (CHILD, school),
    ]


async def test_a_company_orders_seats_changes_their_number_and_is_invoiced_for_them(groups: Groups):
    world, changes = groups.world, groups.world.billing.changes
    offer, reader = await groups.offer("to-chuc"), await groups.reader(OWNER)
    for number in (4, 1001, 0):
        with pytest.raises(ConflictError) as refused:
            await world.billing.orders.start(
                reader, offer.price_id, "", "vi", renews=True, seats=number
            )
        assert refused.value.slug == "seats-number"
    with pytest.raises(NotFoundError):
        await world.billing.orders.start(reader, offer.price_id, "", "vi", gift=True)
    await groups.pays(OWNER, "to-chuc", seats=6)
    line = "SELECT quantity, unit_gross_vnd, gross_vnd FROM invoice_line ORDER BY invoice_id DESC LIMIT 1"
    assert await world.rows(line) == [(6, 45_000, 270_000)]
    row = await groups.live(OWNER)
    assert (row.seats, row.mrr_vnd) == (6, 270_000)
    for number in range(4):
        await groups.joins(OWNER, f"n{number}@xa.example.vn")
    with pytest.raises(ConflictError) as refused:
        await changes.preview(reader, row.id, (await groups.offer("gia-dinh")).price_id)
    assert refused.value.slug == "seats-taken"
    with pytest.raises(ConflictError) as refused:
        await changes.preview(reader, row.id, offer.price_id)
    assert refused.value.slug == "same-plan"
    await world.advance(timedelta(minutes=5))
    more = await changes.preview(reader, row.id, offer.price_id, 8)
    assert more.at_once and more.pay_vnd == 8 * 45_000 - more.credit_vnd
    await changes.confirm(reader, row.id, offer.price_id, more.pay_vnd, "vi", 8)
    await world.deliver()
    row = await groups.live(OWNER)
    assert (row.seats, row.mrr_vnd) == (8, 360_000)
    assert (await world.rows(line))[0] == (8, more.pay_vnd // 8, more.pay_vnd) or more.pay_vnd % 8
    await world.assert_sound()
    fewer = await changes.preview(reader, row.id, offer.price_id, 5)
    assert not fewer.at_once
    await changes.confirm(reader, row.id, offer.price_id, 0, "vi", 5)
    invitation = await groups.invites(OWNER, CHILD)
    with pytest.raises(ConflictError) as refused:  # the next period has no seat for them
        await world.billing.seats.accept(await groups.reader(CHILD), invitation)
    assert refused.value.slug == "seat-full"
    await passes(groups, 32 * DAY, {OWNER, *(f"n{number}@xa.example.vn" for number in range(4))})
    row = await groups.live(OWNER)
    assert (row.seats, row.mrr_vnd, row.next_seats) == (5, 225_000, None)
    found = await world.billing.insight.month(AGENCY, date(2026, 12, 1))
    assert found.paid.active == 1, "the owner is the payer"


async def test_a_verified_mail_domain_lets_its_readers_take_seats(groups: Groups):
    world, seats, domains = (
        groups.world,
        groups.world.billing.seats,
        groups.world.billing.seat_domains,
    )
    await groups.pays(OWNER, "to-chuc", seats=5)
    group = await groups.group(OWNER)
    owner = await world.signed_in(OWNER)
    for address, notice in (
        ("an@gmail.com", "seat-domain-public"),
        ("an@yahoo.com.vn", "seat-domain-public"),
        ("no address", "seat-address"),
    ):
        answer = await submit(owner, "domain", subscription=group.row.id, address=address)
        assert answer.headers["location"].endswith(f"notice={notice}#seats"), address
    one = "an@truong.example.vn"
    answer = await submit(owner, "domain", subscription=group.row.id, address=one)
    assert answer.headers["location"].endswith("seat-domain-sent#seats")
    mail = next(m for m in await recent_mail(world.billing.database) if m.recipient == one)
    code, reader = mail.subject.split(" ", 1)[0], await groups.reader(OWNER)
    member = await groups.reader(one)
    assert await seats.open_groups(member) == [], "not before the code came back"
    with pytest.raises(NotFoundError):
        await seats.join(member, group.row.id)
    with pytest.raises(NotFoundError):
        await domains.verify(member, group.row.id, code)
    for _ in range(CODE_TRIES):
        assert not await domains.verify(
            reader, group.row.id, "00000000" if code != "00000000" else "1"
        )
    assert not await domains.verify(reader, group.row.id, code), "guessed at too often"
    await submit(owner, "domain", subscription=group.row.id, address=one)
    code = next(
        m
        for m in await recent_mail(world.billing.database)
        if m.recipient == one and not m.subject.startswith(code)
    ).subject.split(" ", 1)[0]
    answer = await submit(
        owner,
        "domain/verify",
        subscription=group.row.id,
        code=f"Mã là {code[:4]} {code[4:]}, có hạn 10 phút",
    )
    assert answer.headers["location"].endswith("seat-domain-verified#seats")
    assert await world.value("SELECT count(*) FROM seat_domain") == 1, "the code before is gone"
    for address in ("x@sub.truong.example.vn", "x@truong.example.vn.evil.vn", CHILD):
        assert await seats.open_groups(await groups.reader(address)) == []
        with pytest.raises(NotFoundError):
            await seats.join(await groups.reader(address), group.row.id)
    browser = await world.signed_in(one)
    assert "truong.example.vn" in (await browser.get(f"/r/{AGENCY}/plans")).text
    answers = await asyncio.gather(
        *(submit(browser, "join", subscription=group.row.id) for _ in range(3))
    )
    assert {a.headers["location"].split("?")[1] for a in answers} == {"notice=seat-taken-up#seats"}
    assert await groups.reads() == {OWNER, one}
    assert await world.value("SELECT count(*) FROM seat") == 1
    many = [await groups.reader(f"n{number}@truong.example.vn") for number in range(6)]
    took = await asyncio.gather(
        *(seats.join(each, group.row.id) for each in many), return_exceptions=True
    )
    assert sum(isinstance(result, ConflictError) for result in took) == 3
    assert len(await groups.reads()) == 5
    seat = next(m for m in (await groups.group(OWNER)).members if m.email == one)
    await seats.end(reader, seat.seat_id)
    assert [m.number for m in (await groups.group(OWNER)).members] == [2, 3, 4], "they move up"
    with pytest.raises(ConflictError) as refused:
        await seats.join(member, group.row.id)
    assert refused.value.slug == "seat-ended"
    assert await seats.open_groups(member) == []
    await domains.end(reader, (await groups.group(OWNER)).domains[0].id)
    with pytest.raises(NotFoundError):
        await seats.join(many[5], group.row.id)
    await world.assert_sound()


async def test_a_mailbox_gets_no_more_codes_than_its_measure_whatever_they_are_for(
    groups: Groups,
) -> None:
    world, one = groups.world, "an@truong.example.vn"
    await groups.pays(OWNER, "to-chuc", seats=5)
    group, owner = await groups.group(OWNER), await world.signed_in(OWNER)
    for number in range(MAILBOX[0].burst + 1):
        answer = await submit(owner, "domain", subscription=group.row.id, address=one)
        notice = "seat-domain-sent" if number < MAILBOX[0].burst else "seat-domain-codes"
        assert answer.headers["location"].endswith(f"notice={notice}#seats"), number
    page = await owner.get(answer.headers["location"])
    assert "Đã gửi quá nhiều mã" in page.text
    mails = [m for m in await recent_mail(world.billing.database) if m.recipient == one]
    assert len(mails) == MAILBOX[0].burst
    with pytest.raises(MailboxBusyError):
        await world.billing.students.ask_code(
            await groups.reader(OWNER), one, [STUDENTS], lambda to, code: None
        )


async def test_invitations_end_are_withdrawn_sent_again_and_spare_strangers(groups: Groups):
    world, seats = groups.world, groups.world.billing.seats
    await groups.pays(OWNER)
    reader, child = await groups.reader(OWNER), await groups.reader(CHILD)
    id_ = await groups.invites(OWNER, CHILD)
    await seats.invite_again(reader, id_)
    assert len(await letters(world, "invited")) == 1, "it was sent a moment ago"
    await world.advance(rules.INVITED_FOR)
    await world.billing.letters.send_due()
    assert await world.value("SELECT state FROM letter WHERE kind = 'invited'") == "dropped"
    with pytest.raises(ConflictError) as refused:
        await seats.accept(child, id_)
    assert refused.value.slug == "seat-expired"
    assert await groups.invites(OWNER, CHILD) == id_, "the same, sent again"
    for _ in range(rules.SENT_AT_MOST - 2):
        await world.advance(rules.SENT_AGAIN_AFTER)
        await seats.invite_again(reader, id_)
    assert len(await letters(world, "invited")) == rules.SENT_AT_MOST
    await world.advance(rules.SENT_AGAIN_AFTER)
    with pytest.raises(ConflictError):
        await seats.invite_again(reader, id_)
    for stranger in (child, await groups.reader(OTHER)):
        for act in (seats.withdraw, seats.invite_again):
            with pytest.raises(NotFoundError):
                await act(stranger, id_)
    for _ in range(2):
        await seats.withdraw(reader, id_)
    with pytest.raises(ConflictError) as refused:
        await seats.accept(child, id_)
    assert refused.value.slug == "seat-withdrawn"
    with pytest.raises(ConflictError):
        await groups.invites(OWNER, OWNER)
    with pytest.raises(InvalidInputError):
        await groups.invites(OWNER, "x")
    sent = rules.SENT_AT_MOST
    with pytest.raises(ConflictError) as refused:
        for number in range(9):
            await groups.invites(OWNER, f"n{number}@example.vn")
            sent += 1
    assert refused.value.slug in ("seat-letters", "seat-invitations")
    assert sent <= rules.letters_a_day(4)
    other = await groups.reader(OTHER)
    family = (await groups.group(OWNER)).row.id
    for act in (
        seats.invite(other, family, CHILD),
        world.billing.seat_domains.ask(reader, family, "an@truong.vn", None),
    ):
        with pytest.raises(NotFoundError):
            await act
    await world.assert_sound()


async def test_two_who_pay_for_each_other_act_at_once(groups: Groups):
    """Locks are taken in one order: an owner of one group who is a member of another's and the other way round."""
    world, seats = groups.world, groups.world.billing.seats
    await groups.pays(OWNER)
    await groups.pays(OTHER)
    here, there = await groups.invites(OWNER, OTHER), await groups.invites(OTHER, OWNER)
    me, other = await groups.reader(OWNER), await groups.reader(OTHER)
    for _ in range(3):
        await asyncio.gather(seats.accept(other, here), seats.accept(me, there))
        await asyncio.gather(
            *(world.billing.renewals.run_due() for _ in range(2)),
            world.billing.wishes.cancel(AGENCY, me.id, (await groups.group(OWNER)).row.id),
            world.billing.wishes.cancel(AGENCY, other.id, (await groups.group(OTHER)).row.id),
        )
        for one in (OWNER, OTHER):
            await groups.resumes(one)
    await passes(groups, 31 * DAY, {OWNER, OTHER})
    assert await world.value("SELECT count(*) FROM payment") == 4


async def test_the_example_groups_are_whole_and_made_once(groups: Groups):
    world = groups.world
    for _ in range(2):
        await demo_groups.load(world.billing)
    found = {one.owner: (await groups.group(one.owner)).taken for one in demo_groups.EXAMPLES}
    assert list(found.values()) == [3, 4]
    assert await world.value("SELECT count(*) FROM payment") == 2
    assert len(await groups.reads()) == 7
    await world.assert_sound()


async def test_a_batch_leaves_the_owner_of_a_group_to_be_applied_alone(groups: Groups):
    world = groups.world
    await groups.pays(OWNER)
    await groups.joins(OWNER, CHILD)
    for number in range(2):
        await groups.buys(f"alone-{number}@example.vn")
    await world.deliver()
    await world.advance(31 * DAY)
    await world.billing.renewals.run_due()
    events = [told(world.billing, one) for one in await due(world.billing)]
    assert len(events) == 3
    await arrive(world.billing, events)
    applied, left = await world.billing.applier._batch()
    assert (applied, len(left)) == (2, 1)
    await world.billing.applier.apply_due()
    assert {OWNER, CHILD} < await groups.reads()
    assert await world.value("SELECT count(*) FROM payment") == 6
    await world.assert_sound()
