"""Composition root of identity: HTTP."""

from __future__ import annotations

from pathlib import Path

from fastapi import Request

from services.identity.access import Access
from services.identity.accounts import pages as account_pages
from services.identity.accounts.adapters.hasher import Argon2Hasher
from services.identity.accounts.service import AccountService
from services.identity.authenticators.service import PasswordAuthenticator
from services.identity.keys import pages as key_pages
from services.identity.keys.service import KeyService
from services.identity.sessions import api as introspection
from services.identity.sessions import pages as session_pages
from services.identity.sessions.rules import origin_of
from services.identity.sessions.service import SessionService
from services.identity.settings import IdentitySettings
from shared.audit import pages as audit_pages
from shared.audit.loop import audit_loop
from shared.auth import StaffPrincipal
from shared.loops import Loop, every
from shared.process import Process
from shared.web import WebParts

FOLDER = Path(__file__).parent
HOUSEKEEPING_SECONDS = 600.0
MAX_BODY_BYTES = 64 * 1024


def hasher_for(settings: IdentitySettings) -> Argon2Hasher:
    return Argon2Hasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        concurrency=settings.sign_in_concurrency,
    )


def web(process: Process[IdentitySettings]) -> WebParts:
    """The parts of the web process."""
    settings, database, clock = process.settings, process.database, process.clock
    hasher = hasher_for(settings)
    authenticator = PasswordAuthenticator(
        database, hasher, clock, settings.network_failures_allowed
    )
    sessions = SessionService(database, clock, authenticator)
    accounts = AccountService(database, clock, hasher, authenticator)
    keys = KeyService(database, clock)
    pages = process.pages(FOLDER, audit_pages.FOLDER)
    access = Access(sessions, process.forms, settings)

    async def member(request: Request) -> StaffPrincipal:
        return (await access.page(request)).principal

    return WebParts(
        routers=(
            introspection.router(sessions, keys, settings.internal_keys()),
            session_pages.sign_in_router(access, sessions, pages, settings, clock),
            session_pages.home_router(access, pages, database, settings),
            session_pages.account_router(access, sessions, accounts, pages),
            key_pages.router(access, keys, pages, database, clock),
            account_pages.router(access, accounts, pages, database),
            audit_pages.audit_router(audit_pages.AuditDesk(database, clock, pages, member)),
        ),
        checks={"database": database.ping},
        loops=(
            Loop(
                "identity-housekeeping",
                every(HOUSEKEEPING_SECONDS, sessions.housekeeping),
                limit_seconds=HOUSEKEEPING_SECONDS + 60,
            ),
            audit_loop(database, clock, "identity"),
        ),
        static_folder=FOLDER / "static",
        trusted_origins=(origin_of(settings.identity_url),),
        form_targets=tuple(origin_of(url) for url in settings.known_origins()),
        max_body_bytes=MAX_BODY_BYTES,
    )
