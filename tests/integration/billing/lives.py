"""What readers do over months, at a billing and a provider whose clocks move together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from services.billing.readers import repository as readers
from services.billing.readers.models import Reader
from services.billing.subscriptions.models import Subscription
from services.billing.subscriptions.rules import LIVE, State
from shared.ids import new_id
from tests.integration.billing.paying import credited
from tests.integration.billing.world import AGENCY, GOOD_CARD, World

API = {"Authorization": "Bearer sk_test_world"}


@dataclass
class Lives:
    """Acts of readers, each as its page does them."""

    world: World

    async def reader(self, email: str) -> Reader:
        async with self.world.billing.database.transaction() as session:
            return await readers.reader_by_email(
                session, new_id(), AGENCY, email, "vi", self.world.clock.now()
            )

    async def price(self, period: str) -> Any:
        """``period``: of the plan for one reader; or ``plan/period``, or the plan's code where it is for once."""
        offers = await self.world.billing.plans.offers(AGENCY)
        plan, _, name = period.rpartition("/")
        wanted = (plan or "doc-bao", name)
        return next(
            one
            for one in offers
            if (one.plan_code, one.period) == wanted or one.plan_code == period
        )

    async def chooses(
        self, email: str, period: str, *, renews: bool = True, coupon: str = "", **more: Any
    ) -> Any:
        """An order, not paid yet (paid already, where a coupon leaves nothing to pay). ``period``: as of :meth:`price`."""
        reader, offer = await self.reader(email), await self.price(period)
        orders = self.world.billing.orders
        order = await orders.start(reader, offer.price_id, "", "vi", renews=renews, **more)
        return await orders.discount(reader, order.code, coupon) if coupon else order

    async def page(self, email: str, code: str) -> str:
        return await self.world.billing.charges.page(await self.reader(email), code, "vi")

    async def buys(
        self, email: str, period: str = "month", card: str = GOOD_CARD, **more: Any
    ) -> str:
        """Pays by card; nothing comes back to billing by this. The order's code."""
        order = await self.chooses(email, period, **more)
        answer = await self.world.pay(await self.page(email, order.code), card)
        assert answer.status_code == 303, answer.text
        return str(order.code)

    async def transfers(
        self, email: str, period: str = "month", *, id_: int = 1, **more: Any
    ) -> str:
        """Pays what does not renew by bank transfer, as the bank tells at once. The order's code."""
        order = await self.chooses(email, period, renews=False, **more)
        if order.amount_vnd:
            await credited(self.world, order.code, order.amount_vnd, id_=id_)
        return str(order.code)

    async def gift_code(self, order: str) -> str:
        found: str = await self.world.value(
            "SELECT g.code FROM gift g JOIN sales_order o ON o.id = g.order_id WHERE o.code = :code",
            code=order,
        )
        return found

    async def redeems(self, email: str, code: str) -> None:
        await self.world.billing.orders.redeem(await self.reader(email), code)

    async def subscriptions(self, email: str) -> list[Subscription]:
        reader = await self.reader(email)
        return list(await self.world.billing.subscriptions.of_reader(reader.id))

    async def live(self, email: str) -> Subscription | None:
        rows = await self.subscriptions(email)
        return next(
            (one for one in rows if State(one.state) in LIVE and one.collection == "renewal"), None
        )

    async def cancels(self, email: str) -> bool:
        row = await self.live(email)
        if row is None:
            return False
        await self.world.billing.wishes.cancel(AGENCY, row.reader_id, row.id)
        return True

    async def resumes(self, email: str) -> bool:
        row = await self.live(email)
        if row is None:
            return False
        await self.world.billing.wishes.resume(AGENCY, row.reader_id, row.id)
        return True

    async def pauses(self, email: str, until: date) -> bool:
        row = await self.live(email)
        if row is None:
            return False
        await self.world.billing.wishes.pause(AGENCY, row.reader_id, row.id, until)
        return True

    async def gives_card(self, email: str, card: str = GOOD_CARD) -> bool:
        """Another card, on the provider's page, and back."""
        row = await self.live(email)
        if row is None:
            return False
        reader = await self.reader(email)
        page = await self.world.billing.charges.card_page(reader, row.id, "vi")
        answer = await self.world.pay(page, card)
        assert answer.status_code == 303, answer.text
        return True

    async def changes(self, email: str, period: str, seats: int | None = None) -> int | None:
        """Another period, plan or number of seats, as previewed; what is to be paid for it now."""
        row, reader, offer = (
            await self.live(email),
            await self.reader(email),
            await self.price(period),
        )
        if row is None:
            return None
        changes = self.world.billing.changes
        found = await changes.preview(reader, row.id, offer.price_id, seats)
        await changes.confirm(reader, row.id, offer.price_id, found.pay_vnd, "vi", seats)
        return found.pay_vnd

    async def term(self, email: str) -> Subscription:
        """What is paid for one period at a time."""
        rows = await self.subscriptions(email)
        return next(one for one in rows if one.collection == "term")

    async def orders_change(self, email: str, period: str, seats: int | None = None) -> Any:
        """The order of another period, plan or number of seats, to be transferred: of what renews, or else of the term."""
        row = await self.live(email) or await self.term(email)
        reader, offer = await self.reader(email), await self.price(period)
        changes = self.world.billing.changes
        found = await changes.preview(reader, row.id, offer.price_id, seats)
        wished = (reader, row.id, offer.price_id, found.pay_vnd, "vi", seats)
        return (await changes.confirm(*wished, by_card=False)).order

    async def rights(self) -> set[str]:
        """Who may read everything now."""
        return {email for email, scope in await self.scopes() if scope == "site"}

    async def scopes(self) -> set[tuple[str, str]]:
        """Who may read what now."""
        rows = await self.world.rows(
            """SELECT DISTINCT r.email, e.scope FROM entitlement e JOIN reader r ON r.id = e.reader_id
               WHERE NOT e.revoked AND e.valid_from <= :now AND e.valid_until > :now""",
            now=self.world.clock.now(),
        )
        return {(row[0], row[1]) for row in rows}

    async def charges_at_provider(self) -> list[dict[str, Any]]:
        """Every payment intent that the provider has, the newest first."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            answer = await self.world.payer.get(
                f"/v1/payment_intents?limit=100{after}", headers=API
            )
            body = answer.json()
            found += body["data"]
            if not body["has_more"]:
                return found
            after = f"&starting_after={found[-1]['id']}"


def at_noon(day: date) -> datetime:
    """Noon in Hà Nội."""
    from datetime import UTC

    return datetime(day.year, day.month, day.day, 5, tzinfo=UTC)


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
