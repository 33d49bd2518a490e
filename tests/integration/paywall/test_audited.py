"""Every changing route of the paywall is in the audit trail."""

from __future__ import annotations

from shared.audit import Action
from tests.fixtures.audited import Act, entries, every_act_is_on_record
from tests.integration.paywall.test_api_and_pages import EDITOR, PAGE, POLICY, form, staff

EXEMPT = {
    ("PUT", "/v1/agencies/{agency}/articles/{article_id}"): (
        "the website tells its articles by key, thousands a day; no member of staff decides here"
    ),
    ("POST", "/v1/decisions"): "the readers' hot route: no member of staff",
}


async def test_every_changing_route_is_on_record(paywall, house):
    async def put():
        seen = await paywall.client.get(POLICY, headers=staff(EDITOR))
        body = {
            k: v for k, v in seen.json().items() if k not in ("version", "changed_at", "changed_by")
        }
        body["allowance"] = {"anonymous": 4, "registered": 9}
        return await paywall.client.put(
            POLICY, json=body, headers=staff(EDITOR) | {"If-Match": seen.headers["etag"]}
        )

    async def page():
        fields = await form(paywall) | {"failure_mode": "open"}
        return await paywall.client.post(
            PAGE,
            data=fields | {"anonymous": "2", "registered": "7", "confirmed": "true"},
            headers=staff(EDITOR),
        )

    await every_act_is_on_record(
        paywall.app,
        house.database,
        [
            Act("PUT", "/v1/agencies/{agency}/policy", Action.POLICY_CHANGED, put),
            Act("POST", "/policies/{agency}", Action.POLICY_CHANGED, page),
        ],
        EXEMPT,
    )
    changed = [e for e in await entries(house.database) if e.action == Action.POLICY_CHANGED]
    assert changed[0].after == {"allowance": {"anonymous": 4, "registered": 9}}
