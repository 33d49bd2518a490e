"""Every SQL statement about refunds that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, text

from services.billing.orders.models import Gift
from services.billing.payments.models import Payment
from services.billing.refunds.models import RefundRequest
from shared.database import ReadSession, Session


async def lock_payment(session: Session, agency: str, payment_id: UUID) -> Payment | None:
    """A payment, locked."""
    found: Payment | None = await session.scalar(
        select(Payment)
        .where(
            Payment.id == payment_id,  # type: ignore[arg-type]
            Payment.agency == agency,  # type: ignore[arg-type]
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def asked_vnd(session: Session, payment_id: UUID) -> int:
    """What is asked back of a payment and neither paid nor refused."""
    found = await session.scalar(
        text(
            """SELECT coalesce(sum(amount_vnd), 0)::bigint FROM refund_request
               WHERE payment_id = :id AND state IN ('asked', 'approved', 'sent')"""
        ),
        {"id": payment_id},
    )
    return int(found)


async def is_disputed(session: Session, payment_id: UUID) -> bool:
    """Whether the holder's bank asks for a payment's money and has not decided yet."""
    found = await session.scalar(
        text("SELECT EXISTS (SELECT FROM dispute WHERE payment_id = :id AND state = 'open')"),
        {"id": payment_id},
    )
    return bool(found)


async def under_way(session: Session | ReadSession, subscription_id: UUID, now: datetime) -> bool:
    """Whether something of a subscription's periods that are not over is asked back, and neither paid nor refused, or a bank decides
    whether it goes back."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM payment p WHERE p.subscription_id = :id AND coalesce(p.cut_at, p.period_end) > :now
                 AND (EXISTS (SELECT FROM refund_request q WHERE q.payment_id = p.id
                              AND q.state IN ('asked', 'approved', 'sent'))
                      OR EXISTS (SELECT FROM dispute d WHERE d.payment_id = p.id AND d.state = 'open')))"""
        ),
        {"id": subscription_id, "now": now},
    )
    return bool(found)


async def insert(session: Session, values: dict[str, Any]) -> str:
    """A new request; the state in which the database lets it begin."""
    state: str = await session.scalar(
        text(
            """INSERT INTO refund_request (id, agency, payment_id, amount_vnd, reason, approval_from_vnd,
                                           asked_by, asked_name, asked_at)
               VALUES (:id, :agency, :payment_id, :amount_vnd, :reason, :approval_from_vnd,
                       :asked_by, :asked_name, :asked_at) RETURNING state"""
        ),
        values,
    )
    return state


@dataclass(frozen=True, slots=True)
class Handed:
    """A request in the hands of a payment's provider, and how often it was asked."""

    id: UUID
    agency: str
    reference: str
    amount_vnd: int
    provider_refund: str | None
    asks: int
    key_number: int


_CLAIM = text(
    """UPDATE refund_request q SET state = 'sent', sent_at = coalesce(sent_at, :now), ask_at = :again, asks = asks + 1
       FROM payment p WHERE p.id = q.payment_id AND q.id =
         (SELECT due.id FROM refund_request due JOIN payment paid ON paid.id = due.payment_id
          WHERE due.ask_at <= :now AND paid.provider = :provider
          ORDER BY due.ask_at, due.id LIMIT 1 FOR UPDATE OF due SKIP LOCKED)
       RETURNING q.id, q.agency, p.reference, q.amount_vnd, q.provider_refund, q.asks, q.key_number"""
)


async def claim(session: Session, provider: str, now: datetime, lease: timedelta) -> Handed | None:
    """A request that is due is the provider's now; nobody else asks for it for the time of the lease."""
    values = {"provider": provider, "now": now, "again": now + lease}
    row = (await session.execute(_CLAIM, values)).one_or_none()
    return Handed(*row) if row else None


