"""Who is asking: staff (sessions kept by identity), websites (service keys), readers (signed tokens)."""

from shared.auth.identity_client import IdentityClient, KeyPrincipal, RefusedKey, StaffPrincipal
from shared.auth.roles import Role
from shared.auth.tokens import (
    ExpiredTokenError,
    InvalidTokenError,
    RemoteKeySet,
    SigningKeySet,
)

__all__ = [
    "ExpiredTokenError",
    "IdentityClient",
    "InvalidTokenError",
    "KeyPrincipal",
    "RefusedKey",
    "RemoteKeySet",
    "Role",
    "SigningKeySet",
    "StaffPrincipal",
]
