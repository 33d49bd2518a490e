"""Pulling from a durable consumer, and asking JetStream's API (see ``jetstream`` for why not by nats-py's helpers)."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError

from shared.bus.access import require_permission
from shared.bus.base import (
    BusUnavailableError,
    ConsumerState,
    InboundMessage,
    StreamMissingError,
)

log = structlog.get_logger(__name__)

API_TIMEOUT_SECONDS = 5.0
#: How long a batch waits for one more message after the last one came (the server's "no more" usually ends it first).
GAP_SECONDS = 0.02
#: Statuses that end a pull request.
NO_MESSAGES, TIMED_OUT, CONFLICT = "404", "408", "409"
#: Error codes of the API: no such message; no such stream; no such consumer.
NO_MESSAGE, NO_STREAM, NO_CONSUMER = 10037, 10059, 10014


async def ask(
    client: Client, subject: str, options: dict[str, object] | None = None, *, absent: int = 0
) -> dict[str, Any]:
    """A request to JetStream's API; an error with the code ``absent`` is an empty answer.

    Raises :class:`StreamMissingError` and :class:`BusUnavailableError`.
    """
    if not client.is_connected:
        raise BusUnavailableError("not connected to NATS")
    body = json.dumps(options).encode() if options else b""
    try:
        reply = await client.request(subject, body, timeout=API_TIMEOUT_SECONDS)
        answer: dict[str, Any] = json.loads(reply.data)
    except (NatsError, TimeoutError, OSError, ValueError) as error:
        require_permission(client, subject)
        raise BusUnavailableError(f"{subject}: {error!r}") from error
    if "error" not in answer:
        return answer
    code = answer["error"].get("err_code")
    if code == absent:
        return {}
    problem = f"{subject}: {answer['error'].get('description', 'refused')}"
    if code in (NO_STREAM, NO_CONSUMER):
        raise StreamMissingError(problem)
    raise BusUnavailableError(problem)


class JetStreamMessage:
    """One delivery from JetStream."""

    __slots__ = ("_msg",)

    def __init__(self, msg: Msg) -> None:
        self._msg = msg

    @property
    def subject(self) -> str:
        return self._msg.subject

    @property
    def payload(self) -> bytes:
        return self._msg.data

    @property
    def headers(self) -> dict[str, str]:
        return dict(self._msg.headers or {})

    @property
    def deliveries(self) -> int:
        return self._msg.metadata.num_delivered or 1

    @property
    def stream_sequence(self) -> int:
        sequence = self._msg.metadata.sequence
        return sequence.stream if sequence else 0

    async def ack(self) -> None:
        try:
            await self._msg.ack()
        except (NatsError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error

    async def nak(self, delay_seconds: float) -> None:
        try:
            # A plain nak ignores the consumer's backoff and burns all deliveries at once.
            await self._msg.nak(delay=max(delay_seconds, 0.001))
        except (NatsError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error


class JetStreamSubscription:
    """A pull binding to a durable consumer.

    A fetch first asks for what is there (``no_wait``), and only when that is nothing waits for one message, so that a
    lone event is handed over the moment it comes and a backlog comes in whole batches.
    """

    def __init__(self, client: Client, stream: str, consumer: str) -> None:
        self._client = client
        self._api = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._info = f"$JS.API.CONSUMER.INFO.{stream}.{consumer}"
        self._inbox = client.new_inbox()
        self._requests = itertools.count(1)
        self._current = ""  # the reply subject of the request that is open
        self._status: tuple[str, str] | None = None  # how the open request ended
        self._ready: deque[Msg] = deque()
        self._arrived = asyncio.Event()
        self._subscription: NatsSubscription | None = None

    async def fetch(self, max_messages: int, timeout_seconds: float) -> Sequence[InboundMessage]:
        if not self._client.is_connected:
            raise BusUnavailableError("not connected to NATS")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        try:
            if self._subscription is None:
                self._subscription = await self._client.subscribe(
                    f"{self._inbox}.*", cb=self._on_message
                )
            if not self._ready:
                await self._request({"batch": max_messages, "no_wait": True})
                await self._wait(max_messages, deadline, gap_seconds=GAP_SECONDS)
                if not self._ready and self._status is None:
                    # The server answers "no message" at once: one that says nothing stands still.
                    require_permission(self._client, self._api, f"{self._inbox}.*")
                    raise BusUnavailableError("the consumer does not answer")
            while not self._ready and (left := deadline - loop.time()) > 0.001:
                # It ends on the server a little before it ends here, so that nothing is sent to nobody.
                expires = int(max(left * 0.98, 0.001) * 1e9)
                await self._request({"batch": 1, "expires": expires})
                await self._wait(1, deadline)
                if not self._ready and self._status is not None:
                    await asyncio.sleep(min(0.05, max(deadline - loop.time(), 0)))
        except (NatsError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error
        count = min(max_messages, len(self._ready))
        return [JetStreamMessage(self._ready.popleft()) for _ in range(count)]

    async def _request(self, options: dict[str, object]) -> None:
        self._current = f"{self._inbox}.{next(self._requests)}"
        self._status = None
        await self._client.publish(self._api, json.dumps(options).encode(), reply=self._current)

    async def _wait(self, count: int, deadline: float, *, gap_seconds: float | None = None) -> None:
        """Until ``count`` messages are ready, or the open request has ended, or the deadline."""
        loop = asyncio.get_running_loop()
        while len(self._ready) < count and self._status is None:
            until = deadline
            if gap_seconds is not None and self._ready:
                until = min(deadline, loop.time() + gap_seconds)
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._arrived.wait()
            except TimeoutError:
                return
        if self._status is not None and not self._ready:
            code, description = self._status
            full = code == CONFLICT and description.startswith("Exceeded")  # ours to work off first
            if code not in (NO_MESSAGES, TIMED_OUT) and not full:
                raise BusUnavailableError(f"the consumer cannot be read: {code} {description}")

    async def _on_message(self, msg: Msg) -> None:
        if msg.reply:
            self._ready.append(msg)
        elif msg.subject == self._current:  # a status; one for an earlier request means nothing now
            headers = msg.headers or {}
            self._status = (headers.get("Status", ""), headers.get("Description", ""))
        self._arrived.set()

    async def state(self) -> ConsumerState:
        info = await ask(self._client, self._info)
        return ConsumerState(
            int(info["num_pending"]) + int(info["num_ack_pending"]),
            int(info["ack_floor"]["stream_seq"]),
        )

    async def pending(self) -> int:
        return (await self.state()).pending

    async def close(self) -> None:
        """Stop receiving. What came but was not fetched is given back at once."""
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        try:
            await subscription.unsubscribe()
            while self._ready:
                await self._ready.popleft().nak()
        except NatsError as error:
            log.debug("unsubscribe_failed", error=repr(error))
