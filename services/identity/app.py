"""Composition root of identity: HTTP."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request

from services.identity.access import Access
from services.identity.accounts import pages as account_pages
from services.identity.composition import assemble
from services.identity.factors import pages as factor_pages
from services.identity.invitations import pages as invitation_pages
from services.identity.keys import pages as key_pages
from services.identity.provider import pages as provider_pages
from services.identity.provider.service import OwnProvider
from services.identity.sessions import api as introspection
from services.identity.sessions import pages as session_pages
from services.identity.sessions.rules import origin_of
from services.identity.settings import IdentitySettings
from shared.audit import pages as audit_pages
from shared.audit.loop import audit_loop
from shared.auth import StaffPrincipal
from shared.loops import Loop, every
from shared.mail.pages import outbox_router
from shared.process import Process
from shared.web import WebParts
from shared.web.staff_bar import SIGN_OUT_PATH

FOLDER = Path(__file__).parent
HOUSEKEEPING_SECONDS = 600.0
MAX_BODY_BYTES = 64 * 1024


def web(process: Process[IdentitySettings]) -> WebParts:
    """The parts of the web process."""
    settings, database, clock = process.settings, process.database, process.clock
    parts = assemble(settings, database, clock)
    pages = process.pages(FOLDER, audit_pages.FOLDER)
    access = Access(parts.sessions, parts.step_up, pages, process.forms, settings, clock)

    own_provider = OwnProvider(parts.provider, settings.oidc_name) if parts.provider else None

    async def member(request: Request) -> StaffPrincipal:
        return (await access.page(request)).principal

    return WebParts(
        words=pages.words,
        routers=(
            introspection.router(
                parts.sessions, parts.keys, settings.internal_keys(), access.sign_out_token
            ),
            session_pages.sign_in_router(access, parts.sessions, pages, clock, settings.oidc_name),
            session_pages.home_router(access, pages, database, settings),
            session_pages.account_router(
                access, parts.sessions, parts.passwords, parts.factors, pages, own_provider
            ),
            *([provider_pages.router(own_provider, access, pages)] if own_provider else []),
            factor_pages.router(access, parts.factors, pages),
            invitation_pages.router(access, parts.invitations, pages, settings.oidc_name),
            key_pages.router(access, parts.keys, pages, database, clock),
            account_pages.router(access, parts.accounts, parts.invitations, pages, database),
            audit_pages.audit_router(
                audit_pages.AuditDesk("identity", database, clock, pages, member)
            ),
            *([outbox_router(pages, database)] if settings.shows_mail else []),
        ),
        checks={"database": database.ping},
        loops=(
            Loop(
                "identity-housekeeping",
                every(HOUSEKEEPING_SECONDS, parts.sessions.housekeeping),
                limit_seconds=HOUSEKEEPING_SECONDS + 60,
            ),
            audit_loop(database, clock, "identity"),
        ),
        static_folder=FOLDER / "static",
        trusted_origins=(origin_of(settings.identity_url),),
        trusted_at={SIGN_OUT_PATH: access.tool_origins},
        form_targets=tuple(origin_of(url) for url in settings.known_origins()),
        max_body_bytes=MAX_BODY_BYTES,
    )
