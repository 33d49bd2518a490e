"""Every changing route of billing is in the audit trail, or is a reader's own."""

from __future__ import annotations

import asyncio

from services.billing.transfers.facts import CreditNotice
from shared.agencies import save_agencies
from shared.audit import Action, Actor
from tests.fixtures.audited import Act, entries, every_act_is_on_record
from tests.fixtures.command_line import command
from tests.integration.billing.desk_acts import desk_acts
from tests.integration.billing.paying import ordered
from tests.integration.billing.test_doors import event, signed
from tests.integration.billing.test_statement_pages import send
from tests.integration.billing.test_statement_pages import statement as statement_of
from tests.integration.billing.world import AGENCY, World

A_READER = "a reader's own doing on his own account; consents and payments keep their own proof"
EXEMPT = {
    ("POST", "/r/{agency}/sign-in"): A_READER,
    ("POST", "/r/{agency}/sign-in/code"): A_READER,
    ("POST", "/r/{agency}/sign-in/address"): A_READER,
    ("POST", "/r/{agency}/checkout"): A_READER,
    ("POST", "/r/{agency}/gifts/redeem"): A_READER,
    ("POST", "/r/{agency}/bundles/use"): A_READER,
    ("POST", "/r/{agency}/contribute"): A_READER,
    ("POST", "/v1/bundle-uses"): A_READER,
    ("POST", "/r/{agency}/orders/{code}/coupon"): A_READER,
    ("POST", "/r/{agency}/orders/{code}/recipient"): A_READER,
    ("POST", "/r/{agency}/orders/{code}/recipient/again"): A_READER,
    ("POST", "/r/{agency}/student"): A_READER,
    ("POST", "/r/{agency}/student/code"): A_READER,
    ("POST", "/r/{agency}/back/{token}/stop"): A_READER,
    ("POST", "/r/{agency}/orders/{code}/card"): A_READER,
    ("POST", "/r/{agency}/account/cancel"): A_READER,
    ("POST", "/r/{agency}/account/pause"): A_READER,
    ("POST", "/r/{agency}/account/pay"): A_READER,
    ("POST", "/r/{agency}/account/card"): A_READER,
    ("POST", "/r/{agency}/account/change"): A_READER,
    ("POST", "/r/{agency}/account/keep"): A_READER,
    ("POST", "/r/{agency}/s/{token}/cancel"): A_READER,
    ("POST", "/r/{agency}/s/{token}/resume"): A_READER,
    ("POST", "/r/{agency}/s/{token}/pay"): A_READER,
    ("POST", "/r/{agency}/s/{token}/card"): A_READER,
    ("POST", "/r/{agency}/account/resume"): A_READER,
    ("POST", "/r/{agency}/account/seats/invite"): A_READER,
    ("POST", "/r/{agency}/account/seats/invite-again"): A_READER,
    ("POST", "/r/{agency}/account/seats/withdraw"): A_READER,
    ("POST", "/r/{agency}/account/seats/end"): A_READER,
    ("POST", "/r/{agency}/account/seats/leave"): A_READER,
    ("POST", "/r/{agency}/account/seats/join"): A_READER,
    ("POST", "/r/{agency}/account/seats/domain"): A_READER,
    ("POST", "/r/{agency}/account/seats/domain/verify"): A_READER,
    ("POST", "/r/{agency}/account/seats/domain/end"): A_READER,
    ("POST", "/r/{agency}/account/seats/{subscription}/networks"): A_READER,
    ("POST", "/r/{agency}/account/seats/{subscription}/networks/end"): A_READER,
    ("POST", "/r/{agency}/invitations/{invitation}/accept"): A_READER,
    ("POST", "/r/{agency}/account/sessions/end"): A_READER,
    ("POST", "/r/{agency}/account/phone"): A_READER,
    ("POST", "/r/{agency}/account/phone/code"): A_READER,
    ("POST", "/r/{agency}/account/phone/remove"): A_READER,
    ("POST", "/r/{agency}/account/confirm"): A_READER,
    ("POST", "/r/{agency}/account/confirm/code"): A_READER,
    ("POST", "/r/{agency}/account/address"): A_READER,
    ("POST", "/r/{agency}/account/address/code"): A_READER,
    ("POST", "/r/{agency}/address/{token}/back"): A_READER,
    ("POST", "/r/{agency}/account/consents"): A_READER,
    ("POST", "/r/{agency}/sign-in/password"): A_READER,
    ("POST", "/r/{agency}/account/password"): A_READER,
    ("POST", "/r/{agency}/account/password/code"): A_READER,
    ("POST", "/r/{agency}/account/password/new"): A_READER,
    ("POST", "/r/{agency}/account/password/remove"): A_READER,
    ("POST", "/r/{agency}/account/data/copy"): A_READER,
    ("POST", "/r/{agency}/account/data/delete/code"): A_READER,
    (
        "POST",
        "/r/{agency}/account/data/delete",
    ): "a reader's own doing; its entry is held by test_erasing.py",
    ("POST", "/staff/{agency}/transfers/statement"): "nothing is taken in yet: it is only read",
    ("POST", "/v1/webhooks/stripe"): "the provider's notices are kept whole in their own inbox",
    ("POST", "/v1/webhooks/bank/{agency}/{kind}"): "a bank's notices are kept whole in the inbox",
}


async def parked(world: World) -> None:
    body = event("evt_broken", "checkout.session.completed")
    await world.browser().client.post(
        "/v1/webhooks/stripe", content=body, headers=signed(world, body)
    )
    await world.billing.applier.apply_due()


