"""Signed tokens between services and websites: EdDSA (Ed25519) JWTs, verified by JWKS (RFC 7519, 8037, 7517).

The signer keeps private keys in a file or the environment; the first signs, all of them are published, so that keys
can be rotated without a pause. A verifier fetches the public keys and looks again, at most once a few seconds, when
it meets an unknown key id.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "EdDSA"
REFRESH_AFTER_SECONDS = 300.0
UNKNOWN_KEY_RETRY_SECONDS = 2.0
LEEWAY_SECONDS = 5


#: What the library raises for hostile text, its own errors and those of the decoders below it.
_UNREADABLE = (jwt.InvalidTokenError, ValueError, RecursionError)


class InvalidTokenError(Exception):
    """The token is not one of ours, is for somebody else, or has expired."""


class ExpiredTokenError(InvalidTokenError):
    """The token was good for whom it is shown to."""


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)}
    thumbprint = hashlib.sha256(
        json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    ).digest()  # RFC 7638
    return jwk | {"kid": _base64url(thumbprint)[:16], "alg": ALGORITHM, "use": "sig"}


class SigningKeySet:
    """Private keys of one issuer."""

    def __init__(self, issuer: str, keys: Sequence[Ed25519PrivateKey]) -> None:
        if not keys:
            raise ValueError("a signer needs at least one key")
        self.issuer = issuer
        self._keys = list(keys)
        self._jwks = [_public_jwk(key.public_key()) for key in keys]
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": self._jwks[0]["kid"]}
        self._header = _base64url(json.dumps(header, separators=(",", ":")).encode())
        self._by_id = {
            jwk["kid"]: key.public_key() for jwk, key in zip(self._jwks, self._keys, strict=True)
        }

    @classmethod
    def generate(cls, issuer: str) -> SigningKeySet:
        return cls(issuer, [Ed25519PrivateKey.generate()])

    @classmethod
    def from_pem(cls, issuer: str, pem: str) -> SigningKeySet:
        """Keys from one or more concatenated PEM blocks, the signing one first."""
        end = "-----END PRIVATE KEY-----"
        keys: list[Ed25519PrivateKey] = []
        for block in pem.split(end)[:-1]:
            key = serialization.load_pem_private_key((block + end).encode(), password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise ValueError("signing keys must be Ed25519")
            keys.append(key)
        return cls(issuer, keys)

    @classmethod
    def from_file(cls, issuer: str, path: str) -> SigningKeySet:
        return cls.from_pem(issuer, Path(path).read_text(encoding="ascii"))

    @staticmethod
    def new_pem() -> str:
        """A fresh private key as PEM, for set-up."""
        return (
            Ed25519PrivateKey.generate()
            .private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            .decode("ascii")
        )

    def sign(
        self, claims: Mapping[str, Any], *, audience: str, now: datetime, lifetime_seconds: int
    ) -> str:
        """A token for ``audience`` that expires after ``lifetime_seconds``."""
        issued = int(now.timestamp())
        body = dict(claims) | {
            "iss": self.issuer,
            "aud": audience,
            "iat": issued,
            "exp": issued + lifetime_seconds,
        }
        # By hand (RFC 7515, compact form): the library takes longer than the signature itself.
        payload = _base64url(json.dumps(body, separators=(",", ":")).encode())
        signed = f"{self._header}.{payload}"
        return f"{signed}.{_base64url(self._keys[0].sign(signed.encode('ascii')))}"

    def verify(self, token: str, *, audience: str, now: datetime) -> dict[str, Any]:
        """The claims of one of our own tokens. Raises :class:`InvalidTokenError`."""
        return _verify(token, self._by_id, issuer=self.issuer, audience=audience, now=now)

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        return {"keys": self._jwks}


def _verify(
    token: str,
    keys: Mapping[str, Ed25519PublicKey],
    *,
    issuer: str,
    audience: str,
    now: datetime,
) -> dict[str, Any]:
    try:
        kid: Any = jwt.get_unverified_header(token).get("kid")
        key = keys.get(kid)
        if key is None:
            raise InvalidTokenError("signed by an unknown key")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=issuer,
            # Expiry is checked below against the caller's clock, which tests can move.
            options={
                "require": ["exp", "iat", "aud", "iss"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
    except _UNREADABLE as error:
        raise InvalidTokenError(str(error)) from error
    if claims["exp"] + LEEWAY_SECONDS < now.timestamp():
        raise ExpiredTokenError("expired")
    return claims


class RemoteKeySet:
    """Public keys of another issuer, by its JWKS address."""

    def __init__(self, issuer: str, url: str, client: httpx.AsyncClient) -> None:
        self.issuer = issuer
        self._url = url
        self._client = client
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched_at = -math.inf
        self._lock = asyncio.Lock()

    async def verify(self, token: str, *, audience: str, now: datetime) -> dict[str, Any]:
        """The token's claims. Raises :class:`InvalidTokenError`; with keys in hand no request is made."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except _UNREADABLE as error:
            raise InvalidTokenError(str(error)) from error
        age = time.monotonic() - self._fetched_at
        if age > REFRESH_AFTER_SECONDS or (
            kid not in self._keys and age > UNKNOWN_KEY_RETRY_SECONDS
        ):
            await self._refresh()
        elif kid not in self._keys and self._lock.locked():
            async with self._lock:  # somebody is fetching them right now
                pass
        return _verify(token, self._keys, issuer=self.issuer, audience=audience, now=now)

    async def _refresh(self) -> None:
        seen = self._fetched_at
        async with self._lock:
            if self._fetched_at != seen:
                return
            self._fetched_at = time.monotonic()  # also after a failure: no storm of requests
            try:
                answer = await self._client.get(self._url, timeout=2.0)
                answer.raise_for_status()
                keys = {
                    jwk["kid"]: Ed25519PublicKey.from_public_bytes(
                        base64.urlsafe_b64decode(jwk["x"] + "=")  # 32 bytes
                    )
                    for jwk in answer.json()["keys"]
                    if jwk.get("crv") == "Ed25519"
                }
            except (httpx.HTTPError, LookupError, TypeError, ValueError, AttributeError):
                return  # the keys in hand stay good; with none, the token is refused
            self._keys = keys
