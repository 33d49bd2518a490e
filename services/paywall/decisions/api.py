"""``POST /v1/decisions`` as raw ASGI: parse, say who asks, call the use case, answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from services.paywall import metrics
from services.paywall.decisions.adapters.reader_tokens import ReaderVerifier
from services.paywall.decisions.schemas import Answer, Answers, Question
from services.paywall.decisions.service import Asker, DecisionService
from services.paywall.meters.networks import client_address
from services.paywall.meters.rules import COOKIE, COOKIE_LENGTH, COOKIE_SECONDS, MeterIds
from services.paywall.policies.service import PolicyBook
from shared.auth import ExpiredTokenError, IdentityClient, InvalidTokenError
from shared.auth.roles import Scope as KeyScope
from shared.clock import Clock
from shared.database import OverloadedError
from shared.errors import (
    BadRequestError,
    FieldError,
    ForbiddenError,
    InvalidInputError,
    ProblemError,
    UnauthorizedError,
    UnavailableError,
)
from shared.origins import cors_headers
from shared.security.events import SecurityEvent
from shared.security.report import refused
from shared.web.front import asking, read_body

log = structlog.get_logger(__name__)

PATH = "/v1/decisions"
MAX_BODY_BYTES = 32 * 1024
KEY_PREFIX = "prk_"
COOKIES_REMEMBERED = 100_000

_DECODER = msgspec.json.Decoder(Question)
_ENCODER = msgspec.json.Encoder()
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_COMMON = [(b"cache-control", b"private, no-store")]


@dataclass(slots=True)
class _Head:
    """What of the headers matters."""

    authorization: str = ""
    cookie: str = ""
    origin: str = ""
    may_read: frozenset[str] = frozenset()  # origins whose pages are told the answer
    forwarded_for: list[str] = field(default_factory=list)


class DecisionEndpoint:
    """The route and its preflight."""

    def __init__(
        self,
        service: DecisionService,
        *,
        clock: Clock,
        identity: IdentityClient,
        readers: ReaderVerifier,
        ids: MeterIds,
        policies: PolicyBook,
        proxies: tuple[IPv4Network | IPv6Network, ...],
        secure_cookie: bool,
    ) -> None:
        self._service = service
        self._clock = clock
        self._identity = identity
        self._readers = readers
        self._ids = ids
        self._policies = policies
        self._proxies = proxies
        self._verified: Callable[[str], str | None] = lru_cache(maxsize=COOKIES_REMEMBERED)(
            ids.verify
        )
        self._cookie_tail = f"; Max-Age={COOKIE_SECONDS}; Path=/; HttpOnly; SameSite=Lax" + (
            "; Secure" if secure_cookie else ""
        )

    async def post(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        head = _head(scope)
        head.may_read = (
            self._policies.origins
        )  # until the agency is known: only complaints come before
        headers = list(_COMMON)
        try:
            status, body = await self._answered(scope, receive, head, headers)
            headers.append(_JSON)
        except ProblemError as error:
            refused(error, by=asking(scope))
            status, body = error.status, _ENCODER.encode(error.body(PATH))
            headers.append(_PROBLEM)
            headers += [(k.lower().encode(), v.encode()) for k, v in error.headers.items()]
            metrics.REFUSED_REQUESTS.labels(str(status)).inc()
        headers += _cors(head)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        metrics.DECISION_SECONDS.observe(time.perf_counter() - started)

    async def preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The browser asks whether another origin may ask (Fetch standard)."""
        head = _head(scope)
        head.may_read = (
            self._policies.origins
        )  # whose agency it is stands in the body, which is not here yet
        headers = [(b"content-length", b"0"), *_cors(head)]
        if head.origin in head.may_read:
            headers += [
                (b"access-control-allow-methods", b"POST"),
                (b"access-control-allow-headers", b"authorization, content-type"),
                (b"access-control-max-age", b"600"),
            ]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _answered(
        self, scope: Scope, receive: Receive, head: _Head, headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, bytes]:
        question = _question(await read_body(receive, MAX_BODY_BYTES))
        agency = self._policies.get(question.agency)
        if agency is not None:
            head.may_read = agency.origins
        asker = await self._asker(scope, head, question)
        try:
            if question.articles is not None:
                answers = await self._service.look(question.agency, question.articles, asker)
                return 200, _ENCODER.encode(Answers(answers))
            assert question.article_id is not None
            answer: Answer
            if question.count:
                answer = await self._service.ask(question.agency, question.article_id, asker)
            else:
                (answer,) = await self._service.look(question.agency, [question.article_id], asker)
        except OverloadedError as error:
            raise UnavailableError(slug="overloaded", headers={"Retry-After": "1"}) from error
        if asker.is_new and asker.device_id is not None:
            cookie = f"{COOKIE}={self._ids.sign(asker.device_id)}{self._cookie_tail}"
            headers.append((b"set-cookie", cookie.encode()))
        return 200, _ENCODER.encode(answer)

    async def _asker(self, scope: Scope, head: _Head, question: Question) -> Asker:
        scheme, _, credential = head.authorization.partition(" ")
        if credential and scheme.lower() != "bearer":
            raise UnauthorizedError(headers={"WWW-Authenticate": "Bearer"})
        if credential.startswith(KEY_PREFIX):
            return await self._website(credential, question)
        self._check_browser(head, question)
        asker = Asker(address=self._address(scope, head))
        if head.cookie:
            asker.device_id = self._device(head.cookie)
        if credential:
            await self._sign_in(asker, credential, question.agency)
        return asker

    def _check_browser(self, head: _Head, question: Question) -> None:
        """A browser tells its origin: it must be the agency's. Facts of a back end are not a browser's."""
        if head.origin and head.origin not in head.may_read and self._policies.get(question.agency):
            raise ForbiddenError(
                "This website may not ask for this agency",
                slug="origin-not-allowed",
                security=SecurityEvent.CROSS_SITE_REQUEST,
                about={"agency": question.agency, "origin": head.origin},
            )
        for name in ("meter_id", "reader_token"):
            if getattr(question, name) is not None:
                raise InvalidInputError(
                    errors=(
                        FieldError(
                            name,
                            "is for a website's back end with a service key",
                            "the cookie, and Authorization: Bearer <reader token>",
                        ),
                    )
                )

    async def _website(self, key: str, question: Question) -> Asker:
        principal = self._identity.cached_key(key) or await self._identity.key(key)
        principal.require(question.agency, KeyScope.DECISIONS)
        asker = Asker(website_id=question.meter_id, by_key=True)
        if question.reader_token is not None:
            await self._sign_in(asker, question.reader_token, question.agency)
        elif question.meter_id is None and question.count and question.articles is None:
            raise InvalidInputError(
                errors=(
                    FieldError(
                        "meter_id",
                        "is needed to count a view",
                        "meter_id or reader_token, or count: false",
                    ),
                )
            )
        return asker

    async def _sign_in(self, asker: Asker, token: str, agency: str) -> None:
        try:
            reader = await self._readers.verify(token, self._clock.now())
        except InvalidTokenError as error:
            raise UnauthorizedError(
                "The reader token is not valid any more: get a fresh one",
                slug="reader-token-invalid",
                headers={"WWW-Authenticate": "Bearer"},
                # One that has grown old is the way things go: every five minutes.
                security=None
                if isinstance(error, ExpiredTokenError)
                else SecurityEvent.READER_TOKEN_REFUSED,
                about={"agency": agency},
            ) from error
        if reader.agency != agency:
            raise UnauthorizedError(
                "The reader token is for another agency",
                slug="reader-token-invalid",
                security=SecurityEvent.READER_TOKEN_REFUSED,
                about={"agency": agency},
            )
        asker.reader_id, asker.rights = reader.id, reader.rights

    def _device(self, cookies: str) -> str | None:
        for part in cookies.split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and len(value) <= COOKIE_LENGTH:
                return self._verified(value)
        return None

    def _address(self, scope: Scope, head: _Head) -> str:
        client = scope.get("client")
        peer = client[0] if client else ""
        if not self._proxies:
            return str(peer)
        return client_address(peer, ",".join(head.forwarded_for), self._proxies)


