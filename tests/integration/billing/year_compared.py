"""A year of readers at the product, and whether an account of our own says the same of it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, datetime
from typing import Any

from tests.integration.billing.lives import Lives
from tests.integration.billing.own_account import Person
from tests.integration.billing.own_periods import Present
from tests.integration.billing.own_plans import DAY, day_of, tax_in
from tests.integration.billing.world import World

#: What the provider takes for a dispute.
FEE = 350_000
#: The product's words for what runs, or is to run on.
LIVE = ["trialing", "active", "past_due", "grace", "paused", "ending"]


class Played:
    """What has been played: at the product, and in the account of our own."""

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
        self.transferred = 0
        self.disputes: dict[str, tuple[str, Person, datetime]] = {}
        self.disputed = 0
        self.gifts: list[Present] = []

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

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

        await self.compare_readers()
        await self.compare_seats()

    async def compare_readers(self) -> None:
        """Whose right to read is of which plan, their own or another's: whoever has two reads by each of them."""
        found = await self.world.rows(
            """SELECT DISTINCT r.email, o.email, s.collection FROM entitlement e JOIN reader r ON r.id = e.reader_id
               LEFT JOIN seat t ON t.id = e.seat_id
               JOIN subscription s ON s.id = coalesce(t.subscription_id, e.subscription_id)
               JOIN reader o ON o.id = s.reader_id
               WHERE NOT e.revoked AND e.valid_from <= :now AND e.valid_until > :now""",
            now=self.now,
        )
        own = set[tuple[str, str, str]]()
        for email, one in self.people.items():
            for group, row in one.groups():
                if one.reads_by(row, self.now):
                    how = "term" if row is None else "renewal"
                    readers = [email, *(place.email for place in group.places)]
                    own |= {(reader, email, how) for reader in readers}
        assert set(found) == own, f"by what they read at {self.now}: {set(found) ^ own}"

    async def compare_seats(self) -> None:
        """Of each group, for how many readers it is, while it runs, and who has which place."""
        found = await self.world.rows(
            """SELECT o.email, s.collection, CASE WHEN s.state = ANY (CAST(:live AS text[])) THEN s.seats END,
                      array(SELECT m.email FROM seat t JOIN reader m ON m.id = t.reader_id
                            WHERE t.subscription_id = s.id AND t.ended_at IS NULL ORDER BY t.number)
               FROM subscription s JOIN reader o ON o.id = s.reader_id
               WHERE s.state = ANY (CAST(:live AS text[]))
                  OR EXISTS (SELECT FROM seat t WHERE t.subscription_id = s.id AND t.ended_at IS NULL)""",
            live=LIVE,
        )
        own = []
        for email, person in self.people.items():
            for group, row in person.groups():
                lives = person.group_lives(row, self.now)
                if group.places or lives:
                    how = "term" if row is None else "renewal"
                    places = [one.email for one in group.places]
                    seats = group.seats(self.now) if lives else None
                    own.append((email, how, seats, places))
        differ = [one for one in (*found, *own) if one not in found or one not in own]
        people = [(await self.told_of(one[0]), self.people[one[0]]) for one in differ]
        assert not differ, f"seats at {self.now}: {found} {own} {differ} {people}"

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
