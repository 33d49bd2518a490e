"""Any OpenID provider: authorization code with PKCE by Authlib, ID tokens by joserfc. Nothing else imports Authlib.

OpenID Connect Core 1.0 and Discovery 1.0, RFC 7636 (PKCE), RFC 9700 (security of OAuth 2.0).
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote_plus, urlsplit

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from services.identity.provider.adapters.kept import Kept
from services.identity.provider.rules import (
    Claims,
    ProviderAnswerError,
    ProviderUnavailableError,
    has_second_factor,
)
from shared.clock import Clock

#: Signatures by the provider's own key only: with a symmetric algorithm, or none, anybody could sign.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
LEEWAY_SECONDS = 30
MAX_ANSWER_BYTES = 512 * 1024
MAX_SUBJECT = 255

ClientAuth = Literal["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True)
class Client:
    """What the deployment is at its provider."""

    issuer: str
    id: str
    secret: str
    auth: ClientAuth
    redirect_uri: str
    amr_words: Collection[str]
    acr_words: Collection[str]
    timeout_seconds: float


class _Bounded(httpx2.AsyncByteStream):
    """An answer that ends, or is none."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise ProviderUnavailableError("the answer is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(response.stream)


def _basic(
    client: Any, method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """Id and secret are form-encoded first (RFC 6749, 2.3.1), which Authlib's own ``client_secret_basic`` leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    return uri, headers, body


class OpenIDProvider:
    """One issuer. Nothing is asked of it before the first use, and nothing is asked inside a transaction."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.issuer = client.issuer
        self._client = client
        self._clock = clock
        self._tls = ssl.create_default_context()
        self._metadata: Kept[Mapping[str, Any]] = Kept(self._discover)
        self._keys: Kept[KeySet] = Kept(self._fetch_keys)

    async def authorization_url(
        self, *, state: str, nonce: str, code_verifier: str, language: str, max_age: timedelta
    ) -> str:
        """Where the browser goes. ``max_age``: who proved longer ago there who they are is asked again; with none everybody.

        Raises :class:`ProviderUnavailableError`, :class:`ProviderAnswerError`.
        """
        metadata = await self._metadata.get()
        asked = {
            "nonce": nonce,
            "ui_locales": language,
            "max_age": str(int(max_age.total_seconds())),
        }
        if self._client.acr_words:
            asked["acr_values"] = " ".join(sorted(self._client.acr_words))
        if not max_age:
            asked["prompt"] = "login"
        async with self._http() as http:
            url, _ = http.create_authorization_url(
                metadata["authorization_endpoint"],
                state=state,
                code_verifier=code_verifier,
                **asked,
            )
        return str(url)

    async def redeem(
        self, code: str, *, issuer: str, code_verifier: str, nonce: str, with_address: bool
    ) -> Claims:
        """Who came back with this code. ``with_address``: also what mail address the provider has verified.

        ``issuer``: what came back with the code (RFC 9207); a provider that announces it must have said it.

        Raises :class:`ProviderUnavailableError`, :class:`ProviderAnswerError`.
        """
        metadata = await self._metadata.get()
        announced = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer or announced) and issuer != self.issuer:
            raise ProviderAnswerError("it came from another issuer, or from none")
        async with self._speaking(), self._http() as http:
            token = await http.fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=code_verifier,
                redirect_uri=self._client.redirect_uri,
            )
            claims = await self._verified(token, nonce)
            person: Mapping[str, Any] = claims
            if with_address and "email" not in claims:
                person = await self._user_info(http, metadata, claims["sub"])
        return self._claims(claims, person)

    async def _verified(self, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        sent = token.get("id_token")
        if not isinstance(sent, str):
            raise ProviderAnswerError("no ID token")
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            found = jwt.decode(sent, await self._keys.get(), registry=registry)
        except (JoseError, ValueError):
            # Perhaps the provider has changed its keys.
            found = jwt.decode(sent, await self._keys.get(fresh=True), registry=registry)
        claims = CodeIDToken(
            found.claims,
            found.header,
            {
                "iss": {"essential": True, "value": self._client.issuer},
                "aud": {"essential": True, "value": self._client.id},
            },
            {
                "nonce": nonce,
                "client_id": self._client.id,
                "access_token": token.get("access_token"),
            },
        )
        claims.validate(int(self._clock.now().timestamp()), LEEWAY_SECONDS)
        subject = claims["sub"]
        if not (0 < len(subject) <= MAX_SUBJECT and subject.isascii() and subject.isprintable()):
            raise ProviderAnswerError("the subject is none")
        return dict(claims)

    async def _user_info(
        self, http: AsyncOAuth2Client, metadata: Mapping[str, Any], subject: str
    ) -> Mapping[str, Any]:
        """Claims of the scope ``email`` need not be in the ID token (Core 5.4)."""
        url = metadata.get("userinfo_endpoint")
        if url is None:
            return {}
        answer = await http.get(url)
        answer.raise_for_status()
        found = answer.json()
        if not isinstance(found, dict) or found.get("sub") != subject:
            raise ProviderAnswerError("user info of somebody else")  # Core 5.3.2
        return found

    def _claims(self, claims: Mapping[str, Any], person: Mapping[str, Any]) -> Claims:
        email, at = person.get("email"), claims.get("auth_time")
        try:
            authenticated_at = None if at is None else datetime.fromtimestamp(at, UTC)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise ProviderAnswerError("auth_time") from error
        return Claims(
            issuer=self._client.issuer,
            subject=claims["sub"],
            email=email if isinstance(email, str) else None,
            email_verified=person.get("email_verified") is True,
            second_factor=has_second_factor(
                claims.get("amr"),
                claims.get("acr"),
                self._client.amr_words,
                self._client.acr_words,
            ),
            authenticated_at=authenticated_at,
        )

    async def _discover(self) -> Mapping[str, Any]:
        found = await self._document(get_well_known_url(self._client.issuer, external=True))
        if found.get("issuer") != self._client.issuer:
            raise ProviderAnswerError("its document names another issuer")  # Discovery 4.3
        scheme = urlsplit(self._client.issuer).scheme
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        offered = (*needed, *(("userinfo_endpoint",) if "userinfo_endpoint" in found else ()))
        for name in offered:
            url = found.get(name)
            if not isinstance(url, str) or urlsplit(url).scheme not in ("https", scheme):
                raise ProviderAnswerError(f"its document has no {name}")
        return found

    async def _fetch_keys(self) -> KeySet:
        metadata = await self._metadata.get()
        found = await self._document(metadata["jwks_uri"])
        try:
            return KeySet.import_key_set(found)  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProviderAnswerError("its keys cannot be read") from error

    async def _document(self, url: str) -> dict[str, Any]:
        async with self._speaking(), self._http() as http:
            answer = await http.request("GET", url, withhold_token=True)
            answer.raise_for_status()
            found = answer.json()
        if not isinstance(found, dict):
            raise ProviderAnswerError("its document is no object")
        return found

    @asynccontextmanager
    async def _speaking(self) -> AsyncIterator[None]:
        """Bounded in time as a whole; whatever can go wrong is one of two errors."""
        try:
            async with asyncio.timeout(self._client.timeout_seconds):
                yield
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise ProviderUnavailableError(type(error).__name__) from error
        except (AuthlibBaseError, JoseError, ValueError) as error:
            raise ProviderAnswerError(f"{type(error).__name__}: {error}"[:200]) from error

    def _http(self) -> AsyncOAuth2Client:
        """For one conversation: it holds one person's token."""
        client = self._client
        basic = client.auth == "client_secret_basic"
        return AsyncOAuth2Client(
            client.id,
            client.secret,
            token_endpoint_auth_method=_basic if basic else "client_secret_post",
            scope="openid email",
            redirect_uri=client.redirect_uri,
            code_challenge_method="S256",
            verify=self._tls,
            follow_redirects=False,
            event_hooks={"response": [_bound]},
            headers={"Accept-Encoding": "identity"},
        )