def _head(scope: Scope) -> _Head:
    head = _Head()
    for name, value in scope["headers"]:
        if name == b"cookie":
            head.cookie = f"{head.cookie}; {value.decode('latin-1')}"
        elif name == b"authorization":
            head.authorization = value.decode("latin-1")
        elif name == b"origin":
            head.origin = value.decode("latin-1")
        elif name == b"x-forwarded-for":
            head.forwarded_for.append(value.decode("latin-1"))
    return head


def _cors(head: _Head) -> list[tuple[bytes, bytes]]:
    found = cors_headers(head.origin, head.may_read, credentials=True)
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in found.items()]


def _question(body: bytes) -> Question:
    try:
        question = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidInputError(errors=(_field_error(str(error)),)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(
            "The body is not JSON",
            slug="not-json",
            errors=(FieldError("body", "is not JSON", '{"agency": "…", "article_id": "…"}'),),
        ) from error
    if (question.article_id is None) == (question.articles is None):
        raise InvalidInputError(
            errors=(FieldError("article_id", "send article_id or articles", "one of the two"),)
        )
    return question


def _field_error(message: str) -> FieldError:
    """``Expected `str`, got `int` - at `$.agency``` names the field after the dollar sign."""
    expected, _, place = message.partition(" - at `$")
    if place:
        return FieldError(place.strip("`").lstrip("."), "is not right", expected)
    if "field `" in message:  # "Object missing required field `agency`", "… unknown field `x`"
        return FieldError(message.split("`")[1], message)
    return FieldError("body", message)
