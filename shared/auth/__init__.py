"""Who is asking: staff (sessions kept by identity), websites (service keys), readers (signed tokens)."""

from shared.auth.identity_client import IdentityClient, KeyPrincipal, StaffPrincipal
from shared.auth.roles import Role
from shared.auth.tokens import (
    InvalidTokenError,
    RemoteKeySet,
    SigningKeySet,
)

__all__ = [
    "IdentityClient",
    "InvalidTokenError",
    "KeyPrincipal",
    "RemoteKeySet",
    "Role",
    "SigningKeySet",
    "StaffPrincipal",
]
