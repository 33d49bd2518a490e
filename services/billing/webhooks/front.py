"""``POST /v1/webhooks/stripe`` as raw ASGI: signature on the raw body, inbox row, then the 2xx."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from services.billing import metrics
from services.billing.webhooks import rules
from services.billing.webhooks.named import agency_named
from services.billing.webhooks.repository import Incoming
from services.billing.webhooks.service import Inbox
from shared.clock import Clock
from shared.database import RAW_FAILURES, OverloadedError
from shared.security.events import SecurityEvent
from shared.security.report import tell
from shared.web.front import asking, read_body
from shared.web.middleware import send_problem

log = structlog.get_logger(__name__)

PATH = "/v1/webhooks/stripe"
SOURCE = "stripe"
MAX_BODY_BYTES = 512 * 1024
LATEST = 253_402_300_799  # the last second a timestamp can show


class _Head(msgspec.Struct):
    id: str
    type: str
    created: int
    object: str


_HEAD = msgspec.json.Decoder(_Head)


class StripeWebhook:
    """The hot route. It never fails with a 5xx for what was sent, only when the inbox cannot be written."""

    def __init__(
        self, inbox: Inbox, clock: Clock, *, secrets: Sequence[str], tolerance_seconds: float
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._secrets = tuple(secrets)
        self._tolerance = tolerance_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, MAX_BODY_BYTES)
        header = next(
            (value for name, value in scope["headers"] if name == b"stripe-signature"), b""
        ).decode("latin-1")
        if not self._secrets or not rules.signature_holds(
            body,
            header,
            self._secrets,
            now=self._clock.now().timestamp(),
            tolerance=self._tolerance,
        ):
            metrics.WEBHOOKS.labels("unknown", "refused").inc()
            tell(SecurityEvent.WEBHOOK_REFUSED, by=asking(scope), reason="signature")
            await send_problem(send, 400, "signature-invalid", "The signature does not hold")
            return
        event = _parse(body)
        if event is None:
            metrics.WEBHOOKS.labels("unknown", "refused").inc()
            tell(SecurityEvent.WEBHOOK_REFUSED, by=asking(scope), reason="malformed")
            await send_problem(send, 400, "event-malformed", "This is not an event")
            return
        if event.type not in rules.ALLOWED_TYPES:
            metrics.WEBHOOKS.labels("other", "ignored").inc()
            await _IGNORED(send)
            return
        await self._keep(event, send)

    async def _keep(self, event: Incoming, send: Send) -> None:
        try:
            new = await self._inbox.take(event)
        except (OverloadedError, *RAW_FAILURES) as error:
            # Not kept, so not acknowledged: the provider sends it again.
            log.warning("webhook_not_stored", error=repr(error))
            await send_problem(
                send, 503, "unavailable", "Send it again in a moment", retry_after_seconds=1
            )
            return
        metrics.WEBHOOKS.labels(event.type, "stored" if new else "duplicate").inc()
        await (_STORED if new else _DUPLICATE)(send)


def _parse(body: bytes) -> Incoming | None:
    try:
        head = _HEAD.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    sane = head.object == "event" and 0 < len(head.id) <= 255 and 0 <= head.created <= LATEST
    if not sane or "\x00" in head.id or not head.id.isprintable():
        return None
    created_at = datetime.fromtimestamp(head.created, UTC)
    return Incoming(SOURCE, head.id, head.type, created_at, body, agency_named(body))


class _Answer:
    """A 200 that is the same each time."""

    def __init__(self, **body: bool) -> None:
        raw = msgspec.json.encode({"received": True, **body})
        length = str(len(raw)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        self._start = {"type": "http.response.start", "status": 200, "headers": headers}
        self._body = {"type": "http.response.body", "body": raw}

    async def __call__(self, send: Send) -> None:
        await send(self._start)
        await send(self._body)


_IGNORED = _Answer(ignored=True)
_STORED = _Answer(duplicate=False)
_DUPLICATE = _Answer(duplicate=True)
