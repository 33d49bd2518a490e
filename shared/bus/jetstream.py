"""The bus on NATS JetStream. The only file that imports nats-py."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import FetchTimeoutError

from shared.bus.base import BusUnavailableError, InboundMessage, OutboundMessage

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 2
MAX_IN_FLIGHT = 256  # bounded on both sides: ours and the client library's


async def connect(url: str, name: str, *, wait_seconds: float = 30.0) -> JetStreamBus:
    """Connect for ever: a lost server is waited for, an absent one for ``wait_seconds`` at the start.

    ``name`` shows up in the server's connection list. Raises :class:`BusUnavailableError`.
    """

    async def on_disconnected() -> None:
        if not (client.is_draining or client.is_closed):
            log.warning("nats_disconnected")

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
    return JetStreamBus(client)


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
        await self._msg.ack()

    async def nak(self, delay_seconds: float) -> None:
        # A plain nak ignores the consumer's backoff and burns all deliveries at once.
        await self._msg.nak(delay=max(delay_seconds, 0.001))


class JetStreamSubscription:
    """A pull binding to a durable consumer."""

    def __init__(self, client: Client, js: JetStreamContext, stream: str, consumer: str) -> None:
        self._client = client
        self._js = js
        self._stream = stream
        self._consumer = consumer
        self._pull: JetStreamContext.PullSubscription | None = None

    async def fetch(self, max_messages: int, timeout_seconds: float) -> Sequence[InboundMessage]:
        if self._pull is None:
            self._pull = await self._js.pull_subscribe_bind(
                consumer=self._consumer, stream=self._stream
            )
        try:
            messages = await self._pull.fetch(max_messages, timeout=timeout_seconds)
        except (FetchTimeoutError, TimeoutError):
            return []
        except NatsError as error:
            # After a server restart the old pull subscription can be dead: bind anew next time.
            await self.close()
            raise BusUnavailableError(repr(error)) from error
        return [JetStreamMessage(message) for message in messages]

    async def pending(self) -> int:
        try:
            info = await self._js.consumer_info(self._stream, self._consumer, timeout=2)
        except (NatsError, TimeoutError) as error:
            raise BusUnavailableError(repr(error)) from error
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def close(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            try:
                await pull.unsubscribe()
            except NatsError as error:
                log.debug("unsubscribe_failed", error=repr(error))


class JetStreamBus:
    """Publish with acknowledgement; bind to durable pull consumers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = client.jetstream(
            timeout=PUBLISH_TIMEOUT_SECONDS, publish_async_max_pending=4 * MAX_IN_FLIGHT
        )

    async def publish(self, messages: Sequence[OutboundMessage]) -> None:
        for start in range(0, len(messages), MAX_IN_FLIGHT):
            await self._publish_window(messages[start : start + MAX_IN_FLIGHT])

    async def _publish_window(self, messages: Sequence[OutboundMessage]) -> None:
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                acks = [
                    await self._js.publish_async(
                        message.subject,
                        message.payload,
                        # nats-py changes the dictionary it is given, so it gets its own.
                        headers=message.headers | {"Nats-Msg-Id": message.message_id},
                    )
                    for message in messages
                ]
                await asyncio.gather(*acks)
        except (NatsError, TimeoutError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error

    async def bind(self, stream: str, consumer: str) -> JetStreamSubscription:
        return JetStreamSubscription(self._client, self._js, stream, consumer)

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
