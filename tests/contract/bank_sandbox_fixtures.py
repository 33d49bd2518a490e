"""A demo bank in this process, and billing's side of its webhooks: what arrives is held against the aggregators' documents."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import re
from collections.abc import Callable
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from infra.bank_sandbox.settings import BankSettings
from infra.stripe_sandbox.app import create_app
from infra.stripe_sandbox.inprocess import BASE
from infra.stripe_sandbox.settings import SandboxSettings

TOKEN = "control-token-of-the-tests"
AGENCY, NUMBER, BIN = "bao-hung-yen", "9900000001", "970436"
OTHER_AGENCY, OTHER_NUMBER = "dai-song-hong", "9900000002"
SECRETS = {
    (AGENCY, "sepay"): "api-key-of-hung-yen",
    (AGENCY, "payos"): "checksum-key-of-hung-yen",
    (OTHER_AGENCY, "sepay"): "api-key-of-song-hong",
}
WRITTEN = ",".join(f"{agency}/{kind}:{secret}" for (agency, kind), secret in SECRETS.items())
#: Another bank's QR of the same form, of the public test vector.
FOREIGN = (
    "00020101021138510010A00000072701210006970407010797968680208QRIBFTTA"
    "53037045802VN62240820gen by sunary/vietqr6304BE74"
)

SEPAY = {
    "id": int, "gateway": str, "transactionDate": str, "accountNumber": str, "subAccount": type(None),
    "code": type(None), "content": str, "transferType": str, "transferAmount": int, "accumulated": int,
    "referenceCode": str, "description": str,
}  # fmt: skip
PAYOS_DATA = {
    "orderCode", "amount", "description", "accountNumber", "reference", "transactionDateTime", "currency",
    "paymentLinkId", "code", "desc", "counterAccountBankId", "counterAccountBankName", "counterAccountName",
    "counterAccountNumber", "virtualAccountName", "virtualAccountNumber",
}  # fmt: skip


def vietqr(amount: int | None = 59_000, note: str = "BHY7K2Q9", number: str = NUMBER) -> str:
    """A QR as billing makes it, its check sum left at zeros."""

    def field(tag: str, value: str) -> str:
        return f"{tag}{len(value):02}{value}"

    to = field("00", BIN) + field("01", number)
    napas = field("00", "A000000727") + field("01", to) + field("02", "QRIBFTTA")
    return "".join(
        [
            field("00", "01"),
            field("01", "12"),
            field("38", napas),
            field("53", "704"),
            field("54", str(amount)) if amount is not None else "",
            field("58", "VN"),
            field("62", field("08", note)),
            "63040000",
        ]
    )


class Billing:
    """Takes notices of bank credits, refuses what is not signed or not of its shape, answers what it is told to."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.arrived: list[tuple[str, str, dict[str, Any]]] = []
        self.changed = asyncio.Condition()
        path = "/v1/webhooks/bank/{agency}/{kind}"
        self.app = Router(routes=[Route(path, self.receive, methods=["POST"])])

    async def receive(self, request: Request) -> Response:
        agency, kind = request.path_params["agency"], request.path_params["kind"]
        body = await request.json()
        assert request.headers["content-type"] == "application/json"
        secret = SECRETS[agency, kind]
        (self._sepay if kind == "sepay" else self._payos)(request, body, secret)
        self.arrived.append((agency, kind, body))
        async with self.changed:
            self.changed.notify_all()
        return JSONResponse({"success": True}, self.answers.pop(0) if self.answers else 200)

    def _sepay(self, request: Request, body: dict[str, Any], secret: str) -> None:
        assert request.headers["authorization"] == f"Apikey {secret}"
        assert {name: type(value) for name, value in body.items()} == SEPAY
        assert body["transferType"] == "in"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", body["transactionDate"])
        assert re.fullmatch(r"FT\d{13}", body["referenceCode"])

    def _payos(self, request: Request, body: dict[str, Any], secret: str) -> None:
        assert set(body) == {"code", "desc", "success", "data", "signature"}
        assert (body["code"], body["success"]) == ("00", True)
        data = body["data"]
        assert set(data) == PAYOS_DATA and data["currency"] == "VND"
        pairs = sorted((name, "" if value is None else str(value)) for name, value in data.items())
        text = "&".join(f"{name}={value}" for name, value in pairs)
        signed = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        assert body["signature"] == signed

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for deliveries until something holds."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(holds)

    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.arrived]


class BankWorld:
    """One bank with its receiver and a clock that tests move. Without notes changed, unless told otherwise."""

    def __init__(self, state_file: str = ":memory:", **settings: Any) -> None:
        self.time = 1_798_736_399.0  # 31 December 2026, 23:59:59 in Vietnam
        self.billing = Billing()
        self.app = create_app(
            SandboxSettings(public_url=BASE, control_token=TOKEN, state_file=state_file),
            BankSettings(
                **{
                    "billing_url": "http://billing.example",
                    "webhook_secrets": WRITTEN,
                    "mangle": False,
                    **settings,
                }
            ),
            clock=lambda: self.time,
            webhook_transport=httpx.ASGITransport(app=self.billing.app),
        )
        self.bank = self.app.state.bank
        self.bank.outbox.chance = random.Random(7)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url=BASE)

    async def api(self, path: str, body: Any = None) -> httpx.Response:
        return await self.http.post(
            f"/bank/api/{path}", json=body or {}, headers={"Sandbox-Control-Token": TOKEN}
        )

    async def paid(self, amount: int = 59_000, note: str = "BHY7K2Q9", **further: Any) -> Any:
        body = {"account": NUMBER, "amount": amount, "note": note, **further}
        answer = await self.api("transfers", body)
        assert answer.status_code == 201, answer.text
        return json.loads(answer.text)

    async def states(self, transaction: Any) -> list[str]:
        answer = await self.http.get(f"/bank/api/transactions/{transaction['id']}")
        return [one["state"] for one in answer.json()["deliveries"]][::-1]

    async def deliver(self) -> int:
        made: int = await self.app.state.bank_deliverer.deliver_due()
        return made

    async def close(self) -> None:
        await self.http.aclose()
        self.app.state.sandbox.store.close()
