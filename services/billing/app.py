"""Composition root of HTTP: ``python -m services.billing web``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request

from services.billing.account import change_pages, link_pages, wishes_pages
from services.billing.account import pages as account_pages
from services.billing.addresses import pages as address_pages
from services.billing.bundles import front as bundle_front
from services.billing.bundles import pages as bundle_pages
from services.billing.composition import Billing, build, signing_keys
from services.billing.contributions import pages as contribution_pages
from services.billing.gifts import pages as gift_pages
from services.billing.insight import api as insight_api
from services.billing.insight import pages as insight_pages
from services.billing.invoices import pages as invoice_pages
from services.billing.invoices.pdf import InvoicePrinter
from services.billing.mydata import pages as data_pages
from services.billing.networks import pages as network_pages
from services.billing.offers import pages as offer_pages
from services.billing.orders import pages as order_pages
from services.billing.passwords import pages as password_pages
from services.billing.passwords import sign_in_pages as password_sign_in_pages
from services.billing.phones import pages as phone_pages
from services.billing.plans import pages as plan_pages
from services.billing.readers import api as readers_api
from services.billing.readers.web import BillingFormTokens, ReaderFront
from services.billing.seats import pages as seat_pages
from services.billing.settings import BillingSettings, origin_of
from services.billing.sign_in import pages as sign_in_pages
from services.billing.sign_in import register_pages
from services.billing.staff import api as staff_api
from services.billing.staff import (
    books_pages,
    coupon_pages,
    credits_pages,
    exception_pages,
    reader_acts,
    statement_pages,
)
from services.billing.staff import invoice_pages as staff_invoice_pages
from services.billing.staff import network_pages as staff_network_pages
from services.billing.staff import offer_pages as staff_offer_pages
from services.billing.staff import pages as staff_pages
from services.billing.staff import reader_pages as staff_reader_pages
from services.billing.staff import refund_pages as staff_refund_pages
from services.billing.transfers import front as transfer_front
from services.billing.webhooks.front import PATH, StripeWebhook
from shared.audit.pages import FOLDER as AUDIT_FOLDER
from shared.audit.pages import AuditDesk, audit_router
from shared.mail.pages import outbox_router
from shared.process import Process
from shared.web import HotRoute, Pages, WebParts
from shared.web.staff_bar import AUDITORS

HERE = Path(__file__).parent
#: What readers see and do.
READERS_PAGES = (
    sign_in_pages,
    password_sign_in_pages,
    plan_pages,
    account_pages,
    address_pages,
    password_pages,
    register_pages,
    phone_pages,
    wishes_pages,
    change_pages,
    link_pages,
    order_pages,
    gift_pages,
    offer_pages,
    bundle_pages,
    contribution_pages,
    seat_pages,
    network_pages,
    data_pages,
)


def web(process: Process[BillingSettings]) -> WebParts:
    """The parts of the web process."""
    return routed(build(process))


def routed(billing: Billing) -> WebParts:
    """Routes and pages around given parts."""
    settings, access = billing.settings, billing.process.access
    forms = BillingFormTokens(
        settings.form_secret, settings.staff_cookie, secure_cookies=settings.secure_cookies
    )
    pages = Pages(
        HERE, forms, secure_cookies=settings.secure_cookies, extra_folders=(AUDIT_FOLDER,)
    )
    front, printer = ReaderFront(billing, pages, forms), InvoicePrinter(pages.words)
    desk = credits_pages.CreditDesk(billing, pages, access)
    reader_desk = staff_reader_pages.ReaderDesk(billing, pages, access, forms)

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield
        await billing.close()

    return WebParts(
        words=pages.words,
        routers=[
            readers_api.router(billing, signing_keys(settings)),
            staff_api.router(billing, access),
            insight_api.router(billing, access),
            *(pages_of.router(front) for pages_of in READERS_PAGES),
            transfer_front.router(billing),
            invoice_pages.router(front, printer),
            staff_pages.router(billing, pages, access, forms),
            books_pages.router(billing, pages, access, forms),
            staff_invoice_pages.router(billing, pages, access, printer),
            insight_pages.router(billing, pages, access),
            *(of.router(billing, pages, access, forms) for of in (coupon_pages, staff_offer_pages)),
            statement_pages.router(desk, access, forms),  # its address is no credit's id
            credits_pages.router(desk, pages, access, forms),
            *(of.router(reader_desk, access) for of in (staff_reader_pages, reader_acts)),
            staff_refund_pages.router(billing, pages, access, forms),
            exception_pages.router(billing, pages, access, forms),
            staff_network_pages.router(billing, pages, access, forms),
            audit_router(
                AuditDesk(
                    "billing",
                    billing.database,
                    billing.clock,
                    pages,
                    access.page,
                    AUDITORS["billing"],
                )
            ),
            *(
                [outbox_router(pages, billing.database)]
                if settings.shows_mail or settings.shows_texts
                else []
            ),
        ],
        hot_routes=hot_routes(billing),
        checks={"database": billing.database.ping},
        running=running,
        larger_bodies={statement_pages.PATH: statement_pages.MAX_FORM_BYTES},
        static_folder=HERE / "static",
        trusted_origins=(origin_of(settings.billing_url),),
        form_targets=settings.payment_page_origins,
        home=lambda request: first_page(settings, request),
    )


def hot_routes(billing: Billing) -> list[HotRoute]:
    """What providers and the agencies' websites send."""
    settings = billing.settings
    webhook = StripeWebhook(
        billing.inbox,
        billing.clock,
        secrets=settings.webhook_secrets,
        tolerance_seconds=settings.stripe_webhook_tolerance_seconds,
    )
    door = bundle_front.BundleDoor(billing)
    return [
        HotRoute("POST", PATH, webhook, WEBHOOK),
        # Whose website may send it is known when the agency is, which stands in the body.
        HotRoute("POST", bundle_front.PATH, door, bundle_front.OPERATION, origins=bool),
    ]


def first_page(settings: BillingSettings, request: Request) -> str:
    """Readers begin at the newspaper, staff at identity's home."""
    is_reader = request.url.path.startswith("/r/")
    return settings.news_site_url if is_reader else settings.identity_url


WEBHOOK: dict[str, Any] = {
    "summary": "Notifications from Stripe",
    "description": "Signed over the raw body (`Stripe-Signature`); kept before the 2xx.",
    "x-public": True,
    "tags": ["webhooks"],
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
    "responses": {
        "200": {"description": "Kept, or of no interest"},
        "400": {"description": "The signature does not hold, or it is no event"},
        "413": {"description": "The body is too large"},
        "503": {"description": "It could not be kept: send it again"},
    },
}
