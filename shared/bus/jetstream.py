"""The bus on NATS JetStream. This file and ``pull`` beside it are the only ones that import nats-py.

Publishing and pulling speak JetStream's own protocol (https://docs.nats.io/reference/reference-protocols/nats_api_reference)
over the client's connection. The library's helpers for the two were measured and set aside: its ``fetch(n)`` holds
the first message back until ``n`` have come or the time is up (an event waited a whole second), and its
``publish_async`` loses a place of its window with every publish that fails.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared.bus.access import (
    denied_subject,
    explained,
    forget_denials,
    remember_denial,
    sign_in_options,
)
from shared.bus.base import (
    BusUnavailableError,
    NotPermittedError,
    OutboundMessage,
    Refused,
    Stored,
    StreamState,
    Verdict,
    require_stored,
)
from shared.bus.pull import NO_MESSAGE, JetStreamSubscription, ask

log = structlog.get_logger(__name__)

PUBLISH_TIMEOUT_SECONDS = 5.0
PING_TIMEOUT_SECONDS = 2
MAX_IN_FLIGHT = 256
MAX_LOOK_UPS = 32
REPLAY_IDLE_SECONDS = 60.0
_MESSAGE_ID = re.compile(rb"^Nats-Msg-Id:[ ]*(.*?)\r$", re.MULTILINE)


async def connect(
    url: str, name: str, *, ca_file: str = "", wait_seconds: float = 30.0
) -> JetStreamBus:
    """Connect for ever: a lost server is waited for, an absent one for ``wait_seconds`` at the start.

    ``name`` shows up in the server's connection list; ``tls://`` or ``ca_file`` (PEM) makes it TLS, to a server whose
    certificate that authority gave for the name in the URL. Raises :class:`BusUnavailableError`.
    """

    buses: list[JetStreamBus] = []
    client, last_error = Client(), ""
    options: Mapping[str, Any] = {}

    async def on_disconnected() -> None:
        for bus in buses:
            bus.connection_lost()

    async def on_reconnected() -> None:
        forget_denials(client)
        log.info("nats_reconnected")

    async def on_error(error: Exception) -> None:
        nonlocal last_error
        last_error = str(error) or repr(error)
        subject = denied_subject(error)
        if not subject:
            log.debug("nats_error", error=repr(error))
            return
        log.error("nats_forbidden", subject=subject, connection=name)  # a security event
        remember_denial(client, subject)
        for bus in buses:
            bus.forbidden(subject)

    try:
        options = sign_in_options(url, ca_file)
        await _within(
            wait_seconds,
            client.connect(
                **options,
                name=name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,  # type: ignore[arg-type] # seconds; parts of one are fine
                connect_timeout=2,
                ping_interval=10,
                max_outstanding_pings=2,
                disconnected_cb=on_disconnected,
                reconnected_cb=on_reconnected,
                error_cb=on_error,
            ),
        )
    except (TimeoutError, OSError, NatsError) as error:
        await client.close()
        raise BusUnavailableError(
            "no NATS server takes this process at the configured address (NATS_URL): "
            + explained(last_error or repr(error), options)
        ) from error
    buses.append(JetStreamBus(client))
    return buses[0]


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Await something that may lose a cancellation. Raises ``TimeoutError``, and what ``work`` raises.

    ``asyncio.timeout`` cancels once: lost while nats-py waits between two attempts (``asyncio.wait_for`` of Python 3.11 loses one
    when what it waits for ends at that moment), it would try for ever.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        await task
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        if not task.cancelled():
            task.exception()  # seen


class JetStreamBus:
    """Publish with acknowledgement; bind to durable pull consumers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._tokens = itertools.count(1)
        #: By reply subject: the subject published to, and the verdict to come.
        self._unconfirmed: dict[str, tuple[str, asyncio.Future[Verdict]]] = {}
        self._acks: NatsSubscription | None = None
        self._acks_lock = asyncio.Lock()

    async def offer(self, messages: Sequence[OutboundMessage]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for start in range(0, len(messages), MAX_IN_FLIGHT):
            verdicts += await self._offer_window(messages[start : start + MAX_IN_FLIGHT])
        return verdicts

    async def publish(self, messages: Sequence[OutboundMessage]) -> None:
        require_stored(await self.offer(messages))

    async def _offer_window(self, messages: Sequence[OutboundMessage]) -> list[Verdict]:
        if not self._client.is_connected:
            # The client would keep the bytes and send them some time later, behind newer ones.
            raise BusUnavailableError("not connected to NATS")
        mine: list[str] = []
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                await self._listen_for_acks()
                confirmations = [await self._send(message, mine) for message in messages]
                return await asyncio.gather(*confirmations)
        except (NatsError, TimeoutError, OSError) as error:
            raise BusUnavailableError(repr(error)) from error
        finally:
            for reply in mine:
                _, confirmation = self._unconfirmed.pop(reply)
                if not confirmation.done():
                    confirmation.cancel()
                elif not confirmation.cancelled():
                    confirmation.exception()  # seen: only the first failure of a window is reported

    async def _listen_for_acks(self) -> None:
        async with self._acks_lock:
            if self._acks is None:
                self._acks = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)

    async def _send(self, message: OutboundMessage, mine: list[str]) -> asyncio.Future[Verdict]:
        reply = f"{self._inbox}.{next(self._tokens)}"
        confirmation: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._unconfirmed[reply] = (message.subject, confirmation)
        mine.append(reply)
        try:
            await self._client.publish(
                message.subject,
                message.payload,
                reply=reply,
                # nats-py changes the dictionary it is given, so it gets its own.
                headers=message.headers | {"Nats-Msg-Id": message.message_id},
            )
        except MaxPayloadError:
            confirmation.set_result(Refused("larger than the server takes"))
        return confirmation

    async def _on_ack(self, msg: Msg) -> None:
        _, confirmation = self._unconfirmed.get(msg.subject, ("", None))
        if confirmation is not None and not confirmation.done():
            confirmation.set_result(_verdict(msg))

    def forbidden(self, subject: str) -> None:
        """The server refused our publishing to this subject: it sends no answer to the message itself."""
        for waiting, confirmation in self._unconfirmed.values():
            if waiting.lower() == subject.lower() and not confirmation.done():
                confirmation.set_result(Refused("this credential may not publish it"))

    def connection_lost(self) -> None:
        """Whoever waits for a confirmation is told at once that it will not come."""
        if not (self._client.is_draining or self._client.is_closed):
            log.warning("nats_disconnected")
        for _, confirmation in self._unconfirmed.values():
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
            if "permissions violation" in str(self._client.last_error).lower():
                raise NotPermittedError(
                    "only the set-up's credential may replay a stream"
                ) from error
            raise BusUnavailableError(repr(error)) from error
        return JetStreamSubscription(self._client, stream, info.name)

    async def stream_state(self, stream: str) -> StreamState:
        answer = await ask(self._client, f"$JS.API.STREAM.INFO.{stream}", {"deleted_details": True})
        state = answer["state"]
        return StreamState(
            str(answer["created"]),
            int(state["first_seq"]),
            int(state["last_seq"]),
            int(answer["config"].get("max_age") or 0) / 1e9,
            str(answer.get("cluster", {}).get("leader", "")),
            frozenset(number for number in state.get("deleted") or () if number > 0),
        )

    async def stored_ids(self, stream: str, sequences: Sequence[int]) -> list[str | None]:
        found: list[str | None] = []
        for start in range(0, len(sequences), MAX_LOOK_UPS):
            window = sequences[start : start + MAX_LOOK_UPS]
            found += await asyncio.gather(*(self._stored_id(stream, number) for number in window))
        return found

    async def _stored_id(self, stream: str, sequence: int) -> str | None:
        answer = await ask(
            self._client, f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": sequence}, absent=NO_MESSAGE
        )
        headers = base64.b64decode(answer.get("message", {}).get("hdrs", ""))
        match = _MESSAGE_ID.search(headers)
        return match[1].decode() if match else None

    @property
    def generation(self) -> int:
        return int(self._client.stats["reconnects"])

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


def _verdict(msg: Msg) -> Verdict:
    """What the stream's answer says."""
    if msg.headers and msg.headers.get("Status"):
        return Refused(f"no stream takes it (status {msg.headers['Status']})")
    try:
        answer = json.loads(msg.data)
        if "error" in answer:
            return Refused(str(answer["error"].get("description", "refused")))
        return Stored(str(answer["stream"]), int(answer["seq"]))
    except (ValueError, KeyError, TypeError):
        return Refused("the confirmation cannot be read")
