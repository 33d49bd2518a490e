"""The bus on NATS JetStream. The only file that imports nats-py.

Publishing and pulling speak JetStream's own protocol (https://docs.nats.io/reference/reference-protocols/nats_api_reference)
over the client's connection. The library's helpers for the two were measured and set aside: its ``fetch(n)`` holds
the first message back until ``n`` have come or the time is up (an event waited a whole second), and its
``publish_async`` loses a place of its window with every publish that fails.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Sequence

import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus.base import (
    BusUnavailableError,
    InboundMessage,
    MessageRefusedError,
    OutboundMessage,
)

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 2
MAX_IN_FLIGHT = 256
#: How long a batch waits for one more message after the last one came (the server's "no more" usually ends it first).
GAP_SECONDS = 0.02
NO_MESSAGES, TIMED_OUT, CONFLICT = "404", "408", "409"
REPLAY_IDLE_SECONDS = 60.0


async def connect(url: str, name: str, *, wait_seconds: float = 30.0) -> JetStreamBus:
    """Connect for ever: a lost server is waited for, an absent one for ``wait_seconds`` at the start.

    ``name`` shows up in the server's connection list. Raises :class:`BusUnavailableError`.
    """

    buses: list[JetStreamBus] = []

    async def on_disconnected() -> None:
        for bus in buses:
            bus.connection_lost()

    async def on_reconnected() -> None:
        log.info("nats_reconnected")

    async def on_error(error: Exception) -> None:
        log.debug("nats_error", error=repr(error))

    try:
        async with asyncio.timeout(wait_seconds):
            client = await nats.connect(
                url,
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=2,
                ping_interval=10,
                max_outstanding_pings=2,
                disconnected_cb=on_disconnected,
                reconnected_cb=on_reconnected,
                error_cb=on_error,
            )
    except (TimeoutError, OSError, NatsError) as error:
        raise BusUnavailableError(f"no NATS server at the configured address: {error!r}") from error
    buses.append(JetStreamBus(client))
    return buses[0]


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

    async def pending(self) -> int:
        try:
            answer = await self._client.request(self._info, b"", timeout=2)
            info = json.loads(answer.data)
        except (NatsError, TimeoutError, OSError, ValueError) as error:
            raise BusUnavailableError(repr(error)) from error
        if "error" in info:
            raise BusUnavailableError(str(info["error"].get("description", "consumer unknown")))
        return int(info["num_pending"]) + int(info["num_ack_pending"])

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


class JetStreamBus:
    """Publish with acknowledgement; bind to durable pull consumers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._tokens = itertools.count(1)
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}
        self._acks: NatsSubscription | None = None
        self._acks_lock = asyncio.Lock()

    async def publish(self, messages: Sequence[OutboundMessage]) -> None:
        for start in range(0, len(messages), MAX_IN_FLIGHT):
            await self._publish_window(messages[start : start + MAX_IN_FLIGHT])

    async def _publish_window(self, messages: Sequence[OutboundMessage]) -> None:
        if not self._client.is_connected:
            # The client would keep the bytes and send them some time later, behind newer ones.
            raise BusUnavailableError("not connected to NATS")
        mine: list[str] = []
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                await self._listen_for_acks()
                confirmations = [await self._send(message, mine) for message in messages]
                await asyncio.gather(*confirmations)
        except MaxPayloadError as error:
            raise MessageRefusedError("larger than the server takes") from error
        except (NatsError, TimeoutError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error
        finally:
            for reply in mine:
                confirmation = self._unconfirmed.pop(reply, None)
                if confirmation is not None and not confirmation.done():
                    confirmation.cancel()
                elif confirmation is not None and not confirmation.cancelled():
                    confirmation.exception()  # seen: only the first failure of a window is reported

    async def _listen_for_acks(self) -> None:
        async with self._acks_lock:
            if self._acks is None:
                self._acks = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)

    async def _send(self, message: OutboundMessage, mine: list[str]) -> asyncio.Future[None]:
        reply = f"{self._inbox}.{next(self._tokens)}"
        confirmation: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unconfirmed[reply] = confirmation
        mine.append(reply)
        await self._client.publish(
            message.subject,
            message.payload,
            reply=reply,
            # nats-py changes the dictionary it is given, so it gets its own.
            headers=message.headers | {"Nats-Msg-Id": message.message_id},
        )
        return confirmation

    async def _on_ack(self, msg: Msg) -> None:
        confirmation = self._unconfirmed.get(msg.subject)
        if confirmation is None or confirmation.done():
            return
        refused = _refusal(msg)
        if refused:
            confirmation.set_exception(MessageRefusedError(refused))
        else:
            confirmation.set_result(None)

    def connection_lost(self) -> None:
        """Whoever waits for a confirmation is told at once that it will not come."""
        if not (self._client.is_draining or self._client.is_closed):
            log.warning("nats_disconnected")
        for confirmation in self._unconfirmed.values():
            if not confirmation.done():
                confirmation.set_exception(BusUnavailableError("the connection to NATS was lost"))

    async def bind(self, stream: str, consumer: str) -> JetStreamSubscription:
        return JetStreamSubscription(self._client, stream, consumer)

    async def replay(self, stream: str, filter_subjects: Sequence[str]) -> JetStreamSubscription:
        try:
            info = await self._client.jetstream().add_consumer(
                stream,
                ConsumerConfig(
                    ack_policy=AckPolicy.EXPLICIT,
                    deliver_policy=DeliverPolicy.ALL,
                    filter_subjects=list(filter_subjects),
                    inactive_threshold=REPLAY_IDLE_SECONDS,  # the server removes it afterwards
                    mem_storage=True,
                    num_replicas=1,
                ),
            )
        except (NatsError, TimeoutError) as error:
            raise BusUnavailableError(repr(error)) from error
        return JetStreamSubscription(self._client, stream, info.name)

    async def ping(self) -> None:
        if not self._client.is_connected:
            raise BusUnavailableError("not connected to NATS")
        try:
            await self._client.flush(timeout=PING_TIMEOUT_SECONDS)
        except (NatsError, TimeoutError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error

    async def close(self) -> None:
        if self._client.is_closed:
            return
        try:
            await asyncio.wait_for(self._client.drain(), timeout=5)
        except (NatsError, TimeoutError, OSError) as error:
            log.warning("nats_drain_failed", error=repr(error))
            await self._client.close()


def _refusal(msg: Msg) -> str:
    """Why the stream did not store the message; empty when it did."""
    if msg.headers and msg.headers.get("Status"):
        return f"no stream takes it (status {msg.headers['Status']})"
    try:
        answer = json.loads(msg.data)
    except ValueError:
        return "the confirmation cannot be read"
    if "error" in answer:
        return str(answer["error"].get("description", "refused"))
    return "" if "stream" in answer else "the confirmation cannot be read"
