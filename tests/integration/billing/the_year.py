"""A year of readers on two rails, at random, at the product and in an account of our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import ConflictError
from tests.integration.billing.lives import API
from tests.integration.billing.own_account import Person
from tests.integration.billing.own_periods import Present, Subscribed
from tests.integration.billing.own_plans import (
    BUNDLE,
    DAY,
    FAMILY,
    HANOI,
    INTRO,
    PRICES,
    SCHOOL,
    SEATS,
    Chosen,
    day_of,
)
from tests.integration.billing.returning import at_the_bank, dashboard_refund, dispute
from tests.integration.billing.world import (
    FAILS_ON_RENEWAL,
    GOOD_CARD,
    World,
)
from tests.integration.billing.year_begun import COUPONS, TRIAL_DAYS
from tests.integration.billing.year_compared import Played
from tests.integration.billing.year_seats import Groups
from tests.integration.billing.year_terms import Terms

TICKS = (timedelta(hours=9), timedelta(hours=15))
PERIODS = ("week", "week", "month", "month", "month", "year")
#: Plans for several readers, as they are chosen; of a school's the number of seats is thrown.
SHARED = (
    (FAMILY, "month"),
    (FAMILY, "month"),
    (FAMILY, "year"),
    (SCHOOL, "month"),
    (SCHOOL, "year"),
)
#: What is bought once: its price, and how long it may be read.
ONCE = {"ngay": (5_000, DAY), "mot-bai": (3_000, 365 * DAY), "muoi-bai": (20_000, 90 * DAY)}


class Year(Played):
    """The readers' year at the product, and beside it the account of our own."""

    def __init__(self, world: World, seed: int, readers: int) -> None:
        super().__init__(world, seed, readers)
        self.bank_id = 0
        self.once_disputed: set[str] = set()
        self.waiting: dict[str, tuple[str, datetime]] = {}
        self.articles = 0
        self.buyer = ""
        self.groups = Groups(self)
        self.terms = Terms(self)

    # What readers do

    async def act(self, person: Person) -> None:
        """Something or nothing; what is done depends on how things stand in our own account."""
        dice, row = self.dice, person.live(self.now)
        if dice.random() < 0.004:
            await self.buy_gift(person)
        if person.bundles and dice.random() < 0.2:
            await self.use_bundle(person)
        await self.groups.act(person)
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
        if await self.terms.act(person):
            return
        if chance < (0.2 if person.paid_until() is None else 0.03):
            await self.begin(person)
        elif chance > 0.98:
            await self.buy_once(person)
        elif chance > 0.975 and self.gifts:
            self.done["gift redeemed"] += 1
            present = self.gifts.pop(0)
            await self.lives.redeems(person.email, present.code)
            person.redeems(present, self.now)

    def choose(self) -> Chosen:
        """A plan for one reader, or for several."""
        if self.dice.random() < 0.75:
            return Chosen(self.dice.choice(PERIODS))
        plan, period = self.dice.choice(SHARED)
        more = self.dice.randrange(5) if plan == SCHOOL else 0
        return Chosen(period, plan, SEATS[plan] + more)

    def did(self, what: str, row: Subscribed | None) -> None:
        """Counted; apart where it reaches members."""
        self.done[what] += 1
        if row is not None and row.group.places:
            self.done[f"{what} of a group"] += 1

    async def begin(self, person: Person) -> None:
        chosen, trial = self.choose(), not person.subscribed_before
        how = self.dice.choice(["card", "card", "card", "bad card", "transfer"])
        coupon = self.dice.choice(["", "", "", *COUPONS])
        price = person.price_now(chosen, self.now)
        coupon = coupon if price == chosen.price else ""  # never both
        price = price * (100 - COUPONS.get(coupon, 0)) // 100
        self.done[how] += 1
        if chosen.shared:
            self.done[f"{chosen.plan} by {'transfer' if how == 'transfer' else 'card'}"] += 1
        sold = self.sold(chosen)
        if how == "transfer":
            self.done["term at INTRO" if price == INTRO else f"term at {coupon}"] += 1
            await self.by_transfer(person, chosen.name, price, coupon=coupon, **sold)
            person.transferred(price, chosen, self.now)
            return
        card = FAILS_ON_RENEWAL if how == "bad card" else GOOD_CARD
        if trial and chosen == Chosen("month"):
            self.done["trial"] += 1
            await self.lives.buys(person.email, chosen.name, card)
            person.tried(chosen, self.now, TRIAL_DAYS)
        else:
            self.done["card at INTRO" if price == INTRO else f"card at {coupon}"] += 1
            person.wants = chosen, price
            await self.lives.buys(person.email, chosen.name, card, coupon=coupon, **sold)
            if not price:
                row, bought = person.begun(price, self.now)
                row.bought.append(bought)
        await self.settle()
        person.renewing[-1].good_card = how == "card"

    @staticmethod
    def sold(chosen: Chosen) -> dict[str, int]:
        """How many seats, where that is to be said."""
        return {"seats": chosen.seats} if chosen.plan == SCHOOL else {}

    async def by_transfer(self, person: Person, what: str, price: int, **more: Any) -> str:
        self.bank_id += 1
        self.transferred += price
        return await self.lives.transfers(person.email, what, id_=self.bank_id, **more)

    async def buy_gift(self, person: Person) -> None:
        chosen = self.choose()
        if chosen.plan == SCHOOL:
            return  # nobody is given one
        self.done["gift of a family plan" if chosen.shared else "gift"] += 1
        order = await self.by_transfer(person, chosen.name, chosen.price, gift=True)
        code = await self.lives.gift_code(order)
        self.gifts.append(Present(code, chosen.price, chosen))

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
        self.did("resume", row)
        assert await self.lives.resumes(person.email)
        row.cancels = False
        if row.paused is not None:
            row.paused = self.now if self.now >= (row.paid_until or self.now) else None

    async def owe(self, person: Person) -> None:
        """A renewal failed (or is paused out): another card, or the end."""
        row = person.live(self.now)
        assert row is not None
        chance = self.dice.random()
        if chance < 0.20:
            self.did("card after failure", row)
            await self.lives.gives_card(person.email)
            row.good_card = True
            await self.settle()  # the card is known, and charged in the next round
        elif chance < 0.27:
            self.did("cancel in grace", row)
            assert await self.lives.cancels(person.email)
            row.given_up = self.now if row.reads(self.now) else None
            row.cancels, row.paused, row.following = True, None, None

    async def live(self, person: Person) -> None:
        row = person.live(self.now)
        assert row is not None
        chance, until = self.dice.random(), row.paid_until
        assert until is not None
        begun = any(one.kept and one.start <= self.now < one.until for one in row.bought)
        if chance < 0.008:
            self.did("cancel", row)
            assert await self.lives.cancels(person.email)
            row.cancels, row.paused, row.following = True, None, None
        elif chance < 0.014 and begun and row.paused is None and not row.bought[-1].trial:
            self.did("pause", row)
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
        if person.given_back_at == self.now:
            return  # whether its price counted with what went back in the same second is for a person to look at
        before, chosen = row.chosen, self.another(row.chosen)
        if chosen.seats < 1 + len(row.group.places):
            with pytest.raises(ConflictError) as refused:
                await self.lives.changes(person.email, chosen.name, chosen.seats)
            assert refused.value.slug == "seats-taken"
            self.done["change refused: seats are taken"] += 1
            if self.dice.random() < 0.4:
                return
            await self.groups.make_room(row.group, chosen.seats)
        if any(person in held[1:2] for held in self.disputes.values()):
            return  # not while a bank decides about what it would count with
        credit = person.credit(row.bought, self.now)
        try:
            paid = await self.lives.changes(person.email, chosen.name, chosen.seats)
        except ConflictError:
            assert row.owes(self.now)
            return
        current = [one for one in row.bought if one.kept and one.until > self.now]
        free = any(not one.gross for one in current)  # days by a coupon are read to their end
        at = "now" if chosen.price > credit and not free else "later"
        self.did(f"change {at}", row)
        if before.plan != chosen.plan:
            self.done[f"{before.plan} to {chosen.plan}"] += 1
        elif before.seats != chosen.seats:
            self.done[f"{'more' if chosen.seats > before.seats else 'fewer'} seats {at}"] += 1
        if at == "now":
            assert paid == chosen.price - credit, f"{self.now} {chosen}: {paid} {credit} {row}"
            person.change_to = chosen
            await self.settle()
            assert person.change_to is None
        else:
            assert paid == 0
            row.following = chosen

    def another(self, before: Chosen) -> Chosen:
        """A school's number of seats is changed more often than anything else."""
        if before.plan == SCHOOL and self.dice.random() < 0.7:
            others = [n for n in range(SEATS[SCHOOL], SEATS[SCHOOL] + 6) if n != before.seats]
            return before._replace(seats=self.dice.choice(others))
        plans = [(p, one) for p in PRICES for one in PRICES[p]]
        plan, period = self.dice.choice([o for o in plans if o != (before.plan, before.period)])
        return Chosen(period, plan, SEATS[plan])

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
        self.did("refund in part" if amount < left else "refund", row)
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
        if row.paused is not None or row.following is not None:
            return
        self.did("dispute", row)
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
                paid_for = (
                    o for o in person.renewing if any(b.reference == reference for b in o.bought)
                )
                self.did(f"dispute {outcome}", next(paid_for))
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
        self.groups.trim()

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