async def lock_request(session: Session, agency: str, request_id: UUID) -> RefundRequest | None:
    found: RefundRequest | None = await session.scalar(
        select(RefundRequest)
        .where(RefundRequest.id == request_id, RefundRequest.agency == agency)  # type: ignore[arg-type]
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def lock_sent(
    session: Session, payment_id: UUID, provider_refund: str, request_id: UUID | None
) -> RefundRequest | None:
    """The request that a provider's refund is for, locked: by our id that it carries, or by the provider's."""
    found: RefundRequest | None = await session.scalar(
        select(RefundRequest)
        .where(
            RefundRequest.payment_id == payment_id,  # type: ignore[arg-type]
            or_(
                RefundRequest.id == request_id,  # type: ignore[arg-type]
                RefundRequest.provider_refund == provider_refund,  # type: ignore[arg-type]
            ),
            RefundRequest.state.in_(("sent", "paid", "failed")),  # type: ignore[attr-defined]
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def bought(session: Session, payment_id: UUID) -> tuple[UUID, UUID | None, Gift | None]:
    """What an order's payment was for: the order, the term it pays for, the gift (locked)."""
    order_id = await session.scalar(
        text("SELECT order_id FROM payment WHERE id = :id"), {"id": payment_id}
    )
    gift: Gift | None = await session.scalar(
        select(Gift)
        .where(Gift.order_id == order_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    # Behind the lock of the gift: whoever redeems it writes the term into the payment.
    term = await session.scalar(
        text("SELECT subscription_id FROM payment WHERE id = :id"), {"id": payment_id}
    )
    return order_id, term, gift


async def reader_of_term(session: Session, subscription_id: UUID) -> UUID:
    found: UUID = await session.scalar(
        text("SELECT reader_id FROM subscription WHERE id = :id"), {"id": subscription_id}
    )
    return found


async def readers_of(session: Session, agency: str, request_id: UUID) -> list[UUID]:
    """Who paid what is asked back, and who reads for it (another one of a gift), in one order everywhere."""
    rows = await session.execute(
        text(
            """SELECT p.reader_id FROM refund_request q JOIN payment p ON p.id = q.payment_id
               WHERE q.id = :id AND q.agency = :agency
               UNION SELECT s.reader_id FROM refund_request q JOIN payment p ON p.id = q.payment_id
               JOIN subscription s ON s.id = p.subscription_id WHERE q.id = :id AND q.agency = :agency
               ORDER BY 1"""
        ),
        {"id": request_id, "agency": agency},
    )
    return [row[0] for row in rows]


async def open_of_reader(session: ReadSession, reader_id: UUID) -> dict[UUID, int]:
    """What is on its way back, by payment of the reader's."""
    rows = await session.execute(
        text(
            """SELECT q.payment_id, sum(q.amount_vnd)::bigint FROM refund_request q
               JOIN payment p ON p.id = q.payment_id
               WHERE p.reader_id = :reader AND q.state IN ('asked', 'approved', 'sent') GROUP BY 1"""
        ),
        {"reader": reader_id},
    )
    return {row[0]: row[1] for row in rows}


_LIST = text(
    """SELECT q.*, r.id AS reader_id, r.email AS reader_email, r.name AS reader_name, p.amount_vnd AS paid_vnd,
              p.refunded_vnd, coalesce(o.code, p.reference) AS code, p.paid_at AS received_at
       FROM refund_request q JOIN payment p ON p.id = q.payment_id JOIN reader r ON r.id = p.reader_id
       LEFT JOIN sales_order o ON o.id = coalesce(p.order_id, p.surplus_of)
       WHERE q.agency = :agency AND q.state = ANY (CAST(:states AS text[]))
         AND (CAST(:after_id AS uuid) IS NULL
              OR (q.asked_at, q.id) < (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
       ORDER BY q.asked_at DESC, q.id DESC LIMIT :limit"""
)


async def listing(
    session: ReadSession,
    agency: str,
    states: tuple[str, ...],
    *,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[dict[str, Any]]:
    """Requests in these states, the newest first."""
    rows = await session.execute(
        _LIST,
        {
            "agency": agency,
            "states": list(states),
            "after_at": after[0] if after else None,
            "after_id": after[1] if after else None,
            "limit": limit,
        },
    )
    return [dict(row) for row in rows.mappings()]


async def counts(session: ReadSession, agency: str) -> dict[str, int]:
    rows = await session.execute(
        text("SELECT state, count(*) FROM refund_request WHERE agency = :agency GROUP BY 1"),
        {"agency": agency},
    )
    return {row[0]: row[1] for row in rows}
