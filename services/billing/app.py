"""Composition root of HTTP: ``python -m services.billing web``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from services.billing.checkouts import pages as checkout_pages
from services.billing.composition import Billing, build, signing_keys
from services.billing.readers import api as readers_api
from services.billing.readers import pages as sign_in_pages
from services.billing.readers.web import BillingFormTokens
from services.billing.settings import BillingSettings, origin_of
from services.billing.staff import api as staff_api
from services.billing.staff import pages as staff_pages
from services.billing.webhooks.front import PATH, StripeWebhook
from shared.auth import IdentityClient
from shared.mail.pages import outbox_router
from shared.startup import Duty, load_settings
from shared.telemetry import configure_logging, configure_tracing
from shared.web import FrontDoor, Pages, WebParts, create_app
from shared.web.staff import StaffAccess

HERE = Path(__file__).parent


def create() -> ASGIApp:
    """The application, from the environment."""
    settings = load_settings(BillingSettings, Duty.WEB, "billing")
    configure_logging("billing", level=settings.log_level, fmt=settings.log_format)
    configure_tracing("billing", sample_ratio=settings.trace_sample_ratio)
    return assemble(build(settings))


def assemble(
    billing: Billing, *, identity_transport: httpx.AsyncBaseTransport | None = None
) -> ASGIApp:
    """The application around given parts (``identity_transport`` is for tests)."""
    settings = billing.settings
    client = httpx.AsyncClient(transport=identity_transport)
    identity = IdentityClient(settings.identity_api, settings.identity_internal_key, client)
    access = StaffAccess(identity, identity_url=settings.identity_url, own_url=settings.billing_url)
    forms = BillingFormTokens(settings.form_secret)
    pages = Pages(HERE, forms, secure_cookies=settings.secure_cookies)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        await client.aclose()
        await billing.close()

    app = create_app(
        "billing",
        "Billing",
        settings,
        WebParts(
            routers=[
                readers_api.router(billing, signing_keys(settings)),
                staff_api.router(billing, access),
                sign_in_pages.router(billing, pages, forms),
                checkout_pages.router(billing, pages, forms),
                staff_pages.router(billing, pages, access, forms),
                *(
                    [outbox_router(pages, billing.database)]
                    if settings.environment in ("local", "test")
                    else []
                ),
            ],
            checks={"database": billing.database.ping},
            lifespan=lifespan,
            static_folder=HERE / "static",
            trusted_origins=(origin_of(settings.billing_url),),
            form_targets=settings.payment_page_origins,
        ),
    )
    document_webhook(app)
    hook = StripeWebhook(
        billing.inbox,
        billing.clock,
        secrets=settings.webhook_secrets,
        tolerance_seconds=settings.stripe_webhook_tolerance_seconds,
    )
    return FrontDoor(app, {("POST", PATH): hook})


def document_webhook(app: FastAPI) -> None:
    """The hot route stands before the framework, so its description is added by hand."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document["paths"].setdefault(
            PATH,
            {
                "post": {
                    "summary": "Notifications from Stripe",
                    "description": "Signed over the raw body (`Stripe-Signature`); kept before the 2xx.",
                    "x-public": True,
                    "tags": ["webhooks"],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"type": "object"}}}
                    },
                    "responses": {
                        "200": {"description": "Kept, or of no interest"},
                        "400": {"description": "The signature does not hold, or it is no event"},
                        "413": {"description": "The body is too large"},
                        "503": {"description": "It could not be kept: send it again"},
                    },
                }
            },
        )
        return document

    app.openapi = openapi  # type: ignore[method-assign]
