"""Every SQL statement about bank transfers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update

from services.billing.transfers.models import BankAccount, BankCredit, BankNotice
from services.billing.transfers.rules import shown
from services.billing.transfers.values import amount_in
from shared.database import ReadSession, Session


async def accounts(session: Session | ReadSession, agency: str) -> Sequence[BankAccount]:
    """The agency's accounts, the one that readers are shown first: the one that was entered last."""
    return (
        await session.scalars(
            select(BankAccount)
            .where(BankAccount.agency == agency)  # type: ignore[arg-type]
            .order_by(BankAccount.position.desc())  # type: ignore[attr-defined]
        )
    ).all()


async def lock_credits(session: Session, agency: str) -> None:
    """One at a time decides about an agency's credits: whose they are depends on the others."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 13))"), {"key": agency}
    )


async def account(session: Session, agency: str, number: str) -> BankAccount | None:
    return await session.get(BankAccount, (agency, number))


async def save_account(session: Session, values: dict[str, Any]) -> None:
    """The account that readers are shown from now on; the others keep being listened to."""
    await session.execute(
        text(
            """INSERT INTO bank_account (agency, number, bank_bin, holder, position)
               VALUES (:agency, :number, :bank_bin, :holder,
                       (SELECT coalesce(max(position), 0) + 1 FROM bank_account WHERE agency = :agency))
               ON CONFLICT (agency, number) DO UPDATE SET bank_bin = excluded.bank_bin,
                   holder = excluded.holder, position = excluded.position"""
        ),
        values,
    )


async def noticed(session: Session, agency: str, source: str, external_id: str) -> bool:
    return await session.get(BankNotice, (agency, source, external_id)) is not None


@dataclass(frozen=True, slots=True)
class Like:
    """A credit with the same bank reference and amount; ``told`` when this source has reported it."""

    id: UUID
    told: bool


async def like(
    session: Session, agency: str, account: str, reference: str, amount_vnd: int, source: str
) -> list[Like]:
    """Credits that a notice may be about, the oldest first."""
    rows = await session.execute(
        text(
            """SELECT c.id, EXISTS (SELECT FROM bank_notice n WHERE n.credit_id = c.id AND n.source = :source)
               FROM bank_credit c WHERE c.agency = :agency AND c.account = :account
                    AND c.reference = :reference AND c.amount_vnd = :amount ORDER BY c.received_at, c.id"""
        ),
        {
            "agency": agency,
            "account": account,
            "reference": reference,
            "amount": amount_vnd,
            "source": source,
        },
    )
    return [Like(*row) for row in rows]


async def lock_credit(session: Session, agency: str, credit_id: UUID) -> BankCredit | None:
    found: BankCredit | None = await session.scalar(
        select(BankCredit)
        .where(BankCredit.id == credit_id, BankCredit.agency == agency)  # type: ignore[arg-type]
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def credit(session: ReadSession, agency: str, credit_id: UUID) -> BankCredit | None:
    found: BankCredit | None = await session.scalar(
        select(BankCredit).where(BankCredit.id == credit_id, BankCredit.agency == agency)  # type: ignore[arg-type]
    )
    return found


async def waiting_for(session: Session, order_id: UUID) -> Sequence[BankCredit]:
    """Credits that wait until there is enough for an order, the oldest first, locked."""
    return (
        await session.scalars(
            select(BankCredit)
            .where(BankCredit.order_id == order_id, BankCredit.reason == "under")  # type: ignore[arg-type]
            .order_by(BankCredit.occurred_at, BankCredit.id)  # type: ignore[arg-type]
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def set_reason(session: Session, credit_id: UUID, reason: str, order_id: UUID | None) -> None:
    await session.execute(
        update(BankCredit)
        .where(BankCredit.id == credit_id)  # type: ignore[arg-type]
        .values(reason=reason, order_id=order_id)
    )


async def returned(session: Session | ReadSession, agency: str, reference: str) -> bool:
    found = await session.scalar(
        text(
            "SELECT EXISTS (SELECT FROM bank_payout WHERE agency = :agency AND reference = upper(btrim(:reference)))"
        ),
        {"agency": agency, "reference": reference},
    )
    return bool(found)


async def sources(session: ReadSession, credit_id: UUID) -> list[dict[str, Any]]:
    """Who told of a credit, and under which id."""
    rows = await session.execute(
        text("SELECT source, external_id FROM bank_notice WHERE credit_id = :id ORDER BY 1, 2"),
        {"id": credit_id},
    )
    return [dict(row) for row in rows.mappings()]


async def order_named(session: ReadSession, agency: str, code: str) -> dict[str, Any] | None:
    """An order with its reader."""
    rows = await session.execute(
        text(
            """SELECT o.id, o.code, o.amount_vnd, o.state, o.purpose, o.reader_id, r.email AS reader_email
               FROM sales_order o JOIN reader r ON r.id = o.reader_id
               WHERE o.agency = :agency AND o.code = :code"""
        ),
        {"agency": agency, "code": code},
    )
    found = rows.mappings().one_or_none()
    return dict(found) if found else None


async def order_of(session: ReadSession, order_id: UUID) -> dict[str, Any]:
    """The code, state, purpose and reader of an order."""
    rows = await session.execute(
        text(
            """SELECT o.code, o.state, o.purpose, r.email AS reader_email FROM sales_order o
               JOIN reader r ON r.id = o.reader_id WHERE o.id = :id"""
        ),
        {"id": order_id},
    )
    return dict(rows.mappings().one())


async def waits_beside(session: ReadSession, order_id: UUID, credit_id: UUID) -> int:
    """What waits to be enough for an order, in đồng, without this credit."""
    found = await session.scalar(
        text(
            """SELECT coalesce(sum(left_vnd), 0) FROM bank_credit
               WHERE order_id = :order AND reason = 'under' AND id <> :credit"""
        ),
        {"order": order_id, "credit": credit_id},
    )
    return int(found or 0)


async def uses(session: ReadSession, credit_id: UUID) -> list[dict[str, Any]]:
    """What became of a credit, the oldest first."""
    rows = await session.execute(
        text(
            """SELECT u.*, o.code FROM credit_use u LEFT JOIN sales_order o ON o.id = u.order_id
               WHERE u.credit_id = :id ORDER BY u.used_at, u.id"""
        ),
        {"id": credit_id},
    )
    return [dict(row) for row in rows.mappings()]


_CREDITS = """SELECT c.id, c.account, c.reference, c.amount_vnd, c.note, c.payer, c.occurred_at, c.received_at,
                     c.left_vnd, c.reason, o.code, o.state AS order_state, o.purpose, r.email AS reader_email
              FROM bank_credit c LEFT JOIN sales_order o ON o.id = c.order_id
              LEFT JOIN reader r ON r.id = o.reader_id"""


async def listing(
    session: ReadSession,
    agency: str,
    *,
    waiting: bool,
    words: str,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[dict[str, Any]]:
    """Credits, the newest first; only those of which something is left, or all."""
    rows = await session.execute(
        text(
            f"""{_CREDITS}
                WHERE c.agency = :agency AND (NOT :waiting OR c.left_vnd > 0)
                  AND (:words = '' OR c.note ILIKE :like OR c.payer ILIKE :like OR c.reference ILIKE :like
                       OR o.code ILIKE :like OR r.email ILIKE :like OR c.amount_vnd::text = :amount)
                  AND (CAST(:at AS timestamptz) IS NULL OR (c.occurred_at, c.id) < (:at, CAST(:id AS uuid)))
                ORDER BY c.occurred_at DESC, c.id DESC LIMIT :limit"""
        ),
        {
            "agency": agency,
            "waiting": waiting,
            "words": words,
            "amount": amount_in(words),
            "like": f"%{_escaped(words)}%",
            "at": after[0] if after else None,
            "id": after[1] if after else None,
            "limit": limit,
        },
    )
    return [
        {**row, "reason": shown(row["reason"], row["purpose"], row["order_state"])}
        for row in rows.mappings()
    ]


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


async def candidates(
    session: ReadSession, agency: str, amount_vnd: int, codes: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """Orders that a credit may be meant for: named in its note, or unpaid with the same amount; the newest first."""
    rows = await session.execute(
        text(
            """SELECT o.code, o.amount_vnd, o.state, o.created_at, o.expires_at, r.email AS reader_email,
                      r.name AS reader_name
               FROM sales_order o JOIN reader r ON r.id = o.reader_id
               WHERE o.agency = :agency AND o.state <> 'paid'
                 AND (o.amount_vnd = :amount OR o.code = ANY (CAST(:codes AS text[])))
               ORDER BY o.code = ANY (CAST(:codes AS text[])) DESC, o.created_at DESC LIMIT :limit"""
        ),
        {"agency": agency, "amount": amount_vnd, "codes": list(codes), "limit": limit},
    )
    return [dict(row) for row in rows.mappings()]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Money of an agency's that waits for a person; ``oldest_at`` is when the oldest came in."""

    agency: str
    credits: int
    amount_vnd: int
    oldest_at: datetime | None


async def waiting(session: ReadSession, agency: str | None = None) -> list[Waiting]:
    """By agency (of all, or of one), also where nothing waits; not of an agency without an account."""
    rows = await session.execute(
        text(
            """SELECT a.id, count(c.id), coalesce(sum(c.left_vnd), 0), min(c.received_at)
               FROM agency a LEFT JOIN bank_credit c ON c.agency = a.id AND c.left_vnd > 0
               WHERE EXISTS (SELECT FROM bank_account b WHERE b.agency = a.id)
                 AND (CAST(:agency AS text) IS NULL OR a.id = :agency) GROUP BY a.id"""
        ),
        {"agency": agency},
    )
    return [Waiting(row[0], row[1], int(row[2]), row[3]) for row in rows]
