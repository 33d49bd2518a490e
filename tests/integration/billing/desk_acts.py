"""What the support desk may do, once each, for the test of the audit trail."""

from __future__ import annotations

from uuid import UUID

import httpx

from shared.audit import Action
from tests.fixtures.audited import Act
from tests.integration.billing.paying import credited, ordered, person
from tests.integration.billing.test_seats import OWNER, Groups
from tests.integration.billing.test_settlements import line, moved, said
from tests.integration.billing.world import AGENCY, World

READERS = "/staff/{agency}/readers/{reader_id}"


async def refund_acts(world: World) -> list[Act]:
    """Two refunds of one transfer: the first is approved and paid, the second refused."""
    _, code = await ordered(world, "minh@example.vn", "year")
    await credited(world, code, 590_000)
    minh = (await person(world, "minh@example.vn")).id
    payment = await world.value("SELECT id FROM payment WHERE provider = 'transfer'")
    page, refunds = f"/staff/{AGENCY}/readers/{minh}", f"/staff/{AGENCY}/refunds"

    async def ask(amount: str = "550.000") -> httpx.Response:
        staff = world.browser(press_staff="support-token")
        form = {"amount": amount, "reason": "asked", "confirmed": "true"}
        return await staff.submit(page, f"{page}/payments/{payment}/refund", form)

    def decide(path: str, action: Action, group: str, **form: str) -> Act:
        async def call() -> httpx.Response:
            if path == "refuse":
                await ask("1.000")
            waits = "state NOT IN ('paid', 'refused')"
            id_ = await world.value(f"SELECT id FROM refund_request WHERE {waits}")
            staff = world.browser(press_staff="chief-token")
            where = f"{refunds}/{id_}/{path}"
            return await staff.submit(
                f"{refunds}?group={group}", where, {"confirmed": "true", **form}
            )

        return Act("POST", f"/staff/{{agency}}/refunds/{{request_id}}/{path}", action, call)

    return [
        Act("POST", f"{READERS}/payments/{{payment_id}}/refund", Action.REFUND_ASKED, ask),
        decide("approve", Action.REFUND_APPROVED, "approve"),
        decide("pay", Action.REFUND_PAID, "pay", reference="FT-1"),
        decide("refuse", Action.REFUND_REFUSED, "approve", reason="twice"),
    ]


async def erase_act(world: World) -> Act:
    """The deletion of somebody's data who never bought anything."""
    await world.signed_in("huy@example.vn")
    page = f"/staff/{AGENCY}/readers/{(await person(world, 'huy@example.vn')).id}"

    async def call() -> httpx.Response:
        staff = world.browser(press_staff="support-token")
        return await staff.submit(
            page, f"{page}/erase", {"reason": "letter 12", "confirmed": "true"}
        )

    return Act("POST", f"{READERS}/erase", Action.READER_ERASED, call)


async def network_acts(world: World) -> list[Act]:
    """Of a school that asks for two ranges: one is approved and ended, the other refused."""
    groups = Groups(world)
    await groups.pays(OWNER, "to-chuc", seats=5)
    owner, group = await groups.reader(OWNER), (await groups.group(OWNER)).row.id
    page, ask = f"/staff/{AGENCY}/networks", world.billing.networks.ask
    one, two = [await ask(owner, group, f"113.160.{n}.0/24", "") for n in range(2)]

    def act(network: UUID, path: str, action: Action) -> Act:
        async def call() -> httpx.Response:
            staff = world.browser(press_staff="support-token")
            sent = {"reason": "whois", "confirmed": "true"}
            return await staff.submit(page, f"{page}/{network}/{path}", sent)

        return Act("POST", f"/staff/{{agency}}/networks/{{network_id}}/{path}", action, call)

    return [
        act(one.id, "approve", Action.NETWORK_APPROVED),
        act(two.id, "refuse", Action.NETWORK_REFUSED),
        act(one.id, "end", Action.NETWORK_ENDED),
    ]


async def desk_acts(world: World) -> list[Act]:
    """On behalf of a reader with a card subscription."""
    await world.subscribed("lan@example.vn")
    await world.deliver()
    lan = (await person(world, "lan@example.vn")).id
    row = await world.value("SELECT id FROM subscription")
    page = f"/staff/{AGENCY}/readers/{lan}"

    payment = await world.value("SELECT id FROM payment WHERE reader_id = :lan", lan=lan)

    def act(path: str, action: Action, **form: str) -> Act:
        async def call() -> httpx.Response:
            staff = world.browser(press_staff="support-token")
            given = await world.rows("SELECT id FROM given_days")
            ids = {"subscription_id": row, "payment_id": payment}
            where = f"{page}{path}".format(**ids, given_id=given[0][0] if given else "")
            return await staff.submit(page, where, {"reason": "asked", "confirmed": "true", **form})

        return Act("POST", READERS + path, action, call)

    await said(world, moved(world, line(1, "", -77, 0, "other")))

    async def put_aside() -> httpx.Response:
        waits = f"/staff/{AGENCY}/exceptions"
        subject = await world.value("SELECT id FROM payout_line")
        staff = world.browser(press_staff="finance-token")
        where = f"{waits}/payout_line/{subject}/done"
        return await staff.submit(waits, where, {"reason": "a fee", "confirmed": "true"})

    return [
        *await refund_acts(world),
        Act(
            "POST",
            "/staff/{agency}/exceptions/{kind}/{subject}/done",
            Action.EXCEPTION_DONE,
            put_aside,
        ),
        act("/subscriptions/{subscription_id}/cancel", Action.RENEWAL_ENDED),
        act("/subscriptions/{subscription_id}/resume", Action.RENEWAL_RESUMED),
        act("/sign-out", Action.READER_SIGNED_OUT),
        act("/days", Action.DAYS_GIVEN, days="7"),
        act("/days/{given_id}/end", Action.DAYS_ENDED),
        act("/payments/{payment_id}/receipt", Action.RECEIPT_RESENT),
        await erase_act(world),
        *await network_acts(world),
    ]
