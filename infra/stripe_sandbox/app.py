"""Composition root: the parts put together as one ASGI application."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from infra.bank_sandbox.bank import Bank
from infra.bank_sandbox.routes import bank_routes
from infra.bank_sandbox.settings import BankSettings
from infra.bank_sandbox.webhooks import BankDeliverer

from .api import Api
from .checkout_pages import CheckoutPages
from .control import Control
from .delivery import Deliverer
from .guard import Guard
from .outbox import Outbox
from .renewals import run_due
from .scope import Clock, Sandbox
from .settings import SandboxSettings
from .store import Store
from .web import ASSETS
from .webhooks import StripeDeliverer

log = logging.getLogger("stripe_sandbox")

# The in-process transport's host name.
IN_PROCESS_HOST = "stripe.sandbox"

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(
    settings: SandboxSettings | None = None,
    bank_settings: BankSettings | None = None,
    *,
    clock: Clock = time.time,
    webhook_transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """The sandbox as an ASGI application, with the demo bank below ``/bank``.

    ``app.state.sandbox``, ``app.state.deliverer``, ``app.state.bank`` and
    ``app.state.bank_deliverer`` are for tests in the same process, where no lifespan runs:
    ``await app.state.deliverer.deliver_due()`` delivers what is due.
    """
    settings = settings or SandboxSettings()
    store, guard = Store(settings.state_file), Guard(settings)
    sandbox = Sandbox(settings, store, Outbox(store, settings, "stripe"), clock)
    deliverer = StripeDeliverer(sandbox, webhook_transport)
    bank = Bank(bank_settings or BankSettings(), store, clock)
    bank_deliverer = BankDeliverer(bank, webhook_transport)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(deliverer.run(), name="stripe-sandbox-webhooks"),
            asyncio.create_task(bank_deliverer.run(), name="bank-sandbox-webhooks"),
            asyncio.create_task(_tick(sandbox, deliverer), name="stripe-sandbox-dates"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            store.close()

    app = Starlette(
        routes=[
            *_routes(sandbox, deliverer, guard),
            *bank_routes(bank, bank_deliverer, guard),
        ],
        # Only names that are ours: a page elsewhere cannot rebind its own name to this port.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings))],
        lifespan=lifespan,
    )
    app.state.sandbox = sandbox
    app.state.deliverer = deliverer
    app.state.bank = bank
    app.state.bank_deliverer = bank_deliverer
    return app


def _routes(sandbox: Sandbox, deliverer: Deliverer, guard: Guard) -> list[BaseRoute]:
    api, pages = Api(sandbox), CheckoutPages(sandbox)
    control = Control(sandbox, deliverer, guard)

    def waking(endpoint: Endpoint) -> Endpoint:
        """After anything that may have caused events, let the deliverer look."""

        async def run(request: Request) -> Response:
            response = await endpoint(request)
            deliverer.wake()
            return response

        return run

    return [
        Route("/v1/{rest:path}", waking(api.__call__), methods=["GET", "POST", "DELETE"]),
        Route("/c/pay/{id}", pages.show, methods=["GET"]),
        Route("/c/pay/{id}", waking(pages.pay), methods=["POST"]),
        Route("/c/pay/{id}/3ds", pages.challenge, methods=["GET"]),
        Route("/c/pay/{id}/3ds", waking(pages.answer), methods=["POST"]),
        Route("/", control.page, methods=["GET"]),
        Route("/sandbox/control", control.switch, methods=["POST"]),
        Route("/sandbox/events/{id}/resend", control.resend, methods=["POST"]),
        Route("/sandbox/due", control.due, methods=["POST"]),
        Route("/sandbox/payouts", control.payout, methods=["POST"]),
        Route("/sandbox/{kind}/{id}/{act}", control.act, methods=["POST"]),
        Route("/healthz", _healthy, methods=["GET"]),
        ASSETS.mount(),
    ]


def _hosts(settings: SandboxSettings) -> list[str]:
    public = urlsplit(settings.public_url).hostname or "localhost"
    further = {name.strip() for name in settings.names.split(",") if name.strip()}
    return sorted({public, "127.0.0.1", "localhost", IN_PROCESS_HOST, *further})


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _tick(sandbox: Sandbox, deliverer: Deliverer) -> None:
    """Do what has come due, for as long as the sandbox lives."""
    while True:
        for account, _ in sandbox.store.accounts():
            scope = sandbox.scope(account)
            try:
                with sandbox.store.transaction():
                    run_due(scope, until=scope.now())
            except Exception:
                # One account's trouble must not stop the others' dates.
                log.exception("the due dates of %s failed", account)
        deliverer.wake()
        await asyncio.sleep(sandbox.settings.tick_seconds)
