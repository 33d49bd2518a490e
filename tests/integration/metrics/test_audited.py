"""Every changing route of the metrics layer is in the audit trail: baselines and imports."""

from __future__ import annotations

import re

from shared.audit import Action
from shared.web.csrf import FormTokens
from tests.fixtures.audited import Act, entries, every_act_is_on_record
from tests.fixtures.finance import running_finance
from tests.fixtures.identity import FINANCE

AGENCY = "/finance/{agency}"
PAGES = "/finance/bao-hung-yen"
BASELINE = "\n".join(
    ["year,segment,stream,month,amount_vnd"]
    + [f"2024,print,circulation,{month},{month}000000" for month in range(1, 13)]
).encode()
ANOTHER = BASELINE.replace(b"2024", b"2023")
LOOKED_AT = re.compile(r'name="looked_at" value="([0-9a-f]{64})"')
REVENUE = b"period,segment,stream,amount_vnd,key\n2026-10,print,circulation,5000000,AUDIT-1\n"


async def test_every_changing_route_is_on_record(create_database, template_database):
    async with (
        running_finance(create_database, template_database) as finance,
        await finance.signed_in(FINANCE) as http,
    ):
        token = FormTokens(finance.settings.form_token_secret, "press_staff").shown_for(
            http.cookies["press_staff"]
        )
        made: dict[str, str] = {}

        def upload(kind: str, content: bytes):
            async def call():
                answer = await http.post(
                    f"{PAGES}/{kind}",
                    data={"csrf_token": token},
                    files={"file": ("tệp.csv", content, "text/csv")},
                )
                made[kind] = answer.headers.get("location", "")
                return answer

            return call

        def then(kind: str, verb: str):
            async def call():
                found = LOOKED_AT.search((await http.get(made[kind])).text)
                fields = {"confirmed": "true"} | ({"looked_at": found[1]} if found else {})
                return await http.post(f"{made[kind]}/{verb}", data={"csrf_token": token} | fields)

            return call

        async def discard():
            await upload("baseline", ANOTHER)()
            return await then("baseline", "discard")()

        async def compose():
            # What the demo has composed is there again: a fresh set of parts makes a fresh version.
            return await http.post(f"{PAGES}/baseline/compose", data={"csrf_token": token})

        await every_act_is_on_record(
            finance.app,
            finance.database,
            [
                Act("POST", f"{AGENCY}/baseline", Action.BASELINE_UPLOADED, upload("baseline", BASELINE)),
                Act(
                    "POST", f"{AGENCY}/baseline/{{version}}/freeze", Action.BASELINE_FROZEN,
                    then("baseline", "freeze"),
                ),
                Act(
                    "POST", f"{AGENCY}/baseline/{{version}}/discard", Action.BASELINE_DISCARDED,
                    discard,
                ),
                Act("POST", f"{AGENCY}/baseline/compose", Action.BASELINE_COMPOSED, compose),
                Act("POST", f"{AGENCY}/imports", Action.IMPORT_UPLOADED, upload("imports", REVENUE)),
                Act(
                    "POST", f"{AGENCY}/imports/{{file_id}}/confirm", Action.IMPORT_CONFIRMED,
                    then("imports", "confirm"),
                ),
            ],
            {},
        )  # fmt: skip
        told = await entries(finance.database)
    [frozen] = [e for e in told if e.action == Action.BASELINE_FROZEN and e.actor == FINANCE]
    # Who replaces a frozen baseline leaves both sums.
    assert frozen.before["total_vnd"] > 0 and frozen.after["total_vnd"] == 78_000_000
    assert frozen.after["uploaded_by"] == FINANCE
