"""One valid credential and the ids of what is not one's own: every route of billing that takes an id, by staff of another agency, by a
reader of another agency, by another reader of the same one. Nothing is shown, and nothing changes."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import text

from services.billing.coupons.service import NewCoupon
from services.billing.offers.rules import Kind
from services.billing.refunds.service import By
from shared.audit import Actor, acting
from tests.fixtures.routes import operations
from tests.integration.billing.paying import credited
from tests.integration.billing.returning import reference_of
from tests.integration.billing.test_offers import offered
from tests.integration.billing.test_seats import CHILD, OWNER, Groups
from tests.integration.billing.test_settlements import line, moved, said
from tests.integration.billing.test_statement_pages import send, staff, statement
from tests.integration.billing.world import AGENCY, OTHER_AGENCY, OWN, Browser, World, form_token

HA = By("018f0000-0000-7000-8000-000000000001", "Hà")
STRANGER, THEIRS = "nguoi-khac@example.vn", "ai@example.vn"
#: Forms in which no id of an object stands; those of signing in are the visitor's own.
NO_ID = {
    *("consents", "sign-in", "code", "student", "contribute", "use", "address", "copy", "delete"),
    *("password", "new", "remove"),
    *("phone", "confirm"),
}
FORM = {
    "amount": "1.000",
    "reason": "x",
    "why": "x",
    "confirmed": "true",
    "reference": "FT-9",
    "days": "3",
    "until": "2026-12-31",
    "email": THEIRS,
    "address": "ai@xa.example.vn",
    "seats": "9",
    "range": "113.160.9.0/24",
    "way": "card",
}


async def owned(world: World) -> dict[str, str]:
    """One of everything that an agency and a reader of it have: the ids by their names in routes and forms."""
    groups, value = Groups(world), world.value
    await groups.pays(OWNER, "to-chuc", seats=5)
    await groups.joins(OWNER, CHILD)
    invitation, owner = await groups.invites(OWNER, "moi@example.vn"), await groups.reader(OWNER)
    gift = await groups.chooses(OWNER, "year", renews=False, gift=True)
    payment = await value("SELECT id FROM payment")
    with acting(Actor.system("test")):
        offer = await offered(world, Kind.INTRO, "year", amount_vnd=500_000)
        coupon = NewCoupon("XUAN2027", 10, None, None, world.clock.now(), None, None, False)
        await world.billing.coupons.make(AGENCY, coupon)
        asked = await world.billing.refunds.ask(AGENCY, owner.id, payment, 1_000, "x", HA)
        given = await world.billing.given.give(
            AGENCY, owner.id, 5, "x", HA, after=False, finance=True
        )
    await credited(world, "khong biet", 5_000)
    known = line(1, await reference_of(world, OWNER), 225_000)
    await said(world, moved(world, known, line(2, "", -77, 0, "other")))
    upload = await send(staff(world), statement(("FT-1", "a", 1)))
    await world.signed_in(OWNER)
    subscription = await value("SELECT id FROM subscription")
    network = await world.billing.networks.ask(owner, subscription, "113.160.1.0/24", "113.160.1.9")
    ids = {
        "subscription": subscription,
        "subscription_id": subscription,
        "reader_id": owner.id,
        "payment_id": payment,
        "given_id": given.id,
        "request_id": asked.id,
        "upload_id": upload.headers["location"].rsplit("/", 1)[1],
        "credit_id": await value("SELECT id FROM bank_credit"),
        "entry_id": await value("SELECT id FROM journal_entry LIMIT 1"),
        "invoice": await value("SELECT id FROM invoice"),
        "code": gift.code,
        "coupon": "XUAN2027",
        "kind": "payout_line",
        "subject": await value("SELECT id FROM payout_line WHERE kind = 'other'"),
        "invitation": invitation,
        "seat": await value("SELECT id FROM seat"),
        "domain": subscription,
        "network": network.id,
        "network_id": network.id,
        "offer": offer,
        "price": gift.price_id,
        "session": await value("SELECT id FROM reader_session WHERE reader_id = :r", r=owner.id),
    }
    return {name: str(id_) for name, id_ in ids.items()}


async def everything(world: World) -> dict[str, str]:
    """What every table has in it."""
    named = await world.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    async with world.billing.database.read() as session:
        return {
            name: await session.scalar(
                text(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t")
            )
            for (name,) in named
        }


class Asking:
    """A browser with a credential, and what it was answered for others' ids, where that was not 404."""

    def __init__(self, browser: Browser, agency: str, page: str) -> None:
        self.client, self.agency, self.page = browser.client, agency, page
        self.token, self.found = "", dict[str, Any]()

    async def ask(self, method: str, path: str, ids: dict[str, str]) -> None:
        values = {"agency": self.agency, **ids}
        where = re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], "unknown"), path)
        if method == "GET":
            answer = await self.client.get(where, params={**ids})
        else:
            self.token = self.token or form_token((await self.client.get(self.page)).text)
            sent = {**FORM, **ids, "csrf_token": self.token}
            answer = await self.client.post(where, data=sent, headers={"Origin": OWN})
        if answer.status_code != 404 or OWNER in answer.text:
            place = answer.headers.get("location", "").rpartition("/")[2]
            self.found[f"{method} {path}"] = (answer.status_code, place)


async def test_others_ids_are_not_found_by_any_route(paid_by_transfer: World) -> None:
    world = paid_by_transfer
    ids = await owned(world)
    other, theirs = await world.signed_in(STRANGER), await world.signed_in(THEIRS, OTHER_AGENCY)
    officer = Asking(
        world.browser(press_staff="other-token"), OTHER_AGENCY, f"/staff/{OTHER_AGENCY}/books"
    )
    readers = [
        Asking(other, AGENCY, f"/r/{AGENCY}/account"),
        Asking(theirs, OTHER_AGENCY, f"/r/{OTHER_AGENCY}/account"),
    ]
    their_id = await world.value("SELECT id FROM reader WHERE email = :email", email=THEIRS)
    before, asked = await everything(world), 0
    for method, path in operations(world.app):
        named = {name for name in re.findall(r"\{(\w+)\}", path) if name in ids}
        by_form = method == "POST" and path.rpartition("/")[2] not in NO_ID
        if path.startswith(("/staff/{agency}", "/v1/agencies/{agency}")) and named:
            await officer.ask(method, path, ids)
            if "reader_id" in named and len(named) > 1:  # of a reader who is theirs
                await officer.ask(method, path, {**ids, "reader_id": str(their_id)})
        elif path.startswith("/r/") and (named or by_form or path.endswith("/change")):
            for one in readers:
                if not (path.endswith("/checkout") and one.agency == AGENCY):  # for everybody
                    await one.ask(method, path, ids)
        else:
            continue
        asked += 1
    for path in ("/staff/{agency}/offers/end", "/staff/{agency}/coupons/end"):
        await officer.ask("POST", path, {**ids, "code": ids["coupon"]})
    assert asked > 50 and officer.found == {} == readers[1].found
    # Who has the link of an invitation sees of what it is; it is taken by its own mailbox only.
    invitation = "/r/{agency}/invitations/{invitation}"
    assert readers[0].found == {
        f"GET {invitation}": (200, ""),
        f"POST {invitation}/accept": (409, ""),
    }
    assert await everything(world) == before
    await world.assert_sound()
