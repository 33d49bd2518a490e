"""Readers whose subscriptions renew, and what Stripe tells of it: without Stripe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from benchmarks.stripe_events import TYPE, renewal_paid
from services.billing.charges.apply import apply
from services.billing.charges.models import Charge
from services.billing.composition import Billing
from services.billing.payments.adapters.port import (
    Captured,
)
from services.billing.payments.method import Method
from services.billing.readers.models import Reader
from services.billing.webhooks import repository
from services.billing.webhooks.repository import Incoming
from shared.ids import new_id


@dataclass(frozen=True)
class Due:
    """A charge that the provider is to be asked for."""

    charge: UUID
    amount_vnd: int
    customer: str
    method: str
    email: str


async def subscribe(
    billing: Billing, email: str, period: str, agency: str, language: str = "vi"
) -> None:
    """A reader buys a subscription on a page, with a card that is kept."""
    now = billing.clock.now()
    reader = Reader(id=new_id(), agency=agency, email=email, name=f"Bạn {email}", created_at=now)
    async with billing.database.transaction() as session:
        session.add(reader)
    offers = await billing.plans.offers(agency)
    price = next(one.price_id for one in offers if one.period == period)
    order = await billing.orders.start(reader, price, "", language, renews=True)
    async with billing.database.transaction() as session:
        charge = Charge(
            id=new_id(),
            agency=agency,
            reader_id=reader.id,
            order_id=order.id,
            provider="stripe",
            kind="page",
            amount_vnd=order.amount_vnd,
            state="open",
            page_id=f"cs_{reader.id.hex}",
            created_at=now,
            updated_at=now,
        )
        session.add(charge)
        await session.flush()
        method = Method(f"cus_{email.partition('@')[0]}", f"pm_{email.partition('@')[0]}")
        fact = Captured(
            charge.id, f"pi_first_{reader.id.hex}", order.amount_vnd, "VND", now, method
        )
        assert await apply(session, "stripe", fact, now)


async def due(billing: Billing) -> list[Due]:
    """The charges of cards that wait for the provider's word, by the reader's address."""
    async with billing.database.read() as session:
        rows = await session.execute(
            text(
                """SELECT c.id, c.amount_vnd, m.customer, m.method, r.email FROM charge c JOIN mandate m ON m.id = c.mandate_id
                   JOIN reader r ON r.id = c.reader_id
                   WHERE c.kind = 'mandate' AND c.state IN ('created', 'processing') ORDER BY r.email"""
            )
        )
        return [Due(*row) for row in rows]


def told(billing: Billing, one: Due, number: str = "", **changes: Any) -> Incoming:
    """What Stripe tells of a charge that went through; ``changes``: of its intent."""
    now = billing.clock.now()
    number = number or uuid4().hex
    changes = {"amount_received": one.amount_vnd, **changes}
    at = now - timedelta(seconds=90)
    payload = renewal_paid(number, one.charge, one.customer, one.method, at, **changes)
    return Incoming("stripe", f"evt_{number}", TYPE, at, payload, None)


async def arrive(billing: Billing, events: list[Incoming]) -> None:
    pool = await billing.database.pool()
    async with pool.acquire() as connection:
        await repository.store(connection, "webhook", billing.clock.now(), events)
