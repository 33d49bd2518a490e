"""Plans and prices. A price is never edited: a new one supersedes it, and nobody's past changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from services.billing.payments.adapters.port import PaymentProvider, PriceSpec
from services.billing.plans import repository, rules
from services.billing.plans.repository import Offer
from shared import audit
from shared.clock import Clock
from shared.database import Database, ReadSession, Session
from shared.errors import NotFoundError
from shared.ids import new_id
from shared.money import MAX_AMOUNT

PRESS_SUBSCRIPTION = "press_subscription"


class Plans:
    """Use cases about what is sold."""

    def __init__(self, database: Database, clock: Clock, provider: PaymentProvider) -> None:
        self._database = database
        self._clock = clock
        self._provider = provider

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

    async def save_plan(self, agency: str, plan: dict[str, Any], prices: dict[str, int]) -> None:
        """Make or update a plan with its prices. Safe to repeat: the same price stays the same row.

        ``plan`` has ``code``, ``name_vi`` and ``name_en``, and may have descriptions, ``kind`` and, with it, ``days``.
        Raises ``ValueError`` for a price that the kind does not have.
        """
        once = plan.get("kind", "period") != "period"
        if any((period == "once") is not once for period in prices):
            raise ValueError(
                f"{plan['code']}: a pass or an article has a price for once, a period none"
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
                    "description_vi": "",
                    "description_en": "",
                }
                | plan,
            )
            changed = {}
            for period, amount in prices.items():
                before = await self._set_price(session, agency, plan_id, period, amount)
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
        self, session: Session, agency: str, plan_id: UUID, period: str, amount: int
    ) -> int | None:
        """The price before: None for the first one."""
        if period not in rules.PERIODS_A_YEAR or not 0 < amount <= MAX_AMOUNT:
            raise ValueError(f"{amount} đồng a {period} is not a price")
        await repository.lock_plan(session, plan_id)
        before = await repository.current_amount(session, plan_id, period)
        if before == amount:
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
                "now": now,
            },
        )
        return before

    async def external_price(self, offer: Offer) -> str:
        """The provider's id of a price, made at the first sale. Idempotent on both sides."""
        async with self._database.read() as reading:
            known = await repository.external_price(reading, self._provider.name, offer.price_id)
        if known is not None:
            return known
        external = await self._provider.ensure_price(
            PriceSpec(
                offer.price_id,
                offer.agency,
                offer.name_vi,
                offer.amount_vnd,
                offer.currency,
                offer.period,
            )
        )
        async with self._database.transaction() as session:
            await repository.save_external_price(
                session, self._provider.name, offer.price_id, external, self._clock.now()
            )
        return external


async def vat_row_of(session: Session | ReadSession, kind: str, day: date) -> rules.VatRow:
    """How a kind of sale is taxed on a day. Raises ``NoVatRateError`` when no row covers it."""
    return rules.vat_row(await repository.vat_rows(session, kind), day)


async def vat_in(session: Session | ReadSession, gross_vnd: int, day: date) -> int:
    """The VAT inside a subscription's price on a day. Raises ``NoVatRateError`` when no row covers it."""
    return rules.vat_included(gross_vnd, await vat_row_of(session, PRESS_SUBSCRIPTION, day))
