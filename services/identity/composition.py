"""The parts of identity, put together once for the web process and the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.identity.accounts.service import AccountService
from services.identity.authenticators.limits import Limits
from services.identity.authenticators.service import ExternalAccounts, PasswordAuthenticator
from services.identity.factors.adapters.seal import Seal
from services.identity.factors.service import FactorService
from services.identity.invitations.letters import Letters
from services.identity.invitations.service import InvitationService
from services.identity.keys.service import KeyService
from services.identity.passwords.adapters.hasher import Argon2Hasher
from services.identity.passwords.adapters.strength import Zxcvbn
from services.identity.passwords.service import PasswordService
from services.identity.sessions.service import SessionService
from services.identity.settings import IdentitySettings
from services.identity.step_up import StepUp
from shared.clock import Clock
from shared.database import Database
from shared.mail import mail_sender
from shared.web.i18n import load_catalogues


@dataclass(slots=True)
class Parts:
    """Everything a process of identity may need."""

    accounts: AccountService
    external: ExternalAccounts
    factors: FactorService
    invitations: InvitationService
    keys: KeyService
    passwords: PasswordService
    sessions: SessionService
    step_up: StepUp


def hasher_for(settings: IdentitySettings) -> Argon2Hasher:
    return Argon2Hasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        concurrency=settings.sign_in_concurrency,
    )


def assemble(settings: IdentitySettings, database: Database, clock: Clock) -> Parts:
    """Nothing connects before the first use."""
    hasher = hasher_for(settings)
    limits = Limits(database, clock, settings.network_failures_allowed)
    authenticator = PasswordAuthenticator(database, hasher, clock, limits)
    sessions = SessionService(database, clock, authenticator)
    factors = FactorService(database, clock, sessions, limits, Seal(settings.sealing_keys))
    passwords = PasswordService(database, clock, hasher, Zxcvbn(), authenticator, sessions)
    return Parts(
        accounts=AccountService(database, clock, hasher),
        external=ExternalAccounts(database, clock),
        factors=factors,
        invitations=InvitationService(
            database,
            clock,
            passwords,
            sessions,
            mail_sender(settings, database, clock),
            Letters(load_catalogues([Path(__file__).parent / "locale"])),
            url=settings.identity_url,
        ),
        keys=KeyService(database, clock),
        passwords=passwords,
        sessions=sessions,
        step_up=StepUp(sessions, factors, authenticator),
    )
