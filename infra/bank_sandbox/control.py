"""The bank's control page, and the same as JSON for tests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from infra.stripe_sandbox.control import Switches, validated
from infra.stripe_sandbox.delivery import Deliverer
from infra.stripe_sandbox.errors import invalid
from infra.stripe_sandbox.guard import Guard, is_form, refusal, remember
from shared.web.spreadsheet import csv_answer

from .accounts import Account
from .bank import Bank, RefusedTransferError
from .pages import PAYER
from .web import lang_of, page
from .words import WORDS

SHOWN = 30


class BankSwitches(Switches):
    """What may be changed while running; what is left out stays."""

    mangle: bool | None = None
    shape: Literal["sepay", "payos"] | None = None


class Transfer(BaseModel):
    """A transfer that a test makes."""

    model_config = ConfigDict(extra="forbid")

    account: str
    bin: str | None = Field(default=None, description="The bank; any where it is left out.")
    amount: int = Field(strict=True)
    note: str = ""
    payer: str = PAYER
    at: AwareDatetime | None = Field(default=None, description="When it is booked; else now.")


class BankControl:
    """Changing anything needs the control token or the page's own form; so does reading from elsewhere."""

    def __init__(self, bank: Bank, deliverer: Deliverer, guard: Guard) -> None:
        self.bank = bank
        self.deliverer = deliverer
        self.guard = guard

    # -- the page -----------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """GET /bank, on one's own machine only: its forms need no other proof than having been there."""
        if not self.guard.settings.at_home:
            return refusal()
        cookie, token = self.guard.form_token(request)
        bank = self.bank
        response = page(
            request,
            "control.html",
            token=token,
            switches=bank.switches(),
            billing_url=bank.settings.billing_url,
            accounts=[(one, bank.balance(one)) for one in bank.accounts],
            transactions=[
                {**bank.shown(one), "tells": bank.tells(one)}
                for one in bank.transactions(limit=SHOWN)
            ],
        )
        return remember(response, cookie)

    def _done(self, request: Request, answer: Any) -> Response:
        self.deliverer.wake()
        if is_form(request):
            asked = request.query_params.get("lang", "")
            return RedirectResponse(f"/bank?lang={lang_of(request)}" if asked in WORDS else "/bank", 303)  # fmt: skip
        return JSONResponse(answer)

    # -- changing -----------------------------------------------------------------------------

    async def switch(self, request: Request) -> Response:
        """POST /bank/api/switches"""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        if "form" in body:
            # An unticked box sends nothing: from the form, absence means off.
            body.pop("form")
            body = {"reorder": False, "mangle": False, **body}
        wanted = validated(BankSwitches, body)
        if isinstance(wanted, Response):
            return wanted
        for name, value in wanted.model_dump(exclude_none=True).items():
            own = name if name in {"mangle", "shape"} else f"webhook_{name}"
            setattr(self.bank.settings, own, value)
        return self._done(request, self.bank.switches())

    async def transfer(self, request: Request) -> Response:
        """POST /bank/api/transfers: 201 with the transaction."""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        wanted = validated(Transfer, body)
        if isinstance(wanted, Response):
            return wanted
        try:
            made = self.bank.transfer(
                account=wanted.account,
                bin=wanted.bin,
                amount=wanted.amount,
                note=wanted.note,
                payer=wanted.payer,
                at=wanted.at,
            )
        except RefusedTransferError as refused:
            text = WORDS["en"][str(refused)]
            return JSONResponse(invalid(text, code=str(refused)).body(), 422)
        self.deliverer.wake()
        return JSONResponse(self.bank.shown(made), 201)

    async def resend(self, request: Request) -> Response:
        """POST /bank/api/transactions/:id/resend: one more copy, whatever the switches say."""
        body = await self.guard.may(request)
        if isinstance(body, Response):
            return body
        found = self.bank.transaction(request.path_params["id"])
        if found is None:
            return _no_such("transaction")
        if not self.bank.tells(found):
            text = "Nobody is told: billing_url or the secret of this agency and kind is missing."
            return JSONResponse(invalid(text).body(), 400)
        self.bank.resend(found)
        return self._done(request, self.bank.shown(found))

    # -- reading ------------------------------------------------------------------------------

    async def switches(self, request: Request) -> Response:
        """GET /bank/api/switches"""
        return JSONResponse(self.bank.switches()) if self.guard.may_look(request) else refusal()

    async def accounts(self, request: Request) -> Response:
        """GET /bank/api/accounts"""
        if not self.guard.may_look(request):
            return refusal()
        return JSONResponse(
            [
                {**vars(one), "bank": one.bank, "balance": self.bank.balance(one)}
                for one in self.bank.accounts
            ]
        )

    async def transactions(self, request: Request) -> Response:
        """GET /bank/api/transactions, newest first; ``?account=`` for one account's."""
        if not self.guard.may_look(request):
            return refusal()
        account = None
        if "account" in request.query_params and (account := self._account(request)) is None:
            return _no_such("account")
        found = self.bank.transactions(account)
        return JSONResponse([self.bank.shown(one) for one in found])

    async def transaction(self, request: Request) -> Response:
        """GET /bank/api/transactions/:id"""
        if not self.guard.may_look(request):
            return refusal()
        found = self.bank.transaction(request.path_params["id"])
        return _no_such("transaction") if found is None else JSONResponse(self.bank.shown(found))

    async def statement(self, request: Request) -> Response:
        """GET /bank/api/statement.csv?account=: everything that came into one account."""
        if not self.guard.may_look(request):
            return refusal()
        account = self._account(request)
        if account is None:
            return _no_such("account")
        return csv_answer(f"sao-ke-{account.number}.csv", self.bank.statement(account))

    def _account(self, request: Request) -> Account | None:
        asked = request.query_params
        return self.bank.account(asked.get("account", ""), asked.get("bin"))


def _no_such(noun: str) -> Response:
    return JSONResponse(invalid(f"No such {noun}.", code="resource_missing").body(), 404)
