"""Plans and prices. A price is never edited: a new one supersedes it, and nobody's past changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from services.billing.plans import repository, rules
from services.billing.plans.repository import Offer
from shared import audit
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import NotFoundError
from shared.ids import new_id
from shared.money import MAX_AMOUNT

PRESS_SUBSCRIPTION = rules.PRESS_SUBSCRIPTION


class Plans:
    """Use cases about what is sold."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def offers(self, agency: str) -> Sequence[Offer]:
        """What may be bought now, the shortest period first."""
        async with self._database.read() as session:
            found = await repository.offers(session, agency)
        return sorted(
            found, key=lambda offer: (offer.plan_code, rules.PERIOD_ORDER.index(offer.period))
        )

    async def offer(self, agency: str, price_id: UUID) -> Offer:
        """Raises :class:`NotFoundError`, also for another agency's price."""
        async with self._database.read() as session:
            found = await repository.offer(session, agency, price_id)
        if found is None:
            raise NotFoundError
        return found

    async def successor(self, agency: str, price_id: UUID) -> Offer | None:
        """What the same plan costs now for the same period; None when it is no longer sold.

        Raises :class:`NotFoundError`, also for another agency's price.
        """
        before = await self.offer(agency, price_id)
        same = (before.plan_id, before.period)
        sold = await self.offers(agency)
        return next((one for one in sold if (one.plan_id, one.period) == same), None)

    async def save_plan(
        self,
        agency: str,
        plan: dict[str, Any],
        prices: dict[str, int],
        trials: dict[str, int] | None = None,
    ) -> None:
        """Make or update a plan with its prices. Safe to repeat: the same price stays the same row.

        ``plan`` has ``code``, ``name_vi`` and ``name_en``, and may have descriptions, ``kind`` and, with it, ``days``,
        ``uses`` of a bundle, ``least_vnd``, ``most_vnd`` and ``suggested_vnd`` of a contribution (its price: the first suggestion),
        ``seats``, and ``per_seat`` where each is paid for (what it is for stays as it was first saved).
        ``trials``: days of reading before the first payment, by period; a trial that changes makes a new price.
        Raises ``ValueError`` for a price that the kind does not have, or a trial where each seat is paid for.
        """
        if plan.get("per_seat") and trials:
            raise ValueError(f"{plan['code']}: one card would try any number of seats")
        once = plan.get("kind", "period") != "period"
        if any((period == "once") is not once for period in prices):
            raise ValueError(
                f"{plan['code']}: what is paid once has a price for once, a period none"
            )
        async with self._database.transaction() as session:
            plan_id = await repository.save_plan(
                session,
                {
                    "id": new_id(),
                    "agency": agency,
                    "scope": "site",
                    "kind": "period",
                    "days": None,
                    "uses": None,
                    "least_vnd": None,
                    "most_vnd": None,
                    "suggested_vnd": None,
                    "seats": 1,
                    "per_seat": False,
                    "description_vi": "",
                    "description_en": "",
                }
                | plan,
            )
            changed = {}
            for period, amount in prices.items():
                before = await self._set_price(
                    session, agency, plan_id, period, amount, (trials or {}).get(period)
                )
                if before != amount:
                    changed[period] = {"before": before, "after": amount}
            if changed:
                await audit.record(
                    session,
                    audit.Action.PLAN_SAVED,
                    agency=agency,
                    at=self._clock.now(),
                    subject=f"plan/{plan['code']}",
                    label=plan["name_vi"],
                    before={f"{period}_vnd": item["before"] for period, item in changed.items()},
                    after={f"{period}_vnd": item["after"] for period, item in changed.items()},
                )

    async def _set_price(
        self,
        session: Session,
        agency: str,
        plan_id: UUID,
        period: str,
        amount: int,
        trial_days: int | None,
    ) -> int | None:
        """The price before: None for the first one."""
        if period not in rules.PERIODS_A_YEAR or not 0 < amount <= MAX_AMOUNT:
            raise ValueError(f"{amount} đồng a {period} is not a price")
        await repository.lock_plan(session, plan_id)
        current = await repository.current_price(session, plan_id, period)
        before = current[0] if current else None
        if current == (amount, trial_days):
            return before
        now = self._clock.now()
        await repository.supersede(session, plan_id, period, now)
        await repository.add_price(
            session,
            {
                "id": new_id(),
                "agency": agency,
                "plan": plan_id,
                "period": period,
                "amount": amount,
                "trial": trial_days,
                "now": now,
            },
        )
        return before


async def offer(session: Session | ReadSession, agency: str, price_id: UUID) -> Offer | None:
    """A price, also one that was superseded."""
    return await repository.offer(session, agency, price_id)


async def vat_row_of(session: Session | ReadSession, kind: str, day: date) -> rules.VatRow:
    """How a kind of sale is taxed on a day. Raises ``NoVatRateError`` when no row covers it."""
    return rules.vat_row(await repository.vat_rows(session, kind), day)


async def vat_in(
    session: Session | ReadSession, gross_vnd: int, day: date, kind: str = PRESS_SUBSCRIPTION
) -> int:
    """The VAT inside a price on a day (``kind``: of the dated table). Raises ``NoVatRateError`` when no row covers it."""
    return rules.vat_included(gross_vnd, await vat_row_of(session, kind, day))
