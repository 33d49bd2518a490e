"""Every changing route of ads is in the audit trail: prices, places, bookings, and above all where a click goes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from shared.audit import Action as Told
from shared.audit.caller import ActorKind
from shared.web.csrf import FormTokens
from tests.fixtures.ads import AGENCY, as_key, as_staff, book
from tests.fixtures.audited import Act, entries, every_act_is_on_record
from tests.fixtures.command_line import command
from tests.fixtures.images import png

V1 = f"/v1/agencies/{AGENCY}"
EXEMPT = {
    ("POST", "/v1/agencies/{agency}/avails"): "a question: nothing is kept",
    ("POST", "/v1/ad-decisions"): "the websites' hot route: no member of staff",
    ("POST", "/v1/impressions"): "the websites' hot route: no member of staff",
}
WORDS = {
    "headline": "Nhãn",
    "click_url": "https://example.com/a",
    "theme": "green",
    "active": "yes",
}


async def test_every_changing_route_is_on_record(ads):
    line, held = await book(ads.database), await book(ads.database)
    creative = (await ads.sql("SELECT id FROM creative WHERE line_id = $1", line))[0]["id"]
    brand = (await ads.client.get(f"{V1}/advertisers", headers=as_key())).json()[0]["id"]
    day = (datetime.now(UTC) + timedelta(days=40)).date().isoformat()
    wanted = {"product": "all", "starts_on": day, "ends_on": day, "quantity": 10}
    token = FormTokens("0123456789abcdef", "press_staff").shown_for("admin")
    draft: dict[str, str] = {}

    def api(method: str, path: str, body: object, headers=None):
        async def call():
            return await ads.client.request(
                method, f"{V1}{path}", json=body, headers=headers or as_staff("admin")
            )

        return call

    def form(path: str, **fields: str):
        async def call():
            return await ads.client.post(
                f"/console/{AGENCY}{path}",
                data={"csrf_token": token, **fields},
                headers=as_staff("admin"),
            )

        return call

    async def order():
        answer = await ads.client.post(
            f"{V1}/orders",
            json={"advertiser_id": brand, "lines": [wanted]},
            headers=as_key() | {"Idempotency-Key": "audited"},
        )
        draft["id"] = answer.json()["lines"][0]["id"]
        return answer

    async def edit():
        return await ads.client.patch(
            f"{V1}/lines/{draft['id']}",
            json=wanted | {"quantity": 11},
            headers=as_staff("admin") | {"If-Match": '"1"'},
        )

    async def image():
        return await ads.client.put(
            f"{V1}/creatives/{creative}/image", content=png(300, 250), headers=as_staff("admin")
        )

    place = {
        "code": "top",
        "name": "Đầu",
        "section": "home",
        "width": 300,
        "height": 250,
        "daily_capacity": 2000,
    }
    rate = {"valid_from": "2026-01-01", "cpm_vnd": 70_000, "vat_percent": 8}
    lines, agency = "/v1/agencies/{agency}/lines/{line_id}", "/v1/agencies/{agency}"
    await every_act_is_on_record(
        ads.app,
        ads.database,
        [
            Act("POST", f"{agency}/orders", Told.ORDER_CREATED, order, ActorKind.KEY),
            Act("PATCH", lines, Told.LINE_CHANGED, edit),
            Act(
                "POST",
                f"{lines}/{{action}}",
                Told.LINE_CHANGED,
                api("POST", f"/lines/{line}/cancel", {}, as_staff("admin") | {"Idempotency-Key": "c"}),
            ),
            Act(
                "POST", "/console/{agency}/lines/{line_id}/{action}", Told.LINE_CHANGED,
                form(f"/lines/{held}/cancel", confirmed="true"),
            ),
            Act(
                "POST", "/console/{agency}/book", Told.ORDER_CREATED,
                form("/book", product="all", starts_on=day, ends_on=day, units="5", advertiser="Khách"),
            ),
            Act("POST", f"{agency}/advertisers", Told.ADVERTISER_CREATED, api("POST", "/advertisers", {"name": "Mới"})),
            Act("PUT", f"{agency}/placements/{{code}}", Told.PLACEMENT_SAVED, api("PUT", "/placements/top", place)),
            Act(
                "PUT", f"{agency}/products/{{code}}", Told.AD_PRODUCT_SAVED,
                api("PUT", "/products/all", {"code": "all", "name": "Khác", "placements": ["top", "side"]}),
            ),
            Act("POST", f"{agency}/products/{{code}}/rates", Told.RATE_SET, api("POST", "/products/all/rates", rate)),
            Act(
                "POST", f"{lines}/creatives", Told.CREATIVE_CREATED,
                api("POST", f"/lines/{line}/creatives", {"headline": "x", "click_url": "https://example.com/"}),
            ),
            Act(
                "PUT", f"{agency}/creatives/{{creative_id}}", Told.CREATIVE_CHANGED,
                api("PUT", f"/creatives/{creative}", {"headline": "x", "click_url": "https://evil.example/"}),
            ),
            Act("PUT", f"{agency}/creatives/{{creative_id}}/image", Told.CREATIVE_IMAGE_CHANGED, image),
            Act(
                "POST", "/console/{agency}/creatives/of/{line_id}", Told.CREATIVE_CREATED,
                form(f"/creatives/of/{line}", **WORDS),
            ),
            Act(
                "POST", "/console/{agency}/creatives/{creative_id}", Told.CREATIVE_CHANGED,
                form(f"/creatives/{creative}", **WORDS | {"click_url": "https://example.com/b"}),
            ),
        ],
        EXEMPT,
    )  # fmt: skip
    told = [e for e in await entries(ads.database) if e.action == Told.CREATIVE_CHANGED]
    assert told[0].before["click_url"] == "https://example.com/x"
    assert told[0].after["click_url"] == "https://evil.example/"
    assert told[0].actor == "admin@example.vn"
    [price] = [
        e for e in await entries(ads.database) if e.after and e.after.get("cpm_vnd") == 70_000
    ]
    assert price.subject == "product/all"


async def test_counters_rebuilt_on_the_command_line_are_on_record_by_name(ads, database, ads_url):
    """Nothing to mend, no entry."""
    line = await book(database, quantity=100)
    day = datetime.now(UTC).date()
    await ads.sql(
        """INSERT INTO line_day (line_id, counted_on, impressions, viewables, clicks)
           VALUES ($1, $2, 4, 0, 0)""",
        line,
        day,
    )
    for differences in (1, 0):
        done = await asyncio.to_thread(
            command, "services.ads", "rebuild-counters", "--by", "Lan", DATABASE_URL=ads_url
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith(f"{differences} differences\n")
    told = [e for e in await entries(database) if e.action == Told.COUNTERS_REBUILT]
    assert [(e.actor_kind, e.actor, e.after) for e in told] == [
        ("command", "rebuild (Lan)", {"count": 1, "days": [f"{day} {line}"]})
    ]


async def test_changes_at_once_are_told_one_after_the_other(ads):
    """Each says what it took the place of, and an image takes back no words: a paused advertisement stays paused."""
    line = await book(ads.database)
    creative = (await ads.sql("SELECT id FROM creative WHERE line_id = $1", line))[0]["id"]
    day, admin = "2026-01-01", as_staff("admin")

    async def words(number: int):
        body = {"headline": f"{number}", "click_url": "https://example.com/", "active": False}
        return await ads.client.put(f"{V1}/creatives/{creative}", json=body, headers=admin)

    async def image(number: int):
        return await ads.client.put(
            f"{V1}/creatives/{creative}/image", content=png(300, 250 + number), headers=admin
        )

    async def price(number: int):
        rate = {"valid_from": day, "cpm_vnd": 50_000 + number, "vat_percent": 8}
        return await ads.client.post(f"{V1}/products/all/rates", json=rate, headers=admin)

    answers = await asyncio.gather(
        *(words(n) for n in range(6)), *(price(n) for n in range(6)), image(0), image(1)
    )
    assert {answer.status_code for answer in answers} <= {200, 204}
    [kept] = await ads.sql("SELECT version, active FROM creative WHERE id = $1", creative)
    assert (kept["version"], kept["active"]) == (1 + 6 + 2, False)
    for action, name in ((Told.CREATIVE_CHANGED, "headline"), (Told.RATE_SET, "cpm_vnd")):
        told = [
            (entry.before and entry.before[name], entry.after[name])
            for entry in await entries(ads.database)
            if entry.action == action
        ]
        assert [was for was, _ in told[-5:]] == [now for _, now in told[-6:-1]], told
