"""Every SQL statement about payments and refunds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, text

from services.billing.payments.models import Payment, Refund
from services.billing.payments.rules import Sale, SaleOffer
from shared.database import ReadSession, Session


async def by_reference(
    session: Session | ReadSession, provider: str, reference: str
) -> Payment | None:
    """A payment by the provider's reference."""
    found: Payment | None = await session.scalar(
        select(Payment)
        .where(Payment.provider == provider, Payment.reference == reference)  # type: ignore[arg-type]
        .execution_options(populate_existing=True)
    )
    return found


async def lock(session: Session, id_: UUID) -> Payment:
    """A payment, locked (the caller holds its reader's lock)."""
    return (
        await session.scalars(
            select(Payment)
            .where(Payment.id == id_)  # type: ignore[arg-type]
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()


async def replaced_by(session: Session, payment_id: UUID) -> Sequence[Payment]:
    """The payments that a change's took the place of, locked, in the order of their ends."""
    return await _locked(session, Payment.replaced_by == payment_id)  # type: ignore[arg-type]


async def restored_from(session: Session, payment_id: UUID) -> Sequence[Payment]:
    """Those that an undone change's had taken the place of, locked, in the order of their ends."""
    return await _locked(session, Payment.restored_from == payment_id)  # type: ignore[arg-type]


async def _locked(session: Session, wanted: ColumnElement[bool]) -> Sequence[Payment]:
    return (
        await session.scalars(
            select(Payment)
            .where(wanted)
            .order_by(Payment.period_end, Payment.id)  # type: ignore[arg-type]
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def next_kept(session: Session, payment: Payment) -> tuple[UUID, datetime] | None:
    """(payment, beginning) of the first period after this one's beginning that its subscription keeps."""
    rows = await session.execute(
        text(
            """SELECT id, period_start FROM payment
               WHERE subscription_id = :subscription AND id <> :id AND period_start > :start
                 AND refunded_vnd < greatest(amount_vnd, 1) AND coalesce(cut_at, period_end) > period_start
               ORDER BY period_start, id LIMIT 1"""
        ),
        {
            "subscription": payment.subscription_id,
            "id": payment.id,
            "start": payment.period_start,
        },
    )
    row = rows.one_or_none()
    return (row[0], row[1]) if row else None


async def receipted(
    session: Session, agency: str, reader_id: UUID, payment_id: UUID
) -> Payment | None:
    """A reader's payment that had a receipt: one of an order, no trial, and not paid before it was moved here."""
    found: Payment | None = await session.scalar(
        select(Payment).where(
            Payment.id == payment_id,  # type: ignore[arg-type]
            Payment.agency == agency,  # type: ignore[arg-type]
            Payment.reader_id == reader_id,  # type: ignore[arg-type]
            Payment.order_id.is_not(None),  # type: ignore[union-attr]
            Payment.provider.not_in(("trial", "moved")),  # type: ignore[attr-defined]
        )
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


async def sale_of(session: Session, payment_id: UUID) -> Sale:
    """Of money that no order took: the order for which it was paid once more. Raises ``NoResultFound``."""
    row = await session.execute(
        text(
            """SELECT r.email, r.name, p.name_vi, p.name_en, pp.period, o.language, o.code, o.renews, o.credit_vnd,
                      p.kind, p.uses, o.seats, p.per_seat,
                      f.kind AS offer_kind, f.amount_vnd AS offer_vnd, f.periods, o.list_vnd
               FROM payment pay JOIN reader r ON r.id = pay.reader_id
               JOIN sales_order o ON o.id = coalesce(pay.order_id, pay.surplus_of)
               JOIN plan_price pp ON pp.id = o.price_id JOIN plan p ON p.id = pp.plan_id
               LEFT JOIN price_offer f ON f.id = o.offer_id
               WHERE pay.id = :id"""
        ),
        {"id": payment_id},
    )
    values = dict(row.mappings().one())
    kind, amount_vnd, periods, full_vnd = (
        values.pop(name) for name in ("offer_kind", "offer_vnd", "periods", "list_vnd")
    )
    offer = SaleOffer(kind, amount_vnd, periods, full_vnd) if kind else None
    return Sale(**values, offer=offer)


async def refund_of(session: Session, payment: Payment, provider_refund: str) -> Refund:
    """Of a payment that the caller has locked. Raises ``NoResultFound``."""
    return (
        await session.scalars(
            select(Refund)
            .where(
                Refund.payment_id == payment.id,  # type: ignore[arg-type]
                Refund.provider_refund == provider_refund,  # type: ignore[arg-type]
            )
            .execution_options(populate_existing=True)
        )
    ).one()
