"""Every SQL statement about charges, mandates and the customers of providers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from services.billing.charges.models import Charge, Dispute, ForeignMoney, ProviderRefund
from services.billing.payments.models import Payment
from services.billing.subscriptions.models import Mandate
from services.billing.subscriptions.repository import ON_ITS_WAY
from shared.database import ReadSession, Session

_CLAIM = text(
    """UPDATE charge SET ask_at = :again, asks = asks + 1 WHERE id =
         (SELECT id FROM charge WHERE ask_at <= :now ORDER BY ask_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, asks"""
)


async def by_id(session: Session | ReadSession, id_: UUID) -> Charge | None:
    found: Charge | None = await session.get(Charge, id_)
    return found


async def lock(session: Session, id_: UUID) -> Charge:
    """A charge, locked (the caller holds its reader's lock)."""
    found: Charge = (
        await session.scalars(
            select(Charge)
            .where(col(Charge.id) == id_)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()
    return found


async def claim(session: Session, now: datetime, lease: timedelta) -> tuple[UUID, int] | None:
    """(charge, which time it is asked for) whose provider is to be asked; nobody else takes it for the time of the lease."""
    row = (await session.execute(_CLAIM, {"now": now, "again": now + lease})).one_or_none()
    return (row[0], row[1]) if row else None


async def holds(session: ReadSession, id_: UUID, asks: int, until: datetime) -> bool:
    """Whether who asks about a charge for the ``asks``-th time still has it to themselves, and will until then."""
    found = await session.scalar(
        text(
            "SELECT EXISTS (SELECT FROM charge WHERE id = :id AND asks = :asks AND ask_at > :until)"
        ),
        {"id": id_, "asks": asks, "until": until},
    )
    return bool(found)


async def count_ask(session: Session, id_: UUID, now: datetime, lease: timedelta) -> int | None:
    """Whoever asks beside the worker is counted too: what was asked before is looked for first. None for what is settled."""
    found: int | None = await session.scalar(
        text(
            """UPDATE charge SET ask_at = :again, asks = asks + 1 WHERE id = :id AND ask_at IS NOT NULL
               RETURNING asks"""
        ),
        {"id": id_, "again": now + lease},
    )
    return found


async def page_of(session: Session | ReadSession, order_id: UUID) -> Charge | None:
    """The payment page of an order that is or may be open."""
    found: Charge | None = await session.scalar(
        select(Charge)
        .where(
            col(Charge.order_id) == order_id,
            col(Charge.kind) == "page",
            col(Charge.state).in_(("created", "open", "processing")),
        )
        .execution_options(populate_existing=True)
    )
    return found


async def card_page_of(session: Session, subscription_id: UUID) -> Charge | None:
    """The newest page on which a card is given for a subscription."""
    found: Charge | None = await session.scalar(
        select(Charge)
        .where(
            col(Charge.subscription_id) == subscription_id,
            col(Charge.state).in_(("created", "open")),
        )
        .order_by(col(Charge.created_at).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found


async def collecting(session: Session | ReadSession, order_id: UUID) -> bool:
    """Whether the card is being charged for an order, or a bank has not decided."""
    found = await session.scalar(
        text(
            f"SELECT EXISTS (SELECT FROM charge c WHERE c.order_id = :id AND {ON_ITS_WAY})"  # noqa: S608
        ),
        {"id": order_id},
    )
    return bool(found)


async def mandate_charge_of(session: ReadSession, order_id: UUID) -> UUID | None:
    """The charge of a card for an order that is on its way."""
    found: UUID | None = await session.scalar(
        text(
            """SELECT id FROM charge WHERE order_id = :id AND kind = 'mandate'
                 AND state IN ('created', 'processing')"""
        ),
        {"id": order_id},
    )
    return found


async def may_be_paid(session: ReadSession, order_id: UUID) -> bool:
    """Whether an order may be paid on a page, by now or yet."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM charge WHERE order_id = :id AND kind = 'page'
                 AND state IN ('open', 'processing'))"""
        ),
        {"id": order_id},
    )
    return bool(found)


async def refused_since(
    session: Session, reader_id: UUID, mandate_id: UUID, since: datetime
) -> int:
    """How often a card was refused that was charged without its holder."""
    found = await session.scalar(
        text(
            """SELECT count(*) FROM charge WHERE reader_id = :reader AND mandate_id = :mandate
                 AND kind = 'mandate' AND state = 'failed' AND updated_at > :since"""
        ),
        {"reader": reader_id, "mandate": mandate_id, "since": since},
    )
    return int(found)


async def last_failure(session: ReadSession, order_id: UUID) -> tuple[str, bool] | None:
    """(the provider's code, whether the holder must confirm) of an order's newest try that was refused."""
    row = (
        await session.execute(
            text(
                """SELECT failure, needs_holder FROM charge WHERE order_id = :id AND state = 'failed'
                   ORDER BY updated_at DESC LIMIT 1"""
            ),
            {"id": order_id},
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def close_pages(session: Session, order_id: UUID, now: datetime) -> None:
    """Nobody is to pay an order on a page any more: the provider is told next."""
    await session.execute(
        text(
            """UPDATE charge SET ask_at = :now WHERE order_id = :id AND kind = 'page'
                 AND state IN ('created', 'open')"""
        ),
        {"id": order_id, "now": now},
    )


async def open_pages(session: ReadSession, order_id: UUID) -> Sequence[str]:
    """The provider's ids of an order's pages that may be open."""
    found = await session.scalars(
        select(Charge.page_id).where(  # type: ignore[call-overload]
            col(Charge.order_id) == order_id,
            col(Charge.kind) == "page",
            col(Charge.state) == "open",
        )
    )
    return list(found)


async def customer_of(session: Session | ReadSession, provider: str, reader_id: UUID) -> str:
    """The reader's id at a provider; empty where it has none."""
    found: str | None = await session.scalar(
        text(
            """SELECT external_id FROM provider_customer
               WHERE provider = :provider AND reader_id = :reader"""
        ),
        {"provider": provider, "reader": reader_id},
    )
    return found or ""


async def save_customer(session: Session, provider: str, reader_id: UUID, external_id: str) -> None:
    """The newest one: later pages are made for it."""
    await session.execute(
        text(
            """INSERT INTO provider_customer (provider, reader_id, external_id)
               VALUES (:provider, :reader, :external)
               ON CONFLICT (provider, reader_id) DO UPDATE SET external_id = excluded.external_id"""
        ),
        {"provider": provider, "reader": reader_id, "external": external_id},
    )


async def forget_customer(session: Session, provider: str, external_id: str) -> None:
    """The provider does not know them any more."""
    await session.execute(
        text(
            "DELETE FROM provider_customer WHERE provider = :provider AND external_id = :external"
        ),
        {"provider": provider, "external": external_id},
    )


async def keep_mandate(session: Session, mandate: Mandate) -> UUID:
    """A means of payment, once; its id. One that comes back is in force again."""
    found: UUID = await session.scalar(
        text(
            """INSERT INTO mandate (id, agency, reader_id, provider, customer, method, label, expires_on, created_at)
               VALUES (:id, :agency, :reader_id, :provider, :customer, :method, :label, :expires_on, :created_at)
               ON CONFLICT (provider, method) DO UPDATE SET customer = excluded.customer, revoked_at = NULL, let_go_at = NULL,
                   label = CASE excluded.label WHEN '' THEN mandate.label ELSE excluded.label END,
                   expires_on = coalesce(excluded.expires_on, mandate.expires_on)
               RETURNING id"""
        ),
        mandate.model_dump(),
    )
    return found


async def gone_mandates(
    session: Session, provider: str, method: str, customer: str
) -> list[tuple[UUID, UUID]]:
    """(reader, mandate) in force of a method, or of all of a customer's."""
    rows = await session.execute(
        text(
            """SELECT reader_id, id FROM mandate WHERE provider = :provider AND revoked_at IS NULL
                 AND (method = :method OR (:customer <> '' AND customer = :customer)) ORDER BY 1, 2"""
        ),
        {"provider": provider, "method": method, "customer": customer},
    )
    return [(row[0], row[1]) for row in rows]


async def revoke_mandate(
    session: Session, id_: UUID, now: datetime, *, gone: bool = False
) -> list[UUID]:
    """It is not charged any more, and the provider is told unless it is ``gone`` there; the subscriptions that it collected."""
    await session.execute(
        text(
            """UPDATE mandate SET revoked_at = :now, let_go_at = CASE WHEN :gone THEN NULL ELSE CAST(:now AS timestamptz) END
               WHERE id = :id AND revoked_at IS NULL"""
        ),
        {"id": id_, "now": now, "gone": gone},
    )
    rows = await session.execute(
        text("UPDATE subscription SET mandate_id = NULL WHERE mandate_id = :id RETURNING id"),
        {"id": id_},
    )
    return [row[0] for row in rows]


async def claim_let_go(session: Session, now: datetime, again: datetime) -> tuple[UUID, str] | None:
    """(mandate, the provider's id) that the provider is to be told of; nobody else tells it before ``again``."""
    row = await session.execute(
        text(
            """UPDATE mandate SET let_go_at = :again WHERE id =
                 (SELECT id FROM mandate WHERE let_go_at <= :now ORDER BY let_go_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
               RETURNING id, method"""
        ),
        {"now": now, "again": again},
    )
    found = row.one_or_none()
    return (found[0], found[1]) if found else None


async def let_go(session: Session, id_: UUID) -> None:
    """The provider knows that a mandate is not charged any more."""
    await session.execute(text("UPDATE mandate SET let_go_at = NULL WHERE id = :id"), {"id": id_})


async def unnamed_mandates(session: ReadSession, limit: int) -> list[tuple[UUID, str]]:
    """(mandate, the provider's id) whose name the provider has not said."""
    rows = await session.execute(
        text(
            """SELECT id, method FROM mandate WHERE label = '' AND revoked_at IS NULL
               ORDER BY created_at DESC LIMIT :limit"""
        ),
        {"limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


async def name_mandate(session: Session, id_: UUID, label: str, expires_on: date | None) -> None:
    await session.execute(
        text("UPDATE mandate SET label = :label, expires_on = :expires WHERE id = :id"),
        {"id": id_, "label": label, "expires": expires_on},
    )


async def money_known(session: Session | ReadSession, provider: str, reference: str) -> bool:
    """Whether money of a provider's is a payment, or kept apart as it is in another currency."""
    found = await session.scalar(
        text(
            """SELECT EXISTS (SELECT FROM payment WHERE provider = :p AND reference = :r)
                   OR EXISTS (SELECT FROM foreign_money WHERE provider = :p AND reference = :r)"""
        ),
        {"p": provider, "r": reference},
    )
    return bool(found)


async def lock_foreign(session: Session, provider: str, reference: str) -> ForeignMoney | None:
    """Money in another currency, locked."""
    found: ForeignMoney | None = await session.scalar(
        select(ForeignMoney)
        .where(col(ForeignMoney.provider) == provider, col(ForeignMoney.reference) == reference)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def readers_of_payment(session: Session, payment_id: UUID) -> list[UUID]:
    """Who paid, and who reads for it (another one of a gift), in one order everywhere."""
    rows = await session.execute(
        text(
            """SELECT reader_id FROM payment WHERE id = :id
               UNION SELECT s.reader_id FROM payment p JOIN subscription s ON s.id = p.subscription_id WHERE p.id = :id
               ORDER BY 1"""
        ),
        {"id": payment_id},
    )
    return [row[0] for row in rows]


async def mandate_of_payment(session: Session, payment: Payment) -> UUID | None:
    """The means that a payment was collected from; of one on a page, that of its subscription."""
    found: UUID | None = await session.scalar(
        text(
            """SELECT coalesce(
                 (SELECT mandate_id FROM charge WHERE provider = :provider AND reference = :reference),
                 (SELECT mandate_id FROM subscription WHERE id = :subscription AND reader_id = :reader))"""
        ),
        {
            "provider": payment.provider,
            "reference": payment.reference,
            "subscription": payment.subscription_id,
            "reader": payment.reader_id,
        },
    )
    return found


async def told_refund(
    session: Session, provider: str, provider_refund: str
) -> ProviderRefund | None:
    """What was said of a refund (the caller holds its payment's lock)."""
    found: ProviderRefund | None = await session.scalar(
        select(ProviderRefund)
        .where(
            col(ProviderRefund.provider) == provider,
            col(ProviderRefund.provider_refund) == provider_refund,
        )
        .execution_options(populate_existing=True)
    )
    return found


async def told_dispute(session: Session, provider: str, provider_dispute: str) -> Dispute | None:
    """What was said of a dispute (the caller holds its payment's lock)."""
    found: Dispute | None = await session.scalar(
        select(Dispute)
        .where(col(Dispute.provider) == provider, col(Dispute.provider_dispute) == provider_dispute)
        .execution_options(populate_existing=True)
    )
    return found
