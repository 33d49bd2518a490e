"""Composition root of identity: HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request

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
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.loops import Loop, every, supervise
from shared.startup import Duty, load_settings
from shared.web import Pages, WebParts, create_app
from shared.web.csrf import FormTokens
from shared.web.staff import STAFF_COOKIE

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


def create() -> FastAPI:
    """For the server: settings from the environment."""
    return build(load_settings(IdentitySettings, Duty.WEB, "identity"))


def build(settings: IdentitySettings, clock: Clock | None = None) -> FastAPI:
    """The application; tests bring a clock they can move."""
    clock = clock or SystemClock(settings.clock_offset_seconds)
    database = Database(
        settings.database_url,
        application_name="identity-web",
        pool_size=settings.database_pool_size,
    )
    hasher = hasher_for(settings)
    authenticator = PasswordAuthenticator(
        database, hasher, clock, settings.network_failures_allowed
    )
    sessions = SessionService(database, clock, authenticator)
    accounts = AccountService(database, clock, hasher, authenticator)
    keys = KeyService(database, clock)
    form_tokens = FormTokens(settings.form_token_secret, STAFF_COOKIE)
    secure = settings.deployed
    pages = Pages(FOLDER, form_tokens, secure_cookies=secure, extra_folders=(audit_pages.FOLDER,))
    access = Access(sessions, form_tokens, settings)
    housekeeping = Loop(
        "identity-housekeeping",
        every(HOUSEKEEPING_SECONDS, sessions.housekeeping),
        limit_seconds=HOUSEKEEPING_SECONDS + 60,
    )

    watch = audit_loop(database, clock, "identity")

    async def member(request: Request) -> StaffPrincipal:
        return (await access.page(request)).principal

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(supervise(loop, stop)) for loop in (housekeeping, watch)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            await database.close()

    return create_app(
        "identity",
        "Identity",
        settings,
        WebParts(
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
            loops=(housekeeping, watch),
            lifespan=lifespan,
            static_folder=FOLDER / "static",
            trusted_origins=(origin_of(settings.identity_url),),
            form_targets=tuple(origin_of(url) for url in settings.known_origins()),
            max_body_bytes=MAX_BODY_BYTES,
        ),
    )
