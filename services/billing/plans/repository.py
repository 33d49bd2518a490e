"""Every SQL statement about plans and prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from services.billing.plans.rules import VatRow
from shared.database import ReadSession, Session


@dataclass(frozen=True, slots=True)
class Offer:
    """A price with the plan it is of. ``uses`` of a bundle; of a contribution the price is what is suggested first, and its limits
    say what it may be."""

    price_id: UUID
    agency: str
    plan_id: UUID
    plan_code: str
    kind: str
    days: int | None
    scope: str
    name_vi: str
    name_en: str
    description_vi: str
    description_en: str
    period: str
    amount_vnd: int
    currency: str
    trial_days: int | None
    current: bool
    uses: int | None = None
    least_vnd: int | None = None
    most_vnd: int | None = None
    suggested_vnd: Sequence[int] | None = None
    seats: int = 1
    per_seat: bool = False

    def name(self, language: str) -> str:
        return self.name_vi if language == "vi" else self.name_en

    def description(self, language: str) -> str:
        return self.description_vi if language == "vi" else self.description_en

    def cost_vnd(self, seats: int) -> int:
        """What a period costs for so many readers."""
        return self.amount_vnd * seats if self.per_seat else self.amount_vnd


OFFER = """SELECT pp.id AS price_id, pp.agency, p.id AS plan_id, p.code AS plan_code, p.kind, p.days, p.scope, p.name_vi,
    p.name_en, p.description_vi, p.description_en, pp.period, pp.amount_vnd, pp.currency, pp.trial_days,
    pp.superseded_at IS NULL AND p.active AS current, p.uses, p.least_vnd, p.most_vnd, p.suggested_vnd, p.seats, p.per_seat
    FROM plan_price pp JOIN plan p ON p.id = pp.plan_id"""


async def offers(session: Session | ReadSession, agency: str) -> Sequence[Offer]:
    """What may be bought now."""
    rows = await session.execute(
        text(
            f"{OFFER} WHERE pp.agency = :agency AND pp.superseded_at IS NULL AND p.active ORDER BY p.code"
        ),
        {"agency": agency},
    )
    return [Offer(**row) for row in rows.mappings()]


async def offer(session: Session | ReadSession, agency: str, price_id: UUID) -> Offer | None:
    """A price, also one that was superseded."""
    row = (
        (
            await session.execute(
                text(f"{OFFER} WHERE pp.id = :id AND pp.agency = :agency"),
                {"id": price_id, "agency": agency},
            )
        )
        .mappings()
        .one_or_none()
    )
    return Offer(**row) if row else None


async def save_plan(session: Session, values: dict[str, object]) -> UUID:
    """Insert or update a plan's words; returns its id."""
    id_: UUID = (
        await session.execute(
            text(
                """INSERT INTO plan (id, agency, code, kind, days, uses, least_vnd, most_vnd, suggested_vnd, scope,
                                     name_vi, name_en, description_vi, description_en, seats, per_seat)
                   VALUES (:id, :agency, :code, :kind, :days, :uses, :least_vnd, :most_vnd,
                           CAST(:suggested_vnd AS bigint[]), :scope, :name_vi, :name_en, :description_vi, :description_en,
                           :seats, :per_seat)
                   ON CONFLICT (agency, code) DO UPDATE SET name_vi = excluded.name_vi,
                       name_en = excluded.name_en, description_vi = excluded.description_vi,
                       description_en = excluded.description_en, least_vnd = excluded.least_vnd,
                       most_vnd = excluded.most_vnd, suggested_vnd = excluded.suggested_vnd
                   RETURNING id"""
            ),
            values,
        )
    ).scalar_one()
    return id_


async def lock_plan(session: Session, plan_id: UUID) -> None:
    await session.execute(text("SELECT 1 FROM plan WHERE id = :id FOR UPDATE"), {"id": plan_id})


async def current_price(
    session: Session, plan_id: UUID, period: str
) -> tuple[int, int | None] | None:
    """(đồng, days of trial) of what is sold now."""
    row = (
        await session.execute(
            text(
                """SELECT amount_vnd, trial_days FROM plan_price
                   WHERE plan_id = :plan AND period = :period AND superseded_at IS NULL"""
            ),
            {"plan": plan_id, "period": period},
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


async def supersede(session: Session, plan_id: UUID, period: str, now: datetime) -> None:
    await session.execute(
        text(
            """UPDATE plan_price SET superseded_at = :now
               WHERE plan_id = :plan AND period = :period AND superseded_at IS NULL"""
        ),
        {"plan": plan_id, "period": period, "now": now},
    )


async def add_price(session: Session, values: dict[str, object]) -> None:
    await session.execute(
        text(
            """INSERT INTO plan_price (id, agency, plan_id, period, amount_vnd, trial_days, created_at)
               VALUES (:id, :agency, :plan, :period, :amount, :trial, :now)"""
        ),
        values,
    )


async def vat_rows(session: Session | ReadSession, kind: str) -> list[VatRow]:
    rows = await session.execute(
        text(
            """SELECT valid_from, valid_until, treatment, rate_basis_points FROM vat_rate
               WHERE kind = :kind ORDER BY valid_from"""
        ),
        {"kind": kind},
    )
    return [VatRow(*row) for row in rows]
