"""Example data: agencies, demo accounts, the sample site's key. Safe to repeat."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid5

import structlog

from services.identity.accounts import repository as accounts
from services.identity.accounts.models import Account
from services.identity.accounts.rules import is_administrator
from services.identity.composition import hasher_for
from services.identity.factors import repository as factors
from services.identity.factors.adapters.seal import Seal
from services.identity.factors.models import TotpFactor
from services.identity.keys import repository as keys
from services.identity.keys.rules import key_id_of
from services.identity.keys.service import Issuer, store_key
from services.identity.passwords.rules import normalise_password, password_problem
from services.identity.passwords.service import set_password
from services.identity.settings import IdentitySettings
from shared import audit
from shared.agencies import read_agencies, save_agencies
from shared.audit import Action, Actor
from shared.auth.roles import Role, Scope
from shared.clock import SystemClock
from shared.database import Database, Session
from shared.ids import new_id
from shared.passwords.hasher import PasswordHasher
from shared.process import Process

log = structlog.get_logger(__name__)

SEED = Actor.system("seed")

AGENCIES_FILE = Path(__file__).parents[2] / "infra" / "demo" / "agencies.toml"
SITE_AGENCY = "bao-hung-yen"
SITE_SCOPES = [str(Scope.DECISIONS), str(Scope.ARTICLES), str(Scope.AD_DECISIONS)]
_NAMESPACE = UUID("5f3b1c52-6f0e-4a53-9d0e-7d3f0c7a9b11")

DEMO_ACCOUNTS: tuple[tuple[str, str, dict[str, tuple[Role, ...]]], ...] = (
    ("admin@bao-hung-yen.example", "Quản trị (ví dụ)", {"bao-hung-yen": (Role.ADMIN,)}),
    (
        "seller@bao-hung-yen.example",
        "Kinh doanh quảng cáo (ví dụ)",
        {"bao-hung-yen": (Role.SELLER, Role.TRAFFIC)},
    ),
    ("finance@bao-hung-yen.example", "Kế toán (ví dụ)", {"bao-hung-yen": (Role.FINANCE,)}),
    ("editor@bao-hung-yen.example", "Thư ký tòa soạn (ví dụ)", {"bao-hung-yen": (Role.EDITOR,)}),
    (
        "finance@dai-song-hong.example",
        "Kế toán Đài (ví dụ)",
        {"dai-song-hong": (Role.FINANCE,)},
    ),
    (
        "province@hung-yen.example",
        "Cơ quan chủ quản (ví dụ)",
        {"bao-hung-yen": (Role.VIEWER,), "dai-song-hong": (Role.VIEWER,)},
    ),
)


async def run(process: Process[IdentitySettings]) -> None:
    """Called by the command line."""
    await seed(process.database, process.settings)


async def seed(database: Database, settings: IdentitySettings) -> None:
    """Agencies always; demo accounts and key only where the environment allows and names them."""
    now = SystemClock(settings.clock_offset_seconds).now()
    async with database.transaction() as session:
        await save_agencies(session, read_agencies(AGENCIES_FILE), actor=SEED)
    if settings.environment == "production":
        return
    if settings.demo_password:
        await _seed_accounts(database, settings.demo_password, hasher_for(settings), now)
        if settings.demo_totp_secret:
            await _seed_apps(database, settings, now)
    if settings.demo_site_key:
        async with database.transaction() as session:
            await _seed_site_key(session, settings.demo_site_key, now)


async def _seed_accounts(
    database: Database, password: str, hasher: PasswordHasher, now: datetime
) -> None:
    chosen = normalise_password(password)
    for email, name, roles in DEMO_ACCOUNTS:
        problem = password_problem(chosen, email)
        if problem is not None:
            raise ValueError(f"DEMO_PASSWORD will not do: {problem}")
        async with database.read() as reading:
            known = await accounts.by_email(reading, email)
        if known is not None:
            # Again and again the same start: the demo never falls asleep and keeps its password.
            if not await hasher.verify(known.password_hash or "", chosen):
                await _set_password(database, known.id, await hasher.hash(chosen), now)
            async with database.transaction() as session:
                await accounts.touch(session, known.id, now)
            continue
        await _create(database, email, name, roles, await hasher.hash(chosen), now)
        log.info("demo_account_created", email=email)


async def _set_password(
    database: Database, account_id: UUID, password_hash: str, now: datetime
) -> None:
    async with database.transaction() as session:
        account = await accounts.lock(session, account_id)
        assert account is not None
        await set_password(session, account, password_hash, now)


async def _create(
    database: Database,
    email: str,
    name: str,
    roles: dict[str, tuple[Role, ...]],
    password_hash: str,
    now: datetime,
) -> None:
    async with database.transaction() as session:
        account = Account(
            id=new_id(),
            email=email,
            name=name,
            # Whoever works for several agencies from the start (the governing body) is at home at none.
            home_agency=next(iter(roles)) if len(roles) == 1 else None,
            created_at=now,
            last_active_at=now,
        )
        session.add(account)
        await session.flush()
        await set_password(session, account, password_hash, now)
        for agency, held in sorted(roles.items()):
            await accounts.set_roles(session, account.id, agency, held)
            await audit.record(
                session,
                Action.ACCOUNT_CREATED,
                agency=agency,
                at=now,
                subject=f"account/{account.id}",
                label=email,
                after={"roles": list(held)},
                actor=SEED,
            )


async def _seed_apps(database: Database, settings: IdentitySettings, now: datetime) -> None:
    """The demo's administrators have an authenticator app whose secret the local start shows."""
    seal = Seal(settings.sealing_keys)
    for email, _, roles in DEMO_ACCOUNTS:
        if not is_administrator(roles):
            continue
        async with database.transaction() as session:
            account = await accounts.by_email(session, email)
            assert account is not None
            if await factors.lock(session, account.id) is None:
                sealed = seal.close(settings.demo_totp_secret)
                await factors.replace(
                    session,
                    TotpFactor(account_id=account.id, secret=sealed, last_step=0, created_at=now),
                )


async def _seed_site_key(session: Session, key: str, now: datetime) -> None:
    key_id = key_id_of(key)
    if key_id is None:
        raise ValueError(
            "DEMO_SITE_KEY must be prk_<id>_<secret>: id of 4–32 letters a–z and digits, "
            "secret of 32 characters or more"
        )
    if await keys.by_id(session, key_id) is None:
        await store_key(
            session,
            key=key,
            request_id=uuid5(_NAMESPACE, key_id),
            agency=SITE_AGENCY,
            name="Trang báo mẫu",
            scopes=SITE_SCOPES,
            now=now,
            issuer=Issuer(None, SEED),
        )
