"""What the support desk may do, once each, for the test of the audit trail."""

from __future__ import annotations

import httpx

from shared.audit import Action
from tests.fixtures.audited import Act
from tests.integration.billing.paying import person
from tests.integration.billing.world import AGENCY, World

READERS = "/staff/{agency}/readers/{reader_id}"


async def desk_acts(world: World) -> list[Act]:
    """On behalf of a reader with a card subscription."""
    await world.subscribed("lan@example.vn")
    await world.deliver()
    lan = (await person(world, "lan@example.vn")).id
    row = await world.value("SELECT id FROM subscription")
    page = f"/staff/{AGENCY}/readers/{lan}"

    def act(path: str, action: Action) -> Act:
        async def call() -> httpx.Response:
            staff = world.browser(press_staff="support-token")
            where = f"{page}{path}".format(subscription_id=row)
            return await staff.submit(page, where, {"reason": "asked", "confirmed": "true"})

        return Act("POST", READERS + path, action, call)

    return [
        act("/subscriptions/{subscription_id}/cancel", Action.RENEWAL_ENDED),
        act("/subscriptions/{subscription_id}/resume", Action.RENEWAL_RESUMED),
        act("/sign-out", Action.READER_SIGNED_OUT),
    ]
