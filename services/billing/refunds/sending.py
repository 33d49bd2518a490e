"""Refunds of what a provider collected: the worker hands them over, and asks again what became of those whose outcome is unknown.

No call is made inside a transaction. A request is in the provider's hands before it is asked (``sent``): from then on nobody refuses
it. A call of unknown outcome is made again under its own key, after looking for what it may have done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.billing.charges.apply import apply
from services.billing.charges.asking import LEASE, OTHER_KEY_AFTER, POLL_SECONDS, wait_after
from services.billing.charges.currency import ForeignCurrencyError
from services.billing.charges.returns import NotYetError
from services.billing.payments.adapters.port import (
    PaymentProvider,
    ProviderFailedError,
    ProviderRefusedError,
    ProviderUnavailableError,
    RefundMoved,
)
from services.billing.refunds import repository
from services.billing.refunds.repository import Handed
from shared.clock import Clock
from shared.database import Database
from shared.faults import fault_point
from shared.loops import Heartbeat

log = structlog.get_logger(__name__)

#: A refund that is on its way is looked at again after this long, should its notification never come.
LOOK_AGAIN = timedelta(hours=6)


class _OverrunError(Exception):
    """Somebody else asks by now."""


@dataclass(frozen=True, slots=True)
class SentRefunds:
    """The worker's part of refunds."""

    database: Database
    clock: Clock
    provider: PaymentProvider

    async def run_due(self) -> int:
        """Everything that is due now, one after the other. Returns how many."""
        done = 0
        while await self.send_one():
            done += 1
        return done

    async def send_one(self) -> bool:
        """The request that is due the longest. False when none is."""
        now = self.clock.now()
        async with self.database.transaction() as session:
            handed = await repository.claim(session, self.provider.name, now, LEASE)
        if handed is None:
            return False
        try:
            await self._send(handed)
        except _OverrunError:
            log.warning("refund_lease_overrun", request=str(handed.id))
        except (ForeignCurrencyError, NotYetError) as error:
            log.error("refund_not_booked", request=str(handed.id), error=repr(error))
            await self._later(handed, LOOK_AGAIN)
        return True

    async def _send(self, handed: Handed) -> None:
        try:
            fact = await self._answer(handed)
        except ProviderFailedError as error:
            await self._later(handed, OTHER_KEY_AFTER, error, other_key=True)
        except ProviderUnavailableError as error:
            await self._later(handed, wait_after(handed.asks), error)
        except ProviderRefusedError as error:
            log.error("refund_refused", request=str(handed.id), error=str(error))
            await self._refused(handed, str(error))
        else:
            await fault_point("refund.answered")
            async with self.database.transaction() as session:
                await apply(session, self.provider.name, fact, self.clock.now())
            await self._later(handed, LOOK_AGAIN)

    async def _answer(self, handed: Handed) -> RefundMoved:
        """What became of it; asked for the first time, or where nothing of it is found."""
        if handed.asks > 1:
            for known in await self.provider.refunds_of(handed.reference):
                if handed.id == known.request_id or handed.provider_refund == known.id:
                    return known
        async with self.database.transaction() as session:
            request = await repository.lock_request(session, handed.agency, handed.id)
            if request is None or (request.state, request.asks) != ("sent", handed.asks):
                raise _OverrunError
        return await self.provider.refund(
            handed.reference,
            handed.amount_vnd,
            key=f"refund:{handed.id}" + (f":{handed.key_number}" if handed.key_number else ""),
            request_id=handed.id,
        )

    async def _later(
        self,
        handed: Handed,
        wait: timedelta,
        error: Exception | None = None,
        *,
        other_key: bool = False,
    ) -> None:
        if error is not None:
            log.warning("provider_not_answered", request=str(handed.id), error=repr(error))
        async with self.database.transaction() as session:
            request = await repository.lock_request(session, handed.agency, handed.id)
            if request is not None and request.state == "sent" and request.asks == handed.asks:
                request.ask_at = self.clock.now() + wait
                request.key_number += other_key

    async def _refused(self, handed: Handed, why: str) -> None:
        """The provider does not do it: nothing goes back, and finance sees why."""
        async with self.database.transaction() as session:
            request = await repository.lock_request(session, handed.agency, handed.id)
            if request is not None and request.state == "sent":
                request.state, request.failed_at = "failed", self.clock.now()
                request.ask_at, request.failure = None, why[:500]

    async def run(self, stop: asyncio.Event, heartbeat: Heartbeat) -> None:
        """The worker's loop."""
        while not stop.is_set():
            heartbeat.beat()
            found = await self.send_one()
            heartbeat.succeeded()
            if not found:
                try:
                    await asyncio.wait_for(stop.wait(), POLL_SECONDS)
                except TimeoutError:
                    continue
