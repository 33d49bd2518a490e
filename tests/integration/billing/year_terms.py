"""What readers who pay by bank transfer do with a term in a year: another plan, period or number of seats for the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.errors import ConflictError
from tests.integration.billing.own_account import Ordered, Person
from tests.integration.billing.own_plans import INTRO, INTRO_PERIOD, Chosen
from tests.integration.billing.paying import credited

if TYPE_CHECKING:
    from tests.integration.billing.the_year import Year


class Terms:
    """Changes of terms. What each costs, and when it begins, is as the account of our own says."""

    def __init__(self, year: Year) -> None:
        self.year = year

    async def act(self, person: Person) -> bool:
        """Whether something was done. Who pays in the morning after it was chosen pays as much as was said then."""
        now, dice = self.year.now, self.year.dice
        running = [one for one in person.terms if one.kept and one.start <= now < one.until]
        if not running or dice.random() > 0.12:
            return False
        before = max(running, key=lambda one: one.start).chosen
        chosen = self.year.another(before)
        if chosen.seats < 1 + len(person.term_group.places):
            with pytest.raises(ConflictError) as refused:
                await self.year.lives.orders_change(person.email, chosen.name, chosen.seats)
            assert refused.value.slug == "seats-taken"
            self.year.done["change of a term refused: seats are taken"] += 1
            return False
        current = [one for one in person.terms if one.kept and one.until > now]
        price, credit = person.price_now(chosen, now), person.credit(person.terms, now)
        free = any(not one.gross for one in current)
        if price <= credit or free:
            await self.follows(person, chosen)
            return True
        order = await self.year.lives.orders_change(person.email, chosen.name, chosen.seats)
        assert (order.amount_vnd, order.credit_vnd) == (price - credit, credit), f"{now}: {person}"
        person.ordered = Ordered(order.code, chosen, price, order.amount_vnd)
        at_intro = (chosen, price) == (INTRO_PERIOD, INTRO)
        self.year.done["change of a term at INTRO" if at_intro else "change of a term"] += 1
        if len(current) > 1:
            self.year.done["change of two terms"] += 1
        if person.term_group.places:
            self.year.done["change of a term of a group"] += 1
        if dice.random() < 0.5:
            await self.pay(person)
        return True

    async def follows(self, person: Person, chosen: Chosen) -> None:
        """What costs no more than is left is the next term."""
        lives = self.year.lives
        reader, price = await lives.reader(person.email), await lives.price(chosen.name)
        row = await lives.term(person.email)
        seats = chosen.seats if price.per_seat else None
        found = await self.year.world.billing.changes.preview(reader, row.id, price.price_id, seats)
        assert not found.at_once and found.starts_at == person.paid_until()
        self.year.done["another term to follow"] += 1

    async def pay(self, person: Person) -> None:
        ordered, person.ordered = person.ordered, None
        assert ordered is not None
        self.year.bank_id += 1
        self.year.transferred += ordered.gross
        await credited(self.year.world, ordered.code, ordered.gross, id_=self.year.bank_id)
        person.changed_term(ordered, self.year.now)

    async def pay_what_waits(self) -> None:
        for person in self.year.people.values():
            if person.ordered is not None:
                self.year.done["change of a term paid in the morning after"] += 1
                await self.pay(person)
