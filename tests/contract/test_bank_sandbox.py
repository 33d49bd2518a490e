"""The demo bank: what billing is told, when, and what the control endpoints do."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from infra.stripe_sandbox.app import create_app
from infra.stripe_sandbox.settings import SandboxSettings

from .bank_sandbox_fixtures import (
    AGENCY,
    BIN,
    NUMBER,
    OTHER_AGENCY,
    OTHER_NUMBER,
    TOKEN,
    BankWorld,
    vietqr,
)


@pytest.fixture
async def world() -> AsyncIterator[BankWorld]:
    made = BankWorld()
    yield made
    await made.close()


async def test_a_credit_is_told_as_sepay_tells_it(world: BankWorld) -> None:
    made = await world.paid(59_000, "Đặt báo BHY7K2Q9")
    await world.deliver()
    ((agency, kind, body),) = world.billing.arrived
    assert (agency, kind) == (AGENCY, "sepay")
    assert body == {
        "id": made["number"],
        "gateway": "Vietcombank",
        "transactionDate": "2026-12-31 23:59:59",
        "accountNumber": NUMBER,
        "subAccount": None,
        "code": None,
        "content": "Đặt báo BHY7K2Q9",
        "transferType": "in",
        "transferAmount": 59_000,
        "accumulated": 59_000,
        "referenceCode": made["reference"],
        "description": "",
    }
    assert made["reference"].startswith("FT26365")
    assert await world.states(made) == ["delivered"]


async def test_a_credit_is_told_as_payos_tells_it(world: BankWorld) -> None:
    await world.api("switches", {"shape": "payos"})
    made = await world.paid(590_000, payer="Nguyễn Thị Đào")
    await world.deliver()
    ((agency, kind, body),) = world.billing.arrived  # its receiver has checked the signature
    assert (agency, kind) == (AGENCY, "payos")
    data = body["data"]
    assert data["amount"] == 590_000 and data["description"] == "BHY7K2Q9"
    assert data["reference"] == made["reference"] and data["orderCode"] == made["number"]
    assert data["counterAccountName"] == "NGUYEN THI DAO"
    assert data["transactionDateTime"] == "2026-12-31 23:59:59"


async def test_a_transaction_keeps_the_shape_it_was_made_with(world: BankWorld) -> None:
    await world.paid()
    await world.api("switches", {"shape": "payos"})
    await world.deliver()
    assert [kind for _, kind, _ in world.billing.arrived] == ["sepay"]


async def test_banks_put_their_own_words_around_the_note(world: BankWorld) -> None:
    await world.api("switches", {"mangle": True})
    made = await world.paid(note="Đặt báo, mã bhy7k2q9!", payer="Trần Văn Bê")
    assert re.fullmatch(
        r"MBVCB\.\d{10}\.DAT BAO MA BHY7K2Q9\.CT tu 0123456789 TRAN VAN BE "
        r"toi 9900000001 BAO VA PTTH HUNG YEN",
        made["content"],
    )
    assert made["note"] == "Đặt báo, mã bhy7k2q9!"
    await world.api("switches", {"mangle": False})
    assert (await world.paid(note=" "))["content"] == "NGUYEN VAN A chuyen tien"


async def test_a_refused_notice_is_tried_again_with_growing_pauses_and_stays_the_same(
    world: BankWorld,
) -> None:
    made = await world.paid()
    world.billing.answers = [500, 503]
    assert await world.deliver() == 1
    assert await world.states(made) == ["waiting"]
    world.time += 1
    assert await world.deliver() == 1
    world.time += 1.5
    assert await world.deliver() == 0
    world.time += 0.5
    assert await world.deliver() == 1
    assert await world.states(made) == ["delivered"]
    first, *others = world.billing.bodies()
    assert others == [first, first]


async def test_the_seventh_try_is_the_last(world: BankWorld) -> None:
    made = await world.paid()
    world.billing.answers = [500] * 20
    for _ in range(10):
        await world.deliver()
        world.time += 3600
    assert len(world.billing.arrived) == 7
    assert await world.states(made) == ["failed"]


async def test_a_notice_comes_as_often_as_the_switch_says(world: BankWorld) -> None:
    await world.api("switches", {"duplicates": 2})
    made = await world.paid()
    await world.deliver()
    assert len(world.billing.arrived) == 3
    assert len({body["id"] for body in world.billing.bodies()}) == 1
    assert await world.states(made) == ["delivered"] * 3


async def test_a_dropped_notice_comes_when_it_is_sent_again(world: BankWorld) -> None:
    await world.api("switches", {"drop": 1})
    made = await world.paid()
    assert await world.deliver() == 0 and await world.states(made) == ["dropped"]
    again = await world.api(f"transactions/{made['id']}/resend")
    assert again.status_code == 200
    await world.deliver()
    assert await world.states(made) == ["dropped", "delivered"]
    assert [body["id"] for body in world.billing.bodies()] == [made["number"]]


async def test_a_delayed_notice_waits(world: BankWorld) -> None:
    await world.api("switches", {"delay_seconds": 90})
    await world.paid()
    world.time += 89
    assert await world.deliver() == 0
    world.time += 1
    assert await world.deliver() == 1


async def test_notices_may_come_out_of_order(world: BankWorld) -> None:
    await world.api("switches", {"reorder": True})
    made = [(await world.paid(1000 + number))["number"] for number in range(8)]
    assert made == sorted(set(made))
    await world.deliver()
    came = [body["id"] for body in world.billing.bodies()]
    assert came != made and sorted(came) == made


async def test_without_a_secret_of_its_kind_nobody_is_told(world: BankWorld) -> None:
    await world.paid(account=OTHER_NUMBER)
    await world.api("switches", {"shape": "payos"})
    silent = await world.paid(account=OTHER_NUMBER)
    await world.deliver()
    assert [agency for agency, _, _ in world.billing.arrived] == [OTHER_AGENCY]
    assert await world.states(silent) == []
    assert (await world.api(f"transactions/{silent['id']}/resend")).status_code == 400


async def test_of_several_secrets_the_newest_is_used() -> None:
    world = BankWorld(webhook_secrets=f"{AGENCY}/sepay:api-key-of-hung-yen,{AGENCY}/sepay:old")
    await world.paid()
    assert await world.deliver() == 1 and len(world.billing.arrived) == 1
    await world.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"account": "1234567", "amount": 1}, "no_account"),
        ({"account": NUMBER, "bin": "970415", "amount": 1}, "no_account"),
        ({"account": NUMBER, "amount": 0}, "bad_amount"),
        ({"account": NUMBER, "amount": -5}, "bad_amount"),
        ({"account": NUMBER, "amount": 1, "note": "x" * 211}, "long_note"),
        ({"account": NUMBER, "amount": 1, "payer": "!"}, "bad_payer"),
    ],
)
async def test_a_transfer_that_no_bank_takes_is_refused(
    world: BankWorld, body: dict[str, object], code: str
) -> None:
    answer = await world.api("transfers", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert (await world.http.get("/bank/api/transactions")).json() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("transfers", {"account": NUMBER, "amount": "59000"}),
        ("transfers", {"account": NUMBER, "amount": 1.5}),
        ("transfers", {"account": NUMBER, "amount": 1, "at": "2026-12-31T23:59:59"}),
        ("transfers", {"account": NUMBER, "amount": 1, "further": 1}),
        ("switches", {"shape": "swift"}),
        ("switches", {"drop": 2}),
    ],
)
async def test_a_body_of_another_form_is_refused(world: BankWorld, path: str, body: object) -> None:
    assert (await world.api(path, body)).status_code == 400


async def test_nothing_changes_without_the_token_or_the_pages_own_form(world: BankWorld) -> None:
    made = await world.paid()
    for path in ("transfers", "switches", f"transactions/{made['id']}/resend"):
        for headers in ({}, {"Sandbox-Control-Token": "wrong"}):
            answer = await world.http.post(f"/bank/api/{path}", json={}, headers=headers)
            assert answer.status_code == 403
        form = await world.http.post(f"/bank/api/{path}", data={"token": "wrong"})
        assert form.status_code == 403
    foreign = await world.http.post(
        "/bank/transfer", data={"account": NUMBER}, headers={"Origin": "http://elsewhere.example"}
    )
    assert foreign.status_code == 403


async def test_where_others_reach_it_reading_needs_the_token_too() -> None:
    app = create_app(SandboxSettings(host="0.0.0.0", names="bank", control_token=TOKEN))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://bank"
    ) as http:
        for path in ("accounts", "switches", "transactions", f"statement.csv?account={NUMBER}"):
            assert (await http.get(f"/bank/api/{path}")).status_code == 403
            told = await http.get(f"/bank/api/{path}", headers={"Sandbox-Control-Token": TOKEN})
            assert told.status_code == 200
        assert (await http.get("/bank")).status_code == 403
        assert (await http.get("/bank/transfer")).status_code == 200
    app.state.sandbox.store.close()


async def test_the_control_pages_forms_set_switches_and_send_again(world: BankWorld) -> None:
    made = await world.paid()
    page = await world.http.get("/bank")
    token = re.search(r'name="token" value="(\w+)"', page.text)
    assert token is not None and made["reference"] in page.text and "59.000 ₫" in page.text
    sent = {"token": token[1], "form": "1", "delay_seconds": "0", "drop": "0.5", "shape": "payos"}
    answer = await world.http.post("/bank/api/switches?lang=en", data=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, "/bank?lang=en")
    told = (await world.http.get("/bank/api/switches")).json()
    assert told["shape"] == "payos" and told["drop"] == 0.5 and told["mangle"] is False
    again = f"/bank/api/transactions/{made['id']}/resend"
    assert (await world.http.post(again, data={"token": token[1]})).status_code == 303
    await world.deliver()
    assert len(world.billing.arrived) == 2


async def test_a_statement_is_a_file_that_a_spreadsheet_opens(world: BankWorld) -> None:
    await world.paid(1_234_567, "=1+1; một")
    world.time += 1
    late = await world.paid(59_000, at="2026-12-30T23:00:00+00:00")
    await world.paid(7, account=OTHER_NUMBER)
    answer = await world.http.get(f"/bank/api/statement.csv?account={NUMBER}&bin={BIN}")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert rows[0] == ["Ngày giao dịch", "Số tham chiếu", "Ghi nợ", "Ghi có", "Số dư", "Nội dung"]
    assert [row[0] for row in rows[1:]] == ["31/12/2026 23:59:59", "31/12/2026 06:00:00"]
    assert [row[2:5] for row in rows[1:]] == [["", "1.234.567", "1.234.567"], ["", "59.000", "1.293.567"]]  # fmt: skip
    assert rows[1][5] == "'=1+1; một" and rows[2][1] == late["reference"]
    assert (await world.http.get("/bank/api/statement.csv?account=1")).status_code == 404
    accounts = (await world.http.get("/bank/api/accounts")).json()
    assert [one["balance"] for one in accounts] == [1_293_567, 7]


async def test_what_is_under_way_survives_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "sandbox.sqlite")
    world = BankWorld(path)
    made = await world.paid()
    await world.close()
    world = BankWorld(path)
    assert await world.deliver() == 1
    assert (await world.paid())["number"] > made["number"]
    assert (await world.http.get("/bank/api/accounts")).json()[0]["balance"] == 118_000
    await world.close()


async def test_a_file_of_before_the_bank_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite"
    world = BankWorld(str(path))
    await world.close()
    with sqlite3.connect(path) as old:
        old.execute("ALTER TABLE deliveries DROP COLUMN channel")
    world = BankWorld(str(path))
    await world.paid()
    assert await world.app.state.deliverer.deliver_due() == 0, "the bank's is not Stripe's"
    assert await world.deliver() == 1
    await world.close()


async def test_the_form_makes_the_transfer_that_was_typed(world: BankWorld) -> None:
    page = await world.http.get("/bank/transfer", params={"qr": vietqr()})
    for value in ('value="9900000001"', 'value="59.000"', 'value="BHY7K2Q9"', "BAO VA PTTH HUNG YEN"):  # fmt: skip
        assert value in page.text
    typed = {"bin": BIN, "account": "99 0000 0001", "amount": "58.000 ₫", "note": "<b>", "payer": "Lê Văn Cò"}  # fmt: skip
    answer = await world.http.post("/bank/transfer", data=typed)
    assert answer.status_code == 303
    receipt = await world.http.get(answer.headers["location"])
    assert (
        "58.000 ₫" in receipt.text and "&lt;b&gt;" in receipt.text and "LE VAN CO" in receipt.text
    )
    refused = await world.http.post("/bank/transfer", data={**typed, "amount": "58.00"})
    assert refused.status_code == 422 and 'value="58.00"' in refused.text
    assert (await world.http.get("/bank/transfer/banktx_0")).status_code == 404


async def test_what_is_no_vietqr_is_said_to_be_none(world: BankWorld) -> None:
    for text in ("xin chào", "0" * 60, vietqr()[:-9], "\x00"):
        page = await world.http.get("/bank/transfer", params={"qr": text})
        assert page.status_code == 400 and "VietQR" in page.text
    assert (await world.http.get("/bank/transfer")).status_code == 200
