"""The hot routes as raw ASGI in front of the framework: ad decisions and impressions. No cookies, no SQL on decisions."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from services.ads import metrics
from services.ads.delivery import documents
from services.ads.delivery.models import Kind
from services.ads.delivery.rules import is_declared_bot
from services.ads.delivery.service import Delivery
from services.ads.delivery.tokens import ForgedTokenError, Token
from shared.database import RAW_FAILURES, OverloadedError
from shared.errors import PROBLEM_TYPE_PREFIX
from shared.origins import cors_headers
from shared.web.front import HotRoute, read_body

log = structlog.get_logger(__name__)

MAX_BODY = 16 * 1024
JSON = b"application/json"
PROBLEM = b"application/problem+json"
#: What the decoder raises for hostile bytes: besides its own, text that is no UTF-8 and brackets without end.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
Short = Annotated[str, msgspec.Meta(max_length=100)]


class Page(msgspec.Struct):
    """Where the ad will stand."""

    url: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    section: Short = ""


class Slot(msgspec.Struct):
    """A place on the page, named by the page, and the placement it is."""

    slot: Short
    placement: Short


class DecisionRequest(msgspec.Struct):
    agency: Short
    placements: Annotated[list[Slot], msgspec.Meta(min_length=1, max_length=20)]
    page: Page | None = None


class Decision(msgspec.Struct):
    slot: str
    placement: str
    line_id: UUID | None = None
    creative: msgspec.Raw | None = None
    token: str | None = None
    impression_url: str | None = None
    click_url: str | None = None


class DecisionAnswer(msgspec.Struct):
    decisions: list[Decision]


class ImpressionRequest(msgspec.Struct):
    token: Annotated[str, msgspec.Meta(max_length=400)]
    event: Literal["impression", "viewable"] = "impression"


class HttpError(Exception):
    """A problem to be answered."""

    def __init__(self, status: int, slug: str, title: str, field: str = "") -> None:
        super().__init__(title)
        self.status, self.slug, self.title, self.field = status, slug, title, field

    def body(self) -> bytes:
        problem: dict[str, object] = {
            "type": PROBLEM_TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
        }
        if self.field:
            problem["errors"] = [{"field": self.field, "message": self.title}]
        return msgspec.json.encode(problem)


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


class HotRoutes:
    """Builds the raw applications on one :class:`Delivery`."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._url = delivery.settings.ads_url.rstrip("/")
        self._decision = msgspec.json.Decoder(DecisionRequest)
        self._impression = msgspec.json.Decoder(ImpressionRequest)
        self._encoder = msgspec.json.Encoder()
        self._counted = {
            (kind, outcome): metrics.COUNTED.labels(kind, outcome)
            for kind in ("impression", "viewable")
            for outcome in ("counted", "duplicate", "forged", "expired", "bot", "shed")
        }

    def routes(self) -> list[HotRoute]:
        return [
            HotRoute("POST", "/v1/ad-decisions", self.decisions, documents.DECISIONS),
            HotRoute("OPTIONS", "/v1/ad-decisions", self.preflight),
            HotRoute("POST", "/v1/impressions", self.impressions, documents.IMPRESSIONS),
            HotRoute("OPTIONS", "/v1/impressions", self.preflight),
        ]

    async def decisions(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``POST /v1/ad-decisions``."""
        may_read = (
            self._delivery.plan.origins
        )  # until the agency is known: only complaints come before
        try:
            try:
                request = self._decision.decode(await read_body(receive, MAX_BODY))
            except UNREADABLE as error:
                raise _malformed(error) from None
            agency = self._delivery.plan.agencies.get(request.agency)
            may_read = may_read if agency is None else agency.origins
            body, status, kind = self._decide(request), 200, JSON
        except HttpError as error:
            body, status, kind = error.body(), error.status, PROBLEM
        await self._answer(scope, send, status, body, kind, may_read)

    def _decide(self, request: DecisionRequest) -> bytes:
        delivery = self._delivery
        agency = delivery.plan.agencies.get(request.agency)
        if agency is None and not delivery.loaded:
            raise HttpError(503, "unavailable", "Try again in a moment")
        if agency is None:
            raise HttpError(404, "agency-unknown", "There is no such agency", "agency")
        decisions: list[Decision] = []
        used: set[UUID] = set()
        for slot in request.placements:
            place = agency.places.get(slot.placement)
            chosen = delivery.decide(place, agency.id, used) if place is not None else None
            if chosen is None:
                decisions.append(Decision(slot.slot, slot.placement))
                continue
            line, shown, token = chosen
            used.add(line.id)
            decisions.append(
                Decision(
                    slot.slot,
                    slot.placement,
                    line.id,
                    msgspec.Raw(shown.creative_json),
                    token,
                    f"{self._url}/v1/impressions",
                    f"{self._url}/v1/clicks/{token}",
                )
            )
        return self._encoder.encode(DecisionAnswer(decisions))

    async def impressions(self, scope: Scope, receive: Receive, send: Send) -> None:
        """``POST /v1/impressions``: ``{"token": …, "event": "impression" | "viewable"}``."""
        try:
            body, status, kind = await self._count(scope, receive), 200, JSON
        except HttpError as error:
            body, status, kind = error.body(), error.status, PROBLEM
        await self._answer(scope, send, status, body, kind, self._delivery.plan.origins)

    async def _count(self, scope: Scope, receive: Receive) -> bytes:
        try:
            request = self._impression.decode(await read_body(receive, MAX_BODY))
        except UNREADABLE as error:
            raise _malformed(error) from None
        event = request.event
        token = self._verified(request.token, event)
        kind = Kind.IMPRESSION if event == "impression" else Kind.VIEWABLE
        if self._delivery.expired(token, kind):
            self._counted[event, "expired"].inc()
            raise HttpError(
                410, "token-expired", "This token has expired: ask for a new ad", "token"
            )
        if is_declared_bot(_header(scope, b"user-agent").decode("latin-1")):
            self._counted[event, "bot"].inc()
            return b'{"counted":false,"reason":"not-a-person"}'
        try:
            fresh = await self._delivery.count(token, kind)
        except (OverloadedError, *RAW_FAILURES) as error:
            self._counted[event, "shed"].inc()
            log.warning("impression_not_counted", error=repr(error))
            raise HttpError(503, "unavailable", "Try again in a moment") from None
        self._counted[event, "counted" if fresh else "duplicate"].inc()
        return b'{"counted":true}' if fresh else b'{"counted":false,"reason":"duplicate"}'

    def _verified(self, text: str, event: str) -> Token:
        try:
            return self._delivery.keys.verify(text)
        except ForgedTokenError:
            self._counted[event, "forged"].inc()
            raise HttpError(400, "token-forged", "This is not one of our tokens", "token") from None

    async def preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        """CORS preflight (Fetch standard): JSON posts from the agencies' websites, without credentials."""
        await self._answer(
            scope,
            send,
            204,
            b"",
            JSON,
            self._delivery.plan.origins,  # whose agency it is stands in the body, which is not here yet
            [
                (b"access-control-allow-methods", b"POST"),
                (b"access-control-allow-headers", b"content-type"),
                (b"access-control-max-age", b"86400"),
            ],
        )

    async def _answer(
        self,
        scope: Scope,
        send: Send,
        status: int,
        body: bytes,
        kind: bytes,
        may_read: frozenset[str],
        extra: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        headers = [
            (b"content-type", kind),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        origin = _header(scope, b"origin").decode("latin-1")
        for name, value in cors_headers(origin, may_read).items():
            headers.append((name.lower().encode(), value.encode()))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        if extra:
            headers += extra
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _malformed(error: Exception) -> HttpError:
    """400 for bytes that are no JSON, 422 naming the field for JSON of another shape."""
    if isinstance(error, msgspec.ValidationError):
        message, _, path = str(error).partition(" - at `$")
        return HttpError(422, "invalid-input", message, path.strip("`.") or "body")
    return HttpError(400, "bad-request", "The body is not JSON")
