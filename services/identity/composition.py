"""The parts of identity, put together once for the web process and the commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.identity.accounts.service import AccountService
from services.identity.authenticators.limits import Limits
from services.identity.authenticators.service import PasswordAuthenticator
from services.identity.factors.adapters.seal import Seal
from services.identity.factors.service import FactorService
from services.identity.invitations.letters import Letters
from services.identity.invitations.service import InvitationService
from services.identity.keys.service import KeyService
from services.identity.passwords.service import PasswordService
from services.identity.provider.rules import CALLBACK, words
from services.identity.provider.service import Provider, ProviderService
from services.identity.sessions.service import SessionService
from services.identity.settings import IdentitySettings
from services.identity.step_up import StepUp
from shared.clock import Clock
from shared.database import Database
from shared.mail import mail_sender
from shared.passwords.hasher import Argon2Hasher
from shared.passwords.strength import Zxcvbn
from shared.web.i18n import load_catalogues


@dataclass(slots=True)
class Parts:
    """Everything a process of identity may need."""

    accounts: AccountService
    factors: FactorService
    invitations: InvitationService
    keys: KeyService
    passwords: PasswordService
    provider: ProviderService | None
    sessions: SessionService
    step_up: StepUp


def hasher_for(settings: IdentitySettings) -> Argon2Hasher:
    return Argon2Hasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        concurrency=settings.sign_in_concurrency,
    )


def provider_for(settings: IdentitySettings, clock: Clock) -> Provider | None:
    """The deployment's provider, where it has one; its libraries are imported nowhere else and only then."""
    if not settings.oidc_issuer:
        return None
    from services.identity.provider.adapters.openid import Client, OpenIDProvider

    return OpenIDProvider(
        Client(
            issuer=settings.oidc_issuer,
            id=settings.oidc_client_id,
            secret=settings.oidc_client_secret,
            auth=settings.oidc_client_auth,
            redirect_uri=f"{settings.identity_url.rstrip('/')}{CALLBACK}",
            amr_words=words(settings.oidc_mfa_amr),
            acr_words=words(settings.oidc_mfa_acr),
            timeout_seconds=settings.oidc_timeout_seconds,
        ),
        clock,
    )


def assemble(settings: IdentitySettings, database: Database, clock: Clock) -> Parts:
    """Nothing connects before the first use."""
    hasher = hasher_for(settings)
    limits = Limits(database, clock, settings.network_failures_allowed)
    authenticator = PasswordAuthenticator(database, hasher, clock, limits)
    sessions = SessionService(database, clock, authenticator)
    factors = FactorService(database, clock, sessions, limits, Seal(settings.sealing_keys))
    passwords = PasswordService(database, clock, hasher, Zxcvbn(), authenticator, sessions)
    invitations = InvitationService(
        database,
        clock,
        passwords,
        sessions,
        mail_sender(settings, database, clock),
        Letters(load_catalogues([Path(__file__).parent / "locale"])),
        url=settings.identity_url,
    )
    provider = provider_for(settings, clock)
    return Parts(
        accounts=AccountService(database, clock, hasher),
        factors=factors,
        invitations=invitations,
        keys=KeyService(database, clock),
        passwords=passwords,
        provider=ProviderService(database, clock, provider, sessions, invitations)
        if provider is not None
        else None,
        sessions=sessions,
        step_up=StepUp(database, clock, sessions, factors, authenticator, settings.oidc_issuer),
    )