async def test_every_changing_route_is_on_record(paid_by_transfer: World):
    world = paid_by_transfer
    await parked(world)
    staff = world.browser(press_staff="finance-token")

    async def replay():
        return await staff.submit(
            f"/staff/{AGENCY}", f"/staff/{AGENCY}/webhooks/replay", {"event": "evt_broken"}
        )

    async def check():
        return await staff.submit(f"/staff/{AGENCY}", f"/staff/{AGENCY}/checks", {})

    async def close():
        books = f"/staff/{AGENCY}/books"
        return await staff.submit(
            books, f"{books}/close", {"month": "2026-10", "confirmed": "true"}
        )

    transfers = f"/staff/{AGENCY}/transfers"
    async with world.billing.database.transaction() as session:
        for number, amount in enumerate((59_000, 1)):
            notice = CreditNotice(
                *("9900000001", f"FT{number}", f"FT{number}", amount, "", ""), world.clock.now()
            )
            await world.billing.transfers.take(session, AGENCY, "statement", notice)
    ids = [r[0] for r in await world.rows("SELECT id FROM bank_credit ORDER BY amount_vnd")]
    _, code = await ordered(world)

    async def assign():
        page = f"{transfers}/{ids[1]}"
        sent = {"code": code, "why": "called", "confirmed": "true"}
        return await staff.submit(page, f"{page}/assign", sent)

    async def give_back():
        page = f"{transfers}/{ids[0]}"
        sent = {"reference": "FT-BACK", "why": "called", "confirmed": "true"}
        return await staff.submit(page, f"{page}/return", sent)

    async def statement():
        shown = await send(staff.client, statement_of(("FT9", "x", 9)))
        page = shown.headers["location"]
        return await staff.submit(page, page, {"confirmed": "true"})

    coupons = f"/staff/{AGENCY}/coupons"

    async def coupon():
        return await staff.submit(coupons, coupons, {"code": "TET", "percent": "20"})

    async def no_coupon():
        return await staff.submit(coupons, f"{coupons}/end", {"code": "TET", "confirmed": "true"})

    offers = f"/staff/{AGENCY}/offers"

    async def offer():
        sold = [one for one in await world.billing.plans.offers(AGENCY) if one.period == "month"]
        sent = {"kind": "intro", "price": str(sold[0].price_id), "amount": "19000", "periods": "3"}
        return await staff.submit(offers, offers, sent)

    async def no_offer():
        id_ = str(
            await world.value(
                "SELECT id FROM price_offer WHERE agency = :a AND kind = 'intro'", a=AGENCY
            )
        )
        return await staff.submit(offers, f"{offers}/end", {"offer": id_, "confirmed": "true"})

    await every_act_is_on_record(
        world.app,
        world.billing.database,
        [
            Act("POST", "/staff/{agency}/books/close", Action.PERIOD_CLOSED, close),
            Act("POST", "/staff/{agency}/checks", Action.CHECK_ASKED, check),
            Act("POST", "/staff/{agency}/coupons", Action.COUPON_MADE, coupon),
            Act("POST", "/staff/{agency}/coupons/end", Action.COUPON_ENDED, no_coupon),
            Act("POST", "/staff/{agency}/offers", Action.OFFER_MADE, offer),
            Act("POST", "/staff/{agency}/offers/end", Action.OFFER_ENDED, no_offer),
            Act(
                "POST",
                "/staff/{agency}/transfers/{credit_id}/assign",
                Action.CREDIT_ASSIGNED,
                assign,
            ),
            Act(
                "POST",
                "/staff/{agency}/transfers/{credit_id}/return",
                Action.CREDIT_RETURNED,
                give_back,
            ),
            Act(
                "POST",
                "/staff/{agency}/transfers/statement/{upload_id}",
                Action.STATEMENT_IMPORTED,
                statement,
            ),
            Act("POST", "/staff/{agency}/webhooks/replay", Action.WEBHOOKS_REPLAYED, replay),
            *await desk_acts(world),
        ],
        EXEMPT,
    )
    told = await entries(world.billing.database)
    [replayed] = [one for one in told if one.action == Action.WEBHOOKS_REPLAYED]
    assert replayed.after == {"count": 1, "events": ["evt_broken"]}
    # Prices too: the plans that the seed made, as the system's doing.
    assert {e.actor_kind for e in told if e.action == Action.PLAN_SAVED} == {"system"}


async def test_notices_tried_again_on_the_command_line_are_on_record_by_name(world: World):
    await parked(world)
    for words, replayed in ((["evt_broken"], 1), (["--all"], 0)):
        done = await asyncio.to_thread(
            command,
            *("services.billing", "webhooks", "replay", *words, "--by", "Lan"),
            DATABASE_URL=world.billing.settings.database_url,
        )
        assert done.returncode == 0 and done.stdout == f"replayed {replayed}\n", done.stderr
    told = [
        e for e in await entries(world.billing.database) if e.action == Action.WEBHOOKS_REPLAYED
    ]
    assert [(e.actor_kind, e.actor, e.after) for e in told] == [
        ("command", "webhooks-replay (Lan)", {"count": 1, "events": ["evt_broken"]})
    ]


async def test_set_ups_at_one_moment_leave_one_entry(world: World):
    moved = {"id": AGENCY, "name": "Báo", "time_zone": "Asia/Ho_Chi_Minh"}
    before = len(await entries(world.billing.database))

    async def set_up(number: int) -> None:
        async with world.billing.database.transaction() as session:
            await save_agencies(session, [moved], actor=Actor.command("setup", str(number)))

    await asyncio.gather(*(set_up(number) for number in range(4)))
    [entry] = (await entries(world.billing.database))[before:]
    assert (entry.action, entry.after["name"]) == (Action.AGENCY_SAVED, "Báo")
    assert entry.before["name"] != "Báo" and "time_zone" not in entry.after
