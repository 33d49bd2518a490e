"""A year of readers on two rails, at random, at the product and in an account of our own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from services.billing import seed
from services.billing.coupons.service import NewCoupon
from services.billing.offers.rules import Kind
from services.billing.offers.service import NewOffer
from shared.audit import Actor, acting
from shared.errors import ConflictError
from tests.fixtures.roles import as_owner
from tests.integration.billing.lives import API, Lives
from tests.integration.billing.own_account import (
    BUNDLE,
    DAY,
    HANOI,
    INTRO,
    INTRO_PERIOD,
    INTRO_TIMES,
    PRICES,
    Person,
    Present,
    day_of,
    tax_in,
)
from tests.integration.billing.paying import ACCOUNT, SECRETS
from tests.integration.billing.returning import at_the_bank, dashboard_refund, dispute
from tests.integration.billing.world import (
    AGENCY,
    FAILS_ON_RENEWAL,
    GOOD_CARD,
    World,
    make_world,
)

#: Two days before the end of January: 31 January and 29 February are days on which periods begin.
BEGINS = datetime(2028, 1, 29, 2, 17, tzinfo=UTC)
#: What the provider takes for a dispute.
FEE = 350_000
TICKS = (timedelta(hours=9), timedelta(hours=15))
PERIODS = ("week", "week", "month", "month", "month", "year")
#: Codes and how many per cent they take off.
COUPONS = {"GIAM30": 30, "MIENPHI": 100}
#: What is bought once: its price, and how long it may be read.
ONCE = {"ngay": (5_000, DAY), "mot-bai": (3_000, 365 * DAY), "muoi-bai": (20_000, 90 * DAY)}
TRIAL_DAYS = 14


@asynccontextmanager
async def begun_world(empty_url: str, folder: Path) -> AsyncIterator[World]:
    """A billing in a time of 8 % tax, with a trial, coupons and a bank account, two days before the end of January 2028."""
    owner = await asyncpg.connect(as_owner(empty_url))
    try:
        await owner.execute(
            "UPDATE vat_rate SET treatment = 'rate', rate_basis_points = 800 "
            "WHERE kind = 'press_subscription'"
        )
    finally:
        await owner.close()
    async with make_world(
        empty_url, folder, at=BEGINS, on_create=seed.load, bank_webhook_secrets=SECRETS
    ) as world:
        plan, _ = seed.PLANS[AGENCY][0]
        with acting(Actor.system("test")):
            await world.billing.transfers.save_account(AGENCY, ACCOUNT, "970436", "BAO HUNG YEN")
            await world.billing.plans.save_plan(AGENCY, plan, PRICES, {"month": TRIAL_DAYS})
            for code, percent in COUPONS.items():
                coupon = NewCoupon(code, percent, None, None, BEGINS, None, None, False)
                await world.billing.coupons.make(AGENCY, coupon)
            price = (await Lives(world).price(INTRO_PERIOD)).price_id
            offer = NewOffer(price, Kind.INTRO, INTRO, INTRO_TIMES)
            await world.billing.offers.make(AGENCY, offer)
        yield world


class Year:
    """The readers' year at the product, and beside it the account of our own."""

    def __init__(self, world: World, seed: int, readers: int) -> None:
        self.world, self.lives = world, Lives(world)
        self.dice = random.Random(seed)
        self.people = {
            email: Person(email) for email in (f"reader-{n:03}@example.vn" for n in range(readers))
        }
        self.ids: dict[str, str] = {}
        self.seen: dict[str, str] = {}
        self.refunds: set[str] = set()
        self.done: Counter[str] = Counter()
        self.bank_id = 0
        self.transferred = 0
        self.disputes: dict[str, tuple[str, Person, datetime]] = {}
        self.disputed = 0
        self.once_disputed: set[str] = set()
        self.waiting: dict[str, tuple[str, datetime]] = {}
        self.gifts: list[Present] = []
        self.articles = 0
        self.buyer = ""

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    # What readers do

    async def act(self, person: Person) -> None:
        """Something or nothing; what is done depends on how things stand in our own account."""
        dice, row = self.dice, person.live(self.now)
        if dice.random() < 0.004:
            await self.buy_gift(person)
        if person.bundles and dice.random() < 0.2:
            await self.use_bundle(person)
        if row is None:
            await self.free(person)
        elif row.cancels:
            if dice.random() < 0.05 and self.now < (row.paid_until or self.now):
                await self.resume(person)
        elif row.owes(self.now):
            await self.owe(person)
        else:
            await self.live(person)

    async def free(self, person: Person) -> None:
        """Nothing of theirs renews."""
        chance = self.dice.random()
        if chance < (0.2 if person.paid_until() is None else 0.03):
            await self.begin(person)
        elif chance > 0.99:
            await self.buy_once(person)
        elif chance > 0.985 and self.gifts:
            self.done["gift redeemed"] += 1
            present = self.gifts.pop(0)
            await self.lives.redeems(person.email, present.code)
            person.redeems(present, self.now)

    async def begin(self, person: Person) -> None:
        period, trial = self.dice.choice(PERIODS), not person.subscribed_before
        how = self.dice.choice(["card", "card", "card", "bad card", "transfer"])
        coupon = self.dice.choice(["", "", "", *COUPONS])
        price = person.price_now(period, self.now)
        coupon = coupon if price == PRICES[period] else ""  # never both
        price = price * (100 - COUPONS.get(coupon, 0)) // 100
        self.done[how] += 1
        if how == "transfer":
            self.done["term at INTRO" if price == INTRO else f"term at {coupon}"] += 1
            await self.by_transfer(person, period, price, coupon=coupon)
            person.transferred(price, period, self.now)
            return
        card = FAILS_ON_RENEWAL if how == "bad card" else GOOD_CARD
        if trial and period == "month":
            self.done["trial"] += 1
            await self.lives.buys(person.email, period, card)
            person.tried(period, self.now, TRIAL_DAYS)
        else:
            self.done["card at INTRO" if price == INTRO else f"card at {coupon}"] += 1
            person.wants = period, price
            await self.lives.buys(person.email, period, card, coupon=coupon)
            if not price:
                row, bought = person.begun(price, self.now)
                row.bought.append(bought)
        await self.settle()
        person.renewing[-1].good_card = how == "card"

    async def by_transfer(self, person: Person, what: str, price: int, **more: Any) -> str:
        self.bank_id += 1
        self.transferred += price
        return await self.lives.transfers(person.email, what, id_=self.bank_id, **more)

    async def buy_gift(self, person: Person) -> None:
        period = self.dice.choice(PERIODS)
        self.done["gift"] += 1
        order = await self.by_transfer(person, period, PRICES[period], gift=True)
        code = await self.lives.gift_code(order)
        self.gifts.append(Present(code, PRICES[period], period))

    async def buy_once(self, person: Person) -> None:
        """A day, or an article; one that may be read already is not sold."""
        if "site" in person.opens(self.now):
            return
        self.articles += 1
        kind = self.dice.choice(sorted(ONCE))
        price, lasts = ONCE[kind]
        article = f"bai-{self.articles}" if kind == "mot-bai" else None
        scope = BUNDLE if kind == "muoi-bai" else "site"
        person.wants_once = f"article:{article}" if article else scope, lasts
        how = self.dice.choice(["card", "transfer"])
        self.done[f"{kind} by {how}"] += 1
        if how == "transfer":
            await self.by_transfer(person, kind, price, article=article)
            person.buys_once(price, self.now)
        else:
            self.buyer = person.email
            await self.lives.buys(person.email, kind, article=article, renews=False)
            await self.settle()
        assert person.wants_once is None

    async def use_bundle(self, person: Person) -> None:
        """Opens an article, or now and then asks for a part of its money back, or for all of it."""
        bundle, reader = person.bundle(self.now), await self.lives.reader(person.email)
        if "site" not in person.opens(self.now) and bundle is not None:
            self.articles += 1
            self.done["bundle used"] += 1
            assert await self.world.billing.bundles.use(reader, f"bai-{self.articles}")
            lasts = max(self.now + ONCE["mot-bai"][1], bundle.bought.until)
            bundle.left -= 1
            bundle.opened[f"article:bai-{self.articles}"] = lasts
        bought = person.bundles[-1].bought
        if bought.reference and bought.kept and self.dice.random() < 0.1:
            self.done["bundle given back"] += 1
            left = bought.gross - bought.given_back
            amount = self.dice.choice([left, self.dice.randrange(1, left + 1)])
            await at_the_bank(self.world, "control", refunds="succeed")
            await dashboard_refund(self.world, bought.reference, amount=amount)
            await self.settle()

    async def resume(self, person: Person) -> None:
        row = person.live(self.now)
        assert row is not None
        self.done["resume"] += 1
        assert await self.lives.resumes(person.email)
        row.cancels = False
        if row.paused is not None:
            row.paused = self.now if self.now >= (row.paid_until or self.now) else None

    async def owe(self, person: Person) -> None:
        """A renewal failed (or is paused out): another card, or the end."""
        row = person.live(self.now)
        assert row is not None
        chance = self.dice.random()
        if chance < 0.10:
            self.done["card after failure"] += 1
            await self.lives.gives_card(person.email)
            row.good_card = True
            await self.settle()  # the card is known, and charged in the next round
        elif chance < 0.16:
            self.done["cancel in grace"] += 1
            assert await self.lives.cancels(person.email)
            row.given_up = self.now if row.reads(self.now) else None
            row.cancels, row.paused, row.next_period = True, None, None

    async def live(self, person: Person) -> None:
        row = person.live(self.now)
        assert row is not None
        chance, until = self.dice.random(), row.paid_until
        assert until is not None
        begun = any(one.kept and one.start <= self.now < one.until for one in row.bought)
        if chance < 0.008:
            self.done["cancel"] += 1
            assert await self.lives.cancels(person.email)
            row.cancels, row.paused, row.next_period = True, None, None
        elif chance < 0.014 and begun and row.paused is None and not row.bought[-1].trial:
            self.done["pause"] += 1
            back = day_of(until) + self.dice.randrange(2, 40) * DAY
            await self.lives.pauses(person.email, back)
            row.paused = datetime(back.year, back.month, back.day, tzinfo=HANOI).astimezone(UTC)
        elif chance < 0.018 and row.paused is not None:
            await self.resume(person)
        elif chance < 0.028 and begun:
            await self.change(person)
        elif chance < 0.034 and begun:
            await self.give_back(person)
        elif chance < 0.036 and begun:
            await self.dispute(person)
        elif chance < 0.040:
            self.done["new card"] += 1
            await self.lives.gives_card(person.email)
            row.good_card = True

    async def change(self, person: Person) -> None:
        row = person.live(self.now)
        assert row is not None
        if row.bought[-1].trial or (not row.good_card):
            return
        period = self.dice.choice([one for one in PRICES if one != row.period])
        if person.given_back_at == self.now:
            return  # whether its price counted with what went back in the same second is for a person to look at
        credit = person.credit(row, self.now)
        try:
            paid = await self.lives.changes(person.email, period)
        except ConflictError:
            assert row.owes(self.now)
            return
        if PRICES[period] > credit:
            self.done["change now"] += 1
            assert paid == PRICES[period] - credit, f"{self.now} {period}: {paid} {credit} {row}"
            person.change_to = period
            await self.settle()
            assert person.change_to is None
        else:
            self.done["change later"] += 1
            assert paid == 0
            row.next_period = period

    async def give_back(self, person: Person) -> None:
        """From the provider's dashboard: a part, or all that is left, of the newest payment."""
        row = person.live(self.now)
        newest = row.newest if row is not None else None
        if newest is None or newest.gross == 0 or not newest.reference:
            return
        if any(reference == newest.reference for reference, _, _ in self.disputes.values()):
            return
        if newest.reference in self.waiting:
            return
        left = newest.gross - newest.given_back
        amount = left if self.dice.random() < 0.4 else self.dice.randrange(1, left + 1)
        self.done["refund"] += 1
        waits = self.dice.random() < 0.4
        await at_the_bank(self.world, "control", refunds="wait" if waits else "succeed")
        refund = await dashboard_refund(self.world, newest.reference, amount=amount)
        if waits:
            self.waiting[newest.reference] = refund, self.now + self.dice.randrange(1, 12) * DAY
        await self.settle()

    async def decide_refunds(self) -> None:
        """What waited arrives, or does not: then nothing was given back."""
        for reference, (refund, ends) in list(self.waiting.items()):
            if ends <= self.now:
                outcome = self.dice.choice(["succeed", "succeed", "fail"])
                self.done[f"refund that waited: {outcome}"] += 1
                del self.waiting[reference]
                await at_the_bank(self.world, f"refunds/{refund}/settle", outcome=outcome)
                await self.settle()

    async def dispute(self, person: Person) -> None:
        """The holder's bank takes the newest payment back; it decides weeks later."""
        row = person.live(self.now)
        newest = row.newest if row is not None else None
        if row is None or newest is None or not newest.reference or newest.given_back:
            return
        if newest.reference in self.once_disputed or newest.reference in self.waiting:
            return
        if row.paused is not None or row.next_period is not None:
            return
        self.done["dispute"] += 1
        self.disputed += 1
        self.once_disputed.add(newest.reference)
        id_ = await dispute(self.world, newest.reference)
        ends = self.now + self.dice.randrange(5, 40) * DAY
        self.disputes[id_] = newest.reference, person, ends
        row.cancels, row.good_card = True, False
        await self.settle()

    async def decide_disputes(self) -> None:
        for id_, (reference, person, ends) in list(self.disputes.items()):
            if ends <= self.now:
                outcome = self.dice.choice(["won", "lost"])
                self.done[f"dispute {outcome}"] += 1
                await at_the_bank(self.world, f"disputes/{id_}/close", outcome=outcome)
                del self.disputes[id_]
                if outcome == "lost":
                    paid = next(one for one in person.everything() if one.reference == reference)
                    person.given_back(reference, paid.gross, self.now)
                await self.settle()

    # What the provider says, and the worker does

    async def settle(self) -> None:
        await self.world.deliver()
        await self.take_facts()

    async def take_facts(self) -> None:
        """The provider's own lists, into our own account."""
        customers = (await self.world.payer.get("/v1/customers?limit=100", headers=API)).json()
        self.ids |= {one["id"]: one["email"] for one in customers["data"]}
        answer = await self.world.payer.get("/v1/payment_intents?limit=100", headers=API)
        for one in reversed(answer.json()["data"]):
            if one["status"] == "succeeded" and one["id"] not in self.seen:
                # Who pays once is nobody that the provider remembers.
                email = self.ids[one["customer"]] if one["customer"] else self.buyer
                self.seen[one["id"]] = email
                at = datetime.fromtimestamp(one["created"], UTC)
                self.people[email].captured(one["amount_received"], at, one["id"])
        answer = await self.world.payer.get("/v1/refunds?limit=100", headers=API)
        for one in reversed(answer.json()["data"]):
            if one["status"] == "succeeded" and one["id"] not in self.refunds:
                self.refunds.add(one["id"])
                email = self.seen[one["payment_intent"]]
                self.people[email].given_back(one["payment_intent"], one["amount"], self.now)

    # Whether both say the same

    async def compare_now(self) -> None:
        reads = {
            (email, what) for email, one in self.people.items() for what in one.opens(self.now)
        }
        found = await self.lives.scopes()
        differ = {
            email: (await self.told_of(email), self.people[email]) for email, _ in found ^ reads
        }
        assert found == reads, (
            f"who reads what at {self.now}: {found - reads} {reads - found} {differ}"
        )
        recurring = await self.world.rows(
            """SELECT r.email, sum(s.mrr_vnd)::bigint FROM subscription s JOIN reader r ON r.id = s.reader_id
               GROUP BY 1 HAVING sum(s.mrr_vnd) <> 0"""
        )
        own = {email: one.mrr(self.now) for email, one in self.people.items()}
        differ = {
            email: (vnd, own[email], self.people[email])
            for email, vnd in (dict.fromkeys(own, 0) | dict(recurring)).items()
            if vnd != own[email]
        }
        assert not differ, f"recurring revenue at {self.now}: {differ}"

    async def told_of(self, email: str) -> list[Any]:
        """What the product has of a reader's subscriptions and charges."""
        return await self.world.rows(
            """SELECT s.state, s.period_end, s.grace_spent, s.review_at, c.kind, c.state, c.ask_at, c.reference, c.created_at
               FROM reader r JOIN subscription s ON s.reader_id = r.id LEFT JOIN charge c ON c.reader_id = r.id
               WHERE r.email = :email ORDER BY s.created_at, c.created_at""",
            email=email,
        )

    async def compare_deferred(self, today: date) -> None:
        """Of each reader, what the days to come are to earn."""
        found: Counter[str] = Counter()
        for email, starts, ends, total, closed in await self.world.rows(
            """SELECT r.email, c.starts_on, c.ends_on, c.total_vnd, c.closed_on FROM recognition_schedule c
               JOIN payment p ON p.id = c.payment_id LEFT JOIN subscription s ON s.id = p.subscription_id
               JOIN reader r ON r.id = coalesce(s.reader_id, p.reader_id)"""
        ):
            days = (ends - starts).days
            done = [min(max((one - starts).days, 0), days) for one in (closed or ends, today + DAY)]
            found[email] += max(total * done[0] // days - total * done[1] // days, 0)
        own = Counter(
            {email: sum(b.ahead(today) for b in p.everything()) for email, p in self.people.items()}
        )
        differ = {
            email: (found[email], own[email], self.people[email])
            for email in self.people
            if found[email] != own[email]
        }
        assert not differ, f"deferred after {today}: {differ}"

    async def compare_books(self) -> None:
        await self.world.billing.recognition.run_due()
        await self.world.assert_sound()
        today, everything = (
            day_of(self.now),
            [b for p in self.people.values() for b in p.everything()],
        )
        booked = dict(
            await self.world.rows(
                "SELECT account, sum(amount_vnd)::bigint FROM journal_line GROUP BY 1"
            )
        )
        by_card = [one for one in everything if one.reference]
        in_dispute = sum(
            one.gross
            for reference, person, _ in self.disputes.values()
            for one in person.everything()
            if one.reference == reference
        )
        assert booked.get("disputed_card_money", 0) == in_dispute
        assert booked.get("payment_fees", 0) == FEE * self.disputed
        assert (
            booked["stripe_receivable"]
            == sum(one.gross - one.given_back for one in by_card) - in_dispute - FEE * self.disputed
        )
        assert booked.get("bank", 0) == self.transferred
        unopened = sum(one.gross - tax_in(one.gross) for one in self.gifts)
        assert -booked.get("gifts_not_redeemed", 0) == unopened
        assert -booked["vat_payable"] == sum(
            tax_in(one.gross) - one.tax_back for one in everything
        ) + sum(tax_in(one.gross) for one in self.gifts)
        await self.compare_deferred(today)
        assert -booked["deferred_subscription"] == sum(one.ahead(today) for one in everything)
        assert booked.get("refunds_subscription", 0) == sum(
            one.refunds_of_revenue for one in everything
        )
        months: Counter[str] = Counter()
        for one in everything:
            for day, amount in one.by_day.items():
                if day <= today and amount:
                    months[f"{day:%Y-%m}"] += amount
        found = await self.world.rows(
            """SELECT to_char(e.occurred_on, 'YYYY-MM'), -sum(l.amount_vnd)::bigint FROM journal_entry e
               JOIN journal_line l ON l.entry_id = e.id
               WHERE l.account = 'revenue_subscription' GROUP BY 1 HAVING sum(l.amount_vnd) <> 0"""
        )
        assert dict(found) == dict(months)
        moved = await self.world.value(
            "SELECT coalesce(sum(amount_vnd), 0)::bigint FROM mrr_movement"
        )
        assert moved == sum(one.mrr(self.now) for one in self.people.values())
