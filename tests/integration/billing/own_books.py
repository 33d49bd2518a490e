"""Books of an agency without the rest of billing: payments, changes and refunds posted straight into them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from services.billing.invariants.service import Invariants
from services.billing.ledger import rules as accounts
from services.billing.ledger import service as ledger
from services.billing.ledger.service import Posting
from services.billing.payments.models import Refund
from services.billing.recognition import service
from services.billing.recognition.changes import post_change
from services.billing.recognition.facts import PaymentFact, RefundFact
from shared.agencies import get_agency, save_agencies
from shared.audit import Actor
from shared.clock import MovableClock
from shared.database import Database, Session
from shared.ids import new_id
from shared.money import Money
from tests.fixtures.roles import as_superuser
from tests.integration.billing.invariants_read import broken

AGENCY, OTHER = "bao-thu", "bao-khac"
DAY, HANOI = timedelta(days=1), timedelta(hours=7)
#: Whose payments they all are.
READER = new_id()
#: Ten in the morning in Hà Nội.
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TODAY = date(2026, 11, 23)
#: What the books alone must hold; what ties them to what providers told is tested with them (test_settlements.py).
SOUND = (
    "ledger_balances",
    "balances_follow_the_journal",
    "deferred_rolls_forward",
    "periods_do_not_overlap",
    "gifts_are_owed",
)


@dataclass
class Paid:
    """A payment: ``vat`` of ``price``; ``days`` of its period from ``first`` on."""

    id: UUID
    price: int
    vat: int
    first: date
    days: int
    gift: bool = False

    @property
    def net(self) -> int:
        return self.price - self.vat


@dataclass
class Books:
    """The books of an agency, and the rows around them that other parts of billing would write."""

    database: Database
    url: str
    clock: MovableClock
    invariants: Invariants
    #: Of every refund: its fact and what was deferred of it.
    refunds: dict[UUID, tuple[RefundFact, int]] = field(default_factory=dict)

    async def row(self, paid: Paid, subscription: UUID | None = None) -> None:
        """The payment's row, which the schedules' foreign key finds; what stands behind it is not looked at here."""
        begin = self.begin(paid.first)
        period = (None, None) if paid.gift else (begin, begin + paid.days * DAY)
        intruder = await asyncpg.connect(as_superuser(self.url))
        try:
            await intruder.execute("SET session_replication_role = replica")
            await intruder.execute(
                """INSERT INTO payment (id, agency, subscription_id, order_id, reader_id, provider, reference, amount_vnd,
                                        period_start, period_end, paid_at)
                   VALUES ($1, $2, $3, $1, $9, 'stripe', $4, $5, $6, $7, $8)""",
                *(paid.id, AGENCY, subscription or paid.id, str(paid.id), paid.price),
                *(*period, self.clock.now(), READER),
            )
        finally:
            await intruder.close()

    @staticmethod
    def begin(day: date) -> datetime:
        """In the middle of a day: a period begins when it is bought."""
        return datetime(day.year, day.month, day.day, 10, tzinfo=UTC) - HANOI

    async def fact(self, session: Session, paid: Paid) -> PaymentFact:
        begin, agency = self.begin(paid.first), await get_agency(session, AGENCY)
        key, end = f"test:{paid.id}", begin + paid.days * DAY
        now = self.clock.now()
        return PaymentFact(paid.id, agency, key, Money(paid.price), paid.vat, now, begin, end)

    async def pay(self, paid: Paid, subscription: UUID | None = None) -> None:
        await self.row(paid, subscription)
        async with self.database.transaction() as session:
            post = service.post_gift if paid.gift else service.post_payment
            await post(session, await self.fact(session, paid), self.clock.now())

    async def change(self, paid: Paid, *replaced: Paid) -> int:
        """The payment's row is there."""
        async with self.database.transaction() as session:
            fact = await self.fact(session, paid)
            ids = [one.id for one in replaced]
            return await post_change(session, fact, ids, self.clock.now())

    async def refund(self, paid: Paid, amount: int, kind: str = "refund") -> UUID:
        id_, now = new_id(), self.clock.now()
        async with self.database.transaction() as session:
            await session.execute(
                text("SELECT FROM payment WHERE id = :id FOR UPDATE"), {"id": paid.id}
            )
            vat = await service.refund_vat(session, paid.id, paid.vat, paid.price, amount)
            fact = RefundFact(
                id_, paid.id, await get_agency(session, AGENCY), f"test:{id_}", Money(amount), vat, now,
                credit=accounts.DISPUTED if kind == "dispute" else accounts.RECEIVABLE,
                unopened=paid.gift,
            )  # fmt: skip
            deferred = await service.post_refund(session, fact, now)
            session.add(
                Refund(id=id_, agency=AGENCY, payment_id=paid.id, provider="stripe", provider_refund=str(id_),
                       amount_vnd=amount, deferred_vnd=deferred, refunded_at=now, kind=kind)
            )  # fmt: skip
            await session.flush()
            await self.given_back(session, paid.id, amount)
        self.refunds[id_] = fact, deferred
        return id_

    @staticmethod
    async def given_back(session: Session, payment: UUID, amount: int) -> None:
        await session.execute(
            text("UPDATE payment SET refunded_vnd = refunded_vnd + :amount WHERE id = :id"),
            {"id": payment, "amount": amount},
        )

    async def fail(self, refund: UUID, deferred: int | None = None) -> None:
        fact, was_deferred = self.refunds[refund]
        async with self.database.transaction() as session:
            await self.given_back(session, fact.payment_id, -fact.amount.amount)
            await session.execute(text(FAIL), {"now": self.clock.now(), "id": refund})
            given = was_deferred if deferred is None else deferred
            await service.post_refund_failed(session, fact, given, self.clock.now())

    async def post(self, kind: str, lines: tuple[accounts.Line, ...]) -> None:
        now = self.clock.now()
        async with self.database.transaction() as session:
            posting = Posting(AGENCY, str(new_id()), kind, new_id(), self.today, now, lines)
            await ledger.post_new(session, posting, now)

    @property
    def today(self) -> date:
        return (self.clock.now() + HANOI).date()

    async def run(self) -> None:
        await service.Recognition(self.database, self.clock).run_due()

    async def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        async with self.database.read() as session:
            return [tuple(row) for row in await session.execute(text(sql), values)]

    async def balances(self) -> dict[str, int]:
        found = await self.rows(
            "SELECT account, sum(debit_vnd - credit_vnd)::bigint FROM account_day GROUP BY 1"
        )
        return {account: amount for account, amount in found if amount}

    async def earned(self) -> Counter[date]:
        return Counter(dict(await self.rows("SELECT day, amount_vnd FROM recognition_day")))

    async def told(self, kind: str) -> int:
        """The sum of what the metrics layer heard."""
        events = [json.loads(row[0]) for row in await self.rows("SELECT payload FROM outbox")]
        return sum(one["data"]["amount"] for one in events if f"{kind}.recorded" in one["type"])

    async def violations(self) -> dict[str, int]:
        """Of a reading of everything."""
        return await broken(self)

    async def assert_sound(self) -> None:
        assert {name for name in await self.violations() if name in SOUND} == set()


FAIL = "UPDATE refund SET failed_at = :now WHERE id = :id"


def paid(price: int, days: int, first: date = TODAY, vat: int = 0, gift: bool = False) -> Paid:
    return Paid(new_id(), price, vat, first, days, gift)


async def make_books(database: Database, url: str) -> Books:
    """Two agencies with books that begin today."""
    agencies = [
        {"id": id_, "name": id_, "time_zone": "Asia/Ho_Chi_Minh"} for id_ in (AGENCY, OTHER)
    ]
    async with database.transaction() as session:
        await save_agencies(session, agencies, actor=Actor.command("test"))
        for id_ in (AGENCY, OTHER):
            await ledger.open_books(session, id_, NOW)
    clock = MovableClock(NOW)
    return Books(database, url, clock, Invariants(database, clock))
