"""Every SQL statement about checkouts, payments and refunds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update

from services.billing.payments.models import Checkout, Payment, Refund
from shared.database import ReadSession, Session


async def checkout_by_session(
    session: Session | ReadSession, provider: str, provider_session: str
) -> Checkout | None:
    found: Checkout | None = await session.scalar(
        select(Checkout).where(
            Checkout.provider == provider,  # type: ignore[arg-type]
            Checkout.provider_session == provider_session,  # type: ignore[arg-type]
        )
    )
    return found


async def lock_reader(session: Session, reader_id: UUID) -> None:
    """One checkout at a time is opened for a reader: two clicks are one payment page."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 11))"), {"key": str(reader_id)}
    )


async def open_checkout(
    session: Session | ReadSession, reader_id: UUID, price_id: UUID, since: datetime
) -> Checkout | None:
    """The newest unfinished way to the payment page for the same thing."""
    found: Checkout | None = await session.scalar(
        select(Checkout)
        .where(
            Checkout.reader_id == reader_id,  # type: ignore[arg-type]
            Checkout.price_id == price_id,  # type: ignore[arg-type]
            Checkout.state == "open",  # type: ignore[arg-type]
            Checkout.created_at > since,  # type: ignore[arg-type]
        )
        .order_by(Checkout.created_at.desc())  # type: ignore[attr-defined]
        .limit(1)
    )
    return found


async def other_open_checkouts(
    session: Session | ReadSession, reader_id: UUID, chosen: UUID, since: datetime
) -> Sequence[Checkout]:
    """Every other way to a payment page of this reader's that has not been finished or closed."""
    return (
        await session.scalars(
            select(Checkout).where(
                Checkout.reader_id == reader_id,  # type: ignore[arg-type]
                Checkout.id != chosen,  # type: ignore[arg-type]
                Checkout.state == "open",  # type: ignore[arg-type]
                Checkout.created_at > since,  # type: ignore[arg-type]
            )
        )
    ).all()


async def keep_session(session: Session, id_: UUID, provider_session: str) -> bool:
    """Write down the payment page of a checkout. False when it was closed in the meantime."""
    kept = await session.execute(
        update(Checkout)
        .where(Checkout.id == id_)  # type: ignore[arg-type]
        .values(provider_session=provider_session)
        .returning(Checkout.state)  # type: ignore[call-overload]
    )
    return bool(kept.scalar_one() == "open")


async def set_checkout(session: Session, id_: UUID, **values: Any) -> None:
    await session.execute(update(Checkout).where(Checkout.id == id_).values(**values))  # type: ignore[arg-type]


async def close_open(session: Session, id_: UUID, provider_session: str | None) -> None:
    """Nobody goes this way any more. Nothing happens to one that was completed meanwhile, or that has got another
    payment page than the one that was looked at."""
    await session.execute(
        update(Checkout)
        .where(
            Checkout.id == id_,  # type: ignore[arg-type]
            Checkout.state == "open",  # type: ignore[arg-type]
            Checkout.provider_session.is_not_distinct_from(provider_session),  # type: ignore[union-attr]
        )
        .values(state="expired")
    )


async def complete_checkout(
    session: Session, provider: str, provider_session: str, now: datetime
) -> None:
    await session.execute(
        update(Checkout)
        .where(
            Checkout.provider == provider,  # type: ignore[arg-type]
            Checkout.provider_session == provider_session,  # type: ignore[arg-type]
            Checkout.state != "completed",  # type: ignore[arg-type]
        )
        .values(state="completed", completed_at=now)
    )


async def customer_of(session: Session | ReadSession, provider: str, reader_id: UUID) -> str | None:
    found: str | None = await session.scalar(
        text(
            """SELECT external_id FROM provider_customer
               WHERE provider = :provider AND reader_id = :reader"""
        ),
        {"provider": provider, "reader": reader_id},
    )
    return found


async def save_customer(session: Session, provider: str, reader_id: UUID, external_id: str) -> None:
    """The first one stays: later checkouts are made for it."""
    await session.execute(
        text(
            """INSERT INTO provider_customer (provider, reader_id, external_id)
               VALUES (:provider, :reader, :external) ON CONFLICT DO NOTHING"""
        ),
        {"provider": provider, "reader": reader_id, "external": external_id},
    )


async def origin_exists(session: Session, agency: str, reader_id: UUID, price_id: UUID) -> bool:
    """Whether what the provider's object names is ours."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM reader WHERE id = :reader AND agency = :agency)
                  AND EXISTS (SELECT FROM plan_price WHERE id = :price AND agency = :agency)"""
        ),
        {"agency": agency, "reader": reader_id, "price": price_id},
    )
    return bool(found)


async def payment_by_invoice(
    session: Session | ReadSession, provider: str, invoice: str
) -> Payment | None:
    found: Payment | None = await session.scalar(
        select(Payment)
        .where(Payment.provider == provider, Payment.provider_invoice == invoice)  # type: ignore[arg-type]
        .execution_options(populate_existing=True)
    )
    return found


async def payments_of_reader(
    session: Session | ReadSession, reader_id: UUID, limit: int = 50
) -> Sequence[Payment]:
    return (
        await session.scalars(
            select(Payment)
            .where(Payment.reader_id == reader_id)  # type: ignore[arg-type]
            .order_by(Payment.paid_at.desc())  # type: ignore[attr-defined]
            .limit(limit)
        )
    ).all()


@dataclass(frozen=True, slots=True)
class Sale:
    """What was paid for, who paid, and the language in which it was bought."""

    email: str
    name: str
    name_vi: str
    name_en: str
    period: str
    language: str


async def sale_of(session: Session, payment_id: UUID) -> Sale:
    """Raises ``NoResultFound``."""
    row = await session.execute(
        text(
            """SELECT r.email, r.name, p.name_vi, p.name_en, pp.period,
                      coalesce(o.language, (SELECT c.language FROM checkout c WHERE c.reader_id = r.id
                                            ORDER BY c.created_at DESC LIMIT 1), 'vi')
               FROM payment pay JOIN reader r ON r.id = pay.reader_id
               LEFT JOIN sales_order o ON o.id = pay.order_id
               LEFT JOIN subscription s ON s.id = pay.subscription_id
               JOIN plan_price pp ON pp.id = coalesce(o.price_id, s.price_id) JOIN plan p ON p.id = pp.plan_id
               WHERE pay.id = :id"""
        ),
        {"id": payment_id},
    )
    return Sale(*row.one())


async def refund_exists(session: Session, provider: str, provider_refund: str) -> bool:
    found = await session.scalar(
        select(Refund.id).where(  # type: ignore[call-overload]
            Refund.provider == provider, Refund.provider_refund == provider_refund
        )
    )
    return found is not None
