"""Where everything of the bank is."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route

from infra.stripe_sandbox.delivery import Deliverer
from infra.stripe_sandbox.guard import Guard

from .bank import Bank
from .control import BankControl
from .pages import TransferPages
from .web import ASSETS


def bank_routes(bank: Bank, deliverer: Deliverer, guard: Guard) -> list[BaseRoute]:
    """The routes below ``/bank``."""
    pages = TransferPages(bank, deliverer, panel=guard.settings.at_home)
    control = BankControl(bank, deliverer, guard)
    return [
        Route("/bank", control.page, methods=["GET"]),
        Route("/bank/transfer", pages.show, methods=["GET"]),
        Route("/bank/transfer", pages.send, methods=["POST"]),
        Route("/bank/transfer/{id}", pages.receipt, methods=["GET"]),
        Route("/bank/api/transfers", control.transfer, methods=["POST"]),
        Route("/bank/api/switches", control.switches, methods=["GET"]),
        Route("/bank/api/switches", control.switch, methods=["POST"]),
        Route("/bank/api/accounts", control.accounts, methods=["GET"]),
        Route("/bank/api/transactions", control.transactions, methods=["GET"]),
        Route("/bank/api/transactions/{id}", control.transaction, methods=["GET"]),
        Route("/bank/api/transactions/{id}/resend", control.resend, methods=["POST"]),
        Route("/bank/api/statement.csv", control.statement, methods=["GET"]),
        Mount("/bank/static", app=ASSETS, name="bank-static"),
    ]
