"""What a payer sees: the transfer with everything filled in from the QR, and its receipt."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infra.stripe_sandbox.delivery import Deliverer
from infra.stripe_sandbox.web import same_origin

from .accounts import BANKS, bank_name
from .bank import LONGEST_NOTE, LONGEST_PAYER, Bank, RefusedTransferError, grouped
from .notes import PAYER_ACCOUNT
from .vietqr import NotVietQrError, read_vietqr
from .web import lang_of, notice, page

PAYER = "NGUYEN VAN A"


class TransferPages:
    """Open to everybody who reaches the sandbox, as a bank is: no real money moves."""

    def __init__(self, bank: Bank, deliverer: Deliverer, *, panel: bool) -> None:
        """``panel``: whether the receipt leads to the control page, which is for one's own machine."""
        self.bank = bank
        self.deliverer = deliverer
        self.panel = panel

    async def show(self, request: Request) -> Response:
        """GET /bank/transfer: filled in from ``?qr=``, empty without one."""
        payload = request.query_params.get("qr", "")
        fields = {"bin": "", "account": "", "amount": "", "note": "", "payer": PAYER}
        if payload:
            try:
                read = read_vietqr(payload)
            except NotVietQrError:
                return notice(request, "no_qr", 400)
            fields |= {
                "bin": read.bin,
                "account": read.account,
                "amount": grouped(read.amount) if read.amount is not None else "",
                "note": read.note,
            }
        return self._form(request, fields)

    def _form(
        self, request: Request, fields: dict[str, str], problem: str = "", status: int = 200
    ) -> Response:
        to = self.bank.account(fields["account"], fields["bin"])
        banks = {**BANKS, **({fields["bin"]: bank_name(fields["bin"])} if fields["bin"] else {})}
        return page(
            request,
            "transfer.html",
            status,
            fields=fields,
            problem=problem,
            to=to,
            banks=banks,
            payer_account=PAYER_ACCOUNT,
            longest_note=LONGEST_NOTE,
            longest_payer=LONGEST_PAYER,
            query=request.url.query,
        )

    async def send(self, request: Request) -> Response:
        """POST /bank/transfer"""
        if not same_origin(request):
            return notice(request, "forbidden", 403)
        fields = _fields(await request.form())
        try:
            made = self.bank.transfer(
                account=fields["account"],
                bin=fields["bin"],
                amount=typed_amount(fields["amount"]),
                note=fields["note"],
                payer=fields["payer"],
            )
        except RefusedTransferError as refused:
            return self._form(request, fields, str(refused), 422)
        self.deliverer.wake()
        again = {name: request.query_params[name] for name in ("qr", "lang") if name in request.query_params}  # fmt: skip
        tail = f"?{urlencode(again)}" if again else ""
        return RedirectResponse(f"/bank/transfer/{made['id']}{tail}", 303)

    async def receipt(self, request: Request) -> Response:
        """GET /bank/transfer/:id"""
        found = self.bank.transaction(request.path_params["id"])
        if found is None:
            return notice(request, "missing", 404)
        return page(
            request,
            "receipt.html",
            made=found,
            panel=self.panel,
            query=urlencode({"lang": lang_of(request)}),
        )


def _fields(form: FormData) -> dict[str, str]:
    def field(name: str) -> str:
        value = form.get(name, "")
        return value.strip()[:500] if isinstance(value, str) else ""

    typed = {name: field(name) for name in ("bin", "account", "amount", "note", "payer")}
    return typed | {"account": re.sub(r"\s", "", typed["account"])}


def typed_amount(text: str) -> int:
    """``59.000``, ``59 000 ₫`` or ``59000`` to 59000; 0, which no bank takes, for anything else."""
    bare = re.sub(r"\s*(?:₫|đ|vnd|vnđ)$", "", text.strip(), flags=re.IGNORECASE)
    if not re.fullmatch(r"[0-9]{1,16}|[0-9]{1,3}(?:[. ,][0-9]{3}){1,5}", bare):
        return 0
    return int(re.sub(r"[. ,]", "", bare))
