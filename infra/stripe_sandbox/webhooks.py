"""Signed webhook delivery: in the order of creation, retried until a 2xx, bounded."""

import asyncio
import hashlib
import hmac
import json
import logging

import httpx

from shared.web.outgoing import authorities

from .outbox import Delivery
from .scope import Sandbox
from .store import Doc

log = logging.getLogger("stripe_sandbox.webhooks")


def signature(payload: str, secrets: list[str], at: int) -> str:
    """The ``Stripe-Signature`` header: one ``v1`` for each secret in force."""
    parts = [f"t={at}"]
    for secret in secrets:
        mac = hmac.new(secret.encode(), f"{at}.{payload}".encode(), hashlib.sha256)
        parts.append(f"v1={mac.hexdigest()}")
    return ",".join(parts)


class Deliverer:
    """Takes due deliveries from the outbox and posts them."""

    def __init__(self, sandbox: Sandbox, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.sandbox = sandbox
        self.transport = transport
        self._woken = asyncio.Event()
        self._busy = asyncio.Lock()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def deliver_due(self) -> int:
        """Make every attempt that is due; returns how many were made."""
        settings, outbox = self.sandbox.settings, self.sandbox.outbox
        made = 0
        async with (
            self._busy,
            httpx.AsyncClient(
                transport=self.transport,
                timeout=settings.webhook_timeout_seconds,
                verify=authorities(),
            ) as client,
        ):
            while due := outbox.due(self.sandbox.clock()):
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
        sandbox = self.sandbox
        event = sandbox.store.get(delivery.account, delivery.event)
        assert event is not None  # the foreign key holds it
        payload = encode(event)
        url = sandbox.settings.webhook_url
        status, error = None, None
        try:
            response = await client.post(
                url,
                content=payload.encode(),
                headers={
                    "Content-Type": "application/json; charset=utf-8",
                    "User-Agent": "Stripe/1.0 (sandbox)",
                    # Signed with wall time, whatever clock the sandbox plays: receivers compare
                    # it with their own.
                    "Stripe-Signature": signature(
                        payload, sandbox.settings.secrets(), int(sandbox.clock())
                    ),
                },
            )
            status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = f"{type(failure).__name__}: {failure}"
        with sandbox.store.transaction():
            state = sandbox.outbox.record(delivery, sandbox.clock(), url, status, error)
            left = sandbox.outbox.pending(delivery.event)
            event["pending_webhooks"] = left
            sandbox.store.save(delivery.account, event)
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
            upcoming = self.sandbox.outbox.next_due_at()
            wait = None if upcoming is None else max(0.01, upcoming - self.sandbox.clock())
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue


def encode(event: Doc) -> str:
    """The exact text that is signed and sent."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"))
