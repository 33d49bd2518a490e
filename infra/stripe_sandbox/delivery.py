"""Webhook delivery of any kind: in the order of creation, retried until a 2xx, bounded."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from shared.web.outgoing import authorities

from .outbox import Delivery, Outbox
from .scope import Clock
from .store import Store

log = logging.getLogger("stripe_sandbox.webhooks")


@dataclass(frozen=True)
class Message:
    """One POST, as it is sent."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Deliverer(ABC):
    """Takes due deliveries from one outbox and posts them. What is posted is said by a subclass."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.store = store
        self.outbox = outbox
        self.clock = clock
        self.transport = transport
        self._woken = asyncio.Event()
        self._busy = asyncio.Lock()

    @abstractmethod
    def message(self, delivery: Delivery) -> Message:
        """The request of one attempt, made anew for each."""

    @abstractmethod
    def recorded(self, delivery: Delivery) -> None:
        """An attempt was written down; runs in the same transaction."""

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def deliver_due(self) -> int:
        """Make every attempt that is due; returns how many were made."""
        settings, outbox = self.outbox.settings, self.outbox
        made = 0
        async with (
            self._busy,
            httpx.AsyncClient(
                transport=self.transport,
                timeout=settings.webhook_timeout_seconds,
                verify=authorities(),
            ) as client,
        ):
            while due := outbox.due(self.clock()):
                made += len(due)
                if settings.webhook_reorder:
                    outbox.chance.shuffle(due)
                    gate = asyncio.Semaphore(settings.webhook_concurrency)
                    await asyncio.gather(*(self._gated(gate, client, one) for one in due))
                else:
                    for one in due:
                        await self._attempt(client, one)
        return made

    async def _gated(
        self, gate: asyncio.Semaphore, client: httpx.AsyncClient, delivery: Delivery
    ) -> None:
        async with gate:
            await self._attempt(client, delivery)

    async def _attempt(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        message = self.message(delivery)
        status, error = None, None
        try:
            response = await client.post(
                message.url, content=message.body, headers=dict(message.headers)
            )
            status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = f"{type(failure).__name__}: {failure}"
        with self.store.transaction():
            state = self.outbox.record(delivery, self.clock(), message.url, status, error)
            self.recorded(delivery)
        if state == "failed":
            log.warning("webhook %s given up after %s", delivery.event, status or error)

    async def run(self) -> None:
        """Deliver for as long as the sandbox lives."""
        while True:
            self._woken.clear()
            try:
                await self.deliver_due()
            except Exception:
                # One bad delivery must not end all later ones.
                log.exception("delivering webhooks failed")
                await asyncio.sleep(1)
            upcoming = self.outbox.next_due_at()
            wait = None if upcoming is None else max(0.01, upcoming - self.clock())
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue
