"""What owners of groups, members and whoever is invited do in a year, at the product and in an account of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.billing.subscriptions.models import Subscription
from shared.errors import ConflictError, NotFoundError
from shared.mail import Mail
from tests.integration.billing.own_account import Joined, Person
from tests.integration.billing.own_periods import Subscribed
from tests.integration.billing.own_plans import SCHOOL
from tests.integration.billing.own_seats import Group, Invitation, Place

if TYPE_CHECKING:
    from tests.integration.billing.year_compared import Played


class Groups:
    """Acts on seats. Whether each is taken or refused is as the account of our own says."""

    def __init__(self, year: Played) -> None:
        self.year = year

    @property
    def seats(self) -> Any:
        return self.year.world.billing.seats

    def trim(self) -> None:
        """Places end when a period for fewer readers has begun."""
        year = self.year
        for person in year.people.values():
            for group, _ in person.groups():
                if group.trim(year.now):
                    year.done["places ended by the plan"] += 1

    async def act(self, person: Person) -> None:
        year = self.year
        for group, row in person.groups():
            if person.group_lives(row, year.now) and group.seats(year.now) > 1:
                await self.own(person, group, row)
            for invitation in group.invitations:
                await self.answer(person, group, row, invitation)
        for joined in person.joined:
            if joined.group.has(person.email):
                await self.sit(person, joined)

    async def own(self, person: Person, group: Group, row: Subscribed | None) -> None:
        """An owner with a group that runs."""
        year, dice = self.year, self.year.dice
        chance = dice.random()
        if chance < 0.25 and len(group.places) + 1 < group.seats(year.now):
            others = [o for o in year.people if o != person.email and not group.has(o)]
            if others:
                await self.invite(person, group, row, dice.choice(others))
        elif chance < 0.26:
            waiting = [one for one in group.invitations if one.open]
            if waiting:
                await self.withdraw(person, dice.choice(waiting))
        elif chance < 0.267 and group.places:
            await self.remove(group, dice.choice(group.places))
        elif chance < 0.3 and group.plan(year.now) == SCHOOL and not group.domain:
            await self.show_domain(person, group, row)
        if group.domain and dice.random() < 0.1:
            email = dice.choice([o for o in year.people if o != person.email and self.joins(o)])
            await self.join(person, group, row, email)

    def joins(self, email: str) -> bool:
        """Half of the readers care for a place by somebody else's plan; the others buy what they read."""
        return list(self.year.people).index(email) % 2 == 0

    async def product_row(self, person: Person, row: Subscribed | None) -> Subscription:
        how = "term" if row is None else "renewal"
        rows = await self.year.lives.subscriptions(person.email)
        return next(one for one in rows if one.collection == how)  # the newest

    async def invite(
        self, person: Person, group: Group, row: Subscribed | None, email: str
    ) -> None:
        """Once more, where the time of an invitation is over; not too often, and not too many at once."""
        year, now = self.year, self.year.now
        known = next((o for o in group.invitations if o.open and o.email == email), None)
        why = self.refusal(group, known, email)
        id_ = (await self.product_row(person, row)).id
        owner = await year.lives.reader(person.email)
        try:
            made = await self.seats.invite(owner, id_, email)
        except ConflictError as error:
            assert error.slug == why, f"{now}: {error.slug}, not {why}: {group}"
            year.done[f"not invited: {why}"] += 1
            return
        assert why is None, f"{now}: invited all the same, {why}: {group}"
        if known is None:
            year.done["invited"] += 1
            answers = self.joins(email) and year.dice.random() < 0.7
            group.invitations.append(Invitation(email, made.id, now, answers))
        else:
            assert made.id == known.name
            if known.expired(now):
                year.done["invited again"] += 1
                known.sent, known.times = now, known.times + 1

    def refusal(self, group: Group, known: Invitation | None, email: str) -> str | None:
        """Five letters with one invitation, as many to a mailbox in a fortnight, and twice as many invitations as seats."""
        now = self.year.now
        if known is not None:
            often = known.expired(now) and known.times >= 5
            return "seat-invited-often" if often else None
        if sum(one.open for one in group.invitations) >= 2 * group.seats(now):
            return "seat-invitations"
        young = [
            o.times
            for o in group.invitations
            if o.email == email and not o.accepted and not o.expired(now)
        ]
        return "seat-invited-often" if sum(young) >= 5 else None

    async def withdraw(self, person: Person, invitation: Invitation) -> None:
        self.year.done["withdrawn"] += 1
        owner = await self.year.lives.reader(person.email)
        await self.seats.withdraw(owner, invitation.name)
        invitation.withdrawn = True

    async def answer(
        self, owner: Person, group: Group, row: Subscribed | None, invitation: Invitation
    ) -> None:
        """Most take their seat within days; some never do; now and then somebody follows a link that is of no use any more."""
        dice, now = self.year.dice, self.year.now
        over = not invitation.open or invitation.expired(now)
        often = 0.004 if over else 0.35 if invitation.answers else 0.002
        if dice.random() < often:
            await self.accept(owner, group, row, invitation)

    async def accept(
        self, owner: Person, group: Group, row: Subscribed | None, invitation: Invitation
    ) -> None:
        year, now, email = self.year, self.year.now, invitation.email
        why = self.no_seat(owner, group, row, invitation)
        try:
            seat = await self.seats.accept(await year.lives.reader(email), invitation.name)
        except ConflictError as error:
            assert error.slug == why, f"{now}: {error.slug}, not {why}: {invitation} {group}"
            year.done[f"not accepted: {why}"] += 1
            return
        assert why is None, f"{now}: accepted all the same, {why}: {invitation} {group}"
        if group.has(email):  # already, or by the domain before they answered
            year.done["accepted twice" if invitation.accepted else "accepted in a place"] += 1
            invitation.accepted = True
            assert seat.id == next(o.seat for o in group.places if o.email == email)
            return
        invitation.accepted = True
        self.take(owner, group, row, Place(email, seat.id))

    async def show_domain(self, person: Person, group: Group, row: Subscribed | None) -> None:
        """A code comes to a mailbox of the domain, and back."""
        year, codes = self.year, list[str]()

        def letter(address: str, code: str) -> Mail:
            codes.append(code)
            return Mail(address, "Mã", code)

        owner, id_ = await year.lives.reader(person.email), (await self.product_row(person, row)).id
        domains = year.world.billing.seat_domains
        await domains.ask(owner, id_, person.email, letter)
        assert await domains.verify(owner, id_, codes[0])
        year.done["a domain"] += 1
        group.domain = True

    async def join(self, owner: Person, group: Group, row: Subscribed | None, email: str) -> None:
        """Who has a mailbox of the domain takes a seat without being invited, unless the owner put them out."""
        year, why = self.year, self.not_joined(owner, group, row, email)
        id_ = (await self.product_row(owner, row)).id
        try:
            seat = await self.seats.join(await year.lives.reader(email), id_)
        except (ConflictError, NotFoundError) as error:
            assert error.slug == why, f"{year.now}: {error.slug}, not {why}: {email} {group}"
            year.done[f"not joined: {why}"] += 1
            return
        assert why is None, f"{year.now}: joined all the same, {why}: {email} {group}"
        if not group.has(email):
            year.done["joined by domain"] += 1
            self.take(owner, group, row, Place(email, seat.id))

    def not_joined(
        self, owner: Person, group: Group, row: Subscribed | None, email: str
    ) -> str | None:
        if group.plan(self.year.now) != SCHOOL:
            return "not-found"
        if email in group.put_out:
            return "seat-ended"
        if not owner.group_lives(row, self.year.now):
            return "seat-over"
        return None if group.has(email) else self.full(group, row)

    def take(self, owner: Person, group: Group, row: Subscribed | None, place: Place) -> None:
        year, now, email = self.year, self.year.now, place.email
        person = year.people[email]
        known = next((one for one in person.joined if one.group is group), None)
        if known is None:
            person.joined.append(Joined(owner, row))
        year.done["a seat taken" if known is None else "back in a group"] += 1
        group.places.append(place)
        group.put_out.discard(email)
        if person.live(now) or person.group_lives(None, now):
            year.done["a seat beside a plan of their own"] += 1
        if any(one.group.has(email) for one in person.joined if one.group is not group):
            year.done["seats in two groups"] += 1

    def no_seat(
        self, owner: Person, group: Group, row: Subscribed | None, invitation: Invitation
    ) -> str | None:
        """Why an invitation gives no seat."""
        now = self.year.now
        if invitation.accepted:
            return None if group.has(invitation.email) else "seat-accepted"
        if invitation.withdrawn:
            return "seat-withdrawn"
        if invitation.expired(now):
            return "seat-expired"
        if not owner.group_lives(row, now):
            return "seat-over"
        return None if group.has(invitation.email) else self.full(group, row)

    def full(self, group: Group, row: Subscribed | None) -> str | None:
        """There are no more seats than now, and than the next period is to be for."""
        seats = group.seats(self.year.now)
        if row is not None and row.following is not None:
            seats = min(seats, row.following.seats)
        ordered = self.year.people[group.owner].ordered
        if row is None and ordered is not None:
            seats = min(seats, ordered.chosen.seats)
        return "seat-full" if len(group.places) + 1 >= seats else None

    async def sit(self, person: Person, joined: Joined) -> None:
        """A member, who leaves now and then."""
        year, group = self.year, joined.group
        if (
            joined.row is not None
            and joined.row.owes(year.now)
            and joined.reads(person.email, year.now)
        ):
            year.done["reads in the grace of another"] += 1
        if year.dice.random() < 0.006:
            year.done["left"] += 1
            place = next(one for one in group.places if one.email == person.email)
            await self.seats.leave(await year.lives.reader(person.email), place.seat)
            group.places.remove(place)
            group.put_out.discard(place.email)

    async def remove(self, group: Group, place: Place) -> None:
        self.year.done["removed"] += 1
        group.put_out.add(place.email)
        owner = await self.year.lives.reader(group.owner)
        await self.seats.end(owner, place.seat)
        group.places.remove(place)

    async def make_room(self, group: Group, seats: int) -> None:
        """The owner ends places until so many readers are left."""
        while len(group.places) + 1 > seats:
            await self.remove(group, self.year.dice.choice(group.places))
