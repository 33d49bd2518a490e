"""Every changing route of billing is in the audit trail, or is a reader's own."""

from __future__ import annotations

from shared.audit import Action
from tests.fixtures.audited import Act, entries, every_act_is_on_record
from tests.integration.billing.test_doors import event, signed
from tests.integration.billing.world import AGENCY, World

A_READER = "a reader's own doing on his own account; consents and payments keep their own proof"
EXEMPT = {
    ("POST", "/r/{agency}/sign-in"): A_READER,
    ("POST", "/r/{agency}/sign-in/code"): A_READER,
    ("POST", "/r/{agency}/checkout"): A_READER,
    ("POST", "/r/{agency}/account/cancel"): A_READER,
    ("POST", "/r/{agency}/account/resume"): A_READER,
    ("POST", "/r/{agency}/account/sessions/end"): A_READER,
    ("POST", "/r/{agency}/account/consents"): A_READER,
    ("POST", "/v1/webhooks/stripe"): "the provider's notices are kept whole in their own inbox",
}


async def test_every_changing_route_is_on_record(world: World):
    body = event("evt_broken")
    await world.browser().client.post(
        "/v1/webhooks/stripe", content=body, headers=signed(world, body)
    )
    await world.billing.applier.apply_due()
    staff = world.browser(press_staff="finance-token")

    async def replay():
        return await staff.submit(
            f"/staff/{AGENCY}", f"/staff/{AGENCY}/webhooks/replay", {"event": "evt_broken"}
        )

    await every_act_is_on_record(
        world.app,
        world.billing.database,
        [Act("POST", "/staff/{agency}/webhooks/replay", Action.WEBHOOKS_REPLAYED, replay)],
        EXEMPT,
    )
    told = await entries(world.billing.database)
    assert told[-1].after == {"count": 1, "events": ["evt_broken"]}
    # Prices too: the plans that the seed made, as the system's doing.
    assert {e.actor_kind for e in told if e.action == Action.PLAN_SAVED} == {"system"}
