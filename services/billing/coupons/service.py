"""Coupons: made and ended by finance, applied to a reader's order under the coupon's lock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.billing.coupons import repository
from services.billing.coupons.models import Coupon
from services.billing.coupons.rules import CouponFacts, Refusal, as_code, left_to_pay, refusal
from services.billing.plans.repository import Offer
from shared import audit
from shared.agencies import get_agency
from shared.clock import Clock
from shared.database import Database, Session
from shared.errors import ConflictError, NotFoundError
from shared.ids import new_id


class CouponRefusedError(Exception):
    """The coupon does not apply; ``reason`` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Discounted:
    """What is left to pay of a price, and by which coupon."""

    coupon_id: UUID
    amount_vnd: int


async def apply(
    session: Session,
    offer: Offer,
    list_vnd: int,
    typed: str,
    reader_id: UUID,
    now: datetime,
) -> Discounted:
    """``list_vnd`` (of an offer) after a coupon, whose uses nobody else counts until COMMIT. Raises :class:`CouponRefusedError`."""
    code = as_code(typed)
    found = await repository.lock(session, offer.agency, code) if code else None
    if found is None:
        raise CouponRefusedError(Refusal.UNKNOWN)
    uses, own = await repository.uses(session, found.id, reader_id)
    facts = CouponFacts(
        found.plan_id,
        found.valid_from,
        found.valid_until,
        found.ended_at,
        found.most_uses,
        found.once_a_reader,
        uses,
        own,
    )
    reason = refusal(facts, offer.plan_id, now)
    if reason is not None:
        raise CouponRefusedError(reason)
    amount = left_to_pay(list_vnd, percent=found.percent, off_vnd=found.off_vnd)
    return Discounted(found.id, amount)


@dataclass(frozen=True, slots=True)
class NewCoupon:
    """``code`` as :func:`rules.as_code` gives it; either ``percent`` or ``off_vnd``; without a plan for all of them."""

    code: str
    percent: int | None
    off_vnd: int | None
    plan_id: UUID | None
    valid_from: datetime
    valid_until: datetime | None
    most_uses: int | None
    once_a_reader: bool


class Coupons:
    """Use cases of finance."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def listing(self, agency: str) -> list[dict[str, Any]]:
        async with self._database.read() as session:
            await get_agency(session, agency)
            return await repository.listing(session, agency)

    async def make(self, agency: str, new: NewCoupon) -> UUID:
        """Raises :class:`ConflictError` for a code that was used before, ``IntegrityError`` for what the table refuses."""
        now, id_ = self._clock.now(), new_id()
        async with self._database.transaction() as session:
            if await repository.lock(session, agency, new.code) is not None:
                raise ConflictError(slug="coupon-known")
            session.add(
                Coupon(
                    id=id_,
                    agency=agency,
                    code=new.code,
                    percent=new.percent,
                    off_vnd=new.off_vnd,
                    plan_id=new.plan_id,
                    valid_from=new.valid_from,
                    valid_until=new.valid_until,
                    most_uses=new.most_uses,
                    once_a_reader=new.once_a_reader,
                    created_at=now,
                )
            )
            await session.flush()
            await audit.record(
                session,
                audit.Action.COUPON_MADE,
                agency=agency,
                at=now,
                subject=f"coupon/{new.code}",
                label=new.code,
                after={
                    "percent": new.percent,
                    "off_vnd": new.off_vnd,
                    "valid_until": new.valid_until and new.valid_until.isoformat(),
                    "most_uses": new.most_uses,
                },
            )
        return id_

    async def end(self, agency: str, code: str) -> None:
        """Nobody uses it from now on; orders that do stay as they are.

        Raises :class:`NotFoundError`, :class:`ConflictError` for one that was ended.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            found = await repository.lock(session, agency, code)
            if found is None:
                raise NotFoundError
            if found.ended_at is not None:
                raise ConflictError(slug="coupon-ended")
            found.ended_at = now
            await session.flush()
            await audit.record(
                session,
                audit.Action.COUPON_ENDED,
                agency=agency,
                at=now,
                subject=f"coupon/{code}",
                label=code,
                after={"ended_at": now.isoformat()},
            )
